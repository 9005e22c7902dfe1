"""AST, the Audio Spectrogram Transformer: audio events of AudioSet.

Paper: Gong et al., "AST: Audio Spectrogram Transformer", Interspeech 2021,
https://arxiv.org/abs/2104.01778. Reproduces S3PRL's ``upstream/ast``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, read
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm, joined_tokens
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.networks.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
)
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Mean and standard deviation of AudioSet's log mel features.
MEAN, STD = -4.2677393, 4.5689974
BANDS, HOP = 128, 160
SELECTIONS = ("cls", "hidden_states")
#: Hugging Face's names of the weights, and timm's.
HF_NAMES = {
    r"^classifier\.layernorm\.": "mlp_head.0.",
    r"^classifier\.dense\.": "mlp_head.1.",
    r"^audio_spectrogram_transformer\.": "v.",
    r"^v\.embeddings\.cls_token": "v.cls_token",
    r"^v\.embeddings\.distillation_token": "v.dist_token",
    r"^v\.embeddings\.position_embeddings": "v.pos_embed",
    r"^v\.embeddings\.patch_embeddings\.projection\.": "v.patch_embed.proj.",
    r"^v\.layernorm\.": "v.norm.",
    r"^v\.encoder\.layer\.": "v.blocks.",
    r"\.attention\.output\.dense\.": ".attn.proj.",
    r"\.attention\.attention\.": ".attention.",
    r"\.layernorm_before\.": ".norm1.",
    r"\.layernorm_after\.": ".norm2.",
    r"\.intermediate\.dense\.": ".mlp.fc1.",
    r"(blocks\.\d+)\.output\.dense\.": r"\1.mlp.fc2.",
}


def read_ast(path):
    """Reads a checkpoint of the authors, or a folder of Hugging Face.

    Arguments
    ---------
    path : pathlib.Path

    Returns
    -------
    config : dict
        Entries of :class:`VisionTransformerConfig`.
    weights : dict
        Weights of :class:`VisionTransformer`. DeiT's classifiers of ImageNet,
        ``v.head`` and ``v.head_dist``, are dropped.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or to an AST with other patches.
    """
    if path.is_dir():
        weights, options = _read_huggingface(path)
    else:
        weights, options = without_module(read(path)), {}
    require(weights, ("mlp_head.1.weight",), path, "AST")
    config, weights, positions = transformer_weights(weights, path)
    bands, times = 12, len(positions) // 12
    if config["patch"] != [16, 16] or bands * times != len(positions):
        raise CheckpointError(
            f"'{path}' has {len(positions)} patches of {config['patch']}: of AST "
            "only the models with patches of 16 x 16 every 10 are supported"
        )
    config.update(
        patch_stride=[10, 10],
        grid=[bands, times],
        num_classes=len(weights["head.weight"]),
        **options,
    )
    positions = positions.unflatten(0, (bands, times))
    return config, {**weights, "positions": positions}


def without_module(content):
    """Returns the weights of a ``DataParallel`` model; empty if it is no dict."""
    items = as_dict(content).items()
    return {str(key).removeprefix("module."): value for key, value in items}


def require(weights, names, path, family):
    """Raises CheckpointError, with the present names, unless the weights are those
    of an AST and include ``names``."""
    names = ("v.cls_token", "v.dist_token", "v.pos_embed", *names)
    if not set(names) <= weights.keys():
        raise CheckpointError(
            f"'{path}' is not a checkpoint of {family}: these have "
            f"{', '.join(names)}. Its keys: " + ", ".join(sorted(weights)[:8])
        )


def transformer_weights(weights, path):
    """Returns sizes and weights under our names, without DeiT's classifier.

    The third result is the positions of the patches, [patches, size].
    """
    weights = {
        name.removeprefix("v."): tensor
        for name, tensor in weights.items()
        if not re.match(r"v\.head(_dist)?\.", name)
    }
    tokens, positions = joined_tokens(weights)
    config, weights = from_timm(weights, path)
    return config, {**weights, "tokens": tokens}, positions


def _read_huggingface(folder):
    """Returns the weights under the authors' names, and options of the network."""
    kind = "audio-spectrogram-transformer"
    config = huggingface_folder.entries(folder, model_type=kind)
    hf = {**config["preprocessor"], **config}
    expected = {
        "mean": MEAN,
        "std": STD,
        "do_normalize": True,
        "num_mel_bins": BANDS,
        "sampling_rate": 16000,
        "time_stride": 10,
        "frequency_stride": 10,
        "hidden_act": "gelu",
        "qkv_bias": True,
    }
    check_only(hf, expected, folder)
    weights = huggingface_folder.everything(folder)
    weights = {our_name(name, HF_NAMES): tensor for name, tensor in weights.items()}
    return weights, {
        "norm_eps": hf.get("layer_norm_eps", 1e-12),
        "num_heads": hf["num_attention_heads"],
    }


