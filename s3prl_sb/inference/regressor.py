"""Numbers of utterances, such as mean opinion scores.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.pretrained import SpeechModel


class Regressor(SpeechModel):
    """Trained predictor of one or several numbers of an utterance.

    Example
    -------
    >>> # score = Regressor.from_hparams("exported").predict_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "values"]

    def predict_file(self, path, start=None, stop=None):
        """Predicts the number of an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        float or dict
            The number; several ones by their names.
        """
        wav = self.load_file(path, start, stop)
        numbers = self.predict_batch(wav[None])[0].tolist()
        if len(numbers) == 1:
            return numbers[0]
        return dict(zip(self.hparams.values, numbers))

    def predict_batch(self, wavs, wav_lens=None):
        """Returns the numbers of utterances.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, values].
        """
        return self.head_output(wavs, wav_lens)[0]

    forward = predict_batch

    def records(self, paths, failed=None):
        """Yields ``wav`` and ``prediction`` of each file; several numbers by their
        names."""
        for path, found in self.each(paths, self.predict_file, failed):
            named = found if isinstance(found, dict) else {"prediction": found}
            yield {"wav": str(path), **named}

    def line(self, record):
        """Returns the path and the numbers."""
        wav, *numbers = record.values()
        return "\t".join([wav, *(f"{number:.3f}" for number in numbers)])
