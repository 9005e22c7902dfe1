"""ATST: a student that predicts what a teacher hears, for frames or for clips.

Paper: Li et al., "Self-supervised Audio Teacher-Student Transformer for Both
Clip-level and Frame-level Tasks", TASLP 2024, https://arxiv.org/abs/2306.04186.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm, without_batch
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram
from s3prl_sb.lobes.networks.vision_transformer import VisionTransformerConfig
from s3prl_sb.lobes.upstreams.patches import PatchUpstream

BANDS = 64
#: Decibels that become -1 and 1.
LOW, HIGH = -79.6482, 50.6842
#: Smallest energy, -100 dB; and -50 dB in what PretrainedSED trained, whose files have
#: a classifier of frames.
FLOOR, PRETRAINED_SED_FLOOR, PRETRAINED_SED = 1e-10, 1e-5, "strong_head.weight"
#: Prefixes of the weights of the encoder: the authors, their fine-tuned models, then
#: PretrainedSED, and the first files of the authors.
PREFIXES = ("model.teacher.encoder.", "encoder.encoder.", "model.atst.", "backbone.")
#: Weights of training and of tasks.
UNUSED = re.compile(
    r"model\.(student|teacher\.projector|atst_mel|loss_fn)\."
    r"|(strong_head|weak_head|seq_model|head|projector)\.|.*\.mask_embed$"
)
#: Options of a checkpoint that this class does not build with other values.
EXPECTED = {
    "pos_type": "cut",
    "nprompt": 0,
    "avg_blocks": 0,
    "n_mels": BANDS,
    "win_length": 1024,
}


@dataclasses.dataclass
class AtstConfig(VisionTransformerConfig):
    """Sizes and options of ATST.

    Arguments
    ---------
    chunk : int
        Number of frames of the spectrogram that run together: whole patches.
    floor : float
        Smallest energy in the spectrogram.
    **options
        See
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformerConfig`.
    """

    chunk: int = 1000
    floor: float = FLOOR


def read_atst(path):
    """Reads a checkpoint of ATST-Frame or ATST-Clip.

    Arguments
    ---------
    path : pathlib.Path
        File of the authors (Lightning's, with the teacher), or of PretrainedSED.

    Returns
    -------
    config : dict
        Entries of :class:`AtstConfig`.
    weights : dict
        Weights of ``VisionTransformer``: those of the teacher.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    content = as_dict(read(path))
    names = as_dict(content.get("state_dict") or content.get("teacher") or content)
    names = {str(name).removeprefix("module."): w for name, w in names.items()}
    linear = "patch_embed.patch_embed.weight"
    prefix = next((p for p in PREFIXES if p + linear in names), None)
    if prefix is None:
        raise CheckpointError(
            f"'{path}' is not a checkpoint of ATST: these have {PREFIXES[0]}{linear} "
            "in 'state_dict'. Its keys: " + ", ".join(sorted(names)[:8])
        )
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in names.items()
        if not UNUSED.match(name)
    }
    options = as_dict(plain(content.get("hyper_parameters", content.get("args"))))
    check_only(options, EXPECTED, path)
    config, weights = _converted(weights, options, path)
    floor = PRETRAINED_SED_FLOOR if PRETRAINED_SED in names else FLOOR
    return {**config, "floor": floor}, weights


def _converted(weights, options, path):
    """Returns configuration and weights under our names."""
    is_clip = "cls_token" in weights
    high, wide = options.get("patch_h", BANDS), options.get("patch_w", 4)
    linear = weights.pop("patch_embed.patch_embed.weight")
    positions = without_batch(weights, "pos_embed")
    bands = BANDS // high
    times = (len(positions) - 1) // bands
    if linear.shape[1:] != (high * wide,) or 1 + bands * times != len(positions):
        raise CheckpointError(
            f"'{path}' has {len(positions) - 1} positions and patches of "
            f"{linear.shape[1:].numel()} values, which are not those of {high} bands x "
            f"{wide} frames"
        )
    weights["patch_embed.proj.weight"] = linear.unflatten(1, (1, high, wide))
    weights["patch_embed.proj.bias"] = weights.pop("patch_embed.patch_embed.bias", None)
    for part in ("weight", "bias"):
        norm = "norm" if is_clip else "norm_frame"
        weights[f"norm.{part}"] = weights.pop(f"{norm}.{part}", None)
    weights = {name: tensor for name, tensor in weights.items() if tensor is not None}
    seconds = options.get("train_len", 6) if is_clip else options.get("anchor_len", 10)
    entries = {
        **(AtstClip if is_clip else Atst).defaults,
        "patch_stride": [high, wide],
        "grid": [bands, times],
        "chunk": min(int(100 * seconds) // wide, times) * wide,
    }
    tokens = without_batch(weights, "cls_token") if is_clip else None
    sizes, weights = from_timm(weights, path)
    if is_clip:
        weights["tokens"] = tokens + positions[:1]
    grid = positions[1:].unflatten(0, (times, bands)).transpose(0, 1)
    return {**entries, **sizes}, {**weights, "positions": grid.contiguous()}


class Atst(PatchUpstream):
    """ATST-Frame.

    Its hidden states are the input of the first layer, and the output of each layer
    after the network's layer norm, as the authors give it. A frame is 40 ms.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors or of PretrainedSED, or its address; it brings its
        own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`AtstConfig` that differ from the base model; only without
        ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.patches.PatchUpstream`.

    Note
    ----
    The dynamic range of 80 dB is relative to the loudest value of the utterance. In
    the original it is relative to that of the batch, if this has no channels.

    Longer audio than 10 s runs in chunks. Those of the original have 1001 frames of
    the spectrogram, of which the last is in no patch: its frames are 10 ms earlier with
    every chunk, while here they are 40 ms apart throughout. What does not fill a patch
    at the end is left out.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = Atst(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 25, 32]))
    """

    Config = AtstConfig
    defaults = {
        "patch": [64, 4],
        "patch_stride": [64, 4],
        "grid": [1, 250],
        "positions": "first",
        "num_tokens": 0,
        "num_classes": 0,
        "norm": "every",
        "qkv_bias": False,
    }
    read = staticmethod(read_atst)

    def make_features(self):
        """Returns the log mel features."""
        return MelSpectrogram(
            n_fft=1024,
            hop=160,
            n_mels=BANDS,
            fmin=60.0,
            fmax=7800.0,
            floor=self.config.floor,
            top_db=80.0,
            mean=(HIGH + LOW) / 2,
            std=(HIGH - LOW) / 2,
        )

    @property
    def chunk(self):
        """See :attr:`PatchUpstream.chunk`."""
        return self.config.chunk


class AtstClip(Atst):
    """ATST-Clip, the earlier model, which has a token for the clip.

    Its frames and hidden states are as those of :class:`Atst`; the token is left out.

    Arguments
    ---------
    source, config, **options
        See :class:`Atst`.

    Note
    ----
    Longer audio than 6 s, the length of pre-training, runs in chunks, as in the
    authors' evaluation, whose chunks are one frame of the spectrogram longer.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = AtstClip(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 25, 32]))
    """

    defaults = {**Atst.defaults, "num_tokens": 1, "chunk": 600}
