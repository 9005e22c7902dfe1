"""Conditions of a recipe: the pipes that its keys add for training and for the test.

Training utterances are cut into chunks, sped up or slowed down, cropped, reverberated
and made noisy, in this order, after the recipe's own ``train_pipes``. Those of the test
are sped up, reverberated and made noisy, after ``eval_pipes``, as a function of their
ids alone. The validation set stays clean, and so does what an export listens to.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

from s3prl_sb.dataio.dataset import Pipe
from s3prl_sb.dataio.pipes import (
    AddNoise,
    AddReverb,
    ChangeSpeed,
    RandomCrop,
    UnfoldChunks,
)
from s3prl_sb.errors import UserError
from s3prl_sb.identity.objects import identity_of

__test__: dict[str, str] = {}  # for pytest: test_pipes and kin are no tests
#: Keys of the training set and of the test, each in the order of the pipes.
TRAIN = ("chunk_seconds", "speed", "crop_seconds", "crops", "reverb", "noise")
TEST = ("test_speed", "test_reverb", "test_noise")


class ConditionError(UserError, ValueError):
    """Condition that is impossible; the message names the key."""


def train_pipes(hparams: Mapping[str, Any]) -> list[Pipe]:
    """Returns the pipes of the conditions of the training set.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe; missing keys count as null. ``seed`` and ``sample_rate``
        are those of the pipes.

    Returns
    -------
    list of s3prl_sb.dataio.dataset.Pipe
        Empty for a recipe without conditions.

    Raises
    ------
    ConditionError
        For a folder without recordings, or an impossible value.

    Example
    -------
    >>> hparams = {"seed": 1, "noise": {"snr": [0, 15], "draws": 4}, "crop_seconds": 8}
    >>> [type(pipe).__name__ for pipe in train_pipes(hparams)]
    ['RandomCrop', 'AddNoise']
    """
    rate = _rate(hparams)
    seeded = {"sample_rate": rate, "seed": hparams.get("seed", 0)}
    pipes: list[Pipe] = []
    if (seconds := hparams.get("chunk_seconds")) is not None:
        least = _check_frame("chunk_seconds", seconds, hparams, rate)
        pipes.append(_make("chunk_seconds", UnfoldChunks, seconds, None, least))
    if (factors := hparams.get("speed")) is not None:
        pipes.append(_make("speed", ChangeSpeed, factors, rate))
    if (seconds := hparams.get("crop_seconds")) is not None:
        _check_frame("crop_seconds", seconds, hparams, rate)
        crops = hparams.get("crops")
        pipes.append(_make("crop_seconds", RandomCrop, seconds, crops, **seeded))
    return [*pipes, *_room("", hparams.get("reverb"), hparams.get("noise"), **seeded)]


def test_pipes(hparams: Mapping[str, Any]) -> list[Pipe]:
    """Returns the pipes of the conditions of the test set.

    Arguments
    ---------
    hparams : dict
        See :func:`train_pipes`; nothing depends on the seed.

    Returns
    -------
    list of s3prl_sb.dataio.dataset.Pipe
        Pipes with one form of each utterance.

    Raises
    ------
    ConditionError
        See :func:`train_pipes`.

    Example
    -------
    >>> (noise,) = test_pipes({"test_noise": {"snr": 10}})
    >>> noise.low, noise.high, noise.variants({})
    (10.0, 10.0, 1)
    """
    rate, pipes = _rate(hparams), []
    if (factor := hparams.get("test_speed")) is not None:
        pipes.append(_make("test_speed", ChangeSpeed, [factor], rate))
    reverb, noise = hparams.get("test_reverb"), hparams.get("test_noise")
    return [*pipes, *_room("test_", reverb, noise, sample_rate=rate, draws=1)]


def train_identity(hparams: Mapping[str, Any]) -> dict[str, list[Pipe]]:
    """Returns the conditions of the training set as a part of a run's identity.

    Arguments
    ---------
    hparams : dict
        See :func:`train_pipes`.

    Returns
    -------
    dict
        ``train_conditions``, an entry of :data:`s3prl_sb.identity.data.PARTS`; empty
        without conditions, so that such a run has the identity that it always had.
    """
    pipes = train_pipes(hparams)
    return {"train_conditions": pipes} if pipes else {}


def test_identity(hparams: Mapping[str, Any]) -> list[Any]:
    """Returns what identifies the conditions of a test, by the content of recordings.

    Arguments
    ---------
    hparams : dict
        See :func:`test_pipes`.

    Returns
    -------
    list
        JSON values; empty for a clean test.

    Example
    -------
    >>> test_identity({"test_noise": None})
    []
    """
    pipes = test_pipes(hparams)
    return [identity_of(pipes)["is"]] if pipes else []


def tested_under(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the conditions of a test, as the recipe says them.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe.

    Returns
    -------
    dict
        Keys of :data:`TEST` that are not null, to their values.

    Example
    -------
    >>> tested_under({"test_noise": {"snr": 10}, "test_speed": None})
    {'test_noise': {'snr': 10}}
    """
    values = {key: hparams.get(key) for key in TEST}
    return {key: value for key, value in values.items() if value is not None}


def _room(prefix, reverb, noise, **options):
    """Returns the pipes of reverberation and noise, which are mappings or None."""
    pipes = []
    if reverb is not None:
        pipes.append(_make(f"{prefix}reverb", AddReverb, **{**options, **reverb}))
    if noise is not None:
        noise = {**options, **noise}
        files = noise.pop("folder", None)
        pipes.append(_make(f"{prefix}noise", AddNoise, files=files, **noise))
    return pipes


def _rate(hparams):
    upstream = hparams.get("upstream_model")
    return hparams.get("sample_rate") or getattr(upstream, "sample_rate", 16000)


def _check_frame(key, seconds, hparams, rate):
    """Returns the seconds that a frame needs at every speed, which a part has."""
    upstream = hparams.get("upstream_model")
    samples = getattr(upstream, "min_samples", 1)
    least = samples / rate * max([1.0, *(hparams.get("speed") or ())])
    if seconds < least:
        raise ConditionError(f"{key} {seconds}: a frame takes {least:.2g} s. Raise it.")
    return least


def _make(key, pipe, *values, **options):
    try:
        return pipe(*values, **options)
    except (TypeError, ValueError) as error:
        raise ConditionError(f"{key}: {error}.") from error
