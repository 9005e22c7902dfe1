"""Speech enhancement and separation: waveforms from waveforms.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import torch

from s3prl_sb.audio.audio_names import as_id
from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.resampling import resample
from s3prl_sb.audio.waveforms import batched
from s3prl_sb.audio.writing import encoding_of, write_waveform
from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.inference.output_waveforms import check_inputs_stay
from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.inference.recording_ids import recording_ids
from s3prl_sb.lobes.spectral_masks import estimated_masks, separated
from s3prl_sb.lobes.stft import STFT, align

#: Settings of the masks in an export.
MASKS = ("n_fft", "win_length", "hop_length", "mask_activation", "compression")


class Separator(SpeechModel):
    """Trained separation of a mixture into its sources.

    Example
    -------
    >>> # sources, rate = Separator.from_hparams("exported").separate_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "num_sources", *MASKS]

    def separate_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> tuple[torch.Tensor, int]:
        """Separates the sources of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate; of several channels the mean.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        sources : torch.Tensor
            [sources, samples], with the length of the file, at its level.
        rate : int
            Sample rate of the file, Hz.
        """
        wav, rate = self.load_file(path, start, stop), audio_info(str(path))[0]
        sources = self.separate_batch(wav[None])[0].cpu()
        own = self.mods.upstream.sample_rate
        if rate == own:
            return sources, rate
        whole = LoadAudio(rate).load(Path(path).name, str(path), start, stop)
        sources = torch.stack([resample(source, own, rate) for source in sources])
        missing = max(0, len(whole) - sources.shape[1])
        sources = torch.nn.functional.pad(sources, (0, missing))
        return sources[:, : len(whole)], rate

    def separate_batch(
        self, wavs: torch.Tensor | list, wav_lens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Separates the sources of mixtures.

        Arguments
        ---------
        wavs : torch.Tensor or list
            [batch, samples] at the upstream's rate; or waveforms or names of files, see
            :func:`s3prl_sb.audio.waveforms.waveforms`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, sources, samples]; zero beyond the end of a mixture.
        """
        upstream, settings = self.mods.upstream, self.hparams
        batch, wav_lens = batched(wavs, wav_lens, upstream.sample_rate)
        stft = STFT(settings.n_fft, settings.win_length, settings.hop_length)
        lens = torch.ones(len(batch)) if wav_lens is None else wav_lens
        samples = (lens.double() * batch.shape[1]).round().long().to(self.device)
        frames = stft.frames(samples)
        features, lens = self.features(batch, wav_lens)
        sources = batch.new_zeros(len(batch), settings.num_sources, batch.shape[1])
        with self.as_tested():
            features = align(features, lens, frames, stft.hop_length, upstream.stride)
            output = self.mods.head(features, frames / frames.max())
            options = settings.num_sources, settings.mask_activation
            masks = estimated_masks(output, *options)
            for row, (length, count) in enumerate(zip(samples, frames)):
                wav = batch[row, :length].to(self.device)
                parts = separated(masks[row, :count], wav, stft, settings.compression)
                sources[row, :, :length] = parts
        return sources

    forward = separate_batch

    def records(self, paths, failed=None):
        """Yields ``wav``, ``seconds``, ``rate`` (Hz) and ``files`` of each file: names
        of the waveforms in the folder :attr:`output`, empty without it."""
        count = self.hparams.num_sources
        ends = [""] if count == 1 else [f"_{number + 1}" for number in range(count)]
        names = {
            path: [f"{name}{end}.wav" for end in ends]
            for path, name in recording_ids(paths).items()
        }
        if self.output is not None:
            check_inputs_stay(self.output, sum(names.values(), []), names)

        def write(path):
            sources, rate = self.separate_file(path)
            files = [] if self.output is None else names[path]
            for name, source in zip(files, sources):
                place = Path(self.output) / name
                write_waveform(place, source, rate, encoding_of(str(path)), str(path))
            return {"seconds": sources.shape[1] / rate, "rate": rate, "files": files}

        for path, found in self.each(names, write, failed):
            yield {"wav": str(path), **found}

    def line(self, record):
        """Returns the names of the waveforms."""
        name, files = as_id(record["wav"]), record["files"]
        if not files:
            count = self.hparams.num_sources
            kind = "1 waveform" if count == 1 else f"{count} waveforms"
            files = [f"{kind} of {record['seconds']:.2f} s, not written: no --output"]
        return f"{name}\t{', '.join(files)}"


class Enhancer(Separator):
    """Trained enhancement: the speech of a noisy recording.

    Example
    -------
    >>> # speech, rate = Enhancer.from_hparams("exported").enhance_file("a.wav")
    """

    def enhance_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> tuple[torch.Tensor, int]:
        """Enhances an audio file.

        Arguments
        ---------
        path, start, stop
            See :meth:`Separator.separate_file`.

        Returns
        -------
        speech : torch.Tensor
            [samples], with the length of the file, at its level.
        rate : int
            Sample rate of the file, Hz.
        """
        sources, rate = self.separate_file(path, start, stop)
        return sources[0], rate
