"""Timelines of a diarization: reference and hypothesis.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.plots import GREY, axes_of_size, finish, legend, shown

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
