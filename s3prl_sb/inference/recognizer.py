"""Universal recognition: who speaks when, what is said, and which sounds happen when.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.dataio.timeline import (
    FORMATS,
    Timeline,
    as_json,
    from_json,
    prediction_files,
)
from s3prl_sb.dataio.timeline_decoding import Decisions, best_tokens, decode
from s3prl_sb.errors import UserError
from s3prl_sb.inference import windows
from s3prl_sb.inference.pretrained import OnError, Probabilities, SpeechModel
from s3prl_sb.inference.recording_ids import recording_ids
from s3prl_sb.lobes.heads.recognizer import SceneOutput
from s3prl_sb.lobes.time_alignment import align, count_frames


class Recognizer(SpeechModel):
    """Trained recognizer of speakers, words and events.

    Recordings of more than 30 s are read in windows of 30 s, so that the memory hardly
    grows with their length; see :mod:`s3prl_sb.inference.windows`. All of
    :class:`~s3prl_sb.dataio.timeline_decoding.Decisions` can be overridden::

        overrides = {"decisions": {"window_seconds": 60}}
        Recognizer.from_hparams("exported", overrides=overrides)

    Example
    -------
    >>> # items = Recognizer.from_hparams("exported").timeline_file("a.wav")
    """

    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "decisions"]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.decisions = Decisions.from_spec(self.hparams.decisions)

    def timeline_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> Timeline:
        """Returns the timeline of an audio file of any length.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        list of Item
            Turns, words and events, with times relative to ``start``.
        """
        activity, events, words, seconds = self._heard(path, start, stop)
        return decode(activity, events, words, self.decisions, seconds)

    def recognize_batch(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> SceneOutput:
        """Returns the output of the head on the grid of the labels.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        SceneOutput
            Logits and log-probabilities, see
            :class:`~s3prl_sb.lobes.heads.recognizer.SceneOutput`.
        """
        upstream, length = self.mods.upstream, self.decisions.frame_seconds
        if wav_lens is None:
            wav_lens = torch.ones(len(wavs))
        features, lens = self.features(wavs, wav_lens)
        samples = (wav_lens * wavs.shape[1]).round().tolist()
        counts = [count_frames(n / upstream.sample_rate, length) for n in samples]
        frames = torch.tensor(counts, device=features.device)
        stride = upstream.stride / upstream.sample_rate
        with self.as_tested():
            features = align(features, lens, stride, length, frames)
            return self.mods.head(features, frames / frames.max())

    forward = recognize_batch

    def probabilities_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> Probabilities:
        """Returns the probabilities of speakers and events over time, see
        :meth:`SpeechModel.probabilities_file`."""
        activity, events, _, seconds = self._heard(path, start, stop)
        count = 0 if activity is None else activity.shape[1]
        names = [f"speaker{number}" for number in range(1, count + 1)]
        names += [] if events is None else self.decisions.event_labels
        parts = [part for part in (activity, events) if part is not None]
        if not parts:
            return super().probabilities_file(path, start, stop)
        values = torch.from_numpy(np.concatenate(parts, 1))
        return Probabilities(values, names, seconds / len(values))

    def _heard(self, path, start, stop):
        """Returns activity, events and words of all frames, and the seconds."""
        rate, samples, _ = audio_info(str(path))
        begin = start or 0.0
        end = samples / rate if stop is None else min(stop, samples / rate)
        length = self.decisions.frame_seconds
        window = round(self.decisions.window_seconds / length)
        overlap = round(self.decisions.overlap_seconds / length)
        if not 0 < overlap <= window / 2:
            raise UserError(
                f"overlap_seconds: windows of {window * length:g} s cannot share "
                f"{overlap * length:g} s. Give at most half of window_seconds."
            )
        frames = count_frames(end - begin, length)
        if frames <= window:
            output, seconds = self._window(path, start, stop, windows.Span(0, frames))
            return output.activity, output.events, output.words, seconds
        heard = []
        for span in windows.spans(frames, window, overlap):
            first = begin + span.first * length
            last = stop if span.last == frames else begin + span.last * length
            heard.append(self._window(path, first, last, span)[0])
        tokenizer = self.decisions.tokenizer
        space = getattr(tokenizer, "space", None)
        joined = windows.joined(
            heard,
            self.decisions.speaker_threshold,
            blank=0 if tokenizer is None else tokenizer.blank,
            space=None if space is None else tokenizer.indices[space],
            similarity=self.decisions.speaker_similarity,
        )
        return (*joined, end - begin)

    def _window(self, path, start, stop, span):
        """Returns the output for a part of a file, and its seconds."""
        wav = self.load_file(path, start, stop)
        output = self.recognize_batch(wav[None])
        activity, events = (
            None if logits is None else logits[0].float().sigmoid().cpu().numpy()
            for logits in (output.activity, output.events)
        )
        words = None if output.words is None else best_tokens(output.words[0])
        vectors = None if output.vectors is None else output.vectors[0].cpu().numpy()
        seconds = len(wav) / self.mods.upstream.sample_rate
        return windows.Window(span, activity, events, words, vectors), seconds

    def records(
        self, paths: Iterable[str], failed: OnError = None
    ) -> Iterator[dict[str, Any]]:
        """Yields ``wav``, ``recording`` (an id, see
        :mod:`~s3prl_sb.inference.recording_ids`) and ``timeline`` (a list of items as
        JSON values) of each file."""
        ids = recording_ids(paths)
        for path, items in self.each(ids, self.timeline_file, failed):
            values = [as_json(item) for item in items]
            yield {"wav": str(path), "recording": ids[path], "timeline": values}

    def line(self, record: dict) -> str:
        """Returns a line per item: recording, start, stop, type and label."""
        return FORMATS["text"]({record["recording"]: self.timeline(record)}).rstrip(
            "\n"
        )

    def timeline(self, record: dict) -> Timeline:
        """Returns the timeline of one of :meth:`records`."""
        return [from_json(values) for values in record["timeline"]]

    def files(self, records: list[dict]) -> dict[str, str]:
        """Returns the timelines in all formats."""
        timelines = {each["recording"]: self.timeline(each) for each in records}
        return prediction_files(timelines)
