"""Cross-validation: one run for each fold, and the mean of what comes out.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import statistics
from pathlib import Path

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
    """Runs a recipe on the fold or folds that its key ``fold`` asks for.

    Each fold is a run like any other, in ``output_folder/fold<k>``. Killed and
    started again, finished folds are not trained again, the one where it was goes
    on, and the numbers are the same. Folds may also be run one by one, anywhere:
    ``all`` then gathers them.

    Arguments
    ---------
    argv : list of str
        As for :func:`s3prl_sb.startup.experiment.start`. The YAML has ``fold``
        ("all", or one of ``folds``), ``output_folder`` and ``train_csv``:
        a user's own tables have no folds, and one run in ``output_folder`` is all.
    train : callable
        Takes such a list and trains one fold.
    folds : sequence of int
        All there are.

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
    settings = peek(argv, ("fold", "output_folder", "train_csv"))
    if settings["train_csv"]:
        if settings["fold"] != "all":
            raise RecipeError("fold: your own tables have none. Leave it out.")
        train(argv)
        return
    wanted, folder = settings["fold"], Path(settings["output_folder"])
    if wanted != "all" and wanted not in folds:
        known = ", ".join(map(str, folds))
        raise RecipeError(f"fold: {wanted!r}. There are {known}, and all.")
    run_opts = parse(argv)[1]
    inner = DEBUG if run_opts["debug"] else ""
    if wanted == "all":  # now, not when their turn comes
        if not is_distributed_initialized():
            ddp_init_group(run_opts)  # one of the processes takes the folders, for all
        occupation.begin(*(folder / f"fold{fold}" / inner for fold in folds))
        occupation.begin(folder / inner)
    chosen = list(folds) if wanted == "all" else [wanted]
    for number, fold in enumerate(chosen, 1):
        if len(chosen) > 1:
            logger.info("Fold %s, %d of %d", fold, number, len(chosen))
        token = to_follow.set(len(chosen) - number)
        try:
            train(changed(argv, fold=fold, output_folder=folder / f"fold{fold}"))
        finally:
            to_follow.reset(token)
    if wanted == "all" and if_main_process():
        path = folder / inner / "results.json"
        found = summary(folder, folds, inner)
        write_json(path, found)
        for fold in found["folds"]:
            told = quantities.measures(fold["metrics"])
            logger.info("Fold %s, step %s: %s", fold["fold"], fold["best_step"], told)
        logger.info("Of all folds: %s", quantities.measures(found["metrics"]))
        logger.info("Results: %s", path)


def peek(argv, keys):
    """Settings of a recipe, without making anything of it.

    Arguments
    ---------
    argv : list of str
        As for :func:`s3prl_sb.startup.experiment.start`.
    keys : tuple of str
        Keys of the YAML with plain values.

    Returns
    -------
    dict
    """
    hparams_file, _, overrides = parse(argv)
    with trust.given(trust.taken(argv)[1]):
        settings = Configuration(hparams_file, overrides).resolved
    return {key: settings[key] for key in keys}


def changed(argv, **settings):
    """A command line with other settings.

    Arguments
    ---------
    argv : list of str
        The command line.
    **settings
        Their new values.

    Returns
    -------
    list of str

    Example
    -------
    >>> changed(["train.yaml", "--fold", "all", "--lr=0.1"], fold=2)
    ['train.yaml', '--lr=0.1', '--fold=2']
    """
    kept, is_value = [], False
    if run_name.FOLDER in settings:  # a name is part of it already
        argv = run_name.split_name(argv)[0]
    for argument in argv:
        name, equals, _ = argument.partition("=")
        if is_value:
            is_value = False
        elif name.startswith("--") and name[2:] in settings:
            is_value = not equals
        else:
            kept.append(argument)
    return kept + [f"--{name}={value}" for name, value in settings.items()]


