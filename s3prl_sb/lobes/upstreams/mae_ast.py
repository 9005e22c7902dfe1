"""MAE-AST: a masked autoencoder over patches or frames of a spectrogram.

Paper: Baade et al., "MAE-AST: Masked Autoencoding Audio Spectrogram
Transformer", Interspeech 2022, https://arxiv.org/abs/2203.16691. Reproduces
S3PRL's ``upstream/mae_ast``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import math
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.transformer_checkpoints import fairseq_weights
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.networks import attention
from s3prl_sb.lobes.networks.encoder import ACTIVATIONS, EncoderLayer
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Weights that only pre-training uses, and the table of sines, which is computed.
TRAINING = (
    r"layer_norm\.|batch_norm\.|(en|de)coder_mask_emb$|decoder\.|post_enc_proj\."
    r"|final_proj_|dec_conv_pos_embed\.|(enc|dec)_sine_pos_embed\."
)
#: Our entries of the configuration, and those of S3PRL's ``model`` block.
ENTRIES = {
    "hidden_size": "encoder_embed_dim",
    "ffn_size": "encoder_ffn_embed_dim",
    "num_layers": "encoder_layers",
    "num_heads": "encoder_attention_heads",
    "norm_first": "layer_norm_first",
    "activation": "activation_fn",
    "sine_positions": "enc_sine_pos",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
}
EPSILON = 1e-5  # of the batch norm over features


@dataclasses.dataclass
class MaeAstConfig:
    """Sizes and options of a :class:`MaeAstEncoder`; defaults: the model of
    patches.

    Arguments
    ---------
    hidden_size, ffn_size, num_layers, num_heads : int
        Sizes of the encoder.
    num_mel_bins : int
        Number of mel bands of the features.
    patch, patch_stride : list of int
        Frames and mel bands of a patch, and from one patch to the next.
    mean, variance : float
        Statistics of the features, from the batch norm of pre-training.
    sine_positions : bool
        Add positions to the patches.
    norm_first : bool
        Layer norm before attention and feed-forward, not after.
    norm_eps : float
        Epsilon of the layer norms.
    activation : str
        "gelu", "relu" or "swish".
    dropout, attention_dropout, activation_dropout : float
        Dropout probabilities, in training mode.
    """

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    num_mel_bins: int = 128
    patch: list = dataclasses.field(default_factory=lambda: [16, 16])
    patch_stride: list = dataclasses.field(default_factory=lambda: [16, 16])
    mean: float = -4.2677393  # AudioSet's
    variance: float = 20.875737
    sine_positions: bool = True
    norm_first: bool = False
    norm_eps: float = 1e-5
    activation: str = "gelu"
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0

    def __post_init__(self):
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of: {', '.join(ACTIVATIONS)}")
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of num_heads "
                f"{self.num_heads}"
            )


class MaeAstEncoder(nn.Module):
    """Encoder of MAE-AST: projection of the patches, positions, layers.

    Arguments
    ---------
    config : MaeAstConfig
        Sizes and options.

    Example
    -------
    >>> config = MaeAstConfig(hidden_size=32, ffn_size=64, num_layers=2, num_heads=4)
    >>> states = MaeAstEncoder(config)(torch.randn(40, 256), [24, 16])
    >>> [list(state.shape) for state in states]
    [[40, 32], [40, 32]]
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.projection = nn.Linear(math.prod(config.patch), config.hidden_size)
        if not config.norm_first:
            self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.layers = nn.ModuleList(
            EncoderLayer(config) for _ in range(config.num_layers)
        )

    def forward(self, x, counts):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Patches [total_patches, values], utterance after utterance.
        counts : list of int
            Number of patches of each utterance.

        Yields
        ------
        torch.Tensor
            The output of each layer, [total_patches, hidden_size].
        """
        x = self.projection(x)
        if self.config.sine_positions:
            table = sines(max(counts), self.config.hidden_size)
            table = torch.cat([table[:count] for count in counts])
            x = x + table.to(x.device, x.dtype)
        if not self.config.norm_first:
            x = self.norm(x)
        x = F.dropout(x, self.config.dropout, self.training)
        for layer in self.layers:
            x, _ = layer(x, counts)
            yield x


@functools.lru_cache(maxsize=2)
def sines(count, size):
    """Returns sines in even, cosines in odd columns, [count, size].

    They are computed in fp32 with its rounding errors, which the network has seen in
    training for long audio.
    """
    return attention.sines(torch.arange(count), size)[:, :size]


def read_mae_ast(path):
    """Reads a checkpoint of the authors.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of :class:`MaeAstConfig`.
    weights : dict
        Weights of :class:`MaeAstEncoder`; the decoder is dropped.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    content = as_dict(read(path))
    cfg = as_dict(plain(content.get("cfg")))
    model, task = cfg.get("model") or {}, cfg.get("task") or {}
    if "model" not in content or "ast_kernel_size_chan" not in model:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of MAE-AST: these have 'model', and "
            "'cfg' with 'model' and 'task', where ast_kernel_size_chan is. Its "
            "keys: " + ", ".join(sorted(map(str, content))[:8])
        )
    check_only(model, {"enc_conv_pos": False}, path)
    check_only(task, {"sample_rate": 16000, "feature_type": "fbank"}, path)
    weights = content["model"]
    try:
        config = {ours: model[theirs] for ours, theirs in ENTRIES.items()}
        for ours, theirs in (("patch", "size"), ("patch_stride", "stride")):
            axes = ("time", "chan")
            config[ours] = [model[f"ast_kernel_{theirs}_{axis}"] for axis in axes]
        config["num_mel_bins"] = task["feature_dim"]
        for ours, theirs in (("mean", "mean"), ("variance", "var")):
            config[ours] = float(weights[f"batch_norm.running_{theirs}"])
    except KeyError as error:
        raise CheckpointError(f"'{path}' does not tell {error}") from error
    # With norms first, the encoder's norm comes after the last hidden state.
    unused = TRAINING + (r"|encoder\.layer_norm\." if config["norm_first"] else "")
    weights = {name: w for name, w in weights.items() if not re.match(unused, name)}
    weights = fairseq_weights(weights, {"layer": "transformer"})
    table = {r"^encoder\.(layers|norm)\.": r"\1."}
    return config, {our_name(name, table): w for name, w in weights.items()}


