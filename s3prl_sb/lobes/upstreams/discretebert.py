"""DiscreteBERT: a Transformer over the codes of vq-wav2vec.

Papers: Baevski et al., "Effectiveness of Self-Supervised Pre-Training for Speech
Recognition", https://arxiv.org/abs/1911.03912; Baevski et al., "vq-wav2vec",
https://arxiv.org/abs/1910.05453. Reproduces S3PRL's ``upstream/roberta``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints import reading as checkpoints
from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.encoder import EncoderLayer
from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.transformer import TransformerConfig
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.lobes.upstreams.vq_wav2vec import Coder, VqWav2Vec
from s3prl_sb.lobes.upstreams.wav2vec import complete

#: Tokens that every dictionary of fairseq begins with; <pad> is the second.
BEGIN, END, UNKNOWN, SPECIAL = 0, 2, 3, 4
#: fairseq's names of the weights, old and new, and ours; from first to last.
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
#: What only pre-training uses, and the version of fairseq's format.
TRAINING = re.compile(
    r"(encoder|decoder)\.(lm_head\.|sentence_encoder\.version$)|classification_heads\."
)
#: Options of RoBERTa that are not supported in any other way.
FIXED = {
    "encoder_normalize_before": False,
    "encoder_learned_pos": True,
    "layernorm_embedding": True,
    "no_scale_embedding": True,
    "no_token_positional_embeddings": False,
}
#: Options of a layer: our names, and fairseq's.
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


class DiscreteBertNetwork(nn.Module):
    """The whole network, from the waveform.

    Arguments
    ---------
    config : dict
        As of :class:`DiscreteBert`.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        size, codes = config["hidden_size"], config["codes"]
        self.coder = Coder(codes)
        # The token of each combination of codes, the first group's first.
        combinations = codes["vq_vars"] ** codes["vq_groups"]
        self.register_buffer("tokens", torch.empty(combinations, dtype=torch.long))
        self.embedding = nn.Embedding(config["num_tokens"], size)
        self.positions = nn.Embedding(config["max_positions"], size)
        self.norm = nn.LayerNorm(size)
        options = TransformerConfig(**{key: config[key] for key in OPTIONS})
        layers = (EncoderLayer(options) for _ in range(config["num_layers"]))
        self.layers = nn.ModuleList(layers)

    def reset_parameters(self, seed=0):
        """Initial values for training from scratch; no global generator moves."""
        initialize(self, seed)
        usable = self.config["num_tokens"] - SPECIAL - 1  # the last is <mask>
        self.tokens.copy_(torch.arange(len(self.tokens)) % usable + SPECIAL)

    def tokenized(self, wav):
        """[samples] -> tokens [frames + 2]."""
        codes = self.coder.codes(wav[None])[0]
        base, combination = self.config["codes"]["vq_vars"], 0
        for group in codes.T:
            combination = combination * base + group
        ends = torch.tensor([BEGIN, END], device=wav.device)
        return torch.cat([ends[:1], self.tokens[combination], ends[1:]])

    def forward(self, wavs):
        """Hidden states, one at a time.

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
            chunks += self.tokenized(wav).split(self.config["max_positions"])
        sizes = [len(chunk) for chunk in chunks]
        places = torch.cat([torch.arange(size) for size in sizes]).to(wavs[0].device)
        x = self.embedding(torch.cat(chunks)) + self.positions(places)
        x = F.dropout(self.norm(x), self.config["dropout"], self.training)
        yield x
        for layer in self.layers:
            x, _ = layer(x, sizes)
            yield x


class DiscreteBert(Upstream):
    """DiscreteBERT: vq-wav2vec's codes, then RoBERTa.

    Its hidden states are the input of the first layer and the output of each:
    ``num_layers`` is one more than the layers.

    Arguments
    ---------
    source : str, optional
        Checkpoint of RoBERTa in S3PRL's format, or its address; or a folder
        that holds it and the one of vq-wav2vec. It brings its own
        architecture and dictionary. None: a random network of ``config``.
    codes : str, optional
        Checkpoint of vq-wav2vec that ``source`` was trained with, or its
        address; read only with a ``source`` that does not hold it.
    config : dict, optional
        What differs from the published model, and under ``codes`` what differs
        from vq-wav2vec's k-means model, as for :class:`VqWav2Vec` (there is no
        aggregator here); only without ``source``.
    freeze, precision, adapter
        As for every upstream. The codes are not trained.
    seed : int
        Of the random network's weights.

    Note
    ----
    As in S3PRL, the first and the last frame of an utterance are not of its
    audio: RoBERTa reads its codes between a token of the beginning and one of
    the end, which learn what a sentence is like. So there are two frames more
    than codes, and frame ``i`` is of the code of the samples from ``160 i -
    160`` to ``160 i + 305``, whose middle is at ``160 i + 72``: with both ends
    in place frames lie where a stride of 160 puts them.

    In S3PRL the norms below the codes see the padding of a batch, which changes
    the codes, and the two codes or so that come after the end of the shorter
    utterances count as theirs. Here codes are of the audio alone.

    Example
    -------
    >>> small = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "num_tokens": 50, "codes": {"vq_vars": 8, "conv_feature_layers":
    ...     [[16, 10, 5], [16, 8, 32]]}}
    >>> hidden_states, lens = DiscreteBert(config=small)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 102, 32]))
    """

    packed = True
    #: What ``config`` changes.
    base = {
        "hidden_size": 768,
        "ffn_size": 3072,
        "num_layers": 12,
        "num_heads": 12,
        "activation": "gelu",
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "max_positions": 2048,
        "num_tokens": 23000,  # as many as the paper counts, roughly
        "codes": {**VqWav2Vec.base, "vq_type": "kmeans", "combine_groups": True},
    }

    def __init__(
        self,
        source=None,
        codes=None,
        config=None,
        freeze=True,
        precision="fp32",
        adapter=None,
        seed=0,
    ):
        super().__init__(freeze, precision, adapter)
        if source is None:
            config, weights = _completed(self.base, config or {}), None
        else:
            config, weights = read_source(
                source, lambda path: read_discretebert(path, codes)
            )
        self.config = config
        self.network = build(lambda: DiscreteBertNetwork(config), weights, source, seed)
        self.network.coder.requires_grad_(False)
        self.stride = self.network.coder.front_end.stride
        self.output_size = config["hidden_size"]
        self.num_layers = config["num_layers"] + 1

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return self.network.coder.front_end.min_samples

    def frames(self, samples):
        """The exact number of frames of an utterance of ``samples`` samples."""
        return self.network.coder.front_end.frames(max(samples, self.min_samples)) + 2

    def encode(self, wavs):
        """[batch, samples] -> hidden states [batch, frames, output_size]."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs):
        """List of [samples_i] -> hidden states [total_frames, output_size]."""
        return self.network(wavs)


