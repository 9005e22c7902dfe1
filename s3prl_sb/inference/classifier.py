"""A label for an utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.inference.pretrained import SpeechModel


class Classifier(SpeechModel):
    """A trained utterance classifier: KS, SID, ER, or your own.

    Example
    -------
    >>> # label, score = Classifier.from_hparams("exported").classify_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "labels"]

    def classify_file(self, path, start=None, stop=None):
        """The label of an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        label : str
            The most probable.
        score : float
            Its probability.
        """
        wav = self.load_file(path, start, stop)
        score, index = self.classify_batch(wav[None])[0].max(-1)
        return self.hparams.labels[int(index)], float(score)

    def classify_batch(self, wavs, wav_lens=None):
        """Probabilities of all labels.

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
        features, lens = self.features(wavs, wav_lens)
        with self.as_tested():
            logits = self.mods.head(features, lens)
        return torch.softmax(logits.float(), dim=-1)

    def forward(self, wavs, wav_lens=None):
        """As :meth:`classify_batch`."""
        return self.classify_batch(wavs, wav_lens)

    def records(self, paths, failed=None):
        """Of each file: ``wav``, ``label`` and ``score``."""
        for path, (label, score) in self.each(paths, self.classify_file, failed):
            yield {"wav": str(path), "label": label, "score": score}

    def line(self, record):
        """Path, label and score."""
        return f"{record['wav']}\t{record['label']}\t{record['score']:.3f}"
