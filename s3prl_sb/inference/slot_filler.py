"""Slot filling: the words and slots of a request.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.slots import without_marks
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.metrics.slots import slot_values


class SlotFiller(Transcriber):
    """Trained model of slot filling (SF).

    Example
    -------
    >>> # words, slots = SlotFiller.from_hparams("exported").fill_file("a.wav")
    """

    def fill_file(self, path, start=None, stop=None):
        """Recognizes the words and slots of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        words : str
            Words without marks of slots.
        slots : dict
            Slots to lists of their values, such as ``{"artist": ["MUSE"]}``.
        """
        return self._filled(self.transcribe_file(path, start, stop))

    def _filled(self, text):
        return without_marks(text, self.tokenizer.arguments["slots"]), slot_values(text)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``text`` with the marks of slots, ``words`` without them,
        and ``slots`` (to lists of values) of each file."""
        for record in super().records(paths, failed):
            words, slots = self._filled(record["text"])
            yield {**record, "words": words, "slots": slots}