def summary(folder, folds, inner=""):
    """The results of all folds as one, in the form of each.

    Arguments
    ---------
    folder : pathlib.Path
        With ``fold<k>/results.json``.
    folds : sequence of int
        Their numbers.
    inner : str
        The folder of each fold's where its results are; default: itself.

    Returns
    -------
    dict
        ``metrics`` and ``valid`` have means and, as ``<name>_std``, sample standard
        deviations over the folds; ``best_step`` and the counts of ``utterances`` are
        lists, a number a fold; ``layer_weights`` are means, ``seconds`` a sum; ``lr``
        and the parts of ``identity`` are null where folds differ; ``settings`` are
        those of all; ``protocol`` is judged of all folds together; ``folds`` has the
        essentials of each.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        That names a fold's results which cannot be read.
    """
    found = []
    for fold in folds:
        path = folder / f"fold{fold}" / inner / "results.json"
        again = f"Run fold {fold} again: delete this file first."
        found.append(read_json(path, "the results of a fold", again, kind=dict))
    with naming(folder, "a folder with the results of all folds"):
        return _summary(folds, found, inner)


def _summary(folds, found, inner):
    utterances = {
        split: [results["utterances"][split] for results in found]
        for split in found[0]["utterances"]
    }
    together = {split: sum(counts) for split, counts in utterances.items()}
    columns = zip(*(results["layer_weights"] for results in found))
    return {
        **found[0],
        "metrics": _spread([results["metrics"] for results in found]),
        "valid": _spread([results["valid"] for results in found]),
        "utterances": utterances,
        "test": _tested([results.get("test") for results in found]),
        "lr": _shared([results["lr"] for results in found]),
        **_told(found, together),
        "best_step": [results["best_step"] for results in found],
        "layer_weights": [statistics.fmean(column) for column in columns],
        "seconds": round(sum(results["seconds"] for results in found), 1),
        "peak_memory_gb": max(results["peak_memory_gb"] for results in found),
        "folds": [
            {
                "fold": fold,
                "folder": str(Path(f"fold{fold}", inner)),
                "metrics": results["metrics"],
                "valid": results["valid"],
                "utterances": results["utterances"],
                "best_step": results["best_step"],
                "lr": results["lr"],
                "identity": results.get("identity"),
            }
            for fold, results in zip(folds, found)
        ],
    }


def _spread(found):
    """Means and standard deviations of metrics."""
    values = {name: [metrics[name] for metrics in found] for name in found[0]}
    spread = {}
    for name, numbers in values.items():
        spread[name] = statistics.fmean(numbers)
        spread[f"{name}_std"] = statistics.stdev(numbers)
    return spread


def _tested(found):
    """The test sets of all folds as one; None where a fold does not say its own."""
    if not all(found):
        return None
    hours = [test["hours"] for test in found]
    return {
        "name": _shared([test["name"] for test in found]),
        "source": _shared([test["source"] for test in found]),
        "sha256": digest([test["sha256"] for test in found]),
        "utterances": sum(test["utterances"] for test in found),
        "hours": None if None in hours else round(sum(hours), 4),
    }


def _shared(values):
    """What all have, if they do."""
    return values[0] if all(value == values[0] for value in values) else None


def _told(found, utterances):
    """Settings, identity and protocol of all folds as of one run."""
    if not all(results.get("protocol") for results in found):  # of an older version
        return dict.fromkeys(("settings", "defaults", "protocol", "identity"))
    settings, defaults = {}, {}
    for key in {key: None for results in found for key in results["settings"]}:
        before = next(r["defaults"][key] for r in found if key in r["settings"])
        values = [results["settings"].get(key, before) for results in found]
        if all(value == values[0] for value in values):
            settings[key], defaults[key] = values[0], before
    # Of folds that were run in different ways every way counts.
    departs = {}
    for results in found:
        for key in results["protocol"]["settings"]:
            if key != "fold":
                departs[key] = settings.get(key, "in some folds")
    task, names = found[0]["task"], found[0].get("identity") or {}
    schema = protocol.schema_of(task)
    place = _shared([results["protocol"]["corpus"] for results in found])
    return {
        "settings": settings,
        "defaults": defaults,
        "protocol": protocol.judged(
            protocol.published(schema), departs, place, utterances
        ),
        "identity": {
            name: _shared([(r.get("identity") or {}).get(name) for r in found])
            for name in names
        },
    }
