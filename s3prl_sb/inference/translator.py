"""Translation of utterances, or their transcription, by an attention decoder.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable
from pathlib import Path

import torch

from s3prl_sb.dataio.tokenizers import from_spec
from s3prl_sb.inference.pretrained import OnError, SpeechModel
from s3prl_sb.lobes.seq2seq_decoding import BeamSearcher


class Translator(SpeechModel):
    """Trained sequence-to-sequence model: ST, attention ASR, or a user-defined task.

    It searches with the beam of the run's test; a narrower one is faster::

        Translator.from_hparams("exported", overrides={"beam": 1})

    Example
    -------
    >>> # text = Translator.from_hparams("exported").translate_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "tokenizer", "beam", "max_tokens"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tokenizer = from_spec(self.hparams.tokenizer)
        self.searcher = BeamSearcher(
            self.mods.head,
            self.tokenizer.bos,
            self.tokenizer.eos,
            self.hparams.beam,
            self.hparams.max_tokens,
        )

    def translate_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> str:
        """Translates an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        str
            Text in the target language; a transcription, if that was learned.
        """
        return self.translate_batch(self.load_file(path, start, stop)[None])[0]

    #: Name of the same for a model that transcribes.
    transcribe_file = translate_file

    def translate_batch(
        self, wavs: torch.Tensor | list, wav_lens: torch.Tensor | None = None
    ) -> list[str]:
        """Translates waveforms.

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
        features, lens = self.features(wavs, wav_lens)
        with self.as_tested():
            memory, counts = self.mods.head.encode(features, lens)
            tokens = self.searcher.search(memory, counts)
        return [self.tokenizer.decode(each) for each in tokens]

    forward = translate_batch

    def records(self, paths: Iterable[str], failed: OnError = None) -> Iterable[dict]:
        """Yields ``wav`` and ``text`` of each file."""
        for path, text in self.each(paths, self.translate_file, failed):
            yield {"wav": str(path), "text": text}

    def line(self, record: dict) -> str:
        """Returns the path and the text."""
        return f"{record['wav']}\t{record['text']}"

    def files(self, records: list[dict]) -> dict[str, str]:
        """Returns ``hyp.txt`` with a text in each line."""
        return {"hyp.txt": "".join(f"{record['text']}\n" for record in records)}
