"""EAT, the Efficient Audio Transformer: data2vec 2.0 over patches of a spectrogram.

Paper: Chen et al., "EAT: Self-Supervised Pre-Training with Efficient Audio
Transformer", IJCAI 2024, https://arxiv.org/abs/2401.03497.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch

from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import (
    CheckpointError,
    as_dict,
    plain,
    read,
    read_json,
)
from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.timm_layout import from_timm, without_batch
from s3prl_sb.lobes.checkpoints.values import check_only
from s3prl_sb.lobes.networks.vision_transformer import sines
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.patches import PatchUpstream

#: Mean and standard deviation of AudioSet's log mel features.
MEAN, STD = -4.268, 4.569
BANDS = 128
#: fairseq's and Hugging Face's names of the weights, and timm's.
NAMES = {
    r"^model\.": "",
    r"^modality_encoders\.IMAGE\.": "",
    r"^local_encoder\.": "patch_embed.",
    r"^(context_encoder\.norm|pre_norm)\.": "norm.",
}
#: Weights of training and of the classifier.
UNUSED = re.compile(
    r"_ema$|_ema\.|decoder\.|shared_decoder\.|recon_proj\.|cls_proj\.|center$|encoder_mask$"
    r"|fc_norm\.|head\."
)
POSITIONS = "fixed_positional_encoder.positions"
#: Options of a checkpoint that this class does not build with other values.
EXPECTED = {
    "layer_norm_first": False,
    "patch_size": 16,
    "in_chans": 1,
    "mel_bins": BANDS,
    "qkv_bias": True,
    "fixed_positions": True,
}


def read_eat(path):
    """Reads a checkpoint.

    Arguments
    ---------
    path : pathlib.Path
        File of the authors (fairseq's), pre-trained or fine-tuned, or a folder of
        Hugging Face, whose code is not used.

    Returns
    -------
    config : dict
        Entries of ``VisionTransformerConfig``.
    weights : dict
        Weights of ``VisionTransformer``; decoder, teacher and classifier are dropped.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint, or is an unsupported variant.
    """
    if path.is_dir():
        options = read_json(path / "config.json")
        weights = huggingface_folder.everything(path)
    else:
        content = as_dict(read(path))
        options = _options(content)
        weights = as_dict(content.get("model", content))
    weights = {our_name(str(n), NAMES): tensor for n, tensor in weights.items()}
    required = ("extra_tokens", "patch_embed.proj.weight", POSITIONS)
    if not {*required} <= weights.keys():
        raise CheckpointError(
            f"'{path}' is not a checkpoint of EAT: these have extra_tokens, "
            f"local_encoder.proj.weight and {POSITIONS}. Its keys: "
            + ", ".join(sorted(weights)[:8])
        )
    check_only(options, EXPECTED, path)
    weights = {
        name: tensor for name, tensor in weights.items() if not UNUSED.match(name)
    }
    times = _times(without_batch(weights, POSITIONS), path)
    tokens = without_batch(weights, "extra_tokens")
    # Their spectrograms have time first.
    patches = weights["patch_embed.proj.weight"].transpose(2, 3).contiguous()
    sizes, weights = from_timm({**weights, "patch_embed.proj.weight": patches}, path)
    if sizes["patch"] != [16, 16]:
        raise CheckpointError(
            f"'{path}' has patches of {sizes['patch']}, and this class builds 16 x 16 "
            "only"
        )
    config = {**Eat.defaults, **sizes, "grid": [BANDS // 16, times]}
    config["norm_eps"] = options.get("norm_eps") or 1e-6
    config["num_heads"] = options.get("num_heads", sizes["num_heads"])
    return config, {**weights, "tokens": tokens}


def _options(content):
    """Returns the options of the network in a file of fairseq."""
    model = as_dict(as_dict(plain(content.get("cfg"))).get("model"))
    inner = as_dict(as_dict(model.get("pretrained_model_args")).get("model"))
    options = inner or model  # of a fine-tuned model, or of a pre-trained one
    image = as_dict(as_dict(options.get("modalities")).get("image"))
    return {**{k: image[k] for k in EXPECTED if k in image}, **options}


def _times(table, path):
    """Returns the number of times that the table of positions [n, size] is for."""
    times, size = len(table) // (BANDS // 16), table.shape[-1]
    grid = sines(BANDS // 16, times, size).transpose(0, 1).flatten(0, 1)
    if grid.shape != table.shape or not torch.allclose(grid, table, atol=1e-3):
        raise CheckpointError(
            f"'{path}' has other positions than the sines of 8 bands and {times} times"
        )
    return times


class Eat(PatchUpstream):
    """EAT.

    Its hidden states are the input of the first layer, which is normalized, and the
    outputs of the layers. A frame is 160 ms, the 8 patches at one time; the token is
    left out.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, its address, or a folder or id of Hugging Face; it
        brings its own architecture. None: a random network of ``config``.
    config : dict, optional
        Entries of ``VisionTransformerConfig`` that differ from the base model; only
        without ``source``.
    bands : str
        A frame is the "mean" of the patches, or all of them side by side, lowest band
        first ("concat").
    **options
        See :class:`~s3prl_sb.lobes.upstreams.patches.PatchUpstream`.

    Note
    ----
    The authors pad spectrograms with zeros, to 10.24 s or to whole patches, before
    they normalize them; attention sees the padding. Here nothing is padded: the end
    that does not fill a patch is left out. Equal to theirs for whole patches.

    Longer audio than the table of positions (122.88 s; 10.24 s in the models of the
    paper) runs in chunks; theirs fails.

    Example
    -------
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = Eat(config=tiny)(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 6, 32]))
    """

    defaults = {
        "patch_stride": [16, 16],
        "grid": [8, 768],
        "positions": "sines",
        "num_tokens": 1,
        "num_classes": 0,
        "norm": "input",
        "norm_first": False,
    }
    read = staticmethod(read_eat)

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

    def spectrograms(self, wavs):
        """See :meth:`PatchUpstream.spectrograms`; the mean of a waveform is removed."""
        centred = (wav.float() - wav.float().mean() for wav in wavs)
        features = (self.features.encode(wav[None])[0][0] for wav in centred)
        return [((x - MEAN) / (2 * STD)).T for x in features]
