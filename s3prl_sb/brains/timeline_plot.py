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
    rows = [("reference", name) for name in _speakers(reference)]
    rows += [("hypothesis", name) for name in _speakers(hypothesis)]
    axes = axes_of_size(9.0, 0.35 * max(len(rows), 2))
    if axes is None:
        return
    counts = {"reference": 0, "hypothesis": 0}
    for height, (kind, speaker) in enumerate(rows):
        segments = reference if kind == "reference" else hypothesis
        spans = [(start, stop - start) for name, start, stop in segments]
        spans = [span for span, s in zip(spans, segments) if s[0] == speaker]
        color = COLORS[counts[kind] % len(COLORS)]
        axes.broken_barh(spans, (height - 0.35, 0.7), color=color)
        counts[kind] += 1
    if counts["reference"] and counts["hypothesis"]:
        axes.axhline(counts["reference"] - 0.5, color=GREY, linewidth=1)
    for number, (start, stop) in enumerate(_gaps(regions, duration)):
        label = None if number else "not scored"
        axes.axvspan(start, stop, color="lightgrey", label=label)
    names = [
        f"{kind} {name}" for (kind, _), name in zip(rows, shown(n for _, n in rows))
    ]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    if axes.get_legend_handles_labels()[0]:
        legend(axes)
    finish(axes, path, title)


def _speakers(segments):
    return sorted({speaker for speaker, _, _ in segments})


def _gaps(regions, duration):
    """Returns the gaps between the regions."""
    last, gaps = 0.0, []
    for start, stop in sorted(regions) if regions is not None else [(0.0, duration)]:
        if start > last:
            gaps.append((last, start))
        last = max(last, stop)
    return [*gaps, (last, duration)] if last < duration else gaps
