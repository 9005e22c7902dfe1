"""DiscreteBERT: a Transformer over the codes of vq-wav2vec.

Papers: Baevski et al., "Effectiveness of Self-Supervised Pre-Training for Speech
Recognition", https://arxiv.org/abs/1911.03912; Baevski et al., "vq-wav2vec",
https://arxiv.org/abs/1910.05453. Reproduces S3PRL's ``upstream/roberta``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.building import read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.networks.encoder import EncoderLayer
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.transformer import TransformerConfig
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.vq_wav2vec import Coder, VqWav2Vec, VqWav2VecConfig

#: First tokens of every dictionary of fairseq; <pad> is the second.
BEGIN, END, UNKNOWN, SPECIAL = 0, 2, 3, 4
#: fairseq's names of the weights, old and new, and ours; applied in this order.
NAMES = {
    r"^(encoder|decoder)\.sentence_encoder\.": "",
    r"^embed_tokens\.": "embedding.",
    r"^embed_positions\.": "positions.",
    r"^(emb_layer_norm|layernorm_embedding)\.": "norm.",
    r"\.self_attn\.q_proj\.": ".attention.query.",
    r"\.self_attn\.k_proj\.": ".attention.key.",
    r"\.self_attn\.v_proj\.": ".attention.value.",
    r"\.self_attn\.out_proj\.": ".attention.output.",
    r"\.(self_attn_layer_norm|layer_norms\.0)\.": ".attention_norm.",
    r"\.(final_layer_norm|layer_norms\.1)\.": ".ffn_norm.",
    r"\.fc1\.": ".expand.",
    r"\.fc2\.": ".contract.",
}
#: Weights that only pre-training uses, and the version of fairseq's format.
TRAINING = re.compile(
    r"(encoder|decoder)\.(lm_head\.|sentence_encoder\.version$)|classification_heads\."
)
#: Options of RoBERTa for which no other value is supported.
FIXED = {
    "encoder_normalize_before": False,
    "encoder_learned_pos": True,
    "layernorm_embedding": True,
    "no_scale_embedding": True,
    "no_token_positional_embeddings": False,
}
#: Options of a layer, our names to fairseq's.
OPTIONS = {
    "hidden_size": "encoder_embed_dim",
    "ffn_size": "encoder_ffn_embed_dim",
    "num_layers": "encoder_layers",
    "num_heads": "encoder_attention_heads",
    "activation": "activation_fn",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
}


def kmeans_config(**entries):
    """Returns a configuration of vq-wav2vec; defaults: the published k-means model."""
    return VqWav2VecConfig(**{"vq_type": "kmeans", "combine_groups": True, **entries})


@dataclasses.dataclass
class DiscreteBertConfig:
    """Configuration of DiscreteBERT.

    Arguments
    ---------
    hidden_size, ffn_size, num_layers, num_heads, activation, dropout, \
