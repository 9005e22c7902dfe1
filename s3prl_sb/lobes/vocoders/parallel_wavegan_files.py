"""HiFi-GAN vocoders of ParallelWaveGAN, the toolkit.

A folder has ``config.yml``, ``checkpoint-<steps>steps.pkl`` (the one of the most steps
counts) and ``stats.h5`` or ``stats.npy``. Nothing in the files is executed.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re
from pathlib import Path

import numpy
import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.checkpoints import reading, values
from s3prl_sb.lobes.vocoders.files import VocoderError, fused, refuse, spectrograms
from s3prl_sb.lobes.vocoders.hifigan import VocoderWeights
from s3prl_sb.storage import files

STEPS = re.compile(r"checkpoint-(\d+)steps")
#: ParallelWaveGAN's names of weights, and SpeechBrain's.
NAMES = (
    (r"input_conv\.", "conv_pre.conv."),
    (r"upsamples\.(\d+)\.1\.", r"ups.\1.conv."),
    (r"blocks\.(\d+)\.(convs[12])\.(\d+)\.1\.", r"resblocks.\1.\2.\3.conv."),
    (r"output_conv\.1\.", "conv_post.conv."),
)


def read_parallel_wavegan(folder: Path, checkpoint: Path | None = None):
    """Reads a HiFi-GAN of ParallelWaveGAN.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``config.yml``.
    checkpoint : pathlib.Path, optional
        One of its checkpoints. Default: that of the most steps.

    Returns
    -------
    VocoderWeights

    Raises
    ------
    VocoderError
        If it is another network, or files are missing.
    """
    path = folder / "config.yml"
    config = files.read_yaml(path, "ParallelWaveGAN's configuration", kind=dict)
    values.check_options(config, path)
    with files.naming(path, "ParallelWaveGAN's configuration"):
        options = _generator_options(config, path)
        rate, n_fft = config["sampling_rate"], config["fft_size"]
        settings = spectrograms(
            path,
            options["upsample_factors"],
            sample_rate=rate,
            n_fft=n_fft,
            hop=config["hop_size"],
            n_mels=config["num_mels"],
            fmin=config["fmin"] or 0,
            fmax=config["fmax"] or rate / 2,
            log_base=config.get("log_base", 10.0) or math.e,
        )
        window = config.get("win_length") or n_fft
        refuse(
            path,
            {
                "win_length": (window, n_fft),
                "window": (config.get("window", "hann"), "hann"),
            },
        )
    source = checkpoint or _latest(folder)
    state = reading.as_dict(reading.as_dict(reading.read(source)).get("model"))
    weights = reading.as_dict(state.get("generator"))
    if not weights:
        raise VocoderError(
            f"'{source}' has no model.generator, so it is no checkpoint of a vocoder."
        )
    mean, scale = read_statistics(folder, settings.n_mels)
    return VocoderWeights(
        str(source),
        options,
        {_renamed(name): tensor for name, tensor in fused(weights).items()},
        settings,
        zero_padding=True,
        mean=mean,
        scale=scale,
    )


def _generator_options(config, path):
    """Returns the options of SpeechBrain's generator for ParallelWaveGAN's."""
    kind = config.get("generator_type", "ParallelWaveGANGenerator")
    if kind != "HiFiGANGenerator":
        raise VocoderError(
            f"'{path}' is of a {kind}; of ParallelWaveGAN's networks HiFiGANGenerator "
            "is supported. Of S3PRL's vocoders hifigan_vctk and hifigan_vctk+vcc2020 "
            "are such ones, pwg_task1 and pwg_task2 are not. Or choose griffin_lim."
        )
    # Older versions have a typing error in the name
    given = {
        name.replace("kernal", "kernel"): value
        for name, value in config["generator_params"].items()
    }
    slope = {"negative_slope": 0.1}
    refuse(
        path,
        {
            "kernel_size": (given.get("kernel_size", 7), 7),
            "out_channels": (given.get("out_channels", 1), 1),
            "use_additional_convs": (given.get("use_additional_convs", True), True),
            "use_causal_conv": (given.get("use_causal_conv", False), False),
            "bias": (given.get("bias", True), True),
            "nonlinear_activation": (
                given.get("nonlinear_activation", "LeakyReLU"),
                "LeakyReLU",
            ),
            "nonlinear_activation_params": (
                dict(given.get("nonlinear_activation_params", slope)),
                slope,
            ),
        },
    )
    return {
        "in_channels": given.get("in_channels", 80),
        "out_channels": 1,
        "resblock_type": "1",
        "resblock_dilation_sizes": [
            list(d) for d in given.get("resblock_dilations", [(1, 3, 5)] * 3)
        ],
        "resblock_kernel_sizes": list(given.get("resblock_kernel_sizes", (3, 7, 11))),
        "upsample_kernel_sizes": list(
            given.get("upsample_kernel_sizes", (16, 16, 4, 4))
        ),
        "upsample_initial_channel": given.get("channels", 512),
        "upsample_factors": list(given.get("upsample_scales", (8, 8, 2, 2))),
    }


def _latest(folder):
    """Returns the checkpoint of the most steps."""
    found = sorted(
        (int(match[1]), path)
        for path in folder.glob("*.pkl")
        if (match := STEPS.match(path.name))
    )
    if not found:
        raise VocoderError(
            f"'{folder}' has no checkpoint-<steps>steps.pkl. Copy the checkpoint "
            "there, or name its file."
        )
    return found[-1][1]


def _renamed(name):
    """Returns SpeechBrain's name of a weight of ParallelWaveGAN.

    Example
    -------
    >>> _renamed("blocks.3.convs1.0.1.weight"), _renamed("upsamples.2.1.bias")
    ('resblocks.3.convs1.0.conv.weight', 'ups.2.conv.bias')
    """
    for pattern, ours in NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name, count=1)
    return name


def read_statistics(folder: Path, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Reads the mean and the scale of the spectrograms of training.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``stats.h5`` or ``stats.npy``.
    size : int
        Number of mel bands.

    Returns
    -------
    mean, scale : torch.Tensor
        [size] each.

    Raises
    ------
    VocoderError
        If there are none, or they do not fit.
    MissingExtra
        If ``stats.h5`` needs h5py.
    """
    path = folder / "stats.h5"
    if path.is_file():
        try:
            import h5py
        except ImportError as error:
            raise MissingExtra(
                f"'{path}' needs h5py: pip install 's3prl_sb[hdf5]'"
            ) from error
        with files.naming(path, "statistics of ParallelWaveGAN"):
            with h5py.File(path) as file:
                arrays = [file[name][()] for name in ("mean", "scale")]
    else:
        path = folder / "stats.npy"
        if not path.is_file():
            raise VocoderError(
                f"'{folder}' has neither stats.h5 nor stats.npy, without which the "
                "vocoder's input cannot be normalized. Copy it from its archive."
            )
        with files.naming(path, "statistics of ParallelWaveGAN"):
            arrays = list(numpy.load(path, allow_pickle=False))[:2]
    mean, scale = (torch.from_numpy(numpy.ravel(a)).float() for a in arrays)
    if len(mean) != size or len(scale) != size or not (scale > 0).all():
        raise VocoderError(
            f"'{path}' has the statistics of {len(mean)} bands instead of {size}, or a "
            "scale that is not positive. Copy it from the vocoder's own archive."
        )
    return mean, scale
