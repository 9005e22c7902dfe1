"""Speaker verification: whether two recordings have the same speaker.

Authors
 * The s3prl_sb developers, 2026
"""

import torch.nn.functional as F

from s3prl_sb.inference.pretrained import SpeechModel


class SpeakerVerifier(SpeechModel):
    """Trained speaker embeddings, with a threshold from validation.

    Scores are cosines, between -1 and 1.

    Example
    -------
    >>> # verifier = SpeakerVerifier.from_hparams("exported")
    >>> # score, same = verifier.verify_files("a.wav", "b.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "threshold"]

    def embed_file(self, path, start=None, stop=None):
        """Returns the speaker embedding of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        torch.Tensor
            [size].
        """
        return self.embed_batch(self.load_file(path, start, stop)[None])[0]

    def embed_batch(self, wavs, wav_lens=None):
        """Returns the speaker embeddings of waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples]. Training and test used waveforms without pauses, as
            :meth:`load_file` returns them.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, size].
        """
        return self.head_output(wavs, wav_lens)[0]

    forward = embed_batch

    def verify_files(self, first, second):
        """Compares two audio files.

        Arguments
        ---------
        first, second : str
            Their paths.

        Returns
        -------
        score : float
            Cosine of their embeddings.
        same : bool
            Whether it reaches the threshold of the equal error rate in validation.
        """
        return self._compare(self.embed_file(first), self.embed_file(second))

    def _compare(self, first, second):
        score = F.cosine_similarity(first.double(), second.double(), dim=0).item()
        return score, score >= self.hparams.threshold

    def records(self, paths, failed=None):
        """Yields ``wav1``, the first file, ``wav2``, ``score`` and ``same`` (whether
        the speaker is the same) of each other file."""
        paths = list(paths)
        if len(paths) < 2:
            raise ValueError(
                "verification compares files: give two or more, the first is compared "
                "with each of the others"
            )
        first = self.embed_file(paths[0])
        for path, other in self.each(paths[1:], self.embed_file, failed):
            score, same = self._compare(first, other)
            pair = {"wav1": str(paths[0]), "wav2": str(path)}
            yield {**pair, "score": score, "same": bool(same)}

    def line(self, record):
        """Returns both paths, the score, and "same" or "different"."""
        answer = "same" if record["same"] else "different"
        pair = f"{record['wav1']}\t{record['wav2']}"
        return f"{pair}\t{record['score']:.4f}\t{answer}"
