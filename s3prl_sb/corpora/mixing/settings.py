"""Settings of a mix: the numbers that define its scenes.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from s3prl_sb.errors import UserError

Range = tuple[float, float]
LOWEST_RATE = 1000  # Hz, at which a frame of 10 ms has ten samples
SHORTEST = 0.1  # seconds of the longest turn and sound


class MixError(UserError, ValueError):
    """A mix that cannot be made; the message says why."""


@dataclass(frozen=True)
class Settings:
    """Numbers that define the scenes of a mix. A pair is a lowest and a highest value.

    Arguments
    ---------
    seed : int
        Seed of all draws.
    seconds : tuple of float
        Length of a scene.
    rate : int
        Sample rate, Hz.
    speakers : tuple of int
        Number of speakers of a scene; (0, 0): no speech.
    overlap : float
        Share of the time with speech in which two people speak, of scenes with two
        speakers or more; from 0 to 0.5.
    pause : tuple of float
        Seconds between two turns that do not overlap.
    events : tuple of int
        Number of sounds of a scene; (0, 0): no sounds.
    snr : tuple of float
        Level of active speech above that of a sound, dB: speech is the signal.
    level : tuple of float
        Active level of the speech of a scene, dB relative to full scale.
    spread : float
        dB by which a speaker may be louder or softer than that.
    background : tuple of float
        dB by which the background is below active speech.
    longest_turn : float
        Seconds of a longer utterance that is cut at its pauses, if its words have
        times.
    longest_sound : float
        Seconds to which a longer sound is cut.
    join : float
        Seconds of the shortest pause that ends a turn.
    rooms : bool
        Whether a scene is in a simulated room.

    Example
    -------
    >>> Settings(overlap=0.7)
    Traceback (most recent call last):
    ...
    s3prl_sb.corpora.mixing.settings.MixError: overlap 0.7: a share from 0 to 0.5.
    """

    seed: int = 0
    seconds: Range = (10.0, 20.0)
    rate: int = 16000
    speakers: tuple[int, int] = (1, 3)
    overlap: float = 0.2
    pause: Range = (0.2, 1.2)
    events: tuple[int, int] = (1, 5)
    snr: Range = (-5.0, 20.0)
    level: Range = (-32.0, -24.0)
    spread: float = 3.0
    background: Range = (30.0, 50.0)
    longest_turn: float = 8.0
    longest_sound: float = 5.0
    join: float = 0.3
    rooms: bool = False

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (list, tuple)):
                object.__setattr__(self, field.name, tuple(value))
                if len(value) != 2 or not value[0] <= value[1]:
                    given = " ".join(map(str, value))
                    raise MixError(
                        f"{field.name} {given}: give the lowest and the highest value."
                    )
            every = value if isinstance(value, (list, tuple)) else [value]
            if not all(map(math.isfinite, every)):
                raise MixError(f"{field.name}: {value} is no finite number.")
        if self.rate < LOWEST_RATE:
            raise MixError(f"rate {self.rate}: {LOWEST_RATE} Hz or more.")
        if not 0 <= self.overlap <= 0.5:
            raise MixError(f"overlap {self.overlap}: a share from 0 to 0.5.")
        if self.seconds[0] < 1:
            raise MixError(f"seconds {self.seconds[0]}: a scene has a second or more.")
        if self.speakers[0] < 0 or self.events[0] < 0 or self.pause[0] < 0:
            raise MixError("speakers, events and pause are 0 or more.")
        if min(self.longest_turn, self.longest_sound) < SHORTEST or self.join < 0:
            raise MixError(
                f"longest_turn and longest_sound are {SHORTEST} s or more, join is 0 "
                "or more."
            )
        if self.speakers[1] == self.events[1] == 0:
            raise MixError("No speakers and no events: a scene needs one of them.")

    def identity(self) -> dict[str, Any]:
        """Returns the settings as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }
