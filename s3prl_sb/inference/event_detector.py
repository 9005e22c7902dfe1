"""Detection of sound events in audio files.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.timeline import FORMATS, prediction_files
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.lobes.event_decoding import decode_events

FILES = ("tsv", "jsonl")  # formats


class EventDetector(FrameLabeller):
    """Trained detector of sound events.

    Example
    -------
    >>> # events = EventDetector.from_hparams("exported").label_file("a.wav")
    """

    HPARAMS_NEEDED = [*FrameLabeller.HPARAMS_NEEDED, "median", "min_duration"]

    def _segments(self, posteriors, seconds):
        learned = self.hparams
        return decode_events(
            posteriors,
            learned.labels,
            self.frame_seconds,
            learned.threshold,
            learned.median,
            learned.min_duration,
            seconds,
        )

    def line(self, record):
        """Returns lines of file, onset, offset (seconds) and label, between tabs."""
        rows = FORMATS["tsv"]({record["wav"]: self.timeline(record)}).splitlines()
        return "\n".join(rows[1:])  # without the names of the columns

    def files(self, records):
        """Returns ``hyp.tsv``, DESED's table, ``hyp.jsonl``, and the labels of each
        recording for Audacity."""
        return prediction_files(self._timelines(records), FILES)

    def _timelines(self, records):
        return {each["recording"]: self.timeline(each) for each in records}
