"""Intent classification: a value for each slot.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.pretrained import SpeechModel


class IntentClassifier(SpeechModel):
    """Trained intent classifier: IC, or user-defined slots.

    Example
    -------
    >>> # model = IntentClassifier.from_hparams("exported")
    >>> # intent, score = model.classify_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "slots"]

    def classify_file(self, path, start=None, stop=None):
        """Classifies the intent of an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        intent : dict
            Names of slots to their most probable values.
        score : float
            Probability of the whole intent: the product over its values.
        """
        wav = self.load_file(path, start, stop)
        intent, score = {}, 1.0
        for slot, probabilities in self.classify_batch(wav[None]).items():
            best, index = probabilities[0].max(-1)
            intent[slot] = self.hparams.slots[slot][int(index)]
            score *= float(best)
        return intent, score

    def classify_batch(self, wavs, wav_lens=None):
        """Returns the probabilities of all values.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        dict
            Names of slots to [batch, values].
        """
        features, lens = self.features(wavs, wav_lens)
        with self.as_tested():
            logits = self.mods.head(features, lens).float()
        sizes = [len(values) for values in self.hparams.slots.values()]
        parts = (part.softmax(-1) for part in logits.split(sizes, dim=-1))
        return dict(zip(self.hparams.slots, parts))

    def forward(self, wavs, wav_lens=None):
        """Calls :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``intent`` (slots to values) and ``score`` of each file."""
        for path, (intent, score) in self.each(paths, self.classify_file, failed):
            yield {"wav": str(path), "intent": intent, "score": score}

    def line(self, record):
        """Returns the path, the values of the slots, and the score."""
        intent = record["intent"]
        values = "\t".join(f"{slot}={value}" for slot, value in intent.items())
        return f"{record['wav']}\t{values}\t{record['score']:.3f}"
