"""Speaker diarization: who speaks when.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.rttm import rttm_lines
from s3prl_sb.dataio.speaker_activity import decide, segments
from s3prl_sb.dataio.timeline import Item, ordered
from s3prl_sb.inference.pretrained import Probabilities, SpeechModel
from s3prl_sb.inference.recording_ids import recording_ids


class Diarizer(SpeechModel):
    """Trained speaker diarization with threshold and median filter.

    Example
    -------
    >>> # segments = Diarizer.from_hparams("exported").diarize_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "threshold", "median"]

    def diarize_file(self, path, start=None, stop=None):
        """Returns the segments of each speaker of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        list of (str, float, float)
            Speaker ("speaker1", …), start and stop in seconds relative to ``start``,
            sorted by start. Segments of different speakers may overlap.
        """
        wav = self.load_file(path, start, stop)
        probabilities = self.diarize_batch(wav[None])[0].cpu().numpy()
        active = decide(probabilities, self.hparams.threshold, self.hparams.median)
        upstream = self.mods.upstream
        shift = upstream.stride / upstream.sample_rate
        return segments(active, shift, len(wav) / upstream.sample_rate)

    def diarize_batch(self, wavs, wav_lens=None):
        """Returns the probabilities that each speaker speaks.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, speakers].
        """
        return self.head_output(wavs, wav_lens)[0].sigmoid()

    forward = diarize_batch

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities that each speaker speaks over time, see
        :meth:`SpeechModel.probabilities_file`."""
        wav = self.load_file(path, start, stop)
        values = self.diarize_batch(wav[None])[0].cpu()
        names = [f"speaker{number}" for number in range(1, values.shape[1] + 1)]
        return Probabilities(values, names, self.frame_length(wav, len(values)))

    def records(self, paths, failed=None):
        """Yields ``wav``, ``recording`` (an id, see
        :mod:`~s3prl_sb.inference.recording_ids`) and ``segments`` (lists of speaker,
        start and stop) of each file."""
        ids = recording_ids(paths)
        for path, turns in self.each(ids, self.diarize_file, failed):
            lists = [[speaker, float(a), float(b)] for speaker, a, b in turns]
            yield {"wav": str(path), "recording": ids[path], "segments": lists}

    def line(self, record):
        """Returns lines of RTTM."""
        return "\n".join(rttm_lines(record["recording"], record["segments"]))

    def timeline(self, record):
        """Returns the turns of a record, see :meth:`SpeechModel.timeline`."""
        return ordered(Item("speaker", *segment) for segment in record["segments"])

    def files(self, records):
        """Returns ``hyp.rttm``."""
        lines = "\n".join(filter(None, map(self.line, records)))
        return {"hyp.rttm": f"{lines}\n" if lines else ""}
