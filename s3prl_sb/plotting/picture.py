"""Pictures of audio files: one excerpt as PNG, a long recording as a page of HTML.

An excerpt is computed with a second of audio on either side, so that the pages of a
long recording fit together and its memory does not grow with its length.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.brains.timeline_plot import SECOND, lanes
from s3prl_sb.dataio import label_files
from s3prl_sb.dataio.timeline import TYPES, Item
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.featurizer import chosen_layers
from s3prl_sb.lobes.networks.attention_maps import AttentionError, AttentionMaps
from s3prl_sb.plotting import panels, timeline_panels
from s3prl_sb.plotting.pages import write_pages
from s3prl_sb.plotting.sheet import WIDTH, Sheet

SHOWN = ("states", "similarity", "attention")
RATE = 16000  # Hz, of waveform and spectrogram without an upstream
CONTEXT = 1.0  # seconds
WIDEST = 32.0  # inches of the time axis
LONGEST = 60.0  # seconds of a PNG


class PictureError(UserError, ValueError):
    """A picture that cannot be drawn."""


class Picture:
    """Picture of an audio file.

    Arguments
    ---------
    path : str
        wav, flac, ogg or mp3.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream, optional
        Upstream whose hidden states are drawn.
    model : s3prl_sb.inference.pretrained.SpeechModel, optional
        Trained model whose prediction is drawn; its upstream is the default for the
        hidden states.
    show : list of str
        Among "states" (heat maps), "similarity" and "attention".
    layers : list of int, optional
        Hidden states; of attention, the layers before them. Default: all.
    heads : list of int, optional
        Heads of the attention. Default: their mean.
    segments : list of (str, float, float), optional
        Labels to draw under the axis: label, start and stop in seconds, sorted by
        start, see :func:`read_segments`.
    timeline : list of Item, optional
        Turns, words and events to draw in rows under the spectrogram. The picture is as
        wide as words need.

    Example
    -------
    >>> import soundfile, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", torch.randn(8000).numpy() / 9, 16000)
    ...     Picture(folder + "/a.wav").save(folder + "/a.png")
    ...     sorted(os.listdir(folder))
    ['a.png', 'a.wav']
    """

    def __init__(
        self,
        path: str | os.PathLike,
        upstream: Any = None,
        model: Any = None,
        show: Sequence[str] = (),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        segments: Sequence[tuple[str, float, float]] | None = None,
        timeline: Sequence[Item] | None = None,
    ):
        if upstream is None and model is not None:
            upstream = model.mods["upstream"]
        if show and upstream is None:
            raise PictureError("Hidden states are of an upstream: name it, --upstream.")
        self.path, self.upstream, self.model = Path(path), upstream, model
        self.show, self.heads, self.segments = show, heads, segments
        self.timeline = timeline
        if upstream is not None:
            wanted = "all" if layers is None else layers
            self.layers = chosen_layers(upstream.num_layers, wanted)
        self.rate = RATE if upstream is None else upstream.sample_rate
        rate, samples, _ = audio_info(path)
        self.duration = samples / rate

    def save(
        self,
        output: str | os.PathLike,
        start: float | None = None,
        stop: float | None = None,
        title: str = "",
    ) -> None:
        """Writes the picture.

        Arguments
        ---------
        output : str
            PNG of up to a minute, or HTML of any length.
        start, stop : float, optional
            Limits in seconds. Default: those of the file.
        title : str
            Title of the picture.

        Raises
        ------
        PictureError
            If the output is of another format, the excerpt is too long for it or not in
            the file.
        """
        first, last = self.check(output, start, stop)
        title = title or self.path.name
        if Path(output).suffix.lower() == ".html":
            write_pages(output, self, first, last, title)
        else:
            self.sheet(first, last).save(Path(output), title)

    def check(
        self,
        output: str | os.PathLike,
        start: float | None = None,
        stop: float | None = None,
    ) -> tuple[float, float]:
        """Checks that an excerpt can be drawn.

        Arguments
        ---------
        output, start, stop
            See :meth:`save`.

        Returns
        -------
        start, stop : float
            Limits in seconds.

        Raises
        ------
        PictureError
            See :meth:`save`.
        """
        first, last = start or 0.0, self.duration if stop is None else stop
        if not 0 <= first < min(last, self.duration):
            raise PictureError(
                f"{self.path} lasts {self.duration:.2f} s: there is nothing from "
                f"{first:g} to {last:g} s."
            )
        last = min(last, self.duration)
        ending = Path(output).suffix.lower()
        if ending not in (".png", ".html"):
            raise PictureError(f"'{output}' is neither .png nor .html.")
        if ending == ".png" and last - first > LONGEST:
            raise PictureError(
                f"{last - first:.0f} s are too long for a PNG, which shows up to "
                f"{LONGEST:.0f} s: draw an excerpt (--start and --stop of s3prl-sb "
                "plot), or write HTML."
            )
        return first, last

    def sheet(self, start: float, stop: float, axis: float | None = None) -> Sheet:
        """Computes the picture of an excerpt.

        Arguments
        ---------
        start, stop : float
            Seconds.
        axis : float, optional
            End of the time axis, seconds. Default: ``stop``.

        Returns
        -------
        Sheet
        """
        sheet = Sheet(start, axis or stop, self._width(start, axis or stop))
        early, late = max(0.0, start - CONTEXT), min(self.duration, stop + CONTEXT)
        around = load_waveform(self.path.stem, str(self.path), early, late, self.rate)
        first = round((start - early) * self.rate)
        wav = around[first : first + max(1, round((stop - start) * self.rate))]
        mels = panels.log_mel(wav, self.rate)
        sheet.panel(0.8, lambda axes: panels.waveform(axes, wav, self.rate, start))
        sheet.panel(
            1.3, lambda axes: panels.spectrogram(axes, mels, self.rate, start, stop)
        )
        limits = start, stop, early, late
        if self.show:
            self._add_states(sheet, around, limits)
        prediction = None if self.model is None else self._prediction(limits)
        if prediction is not None and prediction.seconds is not None:
            self._add_over_time(sheet, prediction, limits)
        self._add_timeline(sheet, start, stop)
        if self.segments is not None:
            segments = [s for s in self.segments if s[1] < stop and s[2] > start]
            count = max(panels.lanes_of(segments), default=0) + 1
            sheet.panel(
                0.22 * count, lambda axes: panels.labels(axes, segments, start, stop)
            )
        if prediction is not None and prediction.seconds is None:
            values, names = prediction.values[0], prediction.names
            height = 0.2 * min(panels.BARS, len(names)) + 0.1
            sheet.panel(
                height, lambda axes: panels.bars(axes, values, names), has_time=False
            )
        return sheet

    def _width(self, start, stop):
        """Returns the width in inches: words of a timeline need room."""
        wide = 0.0 if self.timeline is None else SECOND * (stop - start)
        return min(max(WIDTH, wide), WIDEST)

    def _add_timeline(self, sheet, start, stop):
        """Adds a panel with the rows of each type of items."""
        if self.timeline is None:
            return
        items = [i for i in self.timeline if i.start < stop and i.stop > start]
        rows = lanes(self.timeline)
        people = list(dict.fromkeys(name for kind, name in rows if kind != "event"))
        for kind in TYPES:
            own = [lane for lane in rows if lane[0] == kind]
            if own:
                drawn = _drawn(timeline_panels.items, items, own, people, sheet)
                sheet.panel(0.22 * len(own), drawn)

    def _add_states(self, sheet, around, limits):
        """Adds heat maps, similarities and attention maps."""
        wavs, maps = around[None].to(_device(self.upstream)), None
        with torch.no_grad():
            if "attention" in self.show:
                with AttentionMaps(self.upstream, self.heads) as maps:
                    hidden_states, _ = self.upstream(wavs)
            else:
                hidden_states, _ = self.upstream(wavs)
        start, stop, *_ = limits
        for layer in self.layers:
            state = _cut(hidden_states[layer][0].float().cpu(), limits)
            name = f"hidden state {layer}"
            if "states" in self.show:
                sheet.panel(0.9, _drawn(panels.states, state, start, stop, name))
            if "similarity" in self.show:
                values = panels.similarity(state)
                drawn = (values, start, stop, f"{name}: similarity", "similarity")
                sheet.square(_drawn(panels.square, *drawn))
        if maps is not None:
            self._add_attention(sheet, maps.weights(), limits)

    def _add_attention(self, sheet, weights, limits):
        start, stop, *_ = limits
        chosen = [layer for layer in self.layers if 1 <= layer <= len(weights)]
        if not chosen:
            raise AttentionError(
                f"The attention layers are 1 to {len(weights)}; layer n makes hidden "
                "state n."
            )
        for layer in chosen:
            names = ["mean of heads"]
            if self.heads is not None:
                names = [f"head {head}" for head in self.heads]
            for name, values in zip(names, weights[layer - 1]):
                values = _cut(_cut(values, limits).t(), limits).t()
                title = f"attention of layer {layer}, {name}"
                drawn = (values, start, stop, title, "attention")
                sheet.square(_drawn(panels.square, *drawn))

    def _prediction(self, limits):
        """Returns the probabilities, of an utterance those of the excerpt alone."""
        start, stop, early, late = limits
        prediction = self.model.probabilities_file(self.path, early, late)
        if prediction.seconds is None and (early, late) != (start, stop):
            prediction = self.model.probabilities_file(self.path, start, stop)
        return prediction

    def _add_over_time(self, sheet, prediction, limits):
        values = _cut(prediction.values, limits)
        rows = panels.rows_of(values)
        names = [prediction.names[row] for row in rows]
        height = 0.9 if len(names) <= panels.LINES else 0.15 * len(names)
        drawn = (values[:, rows], names, limits[0], limits[1])
        sheet.panel(height, _drawn(panels.over_time, *drawn))


def read_segments(
    path: str | os.PathLike, wav: str | os.PathLike, tier: str | None = None
) -> list[tuple[str, float, float]]:
    """Reads the labels of one audio file.

    Arguments
    ---------
    path : str
        File of any format of :mod:`s3prl_sb.dataio.label_files`. If it has several
        recordings, the one with the name of the audio file is taken.
    wav : str
        The audio file.
    tier : str, optional
        Tier of a TextGrid.

    Returns
    -------
    list of (str, float, float)
        Label, start and stop in seconds, sorted by start.
    """
    recordings = label_files.read(path, tier=tier)
    if len(recordings) == 1:
        return next(iter(recordings.values()))
    stem = Path(wav).stem
    named = [name for name in recordings if Path(name).stem == stem or name == stem]
    if len(named) != 1:
        raise PictureError(
            f"'{path}' has the labels of {len(recordings)} recordings, and "
            f"{len(named)} of them are called '{stem}'. Give a file with the labels "
            "of this one."
        )
    return recordings[named[0]]


def _device(upstream):
    return next((p.device for p in upstream.parameters()), torch.device("cpu"))


def _drawn(draw, *values):
    """Returns a function of axes alone."""
    return lambda axes: draw(axes, *values)


def _cut(rows, limits):
    """Cuts rows over the excerpt and its context to the excerpt."""
    start, stop, early, late = limits
    rate = len(rows) / (late - early)
    first = min(round((start - early) * rate), len(rows) - 1)
    return rows[first : max(first + 1, round((stop - early) * rate))]
