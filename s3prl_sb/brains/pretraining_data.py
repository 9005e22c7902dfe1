"""Data of a pre-training: lists of audio, and the units that some objectives predict.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

from s3prl_sb.identity import digest
from s3prl_sb.startup import devices
from s3prl_sb.startup.configuration import RUN_OPTS, RecipeError
from s3prl_sb.unlabelled import preparing
from s3prl_sb.unlabelled.dataset import UnlabelledDataset


def prepare(hparams: Mapping[str, Any]) -> None:
    """Lists the audio, and makes the units of the key ``units``.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe, see :func:`s3prl_sb.unlabelled.preparing.prepare` and
        :func:`s3prl_sb.units.recipe.prepare_units`; and the options of the run, whose
        device computes the units.

    Raises
    ------
    RecipeError
        If the objective predicts units and there are none, or no audio is held out.
    """
    needs = hparams["objective"].needs_codes
    if needs and not hparams.get("units"):
        raise RecipeError(
            "units are missing, which this objective predicts: give --units FOLDER "
            "from `s3prl-sb units apply`, or settings such as --units "
            '"{upstream: mfcc_hubert, clusters: 100}".'
        )
    if not (hparams.get("valid_data") or hparams.get("valid_share")):
        raise RecipeError(
            "valid_share is 0 and there is no valid_data, but the loss on held-out "
            "audio chooses the checkpoint. Give one of them."
        )
    if not needs:
        preparing.prepare(hparams)
        return
    from s3prl_sb.units.recipe import check_units, prepare_units

    check_units(hparams)  # first: the audio may take hours to list
    preparing.prepare(hparams)
    options = hparams[RUN_OPTS]
    device = devices.chosen(options["device"] or devices.AUTO)
    prepare_units(hparams, device, progressbar=not options["noprogressbar"])


def splits(hparams: Mapping[str, Any]) -> dict[str, UnlabelledDataset]:
    """Opens what :func:`prepare` has made, and tells the objective about the units.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe.

    Returns
    -------
    dict
        "train" and "valid" to datasets.
    """
    codes, objective = None, hparams["objective"]
    if objective.needs_codes:
        from s3prl_sb.units.recipe import open_units

        codes = open_units(hparams)
        objective.prepare_codes(codes.classes, codes.stride)
    return preparing.splits(hparams, hparams["upstream_model"].sample_rate, codes)


def digests(sets: Mapping[str, Any]) -> dict[str, str]:
    """Returns digests of the data that a run learns from.

    Arguments
    ---------
    sets : dict
        Names to datasets.

    Returns
    -------
    dict
        Names to hexadecimal digits, of the list and of the units.
    """
    found = {}
    for name, dataset in sets.items():
        units = [] if dataset.codes is None else [dataset.codes.digest]
        found[name] = digest([dataset.digest, *units]) if units else dataset.digest
    return found
