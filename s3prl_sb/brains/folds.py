"""Cross-validation: one run for each fold, and the mean of their results.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import statistics
from pathlib import Path

from s3prl_sb.brains import layer_results
from s3prl_sb.brains.course import to_follow
from s3prl_sb.foreign import trust
from s3prl_sb.identity import digest
from s3prl_sb.processes import occupation
from s3prl_sb.startup import excepthook, protocol, run_name
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import Configuration, RecipeError
from s3prl_sb.startup.debugging import DEBUG
from s3prl_sb.storage.files import naming, read_json, write_json
from s3prl_sb.terminal import quantities

logger = logging.getLogger(__name__)


def cross_validate(argv, train, folds):
    """Runs a recipe on the fold or folds that its key ``fold`` names.

    Each fold is an ordinary run in ``output_folder/fold<k>``. When a cross-validation
    is killed and started again, finished folds are not trained again, the unfinished
    one resumes, and the numbers are the same. Folds may also be run separately,
    anywhere; ``all`` then collects them.

    Arguments
    ---------
    argv : list of str
        See :func:`s3prl_sb.startup.experiment.start`. The YAML has ``fold`` ("all",
        or one of ``folds``), ``output_folder`` and ``train_csv``: user-defined tables
        have no folds and get one run in ``output_folder``.
    train : callable
        Takes such a list and trains one fold.
    folds : sequence of int
        Numbers of all folds.

    Raises
    ------
    RecipeError
        If there is no such fold.
    """
    from speechbrain.utils.distributed import (
        ddp_init_group,
        if_main_process,
        is_distributed_initialized,
    )

    excepthook.install()
    keys = ("fold", "output_folder", "train_csv", "probe_layers")
    settings = read_settings(argv, keys)
    if settings["train_csv"]:
        if settings["fold"] != "all":
            raise RecipeError("fold: your own tables have none. Leave it out.")
        train(argv)
        return
    wanted, folder = settings["fold"], Path(settings["output_folder"])
    if wanted != "all" and wanted not in folds:
        names = ", ".join(map(str, folds))
        raise RecipeError(f"fold: {wanted!r}. There are {names}, and all.")
    run_opts = parse(argv)[1]
    inner = DEBUG if run_opts["debug"] else ""
    if wanted == "all":  # an occupied folder is an error now, not hours later
        if not is_distributed_initialized():
            ddp_init_group(run_opts)  # so that one process occupies the folders
        occupation.begin(*(folder / f"fold{fold}" / inner for fold in folds))
        occupation.begin(folder / inner)
    chosen = list(folds) if wanted == "all" else [wanted]
    for number, fold in enumerate(chosen, 1):
        if len(chosen) > 1:
            logger.info("Fold %s, %d of %d", fold, number, len(chosen))
        token = to_follow.set(len(chosen) - number)
        try:
            train(override(argv, fold=fold, output_folder=folder / f"fold{fold}"))
        finally:
            to_follow.reset(token)
    if wanted == "all" and settings["probe_layers"]:
        of_folds = layer_summary(folder, folds, inner)
        layer_results.publish(folder / inner, of_folds)
    elif wanted == "all" and if_main_process():
        path = folder / inner / "results.json"
        results = summary(folder, folds, inner)
        write_json(path, results)
        for fold in results["folds"]:
            words = quantities.measures(fold["metrics"])
            logger.info("Fold %s, step %s: %s", fold["fold"], fold["best_step"], words)
        logger.info("Of all folds: %s", quantities.measures(results["metrics"]))
        logger.info("Results: %s", path)


def read_settings(argv, keys):
    """Reads settings of a recipe without building its objects.

    Arguments
    ---------
    argv : list of str
        See :func:`s3prl_sb.startup.experiment.start`.
    keys : tuple of str
        Keys of the YAML with plain values. One that it lacks is None.

    Returns
    -------
    dict
    """
    hparams_file, _, overrides = parse(argv)
    with trust.trusting(trust.taken(argv)[1]):
        settings = Configuration(hparams_file, overrides).resolved
    return {key: settings.get(key) for key in keys}


def override(argv, **settings):
    """Returns a command line with other settings.

    Arguments
    ---------
    argv : list of str
        The command line.
    **settings
        New values of keys.

    Returns
    -------
    list of str

    Example
    -------
    >>> override(["train.yaml", "--fold", "all", "--lr=0.1"], fold=2)
    ['train.yaml', '--lr=0.1', '--fold=2']
    """
    if run_name.FOLDER in settings:  # a name is part of it already
        argv = run_name.split_name(argv)[0]
    kept, rest = [], iter(argv)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if not name.startswith("--") or name[2:] not in settings:
            kept.append(argument)
        elif not equals:
            next(rest, None)  # its value
    return kept + [f"--{name}={value}" for name, value in settings.items()]


def summary(folder, folds, inner=""):
    """Merges the results of all folds into one, in the format of a single run.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``fold<k>/results.json``.
    folds : sequence of int
        Numbers of the folds.
    inner : str
        Folder inside each fold's folder that has the results; default: none.

    Returns
    -------
    dict
        ``metrics`` and ``valid`` have means and, as ``<name>_std``, sample standard
        deviations over the folds; ``best_step``, ``stopped`` and the counts of
        ``utterances`` are lists with one entry per fold; ``layer_weights`` are means,
        ``seconds`` a sum; ``lr``, ``search`` and the parts of ``identity`` are null
        where folds differ; ``settings`` are those that all share; ``protocol`` judges
        all folds together; ``folds`` has the essentials of each.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the results of a fold cannot be read; names them.
    """
    results = _read(folder, folds, inner, "results.json")
    with naming(folder, "a folder with the results of all folds"):
        return _summary(folds, results, inner)


def layer_summary(folder, folds, inner=""):
    """Merges the probes of all layers in all folds into the format of a single run.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with ``fold<k>/layers.json``.
    folds, inner
        See :func:`summary`.

    Returns
    -------
    dict
        Content of ``layers.json``: for each hidden state means and standard deviations
        over the folds, or nulls if its probe diverged in one.
    """
    results = _read(folder, folds, inner, layer_results.FILE)
    with naming(folder, "a folder with the results of all folds"):
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
            "layers": [_layer(row) for row in rows],
            "weighted_sum": _layer(summed) if all(summed) else None,
            "weights": together,
            "utterances": [each["utterances"] for each in results],
            "test": _test_sets([each["test"] for each in results]),
            "seconds": round(sum(each["seconds"] for each in results), 1),
            "folds": [f"fold{fold}" for fold in folds],
        }


def _layer(rows):
    """Merges the probes of one hidden state in all folds."""
    learned = all(row["valid"] and row["test"] for row in rows)
    return {
        "layer": rows[0]["layer"],
        "lr": _shared([row["lr"] for row in rows]),
        "valid": _spread([row["valid"] for row in rows]) if learned else None,
        "test": _spread([row["test"] for row in rows]) if learned else None,
        "best_step": [row["best_step"] for row in rows],
        "stopped_at_step": [row["stopped_at_step"] for row in rows],
        "diverged_at_step": [row["diverged_at_step"] for row in rows],
    }


def _read(folder, folds, inner, name):
    """Reads a file of each fold."""
    results = []
    for fold in folds:
        path = folder / f"fold{fold}" / inner / name
        again = f"Run fold {fold} again: delete this file first."
        results.append(read_json(path, "the results of a fold", again, kind=dict))
    return results


def _summary(folds, results, inner):
    utterances = {
        split: [each["utterances"][split] for each in results]
        for split in results[0]["utterances"]
    }
    together = {split: sum(counts) for split, counts in utterances.items()}
    columns = zip(*(each["layer_weights"] for each in results))
    copied = ("metrics", "valid", "utterances", "best_step", "lr")
    return {
        **results[0],
        "metrics": _spread([each["metrics"] for each in results]),
        "valid": _spread([each["valid"] for each in results]),
        "utterances": utterances,
        "test": _test_sets([each.get("test") for each in results]),
        "lr": _shared([each["lr"] for each in results]),
        **_provenance(results, together),
        "best_step": [each["best_step"] for each in results],
        "stopped": [each.get("stopped") for each in results],
        "search": _shared([each.get("search") for each in results]),
        "layer_weights": [statistics.fmean(column) for column in columns],
        "seconds": round(sum(each["seconds"] for each in results), 1),
        "peak_memory_gb": max(each["peak_memory_gb"] for each in results),
        "folds": [
            {
                "fold": fold,
                "folder": str(Path(f"fold{fold}", inner)),
                **{key: each[key] for key in copied},
                "identity": each.get("identity"),
            }
            for fold, each in zip(folds, results)
        ],
    }


def _spread(metrics):
    """Returns means and standard deviations of metrics."""
    spread = {}
    for name in metrics[0]:
        numbers = [each[name] for each in metrics]
        spread[name] = statistics.fmean(numbers)
        spread[f"{name}_std"] = statistics.stdev(numbers)
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


def _provenance(results, utterances):
    """Merges settings, identity and protocol of all folds."""
    if not all(each.get("protocol") for each in results):  # from an older version
        return dict.fromkeys(("settings", "defaults", "protocol", "identity"))
    settings, defaults = {}, {}
    for key in {key: None for each in results for key in each["settings"]}:
        before = next(r["defaults"][key] for r in results if key in r["settings"])
        values = [each["settings"].get(key, before) for each in results]
        if all(value == values[0] for value in values):
            settings[key], defaults[key] = values[0], before
    # A setting that departs from the protocol in any fold counts.
    departs = [key for each in results for key in each["protocol"]["settings"]]
    departs = {k: settings.get(k, "in some folds") for k in departs if k != "fold"}
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
