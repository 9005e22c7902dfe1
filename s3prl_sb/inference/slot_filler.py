"""The slots of a request, and its words.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.slots import without_marks
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.metrics.slots import slot_values


class SlotFiller(Transcriber):
    """A trained model of slot filling (SF).

    Example
    -------
    >>> # words, slots = SlotFiller.from_hparams("exported").fill_file("a.wav")
    """

    def fill_file(self, path, start=None, stop=None):
        """What is said in an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        words : str
            Without slots.
        slots : dict
            From slots to lists of their values, such as ``{"artist": ["MUSE"]}``.
        """
        return self._filled(self.transcribe_file(path, start, stop))

    def _filled(self, text):
        return without_marks(text, self.tokenizer.arguments["slots"]), slot_values(text)

    def records(self, paths, failed=None):
        """Of each file: ``wav``, ``text`` with the marks of slots, the ``words``
        without, and ``slots`` to lists of values."""
        for record in super().records(paths, failed):
            words, slots = self._filled(record["text"])
            yield {**record, "words": words, "slots": slots}
