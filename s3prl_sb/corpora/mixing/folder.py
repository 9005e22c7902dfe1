"""Folders of scenes: ``s3prl-sb mix``.

A folder has ``audio/<split>/<id>.wav``, a file ``truth/<split>/<scene>.json`` for each
scene, and, when all are there, for each split a scene manifest ``<split>.json`` and the
same truth as RTTM, SegLST and DESED's tsv. ``mix.json`` has the settings and the hashes
of the sources. Paths in manifests are relative: the folder can be moved.

A scene is a function of (seed, split, index), whatever process makes it. A killed mix
is continued: a scene is kept if its files have the hashes in its truth.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.corpora.mixing import rendering
from s3prl_sb.corpora.mixing.backgrounds import PinkNoise
from s3prl_sb.corpora.mixing.layout import lay_out
from s3prl_sb.corpora.mixing.rooms import Room
from s3prl_sb.corpora.mixing.settings import MixError, Settings
from s3prl_sb.corpora.mixing.sounds import SoundSource
from s3prl_sb.corpora.mixing.speech import SpeechSource
from s3prl_sb.corpora.toys.making import random_generator
from s3prl_sb.dataio import manifest, scene_checks, scene_files
from s3prl_sb.dataio.pool import here, processes
from s3prl_sb.identity import digest
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.files import FileError, make_folder, read_json, write_json
from s3prl_sb.terminal import progress
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

VERSION = 1  # raise it when the same settings give other scenes
MIX = "mix.json"
BYTES = 2  # of a sample
COUNTS = {"train": 400, "valid": 60, "test": 60}  # scenes
TWINS = {"train": ("both",), "valid": ("both",), "test": scene_checks.TWINS}


class Background(Protocol):
    """Backgrounds of the splits."""

    def draw(self, split: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Returns [samples] of mean square 1."""

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the backgrounds depend on."""


@dataclass
class Mix:
    """Sources, settings and folder of scenes; a job of :mod:`s3prl_sb.dataio.pool`.

    Arguments
    ---------
    folder : str
        Folder of the scenes.
    settings : Settings
        Numbers of the mix.
    speech : SpeechSource, optional
        None: no speech.
    sounds : SoundSource, optional
        None: no sounds.
    background : Background, optional
        None: silence.
    twins : dict
        ``{split: twins}`` of :data:`s3prl_sb.dataio.scene_checks.TWINS`. Without
        speech or without sounds there is "both" alone.
    stems : bool
        Whether to write the parts of a scene too, ``stems/<split>/<scene>/*.wav``.
    """

    folder: str
    settings: Settings
    speech: SpeechSource | None = None
    sounds: SoundSource | None = None
    background: Background | None = field(default_factory=PinkNoise)
    twins: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict(TWINS))
    stems: bool = False

    def __post_init__(self):
        self.speech = self.speech if self.settings.speakers[1] else None
        self.sounds = self.sounds if self.settings.events[1] else None
        if self.speech is None and self.sounds is None:
            raise MixError("A scene needs speech or sounds: give --speech or --sounds.")
        if self.speech is None or self.sounds is None:  # all twins would be equal
            self.twins = dict.fromkeys(self.twins, twins_of(False))
        self._check_speakers()
        self.key = digest(self.identity())

    def _check_speakers(self):
        """Raises an error if a split has too few speakers, and warns of few."""
        lowest, highest = self.settings.speakers
        for split in self.twins if self.speech else ():
            people = self.speech.speakers(split)
            if len(people) >= highest:
                continue
            have = f"the {split} set has {len(people)} speakers: {few(people)}"
            if len(people) < lowest:
                raise MixError(f"speakers {lowest} {highest}, but {have}. Give fewer.")
            logger.warning("Scenes have up to %d speakers, but %s", highest, have)

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that every scene depends on."""
        parts: dict[str, Any] = {"speech": self.speech, "sounds": self.sounds}
        parts["background"] = self.background
        return {
            "version": VERSION,
            "settings": self.settings.identity(),
            **{name: part and part.identity() for name, part in parts.items()},
        }

    def begin(self, number: int, processes: int) -> None:
        """Prepares one of several processes."""
        torch.set_num_threads(1)

    def __call__(self, scene: tuple[str, int]) -> tuple[str, int]:
        """Makes a scene, unless it is there; returns its split and index."""
        split, index = scene
        if not self._is_there(split, index):
            self._write(split, index, *self.render(split, index))
        return scene

    def render(self, split: str, index: int) -> tuple[rendering.Rendered, dict]:
        """Makes the waveforms of a scene, and its truth.

        Arguments
        ---------
        split : str
            "train", "valid" or "test".
        index : int
            Number of the scene.

        Returns
        -------
        rendered : Rendered
            Its waveforms.
        content : dict
            See :func:`s3prl_sb.corpora.mixing.rendering.truth`.
        """
        settings = self.settings
        layout = lay_out(settings, self.speech, self.sounds, split, index)
        rng = random_generator(settings.seed, split, index, "background")
        noise = np.zeros(layout.samples)
        if self.background is not None:
            noise = self.background.draw(split, layout.samples, rng)
        room = None
        if settings.rooms:
            rng = random_generator(settings.seed, split, index, "room")
            room = Room(rng, settings.rate)
        rendered = rendering.render(layout, noise, settings.rate, room)
        kinds = ["speech"] * bool(self.speech) + ["sounds"] * bool(self.sounds)
        word_times = self.speech.word_times if self.speech else None
        return rendered, rendering.truth(layout, settings.rate, word_times, kinds)

    def truth_of(self, split: str, index: int) -> Path:
        """Returns the path of the truth of a scene."""
        return Path(self.folder, "truth", split, f"{split}-{index:05d}.json")

    def _is_there(self, split, index):
        """Returns whether all files of a scene are there, from the same inputs."""
        try:
            made = read_json(self.truth_of(split, index), kind=dict)
        except FileError:
            return False
        wanted = {
            f"audio/{split}/{split}-{index:05d}-{t}.wav" for t in self.twins[split]
        }
        files = made.get("files", {})
        if made.get("mix") != self.key or made.get("stems") != self.stems:
            return False
        if not wanted <= files.keys():
            return False
        paths = {name: Path(self.folder, name) for name in files}
        return all(
            path.is_file() and manifest.digest(path) == files[name]
            for name, path in paths.items()
        )

    def _write(self, split, index, rendered, content):
        """Writes the files of a scene; its truth comes last."""
        scene, rate, waves = f"{split}-{index:05d}", self.settings.rate, {}
        twins = {
            twin: f"audio/{split}/{scene}-{twin}.wav" for twin in self.twins[split]
        }
        for twin, name in twins.items():
            waves[name] = rendered.twin(twin)
        if self.stems:
            waves.update(_stems(f"stems/{split}/{scene}", rendered))
        for name, wave in waves.items():
            samples = torch.from_numpy(wave) / rendering.FULL
            write_waveform(Path(self.folder, name), samples, rate, name=name)
        word_times = (
            self.speech and self.speech.word_times
        ) or scene_checks.WORD_TIMES[0]
        records = rendering.records(
            twins,
            len(rendered.background) / rate,
            content,
            word_times=word_times,
            scene=scene,
        )
        truth = {
            "mix": self.key,
            "stems": self.stems,
            "files": {n: manifest.digest(Path(self.folder, n)) for n in waves},
            "records": {f"{scene}-{twin}": record for twin, record in records.items()},
        }
        write_json(self.truth_of(split, index), truth, signed=True)


def twins_of(matched: bool) -> tuple[str, ...]:
    """Returns the twins of a scene: all three if it is matched, or "both" alone."""
    return scene_checks.TWINS if matched else scene_checks.TWINS[:1]


def _stems(folder, rendered):
    """Returns ``{path: samples}`` of the parts of a scene."""
    parts = {
        f"speech-{file_stem(name)}": wave for name, wave in rendered.speech.items()
    }
    parts.update({f"sound-{i}": rendered.stem(i) for i in range(len(rendered.sounds))})
    parts["background"] = rendered.background
    return {f"{folder}/{name}.wav": wave for name, wave in parts.items()}


def make_scenes(
    mix: Mix, counts: Mapping[str, int] | None = None, workers: int = 1
) -> dict[str, str]:
    """Makes the scenes of a mix, and their manifests.

    Arguments
    ---------
    mix : Mix
        Sources, settings and folder.
    counts : dict, optional
        ``{split: number of scenes}``. Default: :data:`COUNTS`.
    workers : int
        Number of processes.

    Returns
    -------
    dict
        ``{split: path}`` of the scene manifests.

    Raises
    ------
    MixError
        If the folder has another mix, or the disk is too small.

    Example
    -------
    >>> import tempfile
    >>> from s3prl_sb.dataio.scenes import read_scenes
    >>> from s3prl_sb.corpora.mixing.toy_sounds import ToySounds
    >>> settings = Settings(seconds=(1, 1), events=(1, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     mix = Mix(folder + "/scenes", settings, sounds=ToySounds(["siren"]))
    ...     paths = make_scenes(mix, {"test": 1})
    ...     record = read_scenes(paths["test"])["test-00000-both"]
    >>> record["events"][0][0], record["duration"], record["segments"]
    ('siren', 1.0, [])
    """
    counts = dict(COUNTS if counts is None else counts)
    if min(counts.values()) < 0 or not any(counts.values()):
        raise MixError(
            f"{counts}: numbers of scenes are 0 or more, and one of them is."
        )
    folder = make_folder(mix.folder, "Choose another DEST.")
    content = {**mix.identity(), "scenes": counts}
    content["twins"] = {split: list(mix.twins[split]) for split in counts}
    _check_other(folder, content)
    _check_room(mix, counts)
    write_json(folder / MIX, content)
    jobs = [(split, i) for split, count in counts.items() for i in range(count)]
    bar = progress.bar(desc="Mixing", total=len(jobs), unit="scene", leave=False)
    with bar:
        if min(workers, len(jobs)) <= 1:
            submit = here(mix)
            for job in jobs:
                submit(job).result()
                bar.update()
        else:
            with processes(mix, min(workers, len(jobs)), str(folder)) as submit:
                for future in [submit(job) for job in jobs]:
                    future.result()
                    bar.update()
    return _write_manifests(mix, counts)


def _check_other(folder, content):
    """Raises an error if a folder has another mix."""
    path = folder / MIX
    if not path.is_file():
        if any(folder.glob("*.json")):
            raise MixError(
                f"{folder} has other files, and no {MIX}. Choose another DEST."
            )
        return
    before = read_json(path, kind=dict)
    for key in ("version", "settings", "speech", "sounds", "background"):
        if before.get(key) != content[key]:
            fault = _difference(key, before.get(key), content[key])
            raise MixError(
                f"{folder} has another mix: {fault}. Choose another DEST, or delete "
                "that one."
            )


def _difference(key, before, now):
    """Returns the first difference of two JSON values as text."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                return _difference(f"{key}.{name}", before.get(name), now.get(name))
    texts = [str(value)[:40] for value in (before, now)]
    return f"{key} was {texts[0]}, and is {texts[1]}"


def _check_room(mix, counts):
    """Raises an error if the disk is too small for the scenes that are missing."""
    second = BYTES * mix.settings.rate
    length = sum(mix.settings.seconds) / 2 * second
    stems = mix.settings.speakers[1] + mix.settings.events[1] + 1 if mix.stems else 0
    needed = sum(
        length * (len(mix.twins[split]) + stems)
        for split, count in counts.items()
        for i in range(count)
        if not mix.truth_of(split, i).is_file()
    )
    free = shutil.disk_usage(mix.folder).free
    if needed > free:
        raise MixError(
            f"{mix.folder}: the scenes take about {needed / 1e9:.1f} GB, and the disk "
            f"has {free / 1e9:.1f} GB. Make room, or choose another DEST."
        )


def _write_manifests(mix, counts):
    """Writes the manifest of each split, and the same truth in other formats."""
    paths = manifest.paths_in(mix.folder, [s for s in counts if counts[s]])
    for split, path in paths.items():
        records: dict[str, Any] = {}
        for i in range(counts[split]):
            made = read_json(mix.truth_of(split, i), kind=dict)["records"]
            for name, record in made.items():
                if record["twin"] in mix.twins[split]:
                    records[name] = record
        scene_files.write_truth(records, path.removesuffix(".json"))
        manifest.write(records, path)
    return paths
