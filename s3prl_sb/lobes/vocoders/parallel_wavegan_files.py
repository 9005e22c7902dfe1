"""Vocoders of the toolkit ParallelWaveGAN: HiFi-GAN, and Parallel WaveGAN itself.

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
from s3prl_sb.lobes.vocoders.hifigan import hifigan
from s3prl_sb.lobes.vocoders.neural import VocoderFiles
from s3prl_sb.lobes.vocoders.wavenet import ParallelWaveGAN
from s3prl_sb.storage import files

STEPS = re.compile(r"checkpoint-(\d+)steps")
#: Names of weights in the files, and in our networks.
HIFIGAN_NAMES = (
    (r"input_conv\.", "conv_pre.conv."),
    (r"upsamples\.(\d+)\.1\.", r"ups.\1.conv."),
    (r"blocks\.(\d+)\.(convs[12])\.(\d+)\.1\.", r"resblocks.\1.\2.\3.conv."),
    (r"output_conv\.1\.", "conv_post.conv."),
)
WAVENET_NAMES = (
    (r"first_conv\.", "first."),
    (r"upsample_net\.conv_in\.", "spectrogram."),
    (r"conv_layers\.(\d+)\.conv\.", r"layers.\1.dilated."),
    (r"conv_layers\.(\d+)\.conv1x1_aux\.", r"layers.\1.condition."),
    (r"conv_layers\.(\d+)\.conv1x1_(out|skip)\.", r"layers.\1.\2."),
    (r"last_conv_layers\.1\.", "last.0."),
    (r"last_conv_layers\.3\.", "last.1."),
)
# Every other one of these layers repeats samples, and has no weights
SMOOTHING = re.compile(r"upsample_net\.upsample\.up_layers\.(\d+)\.")


def read_parallel_wavegan(folder: Path, checkpoint: Path | None = None):
    """Reads a vocoder of ParallelWaveGAN.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``config.yml``.
    checkpoint : pathlib.Path, optional
        One of its checkpoints. Default: that of the most steps.

    Returns
    -------
    VocoderFiles

    Raises
    ------
    VocoderError
        If it is another network, or files are missing.
    """
    path = folder / "config.yml"
    config = files.read_yaml(path, "ParallelWaveGAN's configuration", kind=dict)
    values.check_options(config, path)
    with files.naming(path, "ParallelWaveGAN's configuration"):
        make, factors, names = _network(config, path)
        settings = _settings(config, path, factors)
    source = checkpoint or _latest(folder)
    state = reading.as_dict(reading.as_dict(reading.read(source)).get("model"))
    weights = reading.as_dict(state.get("generator"))
    if not weights:
        raise VocoderError(
            f"'{source}' has no model.generator, so it is no checkpoint of a vocoder."
        )
    with files.naming(source, "a checkpoint of a vocoder"):
        fitting = {_renamed(name, names): w for name, w in fused(weights).items()}
    mean, scale = read_statistics(folder, settings.n_mels)
    return VocoderFiles(
        str(source),
        make,
        fitting,
        settings,
        mean=mean,
        scale=scale,
    )


def _settings(config, path, factors):
    """Returns the settings of the spectrograms of a configuration."""
    rate, n_fft = config["sampling_rate"], config["fft_size"]
    refuse(
        path,
        {
            "win_length": (config.get("win_length") or n_fft, n_fft),
            "window": (config.get("window", "hann"), "hann"),
        },
    )
    return spectrograms(
        path,
        factors,
        sample_rate=rate,
        n_fft=n_fft,
        hop=config["hop_size"],
        n_mels=config["num_mels"],
        fmin=config["fmin"] or 0,
        fmax=config["fmax"] or rate / 2,
        log_base=config.get("log_base", 10.0) or math.e,
    )


def _network(config, path):
    """Returns a function that makes a network, its factors, its names of weights."""
    kind = config.get("generator_type", "ParallelWaveGANGenerator")
    # Older versions have a typing error in the name
    options = {
        name.replace("kernal", "kernel"): value
        for name, value in config["generator_params"].items()
    }
    if kind == "HiFiGANGenerator":
        made = _hifigan_options(options, path)
        factors, names = made["upsample_factors"], HIFIGAN_NAMES
        return lambda: hifigan(made, zero_padding=True), factors, names
    if kind == "ParallelWaveGANGenerator":
        made = _wavenet_options(options, path)
        return lambda: ParallelWaveGAN(**made), made["factors"], WAVENET_NAMES
    raise VocoderError(
        f"'{path}' is of a {kind}; HiFiGANGenerator and ParallelWaveGANGenerator are "
        "supported, which all vocoders of S3PRL are. Or choose griffin_lim."
    )


def _hifigan_options(options, path):
    """Returns the options of SpeechBrain's generator for ParallelWaveGAN's."""
    slope = {"negative_slope": 0.1}
    supported = {
        "kernel_size": 7,
        "out_channels": 1,
        "use_additional_convs": True,
        "use_causal_conv": False,
        "bias": True,
        "nonlinear_activation": "LeakyReLU",
        "nonlinear_activation_params": slope,
    }
    refuse(path, {key: (options.get(key, v), v) for key, v in supported.items()})
    dilations = options.get("resblock_dilations", [(1, 3, 5)] * 3)
    refuse(path, {"resblock_dilations": ({len(d) for d in dilations}, {3})})
    return {
        "in_channels": options.get("in_channels", 80),
        "out_channels": 1,
        "resblock_type": "1",
        "resblock_dilation_sizes": [list(d) for d in dilations],
        "resblock_kernel_sizes": list(options.get("resblock_kernel_sizes", (3, 7, 11))),
        "upsample_kernel_sizes": list(
            options.get("upsample_kernel_sizes", (16, 16, 4, 4))
        ),
        "upsample_initial_channel": options.get("channels", 512),
        "upsample_factors": list(options.get("upsample_scales", (8, 8, 2, 2))),
    }


def _wavenet_options(options, path):
    """Returns the options of our Parallel WaveGAN for the toolkit's."""
    supported = {
        "in_channels": 1,
        "out_channels": 1,
        "bias": True,
        "use_causal_conv": False,
        "upsample_conditional_features": True,
        "upsample_net": "ConvInUpsampleNetwork",
    }
    refuse(path, {key: (options.get(key, v), v) for key, v in supported.items()})
    above = dict(options.get("upsample_params", {"upsample_scales": [4, 4, 4, 4]}))
    supported = {
        "nonlinear_activation": None,
        "interpolate_mode": "nearest",
        "freq_axis_kernel_size": 1,
    }
    refuse(path, {key: (above.get(key, v), v) for key, v in supported.items()})
    return {
        "factors": list(above["upsample_scales"]),
        "layers": options.get("layers", 30),
        "stacks": options.get("stacks", 3),
        "kernel_size": options.get("kernel_size", 3),
        "channels": options.get("residual_channels", 64),
        "gate_channels": options.get("gate_channels", 128),
        "skip_channels": options.get("skip_channels", 64),
        "n_mels": options.get("aux_channels", 80),
        "context": options.get("aux_context_window", 2),
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


def _renamed(name, names):
    """Returns our name of a weight of ParallelWaveGAN.

    Example
    -------
    >>> _renamed("blocks.3.convs1.0.1.weight", HIFIGAN_NAMES)
    'resblocks.3.convs1.0.conv.weight'
    >>> _renamed("upsample_net.upsample.up_layers.3.weight", WAVENET_NAMES)
    'smoothing.1.weight'
    """
    if match := SMOOTHING.match(name):
        return f"smoothing.{int(match[1]) // 2}.{name[match.end() :]}"
    for pattern, ours in names:
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
                mean, scale = (_vector(file[name][()]) for name in ("mean", "scale"))
    else:
        path = folder / "stats.npy"
        if not path.is_file():
            raise VocoderError(
                f"'{folder}' has neither stats.h5 nor stats.npy, without which the "
                "vocoder's input cannot be normalized. Copy it from its archive."
            )
        with files.naming(path, "statistics of ParallelWaveGAN"):
            mean, scale = map(_vector, numpy.load(path, allow_pickle=False)[:2])
    finite = all(each.isfinite().all() for each in (mean, scale))
    if len(mean) != size or len(scale) != size or not (finite and (scale > 0).all()):
        raise VocoderError(
            f"'{path}' has the statistics of {len(mean)} bands instead of {size}, or "
            "numbers that are not finite, or a scale that is not positive. Copy it "
            "from the vocoder's own archive."
        )
    return mean, scale


def _vector(array):
    return torch.from_numpy(numpy.ravel(array)).float()
