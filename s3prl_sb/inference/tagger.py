"""Any number of labels of an utterance, such as sounds in a clip.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.pretrained import Probabilities, SpeechModel


class Tagger(SpeechModel):
    """Trained tagger of utterances.

    Example
    -------
    >>> # labels = Tagger.from_hparams("exported").tag_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "labels", "threshold"]

    def tag_file(self, path, start=None, stop=None):
        """Returns the labels of an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        dict
            Labels above the threshold to their probabilities, the highest first.
        """
        wav = self.load_file(path, start, stop)
        scores = self.tag_batch(wav[None])[0].tolist()
        named = sorted(zip(scores, self.hparams.labels), key=lambda pair: -pair[0])
        return {name: score for score, name in named if score > self.hparams.threshold}

    def tag_batch(self, wavs, wav_lens=None):
        """Returns the probabilities of all labels.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, labels]; they do not sum to one.
        """
        return self.head_output(wavs, wav_lens)[0].sigmoid()

    forward = tag_batch

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities of the labels, see
        :meth:`SpeechModel.probabilities_file`."""
        values = self.tag_batch(self.load_file(path, start, stop)[None])
        return Probabilities(values.cpu(), list(self.hparams.labels))

    def records(self, paths, failed=None):
        """Yields ``wav``, ``labels`` and ``scores`` of each file."""
        for path, found in self.each(paths, self.tag_file, failed):
            scores = [round(score, 6) for score in found.values()]
            yield {"wav": str(path), "labels": list(found), "scores": scores}

    def line(self, record):
        """Returns the path, and each label with its score."""
        pairs = zip(record["labels"], record["scores"])
        return "\t".join(
            [record["wav"], *(f"{name} {score:.3f}" for name, score in pairs)]
        )
