"""Voice conversion.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import torch

from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.errors import UserError
from s3prl_sb.inference.output_waveforms import check_inputs_stay
from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.inference.recording_ids import recording_ids
from s3prl_sb.inference.speaker_embedding import embedded, embedder_of
from s3prl_sb.lobes.mel import MelSettings
from s3prl_sb.lobes.vocoders import load_vocoder


class ConversionError(UserError, ValueError):
    """A conversion without a target speaker."""


class Converter(SpeechModel):
    """Trained voice conversion: what a file says, in the voice of the target speaker.

    A model of any-to-any conversion takes the target speaker from ``enroll``, files of
    that speaker. ``s3prl-sb predict`` takes the first file as the target speaker's, and
    converts the others.

    Example
    -------
    >>> # wav = Converter.from_hparams("exported").convert_file("a.wav")
    """

    HPARAMS_NEEDED = [
        *SpeechModel.HPARAMS_NEEDED,
        "mel_settings",
        "vocoder",
        "vocoder_iterations",
        "speaker_embedding",
    ]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.mel = MelSettings(**self.hparams.mel_settings)
        self.loaded_vocoder = self.loaded_embedder = None

    @property
    def embedder(self):
        """Model that embeds target speakers, in any-to-any conversion."""
        if self.loaded_embedder is None:
            name = self.hparams.speaker_embedding
            self.loaded_embedder = embedder_of(name, self.mods.upstream, self.device)
        return self.loaded_embedder

    def embed_speaker(self, enroll):
        """Returns the embedding of a target speaker.

        Arguments
        ---------
        enroll : list of str
            Audio files of the speaker.

        Returns
        -------
        torch.Tensor
            [size].
        """
        return torch.stack(list(embedded(self.embedder, enroll).values())).mean(0)

    @property
    def output_rate(self):
        """Sample rate of converted speech, Hz."""
        return self.mel.sample_rate

    def convert_file(self, path, start=None, stop=None, enroll=()):
        """Converts an audio file of any rate and number of channels.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3.
        start, stop : float, optional
            Seconds.
        enroll : list of str
            Audio files of the target speaker, for any-to-any conversion.

        Returns
        -------
        torch.Tensor
            [samples] at ``output_rate``, on the CPU.
        """
        return self.waveform(self.spectrogram_file(path, start, stop, enroll))

    def spectrogram_file(self, path, start=None, stop=None, enroll=()):
        """Predicts the log mel spectrogram of an audio file.

        Arguments
        ---------
        path, start, stop, enroll
            See :meth:`convert_file`.

        Returns
        -------
        torch.Tensor
            [frames, mels], on the CPU.
        """
        wav = self.load_file(path, start, stop)
        speakers = self.embed_speaker(enroll)[None] if enroll else None
        mels, frames = self.convert_batch(wav[None], speakers=speakers)
        return mels[0, : int(frames[0])].cpu()

    def convert_batch(self, wavs, wav_lens=None, speakers=None):
        """Predicts log mel spectrograms.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.
        speakers : torch.Tensor, optional
            [batch, size], see :meth:`embed_speaker`; needed for any-to-any conversion.

        Returns
        -------
        mels : torch.Tensor
            [batch, frames, mels].
        frames : torch.Tensor
            [batch], numbers of true frames.
        """
        if self.hparams.speaker_embedding and speakers is None:
            raise ConversionError(
                "This model converts to any speaker: give files of the target speaker, "
                "enroll=[…]; s3prl-sb predict takes the first file for it."
            )
        features, lens = self.features(wavs, wav_lens)
        speakers = None if speakers is None else speakers.to(self.device)
        with self.as_tested():
            frames = self.mods.head.frames(features, lens)
            return self.mods.head(features, lens, None, speakers), frames

    forward = convert_batch

    def waveform(self, mel: torch.Tensor) -> torch.Tensor:
        """Returns the waveform of a log mel spectrogram [frames, mels]."""
        if self.loaded_vocoder is None:
            options = self.hparams.vocoder, self.mel, self.hparams.vocoder_iterations
            self.loaded_vocoder = load_vocoder(*options)
        with torch.no_grad():
            return self.loaded_vocoder.waveform(mel)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``seconds``, ``rate`` (Hz) and ``files`` of each file: the
        name of the converted speech in the folder :attr:`output`, none without it."""
        ids, enroll = recording_ids(paths), ()
        if self.hparams.speaker_embedding:
            enroll, *rest = ids
            if not rest:
                raise ConversionError(
                    f"This model converts to any speaker: {enroll} is for the target "
                    "speaker's voice. Give further files, which are converted to it."
                )
            ids, enroll = {path: ids[path] for path in rest}, [enroll]
        if self.output is not None:
            names = (f"{name}.wav" for name in ids.values())
            check_inputs_stay(self.output, names, [*ids, *enroll])

        def write(path):
            wav, files = self.convert_file(path, enroll=enroll), []
            if self.output is not None:
                files = [f"{ids[path]}.wav"]
                place = Path(self.output) / files[0]
                write_waveform(place, wav, self.output_rate, name=str(path))
            seconds = round(len(wav) / self.output_rate, 3)
            return {"seconds": seconds, "rate": self.output_rate, "files": files}

        for path, converted in self.each(ids, write, failed):
            yield {"wav": str(path), **converted}

    def line(self, record):
        """Returns the path, and the name of the converted speech."""
        written = f"{record['seconds']:.2f} s, not written: no --output"
        return f"{record['wav']}\t{', '.join(record['files']) or written}"
