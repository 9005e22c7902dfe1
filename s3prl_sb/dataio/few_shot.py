"""Few-shot subsets of a training set.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib

from s3prl_sb.dataio.manifest import Records, is_number
from s3prl_sb.errors import ManifestError


def subset(
    records: Records,
    fraction: float | None = None,
    per_class: int | None = None,
    seed: int = 0,
    key: str = "label",
) -> Records:
    """Draws a few-shot subset that has every class; it is the same at every call.

    Ids are ranked by a hash of the seed and the id, so subsets are nested: with the
    same seed, a smaller one is part of every larger one.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    fraction : float, optional
        Share of each class, in (0, 1]; at least one record of each class.
    per_class : int, optional
        Records of each class; give this or ``fraction``. Neither: all records.
    seed : int
        Seed of the choice.
    key : str
        Label that holds the class.

    Returns
    -------
    dict
        Part of ``records``, in the same order.

    Example
    -------
    >>> records = {f"{n}": {"label": "ab"[n % 2]} for n in range(20)}
    >>> few = subset(records, per_class=2)
    >>> len(few), set(few) < set(subset(records, fraction=0.5))
    (4, True)
    """
    if fraction is None and per_class is None:
        return dict(records)
    if fraction is not None and per_class is not None:
        raise ManifestError("give a fraction or a number per class, not both")
    if fraction is not None:
        if not (is_number(fraction) and 0 < fraction <= 1):
            raise ManifestError(f"train_fraction {fraction!r} is outside (0, 1]")
    elif not isinstance(per_class, int) or per_class < 1:
        raise ManifestError(
            f"train_per_class {per_class!r} is not a positive whole number"
        )
    classes: dict[str, list[str]] = {}
    for name, record in records.items():
        if key not in record:
            raise ManifestError(f"'{name}' has no '{key}' to draw a subset by")
        classes.setdefault(str(record[key]), []).append(name)
    small = {c: len(n) for c, n in sorted(classes.items()) if len(n) < (per_class or 0)}
    if small:
        counts = [f"class '{label}' has only {count}" for label, count in small.items()]
        way_out = f"Ask for at most {min(small.values())} per class, not {per_class}."
        raise ManifestError.listing(counts, way_out)
    chosen: set[str] = set()
    for names in classes.values():
        names.sort(key=lambda name: hashlib.sha1(f"{seed}|{name}".encode()).digest())
        share = max(1, int((fraction or 0) * len(names) + 0.5))
        chosen.update(names[: per_class or share])
    return {name: record for name, record in records.items() if name in chosen}