def _completed(base, changes):
    """A configuration: ``changes`` over ``base``, also under ``codes``."""
    unknown = [str(key) for key in changes if key not in base]
    if unknown:
        raise ValueError(
            f"Unknown entry of config: {', '.join(unknown)}. Known: {', '.join(base)}"
        )
    codes = complete(base["codes"], changes.get("codes", {}))
    return {**base, **changes, "codes": codes}


def read_discretebert(path, codes=None):
    """Reads a checkpoint of RoBERTa over codes, and the one of the codes.

    Arguments
    ---------
    path : pathlib.Path
        S3PRL's file of RoBERTa, or a folder that holds it and that of
        vq-wav2vec.
    codes : str, optional
        Checkpoint of vq-wav2vec, where ``path`` does not hold it.

    Returns
    -------
    config : dict
        As of :class:`DiscreteBert`, complete.
    weights : dict
        Of :class:`DiscreteBertNetwork`.

    Raises
    ------
    CheckpointError
        If a file is of another family, of a variant that is not supported, or
        missing.
    """
    if path.is_dir():
        files = sorted(path.glob("*.pt"))
        others = [file for file in files if "text_dictionary" not in _read(file)]
        files = [file for file in files if file not in others]
        if len(files) != 1 or len(others) > 1:
            raise CheckpointError(
                f"'{path}' must hold one checkpoint of RoBERTa and one of vq-wav2vec, "
                f"and holds {len(files)} and {len(others)} other files *.pt."
            )
        path, codes = files[0], others[0] if others else codes
    states = _read(path)
    missing = {"model_cfg", "model_weight", "text_dictionary"} - states.keys()
    model = checkpoints.plain(states.get("model_cfg"))
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
            **{k: model.get(name, DiscreteBert.base[k]) for k, name in OPTIONS.items()},
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


def _read(path):
    """The content of a checkpoint, if it is a dict."""
    states = checkpoints.read(path)
    return states if isinstance(states, dict) else {}


def _converted(weights):
    """fairseq's weights under our names."""
    for name, tensor in weights.items():
        if TRAINING.match(name):
            continue
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        if name == "positions.weight":
            tensor = tensor[2:]  # positions begin after the number of <pad>
        if ".self_attn.in_proj_" in name:  # old files hold them in one
            for part, rows in zip(("query", "key", "value"), tensor.chunk(3)):
                yield (
                    name.replace("self_attn.in_proj_", f"attention.{part}."),
                    rows.clone(),
                )
        else:
            yield name, tensor


def _tokens(text, config, path):
    """The token of each combination of codes, by a dictionary of fairseq: lines
    such as ``"17-301 8213"``, of codes and of how often they were met."""
    groups, count = config["vq_groups"], config["vq_vars"]
    tokens = torch.full((count**groups,), UNKNOWN)
    for token, line in enumerate(text.splitlines(), start=SPECIAL):
        word = line.split(" ")[0]
        if not re.fullmatch(r"\d+(-\d+)*", word):  # no codes, <mask> for one
            continue
        codes = [int(code) for code in word.split("-")]
        if len(codes) != groups or max(codes) >= count:
            raise CheckpointError(
                f"'{path}' reads codes such as '{word}', and the given vq-wav2vec has "
                f"{groups} at a time, below {count}."
            )
        tokens[sum(c * count**i for i, c in enumerate(reversed(codes)))] = token
    return tokens
