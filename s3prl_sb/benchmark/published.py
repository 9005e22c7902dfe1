"""Published results of SUPERB and SUPERB-SG, with their sources.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

from s3prl_sb import resources
from s3prl_sb.storage.files import read_yaml


class Number(NamedTuple):
    """A published number: ``value`` in the benchmark's unit; ``source``, the address
    where it was verified, or None; ``remark``, a note for comparisons, or None."""

    value: float
    source: str | None
    remark: str | None


def read():
    """Reads the numbers of ``hparams/superb/published.yaml``.

    Returns
    -------
    dict
        Card to task to metric to :class:`Number`.

    Example
    -------
    >>> number = read()["hubert_base"]["SID"]["accuracy"]
    >>> number.value, number.source.startswith("https://"), number.remark
    (81.42, True, None)
    """
    path = resources.folder("hparams") / "superb" / "published.yaml"
    content = read_yaml(path, typ="safe")
    numbers = {}
    for name in ("superb", "superb_sg"):
        _add(content[name], content, numbers, f"{path}: {name}")
    for alias, card in content["aliases"].items():
        numbers[alias] = numbers[card]
    return numbers


def _add(table, content, numbers, where):
    """Adds the numbers of the table of one benchmark."""
    columns = [name.split(".") for name in table["columns"]]
    for card, row in table["numbers"].items():
        if len(row) != len(columns):
            raise ValueError(f"{where}: {card} has {len(row)} of {len(columns)}")
        sources = content["verified"].get(card, {})
        remarks = content["remarks"].get(card, {})
        for (task, metric), value in zip(columns, row):
            if value is not None:
                name = f"{task}.{metric}"
                remark = remarks.get(name, remarks.get("all"))
                cell = numbers.setdefault(card, {}).setdefault(task, {})
                cell[metric] = Number(value, sources.get(name), remark)
