"""Reading of a finished run: results, interface and best checkpoint, verified.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.brains.checkpoint_files import verified
from s3prl_sb.brains.checkpointer import WAY_OUT, AtomicCheckpointer
from s3prl_sb.brains.results import INTERFACE
from s3prl_sb.errors import UserError
from s3prl_sb.storage.files import FileError, naming, read_json
from s3prl_sb.terminal.messages import few

AGAIN = "Run the recipe again with the same command: it writes it anew."


class ExportError(UserError, ValueError):
    """A folder that is not a finished run, or an unsuitable destination."""


def read_run(run):
    """Returns the results, the interface and the best checkpoint of a run.

    Arguments
    ---------
    run : pathlib.Path
        ``output_folder`` of the run.

    Returns
    -------
    results : dict
    interface : dict
    checkpoint : speechbrain.utils.checkpoints.Checkpoint or None
        None if nothing is trained.

    Raises
    ------
    ExportError
        If the run is not finished.
    s3prl_sb.storage.files.FileError
        If a file is damaged; another checkpoint is never used instead.
    """
    if not run.is_dir():
        raise ExportError(
            f"There is no folder '{run}'. Give the output_folder of a finished run."
        )
    if parts := parts_of(run):
        raise ExportError(
            f"'{run}' holds a run for each of {few(parts)}. Choose one, such as "
            f"{run / parts[0]}."
        )
    if (run / "layers.json").exists():
        raise ExportError(
            f"'{run}' holds the probes of s3prl-sb layers, whose scores are in "
            "layers.csv and layers.png. Name the folder of a run with one model."
        )
    for name in ("hyperparams.yaml", "results.json", INTERFACE):
        if not (run / name).exists():
            raise ExportError(
                f"'{run}' is no finished run of a recipe: it has no {name}. Run "
                "the recipe again with the same command: it goes on where it was."
            )
    results = read_json(run / "results.json", "the results of a run", AGAIN, dict)
    interface = read_json(run / INTERFACE, "what an export needs", AGAIN, dict)
    with naming(run / INTERFACE, "what an export needs", AGAIN):
        kinds = {"class": str, "hparams": dict, "head": dict}
        _check_types(interface, kinds)
    with naming(run / "results.json", "the results of a run", AGAIN):
        kinds = {"task": str, "upstream": str, "chosen_by": dict, "total_steps": int}
        _check_types(results, kinds)
        if not results["total_steps"]:  # nothing is trained
            return results, interface, None
        chosen = results["chosen_by"]
        metric, highest = chosen["metric"], chosen["highest"]
        value = results.get("valid", {}).get(metric)
    return results, interface, _best(run / "save", metric, highest, value)


def parts_of(run):
    """Returns the folders of the finished parts of a recipe, such as folds.

    Arguments
    ---------
    run : pathlib.Path
        Folder of a run.

    Returns
    -------
    list of str
        Names; none if the folder is a run of its own.
    """
    if (run / "hyperparams.yaml").exists():
        return []
    folders = [path.parent for path in run.glob("*/results.json")]
    return sorted(folder.name for folder in folders if (folder / INTERFACE).exists())


def _check_types(values, kinds):
    for key, kind in kinds.items():
        if key in values and not isinstance(values[key], kind):
            raise ValueError(f"its {key} is {values[key]!r}")
        if key not in values and key != "head":  # not all tasks have a head
            raise KeyError(key)


def _best(folder, metric, highest, value):
    """Returns the checkpoint that was evaluated, and never another one."""
    checkpoint = AtomicCheckpointer(folder).find_best(metric, highest)
    if checkpoint is None:
        raise ExportError(f"'{folder}' has no checkpoint with the metric '{metric}'.")
    best = checkpoint.meta[metric]
    if value not in (None, best) and best == best:  # NaN cannot be compared
        raise ExportError(
            f"'{folder}' has lost its best checkpoint: the best there is has the "
            f"{metric} {best}, and results.json is of {value}. "
            f"To train again, delete '{folder}' and run the recipe."
        )
    try:
        return verified(checkpoint.path, _saved_modules(folder))
    except FileError as error:
        raise FileError(f"{error} {WAY_OUT}") from error


def _saved_modules(folder):
    """Returns the modules whose weights a checkpoint of the run must have."""
    if not (folder / "settings.json").exists():  # trained by another program
        return []
    what = "the settings of a run"
    settings = read_json(folder / "settings.json", what, kind=dict)
    with naming(folder / "settings.json", what):
        return sorted({name.partition(".")[0] for name in settings.get("modules", {})})
