"""The key ``units`` of a recipe: units that exist, or that the recipe makes.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.storage.files import FileError
from s3prl_sb.terminal.messages import near
from s3prl_sb.units.applying import apply
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.fitting import fit, summary
from s3prl_sb.units.frames import layer_of
from s3prl_sb.units.index import UnitsIndex
from s3prl_sb.units.speech import UNREADABLE_SHARE, Speech
from s3prl_sb.unlabelled.index import HEADER, AudioIndex

logger = logging.getLogger(__name__)

NEEDED, OPTIONAL = ("upstream", "clusters"), ("layer", "seed", "share", "source")
EXAMPLE = "{upstream: mfcc_hubert, clusters: 100}"


def check_units(hparams: Mapping[str, Any]) -> None:
    """Checks the key ``units`` before any audio is read.

    Arguments
    ---------
    hparams : dict
        Keys of the recipe, see :func:`prepare_units`.

    Raises
    ------
    UnitsError
        For units, an upstream or a layer that cannot be predicted by the network.

    Example
    -------
    >>> check_units({"units": {"upstream": "mfcc", "clusters": 9, "layer": 3}})
    Traceback (most recent call last):
    ...
    s3prl_sb.units.errors.UnitsError: units: layer 3 does not exist: mfcc has hidden …
    """
    settings = _settings(hparams)
    if not isinstance(settings, Mapping):
        open_units(hparams)
        return
    name = str(settings["upstream"])
    try:
        upstream = _upstream(settings)
        layer_of(upstream, settings.get("layer"), name)
    except UserError as error:
        raise UnitsError(f"units: {str(error).removeprefix('--')}") from error
    _check_rate(name, upstream.sample_rate, hparams)


def prepare_units(
    hparams: Mapping[str, Any], device: str = "cpu", progressbar: bool = True
) -> UnitsIndex | None:
    """Makes the units of a recipe, unless they are there; run it after
    :func:`s3prl_sb.unlabelled.preparing.prepare`, which writes the lists.

    One k-means is fitted on the training data and applied to all data: with two of
    them, the units of validation would be other ones. A preparation that was killed
    continues.

    Arguments
    ---------
    hparams : dict
        Keys of the recipe. ``units``: None; a folder made by ``s3prl-sb units apply``;
        or a mapping with ``upstream`` and ``clusters``, and optionally ``layer``,
        ``share``, ``seed`` and ``source``. Also ``save_folder``, ``seed`` and
        ``unreadable_share``, of the utterances that may have no units.
    device : str
        Device of the upstream and of k-means.
    progressbar : bool
        Whether to show bars.

    Returns
    -------
    UnitsIndex or None
        None if ``units`` is.

    Raises
    ------
    UnitsError
        For other values of ``units``, and if too many utterances have no units.
    """
    settings = _settings(hparams)
    if settings is None:
        return None
    if isinstance(settings, str):
        open_units(hparams)  # before the lists, which may be long
    folder = Path(hparams["save_folder"])
    lists = [
        AudioIndex.open(folder / name)
        for name in ("train", "valid")
        if name == "train" or (folder / name / HEADER).is_file()
    ]
    share = hparams.get("unreadable_share", UNREADABLE_SHARE)
    if isinstance(settings, Mapping):
        _make(hparams, settings, lists, share, device, progressbar)
    made = open_units(hparams)
    if made is not None and isinstance(settings, str):  # of another list, perhaps
        names = (name for each in lists for name in Speech(each).names())
        made.check(names, share)
    return made


def open_units(hparams: Mapping[str, Any]) -> UnitsIndex | None:
    """Opens the units that :func:`prepare_units` has made or checked.

    Arguments
    ---------
    hparams : dict
        Keys of the recipe; the sample rate of ``upstream_model``, if there is one,
        must be that of the units.

    Returns
    -------
    UnitsIndex or None

    Example
    -------
    >>> open_units({"units": None}) is None
    True
    """
    settings = _settings(hparams)
    if settings is None:
        return None
    try:
        made = UnitsIndex(settings if isinstance(settings, str) else _folder(hparams))
    except FileError as error:
        raise UnitsError(f"units: {error}") from error
    _check_rate(made.folder, made.sample_rate, hparams)
    return made


def _check_rate(what, rate, hparams):
    network = hparams.get("upstream_model")
    if network is not None and network.sample_rate != rate:
        raise UnitsError(
            f"units: '{what}' is of audio at {rate} Hz, and the network takes "
            f"{network.sample_rate} Hz. Fit units on an upstream of the same rate."
        )


def _upstream(settings):
    overrides = {"source": settings["source"]} if settings.get("source") else {}
    return load(str(settings["upstream"]), freeze=True, **overrides)


def _folder(hparams):
    return Path(hparams["save_folder"]) / "units" / "index"


def _settings(hparams):
    """Returns the checked value of ``units``: None, a path, or a dict."""
    value = hparams.get("units")
    if value is None or isinstance(value, (str, os.PathLike)):
        return value if value is None else os.fspath(value)
    if not isinstance(value, Mapping):
        raise UnitsError(
            f"units: {value!r} is neither a folder of `s3prl-sb units apply` nor "
            f"settings such as {EXAMPLE}."
        )
    for key in value:
        if key not in NEEDED + OPTIONAL:
            there = near(str(key), [*NEEDED, *OPTIONAL])
            raise UnitsError(f"units: {key} is unknown. {there}")
    missing = [key for key in NEEDED if value.get(key) is None]
    if missing:
        raise UnitsError(f"units: {missing[0]} is missing, as in {EXAMPLE}.")
    return dict(value)


def _make(hparams, settings, lists, share, device, progressbar):
    name, folder = str(settings["upstream"]), _folder(hparams)
    upstream = _upstream(settings)
    shown = {"device": device, "progressbar": progressbar}
    model = fit(
        upstream,
        Speech(lists[0], share),
        folder.with_name("model"),
        clusters=settings["clusters"],
        layer=settings.get("layer"),
        name=name,
        source=settings.get("source"),
        seed=settings.get("seed", hparams.get("seed", 0)),
        share=settings.get("share"),
        **shown,
    )
    logger.info("%s", summary(model))
    apply(model, upstream, Speech(AudioIndex.joined(lists), share), folder, **shown)
