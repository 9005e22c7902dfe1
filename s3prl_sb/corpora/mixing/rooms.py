"""Simulated rooms: impulse responses of a box by the image method.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np

from s3prl_sb.errors import MissingExtra

SIZE = ((3.0, 8.0), (3.0, 7.0), (2.4, 3.5))  # meters of a room: lowest, highest
REVERBERATION = (0.15, 0.5)  # seconds until the level has fallen by 60 dB
ORDER = 20  # most reflections of a path
WALL = 0.5  # meters from a wall to the microphone or a source, at least


class Room:
    """A random box with a microphone.

    Arguments
    ---------
    rng : numpy.random.Generator
        Generator of the room and of all places in it.
    rate : int
        Sample rate, Hz.

    Raises
    ------
    MissingExtra
        If ``pyroomacoustics`` is not installed.
    """

    def __init__(self, rng: np.random.Generator, rate: int):
        self._acoustics = _library()
        self.rng, self.rate = rng, rate
        self.size = np.array([rng.uniform(*limits) for limits in SIZE])
        self.microphone = self._place()
        # Sabine's formula; a large room cannot have little reverberation
        volume, surface = (
            self.size.prod(),
            2 * (self.size * np.roll(self.size, 1)).sum(),
        )
        absorption = 0.161 * volume / (rng.uniform(*REVERBERATION) * surface)
        self.absorption = min(0.95, absorption)

    def _place(self):
        return WALL + self.rng.random(3) * (self.size - 2 * WALL)

    def response(self) -> np.ndarray:
        """Returns the impulse response of a random place, which begins with the direct
        path."""
        box = self._acoustics.ShoeBox(
            self.size,
            fs=self.rate,
            materials=self._acoustics.Material(self.absorption),
            max_order=ORDER,
        )
        place = self._place()
        box.add_source(place)
        box.add_microphone(self.microphone)
        box.compute_rir()
        response = np.asarray(box.rir[0][0], dtype=np.float64)
        distance = float(np.linalg.norm(place - self.microphone))
        # The library's filters for fractions of a sample delay all by half their length
        half = self._acoustics.constants.get("frac_delay_length") // 2
        return response[round(distance / box.c * self.rate) + half :]


def _library():
    try:
        import pyroomacoustics
    except ImportError as error:
        raise MissingExtra(
            "Simulated rooms need pyroomacoustics: pip install 's3prl_sb[rooms]'"
        ) from error
    return pyroomacoustics
