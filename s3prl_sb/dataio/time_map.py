"""Times of a waveform that pipes have cropped or sped up, for labels in time.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import math

MICROSECOND = 1e-6


@dataclasses.dataclass(frozen=True)
class TimeMap:
    """Map between the times of a waveform and those of its record.

    Every dataset has it as the item ``time_map``. Pipes that move samples in time
    refine it, and labels in time follow it. It is computed from the record alone, so
    that labels are right where features are cached and no audio is loaded.

    Arguments
    ---------
    duration : float
        Duration of the waveform, seconds.
    start : float
        Time in the record, seconds after its beginning, of the first sample.
    speed : float
        Seconds of the record in one second of the waveform.

    Example
    -------
    >>> time_map = TimeMap.whole(9.0).sped(0.9).cropped(2.0, 4.0)
    >>> time_map.duration, time_map.start
    (4.0, 1.8)
    >>> time_map.heard(4.5)
    3.0
    """

    duration: float
    start: float = 0.0
    speed: float = 1.0

    @classmethod
    def whole(cls, duration: float | None = None) -> "TimeMap | None":
        """Returns the map of an unchanged record; None for an unknown duration.

        Arguments
        ---------
        duration : float, optional
            Duration of the record, seconds.

        Returns
        -------
        TimeMap or None
        """
        return None if duration is None else cls(float(duration))

    def sped(self, factor: float) -> "TimeMap":
        """Returns the map of the waveform at ``factor`` times its speed."""
        duration, speed = self.duration / factor, self.speed * factor
        return TimeMap(duration, self.start, speed)

    def cropped(self, first: float, seconds: float) -> "TimeMap":
        """Returns the map of ``seconds`` of the waveform from ``first`` on."""
        return TimeMap(seconds, self.start + self.speed * first, self.speed)

    def heard(self, time: float) -> float:
        """Returns the time in the waveform of a time in the record, both in seconds."""
        return (time - self.start) / self.speed

    def samples(self, sample_rate: int) -> int:
        """Returns the number of samples of the waveform.

        Arguments
        ---------
        sample_rate : int
            Rate, Hz.

        Returns
        -------
        int
            Resampling rounds the number up, and so does this, after a microsecond:
            headers' durations are rounded to it.
        """
        return max(1, math.ceil((self.duration - MICROSECOND) * sample_rate))


def unknown_times() -> None:
    """Returns None, the item ``time_map`` after a pipe with an unknown effect."""
    return None