attention_dropout, activation_dropout
        See :class:`TransformerConfig`.
    max_positions : int
        Number of positions; longer utterances are cut.
    num_tokens : int
        Size of the dictionary. The default is about that of the paper.
    codes : VqWav2VecConfig
        Configuration of vq-wav2vec; there is no aggregator here.
    """

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    max_positions: int = 2048
    num_tokens: int = 23000
    codes: VqWav2VecConfig = dataclasses.field(default_factory=kmeans_config)


class DiscreteBertNetwork(nn.Module):
    """Network of DiscreteBERT, from the waveform.

    Arguments
    ---------
    config : DiscreteBertConfig
        Sizes and options.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        size, codes = config.hidden_size, config.codes
        self.coder = Coder(codes)
        # The token of each combination of codes; the first group varies slowest.
        combinations = codes.vq_vars**codes.vq_groups
        self.register_buffer("tokens", torch.empty(combinations, dtype=torch.long))
        self.embedding = nn.Embedding(config.num_tokens, size)
        self.positions = nn.Embedding(config.max_positions, size)
        self.norm = nn.LayerNorm(size)
        options = TransformerConfig(**{key: getattr(config, key) for key in OPTIONS})
        layers = (EncoderLayer(options) for _ in range(config.num_layers))
        self.layers = nn.ModuleList(layers)

    def reset_parameters(self, seed=0):
        """Sets random weights for training from scratch, without global generators."""
        initialize(self, seed)
        usable = self.config.num_tokens - SPECIAL - 1  # the last is <mask>
        self.tokens.copy_(torch.arange(len(self.tokens)) % usable + SPECIAL)

    def tokenized(self, wav):
        """Returns the tokens [frames + 2] of a waveform [samples]."""
        codes = self.coder.codes(wav[None])[0]
        base, combination = self.config.codes.vq_vars, 0
        for group in codes.T:
            combination = combination * base + group
        ends = torch.tensor([BEGIN, END], device=wav.device)
        return torch.cat([ends[:1], self.tokens[combination], ends[1:]])

    def forward(self, wavs):
        """Yields the hidden states.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than a frame.

        Yields
        ------
        torch.Tensor
            [total_frames, hidden_size].
        """
        chunks = []  # long utterances are cut where the positions end
        for wav in wavs:
            chunks += self.tokenized(wav).split(self.config.max_positions)
        sizes = [len(chunk) for chunk in chunks]
        places = torch.cat([torch.arange(size) for size in sizes]).to(wavs[0].device)
        x = self.embedding(torch.cat(chunks)) + self.positions(places)
        x = F.dropout(self.norm(x), self.config.dropout, self.training)
        yield x
        for layer in self.layers:
            x, _ = layer(x, sizes)
            yield x


def read_discretebert(path, codes=None):
    """Reads a checkpoint of RoBERTa over codes, and the one of the codes.

    Arguments
    ---------
    path : pathlib.Path
        S3PRL's file of RoBERTa, or a folder with this file and that of vq-wav2vec.
    codes : str, optional
        Checkpoint of vq-wav2vec, if it is not in ``path``.

    Returns
    -------
    config : dict
        Entries of :class:`DiscreteBertConfig`.
    weights : dict
        Weights of :class:`DiscreteBertNetwork`.

    Raises
    ------
    CheckpointError
        If a file is missing, or belongs to another family or to a variant that is
        not supported.
    """
    if path.is_dir():
        files = sorted(path.glob("*.pt"))
        others = [f for f in files if "text_dictionary" not in as_dict(read(f))]
        files = [file for file in files if file not in others]
        if len(files) != 1 or len(others) > 1:
            raise CheckpointError(
                f"'{path}' must hold one checkpoint of RoBERTa and one of vq-wav2vec, "
                f"and holds {len(files)} and {len(others)} other files *.pt."
            )
        path, codes = files[0], others[0] if others else codes
    states = as_dict(read(path))
    missing = {"model_cfg", "model_weight", "text_dictionary"} - states.keys()
    model = plain(states.get("model_cfg"))
    if missing or not isinstance(model, dict):
        raise CheckpointError(
            f"'{path}' is not S3PRL's checkpoint of RoBERTa, which has 'model_cfg', "
            "'model_weight' and 'text_dictionary'. It holds: "
            + (", ".join(sorted(map(str, states))[:12]) or "no names")
        )
    if codes is None:
        raise CheckpointError(
            f"'{path}' is of RoBERTa alone: give the vq-wav2vec whose codes it reads "
            "as `codes`."
        )
    for name, value in FIXED.items():
        if bool(model.get(name, value)) != value:
            raise CheckpointError(
                f"'{path}' has {name}: {model[name]}, which is not supported."
            )
    codes_config, codes_weights = read_source(codes, VqWav2Vec.read)
    weights = dict(_converted(states["model_weight"]))
    try:
        config = {
            **{ours: model[name] for ours, name in OPTIONS.items() if name in model},
            "max_positions": len(weights["positions.weight"]),
            "num_tokens": len(weights["embedding.weight"]),
            "codes": codes_config,
        }
    except KeyError as error:
        raise CheckpointError(f"'{path}' lacks the weights {error}.") from error
    tokens = _tokens(states["text_dictionary"], codes_config, path)
    if tokens.max() >= config["num_tokens"] or (tokens == UNKNOWN).all():
        raise CheckpointError(
            f"'{path}' has a dictionary that is not of its {config['num_tokens']} "
            "tokens."
        )
    coder = {k: w for k, w in codes_weights.items() if k.startswith("coder.")}
    return config, {**weights, **coder, "tokens": tokens}


def _converted(weights):
    """Yields fairseq's weights under our names."""
    for name, tensor in weights.items():
        if TRAINING.match(name):
            continue
        name = our_name(name, NAMES)
        if name == "positions.weight":
            tensor = tensor[2:]  # positions begin after the number of <pad>
        if ".self_attn.in_proj_" in name:  # old files have one tensor for all three
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3)):
                part_name = name.replace("self_attn.in_proj_", f"attention.{part}.")
                yield part_name, rows.clone()
        else:
            yield name, tensor


def _tokens(text, config, path):
    """Returns the token of each combination of codes, from a dictionary of fairseq
    with lines of codes and their counts, such as ``"17-301 8213"``."""
    groups, count = config["vq_groups"], config["vq_vars"]
    tokens = torch.full((count**groups,), UNKNOWN)
    for token, line in enumerate(text.splitlines(), start=SPECIAL):
        word = line.split(" ")[0]
        if not re.fullmatch(r"\d+(-\d+)*", word):  # no codes, for example <mask>
            continue
        codes = [int(code) for code in word.split("-")]
        if len(codes) != groups or max(codes) >= count:
            raise CheckpointError(
                f"'{path}' reads codes such as '{word}', and the given vq-wav2vec has "
                f"{groups} at a time, below {count}."
            )
        tokens[sum(c * count**i for i, c in enumerate(reversed(codes)))] = token
    return tokens


class DiscreteBert(PretrainedUpstream):
    """DiscreteBERT: RoBERTa over the codes of vq-wav2vec, which are not trained.

    Its hidden states are the input of the first layer and the output of each:
    ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint of RoBERTa in S3PRL's format, or its address; or a folder
        with this checkpoint and that of vq-wav2vec. It brings its own
        architecture and dictionary. None: a random network of ``config``.
    codes : str, optional
        Checkpoint of the vq-wav2vec that computed the codes for ``source``, or its
        address. Needed only for a ``source`` without it.
    config : dict, optional
        Entries of :class:`DiscreteBertConfig`; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    As in S3PRL, the first and the last frame of an utterance do not belong to its
    audio: RoBERTa reads the codes between a token of the beginning and one of the
    end. So there are two frames more than codes. Frame ``i`` belongs to the samples
    from ``160 i - 160`` to ``160 i + 305``, with the centre at ``160 i + 72``: the
    frames are where a stride of 160 expects them.

    In S3PRL the norms below the codes see the padding of a batch, which changes
    the codes, and about two codes after the end of shorter utterances count as
    theirs. Here the codes depend on the audio alone.

    Example
    -------
    >>> small = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "num_tokens": 50, "codes": {"vq_vars": 8, "conv_feature_layers":
    ...     [[16, 10, 5], [16, 8, 32]]}}
    >>> hidden_states, lens = DiscreteBert(config=small)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 102, 32]))
    """

    Config, Network = DiscreteBertConfig, DiscreteBertNetwork
    packed = True

    def __init__(self, source=None, codes=None, config=None, **options):
        self.codes = codes
        super().__init__(source, config, **options)
        self.network.coder.requires_grad_(False)
        self.output_size = self.config.hidden_size
        self.num_layers = self.config.num_layers + 1

    def read(self, path):
        """Returns configuration and weights, see :func:`read_discretebert`."""
        return read_discretebert(path, self.codes)

    def make_config(self, entries):
        """Returns the configuration, with a complete one of vq-wav2vec."""
        codes = entries.get("codes", {})
        self.check_entries(codes, vars(kmeans_config()))
        return super().make_config({**entries, "codes": kmeans_config(**codes)})

    @property
    def front_end(self):
        """Convolutions of vq-wav2vec."""
        return self.network.coder.front_end

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        return super().frames(samples) + 2
