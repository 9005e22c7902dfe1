"""Parts of a recipe, such as folds or corpora, and their results taken together.

Authors
 * The s3prl_sb developers, 2026
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from s3prl_sb.brains import layer_intervals, layer_results
from s3prl_sb.brains.measuring import intervals_of_parts
from s3prl_sb.identity import digest
from s3prl_sb.startup import protocol
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import naming, read_json


class Parts(NamedTuple):
    """Values of a key with one run each.

    Arguments
    ---------
    key : str
        Key of the recipe; its value "all" stands for all of them.
    values : sequence
        Values, such as the numbers of folds or the names of corpora.
    prefix : str
        Beginning of the name of a run's folder; the value follows.
    alike : bool
        Whether the runs measure the same, so that a deviation tells something, and no
        other value is possible.
    of_one : tuple of str
        Keys whose value is for one part, such as a language model.
    group : callable
        Maps a value to the name of its group. The mean is that over groups, of the
        means within each; by default each value is a group.
    """

    key: str
    values: Sequence
    prefix: str = ""
    alike: bool = False
    of_one: tuple = ()
    group: Callable[[object], str] = str

    def folder(self, value: object) -> str:
        """Returns the name of the folder of a run; a "/" in the value becomes "-"."""
        return f"{self.prefix}{value}".replace("/", "-")

    def chosen(self, wanted: object) -> list:
        """Returns the values that are to be run.

        Arguments
        ---------
        wanted : object
            Value of the key: "all", a value or a list of them.

        Raises
        ------
        RecipeError
            If there is no such value.
        """
        values = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        values = list(self.values) if wanted == "all" else list(values)
        unknown = [value for value in values if self.alike and value not in self.values]
        if unknown or not values:
            names = ", ".join(map(str, self.values))
            raise RecipeError(f"{self.key}: {wanted!r}. There are {names}, and all.")
        folders = list(map(self.folder, values))
        for value, folder in zip(values, folders):
            names_none = {"", ".", ".."} & set(str(value).split("/"))
            if names_none or Path(folder).name != folder:
                raise RecipeError(f"{self.key}: {value!r} cannot name a folder.")
            if folders.count(folder) > 1:
                raise RecipeError(f"{self.key}: {value} is there twice.")
        return values


def folds_of(numbers):
    """Returns the parts of a cross-validation, in folders ``fold<number>``."""
    return Parts("fold", numbers, "fold", alike=True)


def layer_summary(folder, parts, inner=""):
    """Merges the probes of all layers in all parts into the format of a single run.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``<part>/layers.json``.
    parts, inner
        See :func:`summary`.

    Returns
    -------
    dict
        Content of ``layers.json``: for each hidden state means and standard deviations
        over the parts, or nulls if its probe diverged in one.
    """
    results = _read(folder, parts, inner, layer_results.FILE)
    places = {str(part): folder / parts.folder(part) / inner for part in parts.values}
    with naming(folder, f"a folder with the results of all {parts.key}s"):
        rows = zip(*(each["layers"] for each in results))
        summed = [each["weighted_sum"] for each in results]
        weights = [each["weights"] for each in results]
        together = weights[0]
        if together and together["of"] == "weighted sum":
            columns = zip(*(each["weights"] for each in weights))
            means = [statistics.fmean(column) for column in columns]
            together = {**together, "weights": means}
        return {
            **results[0],
            "layers": [_layer(row, places) for row in rows],
            "weighted_sum": _layer(summed, places) if all(summed) else None,
            "weights": together,
            "utterances": [each["utterances"] for each in results],
            "test": _test_sets([each["test"] for each in results]),
            "seconds": round(sum(each["seconds"] for each in results), 1),
            "folds": [parts.folder(part) for part in parts.values],
        }


def _layer(rows, places):
    """Merges the probes of one hidden state in all folds."""
    learned = all(row["valid"] and row["test"] for row in rows)
    return {
        "layer": rows[0]["layer"],
        "lr": _shared([row["lr"] for row in rows]),
        "valid": _spread([row["valid"] for row in rows]) if learned else None,
        "test": _spread([row["test"] for row in rows]) if learned else None,
        "intervals": layer_intervals.of_folds(places, rows[0]["layer"])
        if learned
        else None,
        "best_step": [row["best_step"] for row in rows],
        "stopped_at_step": [row["stopped_at_step"] for row in rows],
        "diverged_at_step": [row["diverged_at_step"] for row in rows],
    }


def _read(folder, parts, inner, name):
    """Reads a file of each part."""
    results = []
    for part in parts.values:
        path = folder / parts.folder(part) / inner / name
        again = f"Run {parts.key} {part} again: delete this file first."
        what = f"the results of a {parts.key}"
        results.append(read_json(path, what, again, kind=dict))
    return results


def summary(folder, parts, inner=""):
    """Merges the results of all parts into one, in the format of a single run.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``<part>/results.json``.
    parts : Parts
        The parts.
    inner : str
        Folder inside each part's folder that has the results; default: none.

    Returns
    -------
    dict
        ``metrics`` and ``valid`` have means and, of parts that are alike, sample
        standard deviations as ``<name>_std``; of others the metric of the task for each
        part, as ``<name>_<part>``. ``best_step``, ``stopped`` and the counts of
        ``utterances`` are lists with one entry per part; ``layer_weights`` are means,
        ``seconds`` a sum; ``lr``, ``search`` and the parts of ``identity`` are null
        where parts differ; ``settings`` are those that all share; ``protocol`` judges
        all parts together; ``folds`` has the essentials of each. ``intervals`` are of
        the means, with the items of each part drawn among themselves.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the results of a part cannot be read; names them.
    """
    results = _read(folder, parts, inner, "results.json")
    with naming(folder, f"a folder with the results of all {parts.key}s"):
        merged = _merged(parts, results, inner)
    places = {str(part): folder / parts.folder(part) / inner for part in parts.values}
    groups = {n: n if parts.alike else parts.group(n) for n in places}
    if intervals := intervals_of_parts(places, groups):
        merged["intervals"] = intervals
    return merged


def _merged(parts, results, inner):
    utterances = {
        split: [each["utterances"][split] for each in results]
        for split in results[0]["utterances"]
    }
    together = {split: sum(counts) for split, counts in utterances.items()}
    columns = zip(*(each["layer_weights"] for each in results))
    copied = ("metrics", "valid", "utterances", "best_step", "lr")
    first = {key: value for key, value in results[0].items() if key != "intervals"}
    return {
        **first,
        "metrics": _of_parts(parts, results, "metrics"),
        "valid": _of_parts(parts, results, "valid"),
        "utterances": utterances,
        "test": _test_sets([each.get("test") for each in results]),
        "lr": _shared([each["lr"] for each in results]),
        **_provenance(results, together, parts.key),
        "best_step": [each["best_step"] for each in results],
        "stopped": [each.get("stopped") for each in results],
        "search": _shared([each.get("search") for each in results]),
        "layer_weights": [statistics.fmean(column) for column in columns],
        "seconds": round(sum(each["seconds"] for each in results), 1),
        "peak_memory_gb": max(each["peak_memory_gb"] for each in results),
        "folds": [
            {
                "fold": part,
                "folder": str(Path(parts.folder(part), inner)),
                **({} if parts.alike else {"group": parts.group(part)}),
                **{key: each[key] for key in copied},
                "identity": each.get("identity"),
            }
            for part, each in zip(parts.values, results)
        ],
    }


def _of_parts(parts, results, which):
    """Returns the means of metrics, with their deviations or with those of each part.

    Parts that are not alike have the metric of the task as ``<name>_<part>``.
    """
    metrics = [each[which] for each in results]
    if parts.alike:
        return _spread(metrics)
    name = results[0]["chosen_by"]["metric"]
    groups: dict[str, list] = {}
    for part, each in zip(parts.values, metrics):
        groups.setdefault(parts.group(part), []).append(each)
    means = {
        key: statistics.fmean(
            statistics.fmean(each[key] for each in group) for group in groups.values()
        )
        for key in metrics[0]
    }
    for part, each in zip(parts.values, metrics):
        means[f"{name}_{parts.folder(part)}"] = each[name]
    return means


def _spread(metrics):
    """Returns means and standard deviations of metrics."""
    spread = {}
    for name in metrics[0]:
        numbers = [each[name] for each in metrics]
        spread[name] = statistics.fmean(numbers)
        spread[f"{name}_std"] = statistics.stdev(numbers) if numbers[1:] else 0.0
    return spread


def _test_sets(tests):
    """Merges the test sets of all folds; None if a fold does not describe its own."""
    if not all(tests):
        return None
    hours = [test["hours"] for test in tests]
    return {
        "name": _shared([test["name"] for test in tests]),
        "source": _shared([test["source"] for test in tests]),
        "sha256": digest([test["sha256"] for test in tests]),
        "utterances": sum(test["utterances"] for test in tests),
        "hours": None if None in hours else round(sum(hours), 4),
    }


def _shared(values):
    """Returns the common value, or None if the values differ."""
    return values[0] if all(value == values[0] for value in values) else None


def _provenance(results, utterances, part):
    """Merges settings, identity and protocol of all parts, which ``part`` names."""
    if not all(each.get("protocol") for each in results):  # from an older version
        return dict.fromkeys(("settings", "defaults", "protocol", "identity"))
    settings, defaults = {}, {}
    for key in {key: None for each in results for key in each["settings"]}:
        before = next(r["defaults"][key] for r in results if key in r["settings"])
        values = [each["settings"].get(key, before) for each in results]
        if all(value == values[0] for value in values):
            settings[key], defaults[key] = values[0], before
    # A setting that departs from the protocol in any part counts.
    departs = [key for each in results for key in each["protocol"]["settings"]]
    some = f"in some {part}s"
    departs = {k: settings.get(k, some) for k in departs if k != part}
    names = results[0].get("identity") or {}
    schema = protocol.schema_of(results[0]["task"])
    place = _shared([each["protocol"]["corpus"] for each in results])
    return {
        "settings": settings,
        "defaults": defaults,
        "protocol": protocol.verdict(
            protocol.published(schema), departs, place, utterances
        ),
        "identity": {
            name: _shared([(each.get("identity") or {}).get(name) for each in results])
            for name in names
        },
    }
