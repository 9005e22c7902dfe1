"""Intent classification: a value for each slot.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.brains.intents import split_slots
from s3prl_sb.inference.pretrained import Probabilities, SpeechModel


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
        logits, _ = self.head_output(wavs, wav_lens)
        parts = split_slots(logits, self.hparams.slots)
        return {slot: part.softmax(-1) for slot, part in zip(self.hparams.slots, parts)}

    forward = classify_batch

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities of the values of all slots, see
        :meth:`SpeechModel.probabilities_file`."""
        slots = self.classify_batch(self.load_file(path, start, stop)[None])
        values = torch.cat(list(slots.values()), dim=-1).cpu()
        names = [f"{slot}={v}" for slot in slots for v in self.hparams.slots[slot]]
        return Probabilities(values, names)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``intent`` (slots to values) and ``score`` of each file."""
        for path, (intent, score) in self.each(paths, self.classify_file, failed):
            yield {"wav": str(path), "intent": intent, "score": score}

    def line(self, record):
        """Returns the path, the values of the slots, and the score."""
        intent = record["intent"]
        values = "\t".join(f"{slot}={value}" for slot, value in intent.items())
        return f"{record['wav']}\t{values}\t{record['score']:.3f}"
