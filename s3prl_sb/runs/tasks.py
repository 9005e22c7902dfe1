"""Tasks of benchmarks, and their metrics with units.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
from typing import NamedTuple

#: Results do not depend on this module, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


class Metric(NamedTuple):
    """A metric of a task.

    ``key`` is its name in results.json, ``title`` that in the table; ``scale`` converts
    it to the benchmark's ``unit``, ``digits`` is the number of decimals. ``optional``:
    without any run that has it, the table has no column for it.
    """

    key: str
    title: str
    higher: bool
    scale: float = 100.0
    digits: int = 2
    unit: str = "%"
    optional: bool = False

    @property
    def heading(self):
        """Title with the direction of better numbers, and the unit unless per cent.

        Example
        -------
        >>> Metric("per", "PER", False).heading
        'PER ↓'
        >>> Metric("mcd", "MCD", False, 1.0, 2, "dB").heading
        'MCD dB ↓'
        """
        unit = f" {self.unit}" if self.unit not in ("", "%") else ""
        return f"{self.title}{unit} {'↑' if self.higher else '↓'}"


class Task(NamedTuple):
    """A task of a suite: a recipe, with the keys and the metrics of the suite.

    ``name`` is unique in its suite, ``recipe`` one of
    :func:`s3prl_sb.resources.recipe_files`. ``keys`` are those of the recipe that the
    suite sets; ``toy``, those for a toy corpus, whose name is ``corpus``. ``parts``:
    the key of a recipe that is several runs in one, such as ``fold``, to its values.
    ``needs``: an extra to the packages of the metrics. ``utterances``: sizes of the
    sets of the real corpus, where the recipe does not say them.
    """

    name: str
    recipe: str
    metrics: list[Metric]
    keys: dict = {}
    toy: dict | None = None
    parts: dict = {}
    needs: dict = {}
    utterances: dict = {}


def unknown(what, name, choices):
    """Returns the message for an unknown name.

    Arguments
    ---------
    what : str
        Kind of thing.
    name : str
        The unknown name.
    choices : iterable of str
        Valid names.

    Returns
    -------
    str

    Example
    -------
    >>> unknown("task", "SIDD", ["KS", "SID"])
    "there is no task 'SIDD'. Did you mean SID?"
    """
    by_case = {str(other).lower(): str(other) for other in choices}
    near = difflib.get_close_matches(str(name).lower(), by_case, n=3, cutoff=0.5)
    similar, choices = " or ".join(map(by_case.get, near)), ", ".join(by_case.values())
    hint = f"Did you mean {similar}?" if near else f"There are: {choices}."
    return f"there is no {what} '{name}'. {hint}"
