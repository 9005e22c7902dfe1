"""HiFi-GAN vocoders of SpeechBrain.

A folder has ``hyperparams.yaml`` and ``generator.ckpt``; or it is that of a run of
SpeechBrain's recipe, whose newest checkpoint counts. Nothing in the files is executed.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from pathlib import Path

from s3prl_sb.lobes.checkpoints import reading, renaming, values
from s3prl_sb.lobes.vocoders.files import VocoderError, fused, refuse, spectrograms
from s3prl_sb.lobes.vocoders.hifigan import hifigan
from s3prl_sb.lobes.vocoders.neural import VocoderFiles
from s3prl_sb.storage import files

#: Options of SpeechBrain's generator, with the defaults of its recipe.
OPTIONS = {
    "in_channels": 80,
    "out_channels": 1,
    "resblock_type": "1",
    "resblock_dilation_sizes": None,
    "resblock_kernel_sizes": None,
    "upsample_kernel_sizes": None,
    "upsample_initial_channel": None,
    "upsample_factors": None,
    "inference_padding": 5,
    "cond_channels": 0,
    "conv_post_bias": True,
}
#: SpeechBrain's names of the settings of spectrograms, and ours.
SETTINGS = {
    "sample_rate": "sample_rate",
    "n_fft": "n_fft",
    "hop_length": "hop",
    "n_mel_channels": "n_mels",
    "mel_fmin": "fmin",
    "mel_fmax": "fmax",
}
#: What our spectrograms are, by SpeechBrain's names.
FIXED = {
    "power": 1,
    "norm": "slaney",
    "mel_scale": "slaney",
    "mel_normalized": False,
    "dynamic_range_compression": True,
}


def read_speechbrain(folder: Path) -> VocoderFiles:
    """Reads a HiFi-GAN of SpeechBrain.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``hyperparams.yaml``.

    Returns
    -------
    VocoderFiles

    Raises
    ------
    VocoderError
        If the file lacks settings, or has others than HiFi-GAN's of spectrograms.
    """
    path = folder / "hyperparams.yaml"
    entries = files.read_yaml(path, "SpeechBrain's hyperparameters", kind=dict)
    values.check_options(entries, path)
    options = _options(entries, path)
    lacking = [key for key in (*SETTINGS, *FIXED) if key not in entries]
    if lacking:
        raise VocoderError(
            f"'{path}' does not say which spectrograms the vocoder was trained with: "
            f"it has no {', '.join(lacking)}. Copy these keys from the recipe that "
            "trained it."
        )
    refuse(path, {key: (entries[key], fixed) for key, fixed in FIXED.items()})
    window = entries.get("win_length", entries["n_fft"])
    refuse(path, {"win_length": (window, entries["n_fft"])})
    settings = spectrograms(
        path,
        options["upsample_factors"],
        **{ours: entries[theirs] for theirs, ours in SETTINGS.items()},
        log_base=math.e,
        floor=1e-5,
    )
    source = _generator(folder)
    return VocoderFiles(
        str(source),
        lambda: hifigan(options),
        fused(renaming.bare(reading.as_dict(reading.read(source)))),
        settings,
        context=options["inference_padding"],
    )


def _options(entries, path):
    """Returns the options of SpeechBrain's generator, as plain values."""
    lacking = [k for k, v in OPTIONS.items() if v is None and k not in entries]
    if lacking:
        raise VocoderError(
            f"'{path}' is not of SpeechBrain's HiFi-GAN: it has no "
            f"{', '.join(lacking)} at its top level."
        )
    options = {key: entries.get(key, value) for key, value in OPTIONS.items()}
    for key, value in options.items():
        if isinstance(value, list):
            options[key] = [list(v) if isinstance(v, list) else v for v in value]
    options["resblock_type"] = str(options["resblock_type"])
    refuse(path, {k: (options[k], v) for k, v in (("cond_channels", 0),)})
    return options


def _generator(folder):
    """Returns the weights of a model, or of the newest checkpoint of a run."""
    found = [folder / "generator.ckpt"]
    if not found[0].is_file():
        found = sorted(folder.glob("save/CKPT*/generator.ckpt"))
    if not found:
        raise VocoderError(
            f"'{folder}' has neither generator.ckpt nor save/CKPT*/generator.ckpt. "
            "Copy the weights of the vocoder there."
        )
    return found[-1]
