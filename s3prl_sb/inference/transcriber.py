"""Transcription of utterances.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.tokenizers import from_spec
from s3prl_sb.inference.pretrained import Probabilities, SpeechModel
from s3prl_sb.lobes.ctc_decoding import LMDecoder, greedy


class Transcriber(SpeechModel):
    """Trained CTC model: ASR, PR, SF, or a user-defined task.

    It decodes greedily with the tokenizer of the export, or with a language model of
    words::

        Transcriber.from_hparams("exported", overrides={"lm": "4-gram.arpa"})

    Example
    -------
    >>> # text = Transcriber.from_hparams("exported").transcribe_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "tokenizer"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tokenizer = from_spec(self.hparams.tokenizer)
        self.decoder, lm = None, getattr(self.hparams, "lm", None)
        if lm:
            options = getattr(self.hparams, "lm_decoding", None) or {}
            lexicon = getattr(self.hparams, "lexicon", None)
            self.decoder = LMDecoder(self.tokenizer, lm, lexicon, **options)

    def transcribe_file(self, path, start=None, stop=None):
        """Transcribes an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        str
        """
        return self.transcribe_batch(self.load_file(path, start, stop)[None])[0]

    def transcribe_batch(self, wavs, wav_lens=None):
        """Transcribes waveforms.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        list of str
        """
        log_probs, lens = self.log_probs(wavs, wav_lens)
        frames = (lens * log_probs.shape[1]).round().long()
        decoded = greedy(log_probs, frames, self.tokenizer.blank)
        texts = [self.tokenizer.decode(tokens) for tokens in decoded]
        if self.decoder is not None:
            lm = [self.decoder(x[:n]) for x, n in zip(log_probs, frames.tolist())]
            texts = [text if best is None else best for text, best in zip(texts, lm)]
        return texts

    def log_probs(self, wavs, wav_lens=None):
        """Returns the log-probabilities of the tokens.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        log_probs : torch.Tensor
            [batch, frames, tokens].
        lens : torch.Tensor
            [batch], relative lengths.
        """
        logits, lens = self.head_output(wavs, wav_lens)
        return logits.log_softmax(-1), lens

    forward = transcribe_batch

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities of the tokens over time, see
        :meth:`SpeechModel.probabilities_file`."""
        wav = self.load_file(path, start, stop)
        values = self.log_probs(wav[None])[0][0].exp().cpu()
        seconds = self.frame_length(wav, len(values))
        return Probabilities(values, self.tokenizer.tokens, seconds)

    def records(self, paths, failed=None):
        """Yields ``wav`` and ``text`` of each file."""
        for path, text in self.each(paths, self.transcribe_file, failed):
            yield {"wav": str(path), "text": text}

    def line(self, record):
        """Returns the path and the text."""
        return f"{record['wav']}\t{record['text']}"

    def files(self, records):
        """Returns ``hyp.txt`` with path, tab and text in each line."""
        return {"hyp.txt": "".join(f"{self.line(record)}\n" for record in records)}