class MaeAst(PretrainedUpstream):
    """MAE-AST.

    Its hidden states are the outputs of the encoder's layers. A frame is all patches
    at one time, lowest band first: 8, or one in frame models. The end of an utterance
    that does not fill a patch is left out.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, or its address. It brings its own
        architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`MaeAstConfig` that differ from the model of patches;
        only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    S3PRL fails for audio shorter than a patch (175 ms), which is padded with zeros
    here, and for more patches than its table of sines has. In training it normalizes
    features by the statistics of the batch and updates those of pre-training; here
    the latter are used and fixed.

    Example
    -------
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = MaeAst(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (2, torch.Size([2, 6, 256]))
    """

    Config, Network = MaeAstConfig, MaeAstEncoder
    packed = True
    unknown_entry = "Unknown config"
    read = staticmethod(read_mae_ast)

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        config = self.config
        (self.wide, high), (self.step, step) = config.patch, config.patch_stride
        self.stride = self.features.stride * self.step
        self.num_layers = config.num_layers
        # number of patches at one time
        self.vertical = 1 + (config.num_mel_bins - high) // step
        self.output_size = self.vertical * config.hidden_size

    def make_features(self):
        """Returns the Kaldi features."""
        bands = self.config.num_mel_bins
        return KaldiFeatures("fbank", deltas=0, cmvn=False, num_mel_bins=bands)

    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return self.features.window + (self.wide - 1) * self.features.stride

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        frames = self.features.frames(max(samples, self.min_samples))
        return 1 + (frames - self.wide) // self.step

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        for state in super().encode_packed(wavs):
            yield state.unflatten(0, (-1, self.vertical)).flatten(1)

    def input_features(self, wav):
        """Returns the patches, [patches, values], ordered by time, then by band."""
        config = self.config
        x = super().input_features(wav) - config.mean
        x = x / math.sqrt(config.variance + EPSILON) * 0.5
        for dim, (size, step) in enumerate(zip(config.patch, config.patch_stride)):
            x = x.unfold(dim, size, step)
        return x.flatten(2).flatten(0, 1)
