"""Data of a pre-training: lists of audio, and the units that some objectives predict.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from s3prl_sb.audio.loading import AudioFileError
from s3prl_sb.identity import digest
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.unlabelled import preparing
from s3prl_sb.unlabelled.dataset import UnlabelledDataset
from s3prl_sb.unlabelled.index import AudioIndex
from s3prl_sb.unlabelled.reading import UnreadableError, read_piece


def prepare(hparams: Mapping[str, Any]) -> None:
    """Lists the audio, and makes the units of the key ``units``.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe, see :func:`s3prl_sb.unlabelled.preparing.prepare` and
        :func:`s3prl_sb.units.recipe.prepare_units`.

    Raises
    ------
    RecipeError
        If the objective predicts units and there are none.
    """
    needs = hparams["objective"].needs_codes
    if needs and not hparams.get("units"):
        raise RecipeError(
            "units are missing, which this objective predicts: give --units FOLDER "
            "from `s3prl-sb units apply`, or settings such as --units "
            '"{upstream: mfcc_hubert, clusters: 100}".'
        )
    preparing.prepare(hparams)
    if needs:
        from s3prl_sb.units.recipe import prepare_units
        from s3prl_sb.units.speech import ListedSpeech

        sets = preparing.splits(hparams, hparams["upstream_model"].sample_rate)
        indexes = {name: dataset.index for name, dataset in sets.items()}
        speech = {name: ListedSpeech(i, whole(i)) for name, i in indexes.items()}
        prepare_units(hparams, speech)


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


def whole(index: AudioIndex) -> Callable[[int, int], torch.Tensor]:
    """Returns a function that reads whole rows of a list.

    Arguments
    ---------
    index : s3prl_sb.unlabelled.index.AudioIndex
        The list.

    Returns
    -------
    callable
        Takes a row and a rate in Hz, returns a waveform [samples].
    """

    def read(row: int, sample_rate: int) -> torch.Tensor:
        location = index.location(row)
        samples = -(-location.samples * sample_rate // location.rate)
        try:
            return read_piece(location, 0, samples, sample_rate)
        except UnreadableError as error:
            raise AudioFileError(f"'{index.name(row)}' {error}") from error

    return read
