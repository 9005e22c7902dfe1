"""Labels of frames: phones, speakers, sound events.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.dataio.ctm import ctm_lines
from s3prl_sb.dataio.frame_labels import FrameLabels, frame_segments
from s3prl_sb.dataio.timeline import Item, ordered
from s3prl_sb.inference.pretrained import Probabilities, SpeechModel
from s3prl_sb.inference.recording_ids import recording_ids
from s3prl_sb.lobes.time_alignment import align


class FrameLabeller(SpeechModel):
    """Trained classifier of frames.

    Example
    -------
    >>> # segments = FrameLabeller.from_hparams("exported").label_file("a.wav")
    """

    HPARAMS_NEEDED = [
        *SpeechModel.HPARAMS_NEEDED,
        *("labels", "frame_seconds", "utterance_labels", "threshold"),
    ]

    @property
    def frame_seconds(self):
        """Length of a frame of the labels, seconds."""
        return self.frame_labels.frame_seconds

    @property
    def frame_labels(self):
        """Data pipe that counts the frames of the labels."""
        upstream, learned = self.mods.upstream, self.hparams
        return FrameLabels(upstream, learned.labels, learned.frame_seconds)

    def label_file(self, path, start=None, stop=None):
        """Returns the labels of an audio file.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        list of (str, float, float)
            Label, start and stop in seconds relative to ``start``, sorted by start.
            Segments overlap only in multi-label tasks.
        """
        return self._segments(*self._listened(path, start, stop))

    def classify_file(self, path, start=None, stop=None):
        """Returns the label with the highest mean probability over an audio file.

        Arguments
        ---------
        path, start, stop
            See :meth:`label_file`.

        Returns
        -------
        label : str
            The label.
        score : float
            Its mean probability.
        """
        return self._label(self.posteriors_file(path, start, stop))

    def posteriors_file(self, path, start=None, stop=None):
        """Returns the probabilities of all labels in each frame of an audio file.

        Arguments
        ---------
        path, start, stop
            See :meth:`label_file`.

        Returns
        -------
        torch.Tensor
            [frames, labels], on the CPU.
        """
        return self._listened(path, start, stop)[0]

    def _listened(self, path, start=None, stop=None):
        """Returns the probabilities of an audio file, and its duration in seconds."""
        wav = self.load_file(path, start, stop)
        seconds = len(wav) / self.mods.upstream.sample_rate
        return self.label_batch(wav[None])[0].cpu(), seconds

    def probabilities_file(self, path, start=None, stop=None):
        """Returns the probabilities of the labels over time, see
        :meth:`SpeechModel.probabilities_file`."""
        values = self.posteriors_file(path, start, stop)
        return Probabilities(values, list(self.hparams.labels), self.frame_seconds)

    def label_batch(self, wavs, wav_lens=None):
        """Returns the probabilities of all labels in each frame.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, labels].
        """
        upstream, labels = self.mods.upstream, self.frame_labels
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        features, lens = self.features(wavs, wav_lens)
        samples = (wav_lens * wavs.shape[1]).round().tolist()
        frames = [labels.frames(each / upstream.sample_rate) for each in samples]
        frames = torch.tensor(frames, device=features.device)
        stride = upstream.stride / upstream.sample_rate
        with self.as_tested():
            features = align(features, lens, stride, labels.frame_seconds, frames)
            logits = self.mods.head(features, frames / frames.max()).float()
            is_multi_label = self.hparams.threshold is not None
            return logits.sigmoid() if is_multi_label else logits.softmax(-1)

    forward = label_batch

    def _segments(self, posteriors, seconds):
        threshold = self.hparams.threshold
        if threshold is None:
            best = posteriors.argmax(-1)[:, None]
            active = best == torch.arange(posteriors.shape[1])
        else:
            active = posteriors > threshold
        labels = self.hparams.labels
        return frame_segments(active, self.frame_seconds, labels, seconds)

    def _label(self, posteriors):
        score, best = posteriors.mean(0).max(-1)
        return self.hparams.labels[int(best)], float(score)

    def records(self, paths, failed=None):
        """Yields ``wav``, ``recording`` (an id, see
        :mod:`~s3prl_sb.inference.recording_ids`) and ``segments`` (lists of label,
        start and stop) of each file; instead of them ``label`` and ``score`` if the
        task has one label per utterance."""
        ids = recording_ids(paths)
        for path, (posteriors, seconds) in self.each(ids, self._listened, failed):
            record = {"wav": str(path), "recording": ids[path]}
            if self.hparams.utterance_labels:
                label, score = self._label(posteriors)
                yield {**record, "label": label, "score": score}
            else:
                found = map(list, self._segments(posteriors, seconds))
                yield {**record, "segments": list(found)}

    def line(self, record):
        """Returns lines of CTM, or the path, the label and the score."""
        if "label" in record:
            return f"{record['wav']}\t{record['label']}\t{record['score']:.3f}"
        return "\n".join(ctm_lines(record["recording"], record["segments"]))

    def timeline(self, record):
        """Returns the segments of a record as events, see
        :meth:`SpeechModel.timeline`."""
        if "segments" not in record:
            return super().timeline(record)
        return ordered(Item("event", *segment) for segment in record["segments"])

    def files(self, records):
        """Returns ``hyp.ctm`` if the task has labels in time."""
        if self.hparams.utterance_labels:
            return {}
        lines = "\n".join(filter(None, map(self.line, records)))
        return {"hyp.ctm": f"{lines}\n" if lines else ""}
