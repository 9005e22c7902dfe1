"""Notes below the table of the benchmark: explanations of its marks.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.benchmark import grid
from s3prl_sb.runs.suite_tasks import task_of
from s3prl_sb.terminal import columns

NOTES = {
    "published": "published: as reported; the address of each is in table.json",
    "unverified": "~: reported, but transcribed from memory: unverified",
    "spread": "mean ± standard deviation over seeds",
    "interval": "[low, high]: 95 % interval of the bootstrap over the test set: other "
    "test sets of its size, not other seeds",
    "rate": "@: the learning rate that was chosen on the validation set",
    "versions": "of several versions of s3prl_sb, {}: table.json has that of each run",
    "parts": "card, version: with another card, recipe or code than the last runs; see "
    "superb.json in their folders, which are in table.json",
    "doubtful": "{}: not comparable: {}",
    "refused": "–: no {} with {}: {}",
    "without": "{}: not of {}, which ran without it",
    "remark": grid.REMARK + ": {}, {}: {}",
}


def of_table(table, published=False, intervals=False):
    """Returns explanations of the marks that occur in a table.

    Arguments
    ---------
    table : dict
        Output of :func:`s3prl_sb.benchmark.table.gather`.
    published, intervals : bool
        See :func:`s3prl_sb.benchmark.grid.blocks`.

    Returns
    -------
    list of str
    """
    shown = grid.blocks(table, published, intervals)
    lines = [line for block in shown for line in block]
    public = [n for n in lines if n[0][:1] == " " or n[0].endswith(grid.OTHER)]
    reported = [cell for line in public for cell in line[1:]]
    cells = [cell for line in lines for cell in line[1:]]
    texts = []
    if any("±" in cell for cell in cells):
        texts.append(NOTES["spread"])
    if any(cell.endswith("]") or "] @" in cell for cell in cells):
        texts.append(NOTES["interval"])
    if any("@" in cell for cell in cells):
        texts.append(NOTES["rate"])
    if any(cell and cell[0] != "~" for cell in reported):
        texts.append(NOTES["published"])
    if any(cell[:1] == "~" for cell in reported):
        texts.append(NOTES["unverified"])
    for row in table["rows"]:
        for remark, tasks in _remarks(table, row, published).items():
            names = row["upstream"], ", ".join(tasks)
            texts.append(NOTES["remark"].format(*names, remark))
        reasons = _reasons(row)
        if reasons:
            texts.append(NOTES["doubtful"].format(row["upstream"], reasons))
    texts += on_changes(_of_changes(table))
    if any(row["version"] for row in table["rows"]):
        texts.append(NOTES["parts"])
    runs = [
        run
        for row in table["rows"]
        for cell in row["cells"].values()
        for run in cell["runs"]
    ]
    texts += dict.fromkeys(run["error"] for run in runs if "error" in run)
    versions = {
        run.get("s3prl_sb") or "unknown" for run in runs if run["state"] == "done"
    }
    if len(versions) > 1:
        texts.append(NOTES["versions"].format(", ".join(sorted(versions))))
    return [columns.visible(text) for text in texts]


def on_changes(changes):
    """Returns notes on tasks that a change of all tasks does not fit, or lacks.

    Arguments
    ---------
    changes : iterable of tuple
        Name of a setting; task to the reason why it has no run; key to tasks without
        it.

    Returns
    -------
    list of str
    """
    refused, without = {}, {}
    for setting, reasons, lacking in changes:
        for task, reason in reasons.items():
            key = setting, " ".join(reason.split())
            refused.setdefault(key, []).append(task)
        for key, tasks in lacking.items():
            without.setdefault(key, {}).update(dict.fromkeys(tasks))
    settings = {}
    for (setting, reason), tasks in refused.items():
        settings.setdefault((", ".join(tasks), reason), []).append(setting)
    texts = []
    for (tasks, reason), names in settings.items():
        more = f" and {len(names) - 1} more" if names[1:] else ""
        texts.append(NOTES["refused"].format(tasks, names[0] + more, reason))
    return texts + [
        NOTES["without"].format(key, ", ".join(tasks))
        for key, tasks in without.items()
        if tasks
    ]


def _of_changes(table):
    """Returns the changes of the rows of a table, each setting once."""
    reasons, lacking = {}, {}
    for row in table["rows"]:
        setting = (row.get("about") or {}).get("setting", row["upstream"])
        lacking.setdefault(setting, {}).update(row.get("without") or {})
        for task, cell in row["cells"].items():
            if cell["state"] == "refused":
                reasons.setdefault(setting, {})[task] = cell["reason"]
    return [(name, reasons.get(name, {}), keys) for name, keys in lacking.items()]


def _remarks(table, row, published):
    """Returns the remarks about the published numbers in a row, with their tasks."""
    remarks = {}
    for task in table["tasks"]:
        if published or grid.is_comparable(row["cells"].get(task)):
            for metric in task_of(task).metrics:
                number = row["published"].get(task, {}).get(metric.key) or {}
                if number.get("remark"):
                    remarks.setdefault(number["remark"], {})[task] = None
    return remarks


def _reasons(row):
    """Describes why a row does not compare with published numbers, if there are any."""
    reasons = {}
    for task, cell in row["cells"].items():
        if row["published"].get(task):
            reasons.update(dict.fromkeys(cell.get("not_comparable") or ()))
    few = list(reasons)[:4]
    return ", ".join(few + ["…"] * (len(reasons) > len(few)))
