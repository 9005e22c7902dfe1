"""Target speech of voice conversion: user tables, and a data pipe of spectrograms.

The tables are those of :mod:`s3prl_sb.dataio.tables`, with these columns:

===========  =====================================================================
``wav``      speech whose content is converted
``target``   optional: the target speaker's speech with the same words. Default: ``wav``
             itself in training and validation, no target in the test
``speaker``  optional: name of the target speaker
``enroll``   optional: utterances of the target speaker that say how the voice sounds,
             for any-to-any conversion; a list in a JSON table, separated by ``;`` in a
             CSV. Default: the target, or in the test none
===========  =====================================================================

In training and validation, the target is in time with ``wav``: it is the same recording,
or one that was made from it.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Mapping
from os import PathLike
from typing import Any

import torch

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.rows import in_folder, rows
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import locations
from s3prl_sb.lobes.mel import MelSettings, log_mel

VERSION = "target_speech/1"  # a new version invalidates finished preparations
#: Seconds by which a target may be longer or shorter than the speech it is in time with.
TOLERANCE = 0.1


def prepare_conversion_tables(
    train_csv: str,
    valid_csv: str,
    test_csv: str,
    save_folder: str,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Converts three tables to ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    train_csv, valid_csv, test_csv : str
        CSV, TSV or JSON files in the format of this module.
    save_folder : str
        Folder of the manifests. A finished preparation of the same tables is reused if
        the audio files have not changed since.
    skip_prep : bool
        Use the existing manifests in ``save_folder``.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    files = tables.by_split(train_csv, valid_csv, test_csv, save_folder)
    arguments = {"version": VERSION, **tables.identity(files)}
    if paths := tables.finished(save_folder, arguments):
        return paths
    splits = {
        name: load_conversion_table(path, parallel=name == "test")
        for name, path in files.items()
    }
    tables.warn_of_leaks(splits, files)
    return manifest.finish(splits, save_folder, arguments, required=())


def load_conversion_table(
    path: str | PathLike, parallel: bool = False
) -> dict[str, dict[str, Any]]:
    """Reads a table of voice conversion into records.

    Arguments
    ---------
    path : str
        CSV, TSV or JSON file in the format of this module.
    parallel : bool
        Whether it is a test: targets are other recordings than ``wav``, or None.

    Returns
    -------
    dict
        ``{id: record}`` with ``target``, a path or None; ``speaker``, a name or "";
        ``enroll``, a list of paths.

    Raises
    ------
    ManifestError
        Names the file, the line, and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(8000), 16000)
    ...     _ = Path(folder, "my.csv").write_text("wav,speaker\\na.wav,ann\\n")
    ...     record = load_conversion_table(folder + "/my.csv")["a"]
    >>> record["target"] == record["wav"], record["enroll"] == [record["wav"]]
    (True, True)
    """
    path, folder = str(path), os.path.dirname(os.path.abspath(path))
    lines, table = {}, []
    for name, line, row in rows(path):
        lines[name] = f"{path}:{line}: '{name}'"
        if isinstance(row, dict) and isinstance(row.get("enroll"), str):
            row = {**row, "enroll": [p.strip() for p in row["enroll"].split(";")]}
        table.append((name, line, row))
    records = tables.records_of(path, table, (), None)
    for name, record in records.items():
        target = _located(record.get("target"), folder)
        if target is None and not parallel:
            target = record["wav"]
        enroll = record.get("enroll") or ([] if parallel else [target])
        if not isinstance(enroll, list):
            raise ManifestError(f"{lines[name]}: enroll is a list of paths: {enroll!r}")
        enroll = [_located(each, folder) for each in enroll if each]
        record.update(target=target, enroll=enroll)
        record["speaker"] = str(record.get("speaker") or "")
        for each in (target, *enroll):
            if each and locations.is_file(each) and not os.path.isfile(each):
                raise ManifestError(f"{lines[name]}: no such file: {each}")
    return records


def _located(path, folder):
    """Returns the absolute path of a cell; None for an empty one."""
    if not path:
        return None
    return locations.in_folder(in_folder(str(path), folder), folder)


class TargetSpectrogram(Pipe):
    """Pipe that adds the item ``mel``: log mel frames of the target, [frames, n_mels].

    It follows chunks and crops. A target that is another recording than ``wav`` is in
    time with it.

    Arguments
    ---------
    settings : MelSettings
        Settings of the spectrogram.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wav = folder + "/a.wav"
    ...     audio_io.save(wav, torch.zeros(1, 24000), 24000)
    ...     record = {"wav": wav, "start": None, "stop": None, "duration": 1.0}
    ...     records = {"a": {**record, "target": wav}}
    ...     dataset = ManifestDataset(records, [TargetSpectrogram(MelSettings())])
    ...     dataset[0]["mel"].shape
    torch.Size([94, 80])
    """

    def __init__(self, settings: MelSettings):
        self.settings = settings

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the item ``mel``."""
        keys = ["id", "target", "start", "stop", "duration", "time_map"]
        dataset.add_dynamic_item(self.spectrogram, keys, "mel")

    def spectrogram(
        self,
        utterance: str,
        target: str,
        start: float | None,
        stop: float | None,
        duration: float,
        time_map: TimeMap | None = None,
    ) -> torch.Tensor:
        """Returns the spectrogram of the target of an utterance, or of a part of it."""
        wav = self.waveform(utterance, target, start, stop)
        rate = self.settings.sample_rate
        if abs(len(wav) / rate - duration) > TOLERANCE:
            raise ManifestError(
                f"'{utterance}': its target ({target}) lasts {len(wav) / rate:.2f} s, "
                f"and its wav {duration:.2f} s. In training and validation the target "
                "is the same speech: leave out the column target."
            )
        if time_map is not None and time_map.duration < duration:
            first = round(time_map.start * rate)
            wav = wav[first : first + time_map.samples(rate)]
        return log_mel(wav, self.settings)

    def waveform(
        self,
        utterance: str,
        wav: str,
        start: float | None = None,
        stop: float | None = None,
    ) -> torch.Tensor:
        """Returns a waveform at the rate of the spectrogram."""
        return load_waveform(utterance, wav, start, stop, self.settings.sample_rate)


def check_enrolled(splits: Mapping[str, Mapping]) -> None:
    """Checks that every utterance has speech of its target speaker.

    Arguments
    ---------
    splits : dict
        Names to ``{id: record}``.

    Raises
    ------
    ManifestError
        Names an utterance without it.
    """
    for split, records in splits.items():
        for name, record in records.items():
            if not record.get("enroll"):
                raise ManifestError(
                    f"'{name}' of the {split} set has no speech of its target speaker: "
                    "name its files in the column enroll, or convert to one speaker "
                    "(SUPERB/VC)."
                )
