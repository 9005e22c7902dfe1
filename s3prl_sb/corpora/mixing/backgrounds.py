"""Backgrounds of scenes: pink noise, or recordings.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import Any

import numpy as np

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.corpora.toys import making
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.dataio.recordings import recordings_in
from s3prl_sb.identity.content import hash_files


class PinkNoise:
    """Pink noise.

    Example
    -------
    >>> rng = making.random_generator(0, "example")
    >>> PinkNoise().draw("train", 100, rng).shape
    (100,)
    """

    def draw(self, split: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Returns [samples] of mean square 1."""
        return making.noise("pink_noise", samples, rng)

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the noise depends on."""
        return {"noise": "pink", "version": making.VERSION}


class RecordedBackground:
    """Recordings of backgrounds; every split has recordings of its own.

    Arguments
    ---------
    folder : str
        Folder of three recordings or more, searched recursively.
    rate : int
        Sample rate, Hz.
    seed : int
        Seed of the choice of recordings for each split.
    """

    def __init__(self, folder: str, rate: int, seed: int = 0):
        try:
            files = sorted(recordings_in(folder, "backgrounds"))
        except ValueError as fault:
            raise MixError(f"--background: {fault}. Give another folder.") from fault
        if len(files) < len(SPLITS):
            raise MixError(
                f"{folder}: {len(files)} recordings, and each of the three splits "
                "needs one of its own. Add some, or leave --background out."
            )
        few, self.rate = max(1, len(files) // 5), rate
        order = making.random_generator(seed, "backgrounds").permutation(len(files))
        files = [files[i] for i in order]
        self.files = dict(
            zip(SPLITS, (files[2 * few :], files[:few], files[few : 2 * few]))
        )

    def draw(self, split: str, samples: int, rng: np.random.Generator) -> np.ndarray:
        """Returns [samples] of mean square 1, from a random time of a recording on,
        repeated if it is short; it begins with a part that sounds."""
        path = self.files[split][int(rng.integers(len(self.files[split])))]
        wave = load_waveform(path, path, sample_rate=self.rate).double().numpy()
        sounding = np.flatnonzero(wave)
        if not len(sounding):
            raise MixError(f"{path} holds silence. Remove it from the backgrounds.")
        start = int(rng.integers(len(wave)))
        if not wave[np.arange(start, start + samples) % len(wave)].any():
            start = int(sounding[np.searchsorted(sounding, start) % len(sounding)])
        wave = np.resize(np.roll(wave, -start), samples)
        level = np.sqrt(np.mean(wave**2))
        return wave / level

    def identity(self) -> dict[str, Any]:
        """Returns JSON values that the backgrounds depend on."""
        hashes = hash_files([path for files in self.files.values() for path in files])
        return {
            split: [hashes[path] for path in files]
            for split, files in self.files.items()
        }
