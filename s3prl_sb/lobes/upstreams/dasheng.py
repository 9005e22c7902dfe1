"""Dasheng: a masked autoencoder of general audio, with up to 1.2 billion parameters.

Paper: Dinkel et al., "Scaling up masked audio encoder learning for general audio
classification", Interspeech 2024, https://arxiv.org/abs/2406.06992.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, as_dict, plain, read
from s3prl_sb.lobes.checkpoints.renaming import below
from s3prl_sb.lobes.checkpoints.timm_layout import HEAD_SIZE, from_timm
from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram
from s3prl_sb.lobes.upstreams.patches import PatchUpstream

#: Hidden sizes to numbers of heads that are not of 64, for files without the number.
NUM_HEADS = {1280: 16}
#: What all models of both families have in common.
SHAPE = {
    "positions": "factorized",
    "num_tokens": 0,
    "num_classes": 0,
    "band_norm": True,
    "norm": "last",
}
#: Weights that frames do not need: torchaudio's front end and the classifier.
UNUSED = re.compile(r"(front_end|outputlayer)\.")
#: Settings of the front end, under the names of the authors and of Hugging Face.
FRONT_END = {
    "n_mels": 64,
    "n_fft": 512,
    "win_size": 512,
    "hop_size": 160,
    "f_min": 0,
    "f_max": 8000,
    "center": True,
    "top_db": 120,
    "feature_size": 64,
    "sampling_rate": 16000,
}


def read_transformer(path, family):
    """Reads a checkpoint of Dasheng or CED.

    Arguments
    ---------
    path : pathlib.Path
        File of the authors, or folder of Hugging Face, whose code is not run.
    family : str
        "Dasheng" or "CED".

    Returns
    -------
    config : dict
        Entries of
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformerConfig`.
    weights : dict
        Weights of
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformer`; the
        classifier and the decoder are dropped.

    Raises
    ------
    CheckpointError
        If it belongs to another family, or has another front end.
    """
    options, weights = _content(path, family)
    for key, value in FRONT_END.items():
        if options.get(key, value) not in (value, None):
            raise CheckpointError(
                f"'{path}' has {key}: {options[key]}; this class builds {value} only"
            )
    weights = below(weights, "time_pos_embed")
    weights = {
        re.sub(r"^init_bn\.(1\.)?", "band_norm.", name): tensor
        for name, tensor in weights.items()
        if not UNUSED.match(name)
    }
    tables = [weights.get(f"{name}_pos_embed") for name in ("time", "freq")]
    if any(getattr(table, "ndim", 0) != 4 for table in tables):
        raise CheckpointError(
            f"'{path}' is not a checkpoint of {family}: these have time_pos_embed and "
            "freq_pos_embed. Its keys: " + ", ".join(sorted(weights)[:8])
        )
    sizes, weights = from_timm(weights, path)
    times, bands = (weights.pop(f"{name}_pos_embed") for name in ("time", "freq"))
    weights["time_positions"] = times[0, :, 0].T.contiguous()
    weights["band_positions"] = bands[0, :, :, 0].T.contiguous()
    sizes.update(
        patch_stride=sizes["patch"],
        grid=[bands.shape[2], times.shape[3]],
        num_heads=options.get("num_heads") or _num_heads(sizes["hidden_size"]),
        **SHAPE,
    )
    return sizes, weights


def _content(path, family):
    """Returns the options and the weights of a file or folder."""
    if not path.is_dir():
        content = as_dict(read(path))
        options = as_dict(plain(content.get("config")))
        weights = as_dict(content.get("model")) or content
        return options, {str(name): tensor for name, tensor in weights.items()}
    options = huggingface_folder.entries(path, model_type=family.lower())
    parts = (options["preprocessor"], options, as_dict(options.get("encoder_kwargs")))
    options = {key: value for part in parts for key, value in part.items()}
    return options, huggingface_folder.everything(path)


def _num_heads(size):
    return NUM_HEADS.get(size, max(1, size // HEAD_SIZE))


def read_dasheng(path):
    """Reads a checkpoint of Dasheng, see :func:`read_transformer`."""
    config, weights = read_transformer(path, "Dasheng")
    if config["grid"][0] != 1:
        raise CheckpointError(
            f"'{path}' has {config['grid'][0]} patches at one time: those of Dasheng "
            "have all mel bands. Is it a checkpoint of CED?"
        )
    return config, weights


class Dasheng(PatchUpstream):
    """Dasheng.

    A frame is a patch of all 64 mel bands and 40 ms. The last hidden state has the
    final layer norm. Audio of more than 10.08 s runs in chunks of this length.

    Arguments
    ---------
    source : str, optional
        File of the authors, its address, or a folder or id of Hugging Face. It brings
        its own sizes. None: a random network of ``config``.
    config : dict, optional
        Entries of
        :class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformerConfig`
        that differ from Dasheng Base; only without ``source``.
    bands, **options
        See :class:`~s3prl_sb.lobes.upstreams.patches.PatchUpstream`.

    Note
    ----
    The authors' code limits levels to 120 dB below the loudest one of the batch, here
    it is that of the utterance. Versions of their code before 0.0.9, and that on
    Hugging Face, also fill the last chunk with zeros, to which all of its frames
    attend; here it is as long as the audio.

    In fine-tuning, batch norm keeps the statistics of pre-training.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Dasheng(config=tiny)
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (3, torch.Size([2, 25, 32]))
    """

    defaults = {
        "patch": [64, 4],
        "patch_stride": [64, 4],
        "grid": [1, 252],
        **SHAPE,
    }
    read = staticmethod(read_dasheng)

    def make_features(self):
        """Returns the front end."""
        return MelSpectrogram(n_mels=64, n_fft=512, fmax=8000.0, top_db=120.0)
