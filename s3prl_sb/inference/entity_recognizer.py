"""Named entities in speech: the words of an utterance, and the entities in them.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.metrics.entities import entities_in, without_marks


class EntityRecognizer(Transcriber):
    """Trained model of named entities (SLUE's NER).

    Example
    -------
    >>> # words, entities = EntityRecognizer.from_hparams("out").entities_file("a.wav")
    """

    def entities_file(self, path, start=None, stop=None):
        """Recognizes the words and the entities of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        words : str
            Words without marks.
        entities : list of s3prl_sb.metrics.entities.Entity
            Tags and phrases, in order.
        """
        text = self.transcribe_file(path, start, stop)
        return without_marks(text), entities_in(text)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``text`` with the marks, ``words`` without them, and
        ``entities`` (lists of tag and phrase) of each file."""
        for record in super().records(paths, failed):
            text = record["text"]
            entities = [list(entity) for entity in entities_in(text)]
            yield {**record, "words": without_marks(text), "entities": entities}
