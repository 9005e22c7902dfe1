"""Classification of utterances.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.pretrained import Probabilities, SpeechModel


class Classifier(SpeechModel):
    """Trained utterance classifier: KS, SID, ER, or a user-defined task.

    Example
    -------
    >>> # label, score = Classifier.from_hparams("exported").classify_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "labels"]

    def classify_file(self, path, start=None, stop=None):
        """Classifies an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        label : str
            The most probable label.
        score : float
            Probability of the label.
        """
        wav = self.load_file(path, start, stop)
        score, index = self.classify_batch(wav[None])[0].max(-1)
        return self.hparams.labels[int(index)], float(score)

    def classify_batch(self, wavs, wav_lens=None):
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
            [batch, labels].
        """
        return self.head_output(wavs, wav_lens)[0].softmax(-1)

    forward = classify_batch

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities of the labels, see
        :meth:`SpeechModel.probabilities_file`."""
        values = self.classify_batch(self.load_file(path, start, stop)[None])
        return Probabilities(values.cpu(), list(self.hparams.labels))

    def records(self, paths, failed=None):
        """Yields ``wav``, ``label`` and ``score`` of each file."""
        for path, (label, score) in self.each(paths, self.classify_file, failed):
            yield {"wav": str(path), "label": label, "score": score}

    def line(self, record):
        """Returns the path, the label and the score."""
        return f"{record['wav']}\t{record['label']}\t{record['score']:.3f}"
