"""Timelines of a diarization: who spoke, and who is thought to have spoken.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.plots import figure_of_size, save

COLORS = "#4472a8", "#d1733c", "#589a5a", "#a85a96", "#8a6f4d", "#5f9ea0"


def timeline(path, reference, hypothesis, duration, title="", regions=None):
    """The reference above the hypothesis, a bar for every speaker.

    Arguments
    ---------
    path : pathlib.Path
        PNG to write.
    reference, hypothesis : list
        (speaker, start, stop), in seconds.
    duration : float
        Seconds of the recording.
    title : str
        What to write above.
    regions : list, optional
        (start, stop) of what is scored; the rest is shaded.
    """
    rows = [("reference", name) for name in _speakers(reference)]
    rows += [("hypothesis", name) for name in _speakers(hypothesis)]
    figure = figure_of_size(9.0, 1.3 + 0.3 * len(rows))
    if figure is None:
        return
    axes = figure.subplots()
    counts = {"reference": 0, "hypothesis": 0}
    for height, (kind, speaker) in enumerate(rows):
        segments = reference if kind == "reference" else hypothesis
        spans = [(start, stop - start) for name, start, stop in segments]
        spans = [span for span, s in zip(spans, segments) if s[0] == speaker]
        color = COLORS[counts[kind] % len(COLORS)]
        axes.broken_barh(spans, (height - 0.35, 0.7), color=color)
        counts[kind] += 1
    if counts["reference"] and counts["hypothesis"]:
        axes.axhline(counts["reference"] - 0.5, color="grey", linewidth=1)
    for start, stop in _gaps(regions, duration):
        axes.axvspan(start, stop, color="lightgrey")
    axes.set_yticks(range(len(rows)), [f"{kind} {name}" for kind, name in rows])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)  # the first at the top
    axes.set_xlim(0, duration)
    axes.set_xlabel("seconds")
    axes.set_title(title, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def _speakers(segments):
    return sorted({speaker for speaker, _, _ in segments})


def _gaps(regions, duration):
    """What no region covers."""
    last, gaps = 0.0, []
    for start, stop in sorted(regions) if regions is not None else [(0.0, duration)]:
        if start > last:
            gaps.append((last, start))
        last = max(last, stop)
    return [*gaps, (last, duration)] if last < duration else gaps
