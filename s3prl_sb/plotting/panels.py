"""Panels of a picture of audio; all with a time axis in seconds.

Authors
 * The s3prl_sb developers, 2026
"""

import math

import torch
import torchaudio

from s3prl_sb.brains.plots import BLUE, GREY, RED, legend, shown
from s3prl_sb.brains.timeline_plot import COLORS

COLUMNS = 1200  # of a waveform, about the pixels of its width
MELS, RANGE = 80, 80  # bands of the spectrogram, and decibels below its loudest point
KILOHERTZ = (0.5, 1, 2, 4, 8, 16)  # ticks of the spectrogram, those that exist
LINES = 4  # number of classes up to which probabilities are lines
ROWS = 40  # largest number of classes in a heat map
BARS = 15  # largest number of bars
VISIBLE = 0.05  # classes that are never more probable are not drawn
LANES = 8  # largest number of labels with lanes of their own
CHARACTER = 0.075  # inches, of the labels


def waveform(axes, wav, rate, start):
    """Draws a waveform: the lowest and highest sample of each column.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    wav : torch.Tensor
        [samples].
    rate : int
        Hz.
    start : float
        Time of the first sample, seconds.
    """
    step = max(1, len(wav) // COLUMNS)
    columns = wav[: len(wav) // step * step].view(-1, step)
    times = start + torch.arange(len(columns)) * step / rate
    low, high = columns.amin(1), columns.amax(1)
    if step == 1:
        axes.plot(times, high, color=BLUE, linewidth=0.7)
    else:
        axes.fill_between(times, low, high, color=BLUE, linewidth=0.3)
    axes.set_ylabel("amplitude", fontsize=8)
    axes.tick_params(labelsize=8)


def log_mel(wav, rate):
    """Returns the log-mel spectrogram of a waveform.

    Arguments
    ---------
    wav : torch.Tensor
        [samples].
    rate : int
        Hz.

    Returns
    -------
    torch.Tensor
        [80, frames], decibels, every 10 ms over windows of 25 ms.

    Example
    -------
    >>> log_mel(torch.randn(16000), 16000).shape
    torch.Size([80, 101])
    """
    transform = torchaudio.transforms.MelSpectrogram(
        rate,
        n_fft=2 ** math.ceil(math.log2(0.064 * rate)),  # a bin for every low band
        win_length=rate // 40,
        hop_length=rate // 100,
        n_mels=MELS,
        pad_mode="constant",  # any length
    )
    return 10 * transform(wav).clamp_min(1e-10).log10()


def spectrogram(axes, values, rate, start, stop):
    """Draws a log-mel spectrogram.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    values : torch.Tensor
        [bands, frames], decibels.
    rate : int
        Sample rate of the waveform, Hz.
    start, stop : float
        Seconds.
    """
    top = float(values.max())
    image = axes.imshow(
        values.numpy(),
        vmin=top - RANGE,
        vmax=top,
        cmap="magma",
        aspect="auto",
        origin="lower",
        extent=(start, stop, 0, MELS),
    )
    color_bar(axes, image, "dB")
    ticks = [hertz for hertz in KILOHERTZ if 2000 * hertz <= rate]
    highest = _mel(rate / 2)
    axes.set_yticks([MELS * _mel(1000 * f) / highest for f in ticks], ticks, fontsize=8)
    axes.set_ylabel("kHz (mel)", fontsize=8)


def _mel(hertz):
    return 2595 * math.log10(1 + hertz / 700)


def states(axes, state, start, stop, name):
    """Draws a hidden state as a heat map.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    state : torch.Tensor
        [frames, size]. The colours cover 99 % of its values.
    start, stop : float
        Seconds.
    name : str
        Title.
    """
    limit = _limit(state)
    image = axes.imshow(
        state.t().numpy(),
        vmin=-limit,
        vmax=limit,
        cmap="RdBu_r",
        aspect="auto",
        extent=(start, stop, state.shape[1] - 0.5, -0.5),
    )
    color_bar(axes, image, "value")
    axes.set_ylabel("dimension", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.set_title(name, loc="left", fontsize=8)


def _limit(state):
    values = state.abs().flatten()
    if len(values) > 1 << 20:  # the quantile of a sample is near enough
        values = values[:: len(values) >> 20]
    place = max(1, math.ceil(0.99 * len(values)))
    return max(float(values.kthvalue(place).values), 1e-12)


def similarity(state):
    """Returns the similarity of all pairs of frames.

    Arguments
    ---------
    state : torch.Tensor
        [frames, size].

    Returns
    -------
    torch.Tensor
        [frames, frames], cosines after the mean over time is subtracted: without it,
        all frames of a network are alike.

    Example
    -------
    >>> similarity(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    centred = torch.nn.functional.normalize(state - state.mean(0), dim=1)
    return centred @ centred.t()


def square(axes, values, start, stop, name, kind):
    """Draws a similarity matrix or an attention map.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    values : torch.Tensor
        [frames, frames]; of attention [queries, keys].
    start, stop : float
        Seconds.
    name : str
        Title.
    kind : str
        "similarity" or "attention".
    """
    options = {"vmin": -1, "vmax": 1, "cmap": "RdBu_r"}
    if kind == "attention":
        options = {"vmin": 0, "vmax": _limit(values), "cmap": "viridis"}
    extent = (start, stop, stop, start)
    image = axes.imshow(values.numpy(), aspect="auto", extent=extent, **options)
    color_bar(axes, image, "cosine" if kind == "similarity" else "weight")
    axes.set_ylabel("query, s" if kind == "attention" else "seconds", fontsize=8)
    axes.set_xlabel("key, s" if kind == "attention" else "seconds", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.set_title(name, loc="left", fontsize=8)


def color_bar(axes, image, label):
    """Adds a colour bar on the right of the axes.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes of the image.
    image : matplotlib.image.AxesImage
        The image.
    label : str
        Quantity or unit of the colours.
    """
    width = axes.get_position().width * axes.figure.get_figwidth()
    bar = axes.inset_axes([1 + 0.08 / width, 0, 0.1 / width, 1])
    axes.figure.colorbar(image, cax=bar)
    bar.set_ylabel(label, fontsize=8)
    bar.tick_params(labelsize=7)


def rows_of(values):
    """Returns the classes worth drawing.

    Arguments
    ---------
    values : torch.Tensor
        Probabilities [frames, classes].

    Returns
    -------
    list of int
        In ascending order: at most 40, the ones with the highest peaks, without those
        that are never above 0.05; the highest one at least.

    Example
    -------
    >>> rows_of(torch.tensor([[0.9, 0.08, 0.02], [0.95, 0.03, 0.02]]))
    [0, 1]
    """
    peaks, order = values.amax(0).sort(descending=True, stable=True)
    count = max(1, min(ROWS, int((peaks > VISIBLE).sum())))
    return sorted(order[:count].tolist())


def over_time(axes, values, names, start, stop):
    """Draws the probabilities of classes over time: as lines, or of more than 4 classes
    as a heat map.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    values : torch.Tensor
        [frames, classes].
    names : list of str
        Names of the classes, see :func:`rows_of`.
    start, stop : float
        Seconds.
    """
    axes.tick_params(labelsize=8)
    if len(names) <= LINES:
        step = (stop - start) / len(values)
        times = start + step * (torch.arange(len(values)) + 0.5)
        for column, (name, color) in enumerate(zip(shown(names), COLORS)):
            axes.plot(times, values[:, column], color=color, linewidth=1, label=name)
        axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_ylim(-0.02, 1.02)
        axes.set_ylabel("probability", fontsize=8)
        legend(axes)
        return
    image = axes.imshow(
        values.t().numpy(),
        vmin=0,
        vmax=1,
        cmap="Blues",
        aspect="auto",
        interpolation="nearest",
        extent=(start, stop, len(names) - 0.5, -0.5),
    )
    color_bar(axes, image, "probability")
    axes.set_yticks(range(len(names)), shown(names), fontsize=7)


def bars(axes, values, names):
    """Draws the probabilities of an utterance, the highest first.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on, the only ones without a time axis.
    values : torch.Tensor
        [classes].
    names : list of str
        Names of the classes.
    """
    best, order = values.sort(descending=True, stable=True)
    count = min(BARS, len(names))
    drawable = shown(names)
    axes.barh(range(count), best[:count].tolist(), color=BLUE)
    axes.set_yticks(
        range(count), [drawable[i] for i in order[:count].tolist()], fontsize=8
    )
    for row, value in enumerate(best[:count].tolist()):
        axes.text(value + 0.005, row, f"{value:.3f}", va="center", fontsize=7)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_xlim(0, 1.08)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("probability", fontsize=8)
    left_out = f" · {count} of {len(names)} classes" if count < len(names) else ""
    axes.set_title(f"prediction{left_out}", loc="left", fontsize=8)


def lanes_of(segments):
    """Puts segments that overlap into different lanes.

    Arguments
    ---------
    segments : list of (str, float, float)
        Label, start and stop, sorted by start.

    Returns
    -------
    list of int
        The lane of each segment, from 0. If there are overlaps, each label has a lane
        of its own, as speakers in a meeting, unless there are more than 8 or one of
        them overlaps itself.

    Example
    -------
    >>> lanes_of([("a", 0.0, 2.0), ("b", 1.0, 3.0), ("c", 2.0, 3.0)])
    [0, 1, 2]
    >>> lanes_of([("a", 0.0, 1.0), ("b", 1.0, 3.0)])
    [0, 0]
    """
    lanes = _lanes(segments)
    names = list(dict.fromkeys(name for name, _, _ in segments))
    if not any(lanes) or len(names) > LANES:
        return lanes
    own = [[each for each in segments if each[0] == name] for name in names]
    if any(any(_lanes(each)) for each in own):
        return lanes
    return [names.index(name) for name, _, _ in segments]


def _lanes(segments):
    """Returns the first lane that is free for each segment."""
    ends: list[float] = []
    lanes = []
    for _, start, stop in segments:
        free = (lane for lane, end in enumerate(ends) if end <= start + 1e-9)
        lane = next(free, len(ends))
        ends[lane : lane + 1] = [stop]
        lanes.append(lane)
    return lanes


def labels(axes, segments, start, stop):
    """Draws labelled segments, those that overlap in different lanes.

    Arguments
    ---------
    axes : matplotlib.axes.Axes
        Axes to draw on.
    segments : list of (str, float, float)
        Label, start and stop in seconds, sorted by start.
    start, stop : float
        Limits of the axes.
    """
    lanes = lanes_of(segments)
    width = axes.get_position().width * axes.figure.get_figwidth()
    names = shown([name for name, _, _ in segments])
    for name, (_, first, last), lane in zip(names, segments, lanes):
        axes.broken_barh(
            [(first, last - first)],
            (lane - 0.42, 0.84),
            facecolor="#e8eef4",
            edgecolor=GREY,
            linewidth=0.5,
        )
        visible = min(last, stop) - max(first, start)
        if visible / (stop - start) * width > CHARACTER * len(name):
            middle = (max(first, start) + min(last, stop)) / 2
            place = {"ha": "center", "va": "center"}
            axes.text(middle, lane, name, fontsize=7, color=RED, **place)
    axes.set_ylim(max(lanes, default=0) + 0.5, -0.5)
    axes.set_yticks([])
    axes.set_ylabel("labels", fontsize=8, rotation=0, ha="right", va="center")