class Ast(PretrainedUpstream):
    """AST.

    Audio is cut into windows; zeros fill the last one. The hidden state is the
    logits of the 527 classes of AudioSet, one frame for a window; or the hidden
    states are the outputs of the layers, with a frame for the 12 patches at one
    time, lowest band first.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, its address, or a folder or id of Hugging
        Face. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`VisionTransformerConfig` that differ from the base
        model; only without ``source``.
    feature_selection : str
        "cls": the logits; "hidden_states": the outputs of the layers.
    window_secs : float
        Length of the windows, a whole multiple of 10 ms. Positions are cut or
        stretched if it differs from the 10.24 s of training.
    stride_secs : float
        Time from one window to the next; for "hidden_states" the same length.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Note
    ----
    In S3PRL the classifier of "cls" is random, as it is not loaded. Here it is
    that of the checkpoint.

    As in S3PRL, a window of 10.24 s has 101 frames of "hidden_states", but 102.4
    strides: the frames are earlier with every window.

    Example
    -------
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Ast(config=tiny, window_secs=1, stride_secs=1)
    >>> hidden_states, lens = upstream(torch.randn(2, 40000))
    >>> len(hidden_states), hidden_states[0].shape
    (1, torch.Size([2, 3, 527]))
    """

    Config, Network = VisionTransformerConfig, VisionTransformer
    packed = True
    min_samples = 1  #: windows are padded
    unknown_entry = "Unknown config"
    read = staticmethod(read_ast)

    def __init__(
        self,
        source=None,
        config=None,
        feature_selection="cls",
        window_secs=10.24,
        stride_secs=10.24,
        **options,
    ):
        if feature_selection not in SELECTIONS:
            raise ValueError(
                f"Unknown feature_selection '{feature_selection}'. Known: "
                + ", ".join(SELECTIONS)
            )
        super().__init__(source, config, **options)
        config = self.config
        self.window = round(window_secs * self.sample_rate)
        self.step = round(stride_secs * self.sample_rate)
        bands, times = self.network.grid(BANDS, self.window // HOP)
        if self.window % HOP or times < 1 or self.window < self.features.min_samples:
            shortest = max(3, config.patch[1]) * HOP / self.sample_rate
            raise ValueError(
                f"window_secs is {window_secs}; it must be {shortest} or more, and "
                "a whole multiple of 0.01"
            )
        self.logits = feature_selection == "cls"
        if not 0 < self.step <= self.window:
            raise ValueError(f"stride_secs {stride_secs} must not skip any audio")
        if not self.logits and self.step != self.window:
            raise ValueError(
                "With feature_selection 'hidden_states' windows do not overlap: "
                "give window_secs and stride_secs the same value"
            )
        if self.logits:
            self.times, self.stride, self.num_layers = 1, self.step, 1
            self.output_size = config.num_classes
            return
        self.times = times
        self.stride = HOP * config.patch_stride[1]
        self.num_layers = config.num_layers
        self.output_size = bands * config.hidden_size
        if config.num_classes:
            for name in ("norm", "head_norm", "head"):  # after the last layer
                self.network.get_submodule(name).requires_grad_(False)

    def make_features(self):
        """Returns the log mel features."""
        return KaldiFeatures(
            "fbank",
            deltas=0,
            cmvn=False,
            num_mel_bins=BANDS,
            window_type="hanning",
            htk_compat=True,
        )

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        windows = -(-samples // self.step)
        return min(windows * self.times, -(-samples // self.stride))

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        windows = [self._windows(wav) for wav in wavs]
        states = self.network(self._log_mel(torch.cat(windows)))
        if self.logits:
            for state in states:  # only the last one is used
                pass
            yield self.network.classify(state)[0]
            return
        counts = [len(part) * self.times for part in windows]
        for state in states:
            state = state[:, 2:].unflatten(1, (-1, self.times)).transpose(1, 2)
            parts = state.flatten(2).flatten(0, 1).split(counts)
            yield torch.cat([x[: self.frames(len(w))] for x, w in zip(parts, wavs)])

    def _windows(self, wav):
        """[samples] -> [windows, samples of one]."""
        last = (len(wav) - 1) // self.step * self.step
        whole = last + self.window
        return F.pad(wav, (0, whole - len(wav))).unfold(0, self.window, self.step)

    def _log_mel(self, windows):
        """[windows, samples] -> [windows, bands, frames], normalized.

        All windows run as one signal: zeros replace the frames across two of them,
        as in the padding of a single window.
        """
        frames = self.window // HOP
        x = (self.features.encode(windows.reshape(1, -1))[0][0] - MEAN) / (2 * STD)
        x = F.pad(x, (0, 0, 0, len(windows) * frames - len(x)))
        x = x.unflatten(0, (-1, frames)).transpose(1, 2)
        whole = self.features.frames(self.window)
        return F.pad(x[:, :, :whole], (0, frames - whole))
