"""Table of the costs of a benchmark, before it runs.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.terminal import columns, quantities

HEADER = ["task", "upstream", "runs", "audio", "encoded", "times", "cache", "size"]
HEADER += ["encoding", "updates", "training", "time"]


def show(rows, jobs=1, form="text", other=None):
    """Prints the costs as a table.

    Arguments
    ---------
    rows : list of dict
        Output of :func:`s3prl_sb.benchmark.costs.gather`.
    jobs : int, optional
        Number of jobs at a time; None: no limit.
    form : str
        "text" or "markdown".
    other : dict, optional
        Figures of another machine.
    """
    table = [HEADER, *map(_line, rows)]
    if form == "markdown":
        print(columns.as_markdown(table))
    else:
        print(columns.as_text(table, columns.terminal_width(sys.stdout)))
    print()
    for text in notes(rows, jobs, other):
        print(text)


def _line(row):
    training = row["hours"] - row["upstream_hours"]
    return [
        row["task"],
        row["upstream_name"],
        str(row["runs"]),
        quantities.audio(row["once"]),
        quantities.audio(row["upstream"]),
        f"{row['upstream'] / (row['once'] or 1):.1f}",
        row["caches"].get("train", "-"),
        quantities.count(row["bytes"], "B"),
        quantities.duration(3600 * row["upstream_hours"]),
        str(row["updates"]),
        quantities.duration(3600 * training),
        quantities.duration(3600 * row["hours"]),
    ]


def notes(rows, jobs=1, other=None):
    """Returns what the table means, and what would change it.

    Arguments
    ---------
    rows, jobs, other
        See :func:`show`.

    Returns
    -------
    list of str

    Example
    -------
    >>> notes([])
    ['Nothing is left to run.']
    """
    if not rows:
        return ["Nothing is left to run."]
    once = sum(row["once"] for row in rows)
    encoded = sum(row["upstream"] for row in rows)
    hours = sum(row["hours"] for row in rows)
    size = quantities.count(sum(row["bytes"] for row in rows), "B")
    texts = [
        f"Upstreams encode {quantities.audio(encoded)}, {encoded / (once or 1):.1f} "
        f"times the audio. Caches take {size}. Each plan is kept in the folder plans, "
        "and has found the disk as it was then, without the caches of the others: "
        "where all do not fit, the last tasks encode at every step.",
        f"One job at a time takes {quantities.duration(3600 * hours)}. "
        + _together(rows, jobs, hours),
    ]
    if other:
        given = ", ".join(f"{key}={value:g}" for key, value in other.items())
        texts.append(f"Times are for the figures {given}; the rest was measured here.")
    endless = {row["task"]: row["reasons"]["train"] for row in rows if _encodes(row)}
    for task, reasons in endless.items():
        texts.append(f"{task} encodes its training set in each batch: {reasons[-1]}.")
    if any("frames would take" in reasons[-1] for reasons in endless.values()):
        texts.append(
            "--set cache_budget=GB lets frames take that much in each set, "
            "cache_dtype=int8 half as much as float16."
        )
    return texts


def _encodes(row):
    return "off" in row["caches"].get("train", "").split(", ")


def _together(rows, jobs, hours):
    """Says how long several jobs take at least."""
    longest = max(rows, key=lambda row: row["longest"])
    most = 3600 * longest["longest"]
    text = (
        f"The longest run is one of {longest['task']} of {longest['upstream_name']}, "
        f"with {quantities.duration(most)}"
    )
    if jobs is None:
        return f"{text}, which jobs that all have a machine take together at least."
    if jobs == 1:
        return f"{text}."
    least = max(most, 3600 * hours / jobs)
    return (
        f"{text}; {jobs} jobs, each with a machine of its own, take "
        f"{quantities.duration(least)} at least."
    )
