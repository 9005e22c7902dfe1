"""Timelines of segments: reference and hypothesis.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.plots import BLUE, GREY, RED, axes_of_size, finish, legend, shown

COLORS = "#4472a8", "#d1733c", "#589a5a", "#a85a96", "#8a6f4d", "#5f9ea0"


def timeline(path, reference, hypothesis, duration, title="", regions=None):
    """Plots the reference above the hypothesis, with a bar for every speaker.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    reference, hypothesis : list
        (speaker, start, stop), in seconds.
    duration : float
        Seconds of the recording.
    title : str
        Title of the plot.
    regions : list, optional
        (start, stop) of the scored regions; the rest is shaded.
    """
    segments = {"reference": reference, "hypothesis": hypothesis}
    speakers = {
        kind: sorted({speaker for speaker, _, _ in turns})
        for kind, turns in segments.items()
    }
    rows = [(kind, speaker) for kind in speakers for speaker in speakers[kind]]
    axes = axes_of_size(9.0, 0.35 * max(len(rows), 2))
    if axes is None:
        return
    for height, (kind, speaker) in enumerate(rows):
        turns = [turn for turn in segments[kind] if turn[0] == speaker]
        spans = [(start, stop - start) for _, start, stop in turns]
        color = COLORS[speakers[kind].index(speaker) % len(COLORS)]
        axes.broken_barh(spans, (height - 0.35, 0.7), color=color)
    if all(speakers.values()):
        axes.axhline(len(speakers["reference"]) - 0.5, color=GREY, linewidth=1)
    for number, (start, stop) in enumerate(_gaps(regions, duration)):
        label = None if number else "not scored"
        axes.axvspan(start, stop, color="lightgrey", label=label)
    drawable = shown(speaker for _, speaker in rows)
    names = [f"{kind} {name}" for (kind, _), name in zip(rows, drawable)]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    if axes.get_legend_handles_labels()[0]:
        legend(axes)
    finish(axes, path, title)


def _gaps(regions, duration):
    """Returns the gaps between the regions."""
    last, gaps = 0.0, []
    for start, stop in sorted(regions) if regions is not None else [(0.0, duration)]:
        if start > last:
            gaps.append((last, start))
        last = max(last, stop)
    return [*gaps, (last, duration)] if last < duration else gaps


def label_timeline(path, reference, hypothesis, duration, title=""):
    """Plots the segments of labels with a row for every label: the reference in the
    upper half of a row, the hypothesis in the lower half.

    Arguments
    ---------
    path : pathlib.Path
        PNG file to write.
    reference, hypothesis : list
        (label, start, stop), in seconds.
    duration : float
        Seconds of the utterance.
    title : str
        Title of the plot.
    """
    labels = sorted({label for label, _, _ in [*reference, *hypothesis]})
    axes = axes_of_size(9.0, 0.25 * max(len(labels), 4))
    if axes is None:
        return
    kinds = (("reference", reference, -0.4, BLUE), ("hypothesis", hypothesis, 0.0, RED))
    for kind, segments, top, color in kinds:
        for number, label in enumerate(labels):
            spans = [
                (start, stop - start) for name, start, stop in segments if name == label
            ]
            named = kind if number == 0 else None
            axes.broken_barh(spans, (number + top, 0.4), color=color, label=named)
    axes.set_yticks(range(len(labels)), shown(labels), fontsize=8)
    axes.set_ylim(max(len(labels), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    axes.grid(axis="y", linewidth=0.3)
    axes.set_axisbelow(True)
    legend(axes)
    finish(axes, path, title)
