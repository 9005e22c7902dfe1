"""Published numbers, and which of them have been looked up.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb import resources
from s3prl_sb.files import read_yaml


def read():
    """The numbers of ``hparams/superb/published.yaml``.

    Returns
    -------
    dict
        Card to task to metric to (value in SUPERB's unit, address where it was
        verified or None).

    Example
    -------
    >>> value, source = read()["hubert_base"]["SID"]["accuracy"]
    >>> value, source.startswith("https://")
    (81.42, True)
    """
    path = resources.folder("hparams") / "superb" / "published.yaml"
    content = read_yaml(path, typ="safe")
    columns = [name.split(".") for name in content["columns"]]
    numbers = {}
    for card, row in content["numbers"].items():
        if len(row) != len(columns):
            raise ValueError(f"{path}: {card} has {len(row)} of {len(columns)} numbers")
        sources = content["verified"].get(card, {})
        for (task, metric), value in zip(columns, row):
            if value is not None:
                source = sources.get(f"{task}.{metric}")
                cell = numbers.setdefault(card, {}).setdefault(task, {})
                cell[metric] = (value, source)
    for alias, card in content["aliases"].items():
        numbers[alias] = numbers[card]
    return numbers
