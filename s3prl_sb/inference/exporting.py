"""Exporting a run: a folder that SpeechBrain's ``from_hparams`` loads.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import json
import shutil
import sys
from pathlib import Path

from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.results import INTERFACE
from s3prl_sb.dataio.fingerprint import first_weights
from s3prl_sb.errors import UserError
from s3prl_sb.parts import Part, recover

UPSTREAM = "upstream_source"  # a local checkpoint's name in an export
MODULES = ("upstream", "featurizer", "head")
MARK = "exported by s3prl_sb"  # in the first line of an export's hyperparams.yaml
SUMS = "SHA256SUMS"  # in an export: its files and their checksums


class ExportError(UserError, ValueError):
    """A folder that is no finished run, or no place for an export."""


def export(run_folder, destination, copy_upstream=True, force=False):
    """Makes a folder that ``from_hparams`` loads, of a run's best checkpoint.

    Arguments
    ---------
    run_folder : str
        ``output_folder`` of a finished recipe.
    destination : str
        Folder to make, whole or not at all; it may exist, if it is empty.
    copy_upstream : bool
        Whether a checkpoint that the upstream was loaded from is copied too. A
        published address stays an address.
    force : bool
        Whether to replace an export that is there. Other files beside it stay.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    ExportError
        If the run is not finished, the destination holds something else, or the
        upstream's checkpoint is not the one that the run was trained with.
    """
    import ruamel.yaml

    run, destination = Path(run_folder), Path(destination)
    recover(destination)
    results, interface, checkpoint = _finished(run)
    _check_destination(destination, force)
    yaml = ruamel.yaml.YAML()
    saved = yaml.load((run / "hyperparams.yaml").read_text(encoding="utf-8"))
    upstream = saved["upstream_model"]
    local = _local(upstream.get("source"))
    trained_with = interface.get("upstream_weights")
    if local is not None and trained_with:
        beside = str(_beside_card(saved))
        if beside not in sys.path:  # for a class of one's own
            sys.path.append(beside)
        _check_weights(upstream, trained_with, run, local)

    with Part(destination) as part:
        _check_destination(destination, force)  # another may have come first
        part.path.mkdir()
        final = destination.resolve()
        read = (results, interface, checkpoint, saved)
        _fill(part.path, final, *read, local if copy_upstream else None, local)
        own = _files_of_export(destination)
        part.publish(keep=lambda name: name not in own)
    return destination


def _fill(destination, final, results, interface, checkpoint, saved, copied, local):
    """Writes an export into a folder that will be called ``final``."""
    import ruamel.yaml

    yaml, upstream = ruamel.yaml.YAML(), saved["upstream_model"]
    loadables = []
    for name in MODULES:
        if checkpoint is not None and name in checkpoint.paramfiles:
            shutil.copyfile(checkpoint.paramfiles[name], destination / f"{name}.ckpt")
            loadables.append(name)
    if local is not None:
        if copied is not None:
            _copy(local, destination / (UPSTREAM + local.suffix))
            reference = ruamel.yaml.comments.TaggedScalar(
                f"<export_folder>/{UPSTREAM}{local.suffix}", tag="!ref"
            )
            upstream["source"] = reference
        else:
            upstream["source"] = str(local.resolve())
    _copy_modules(saved, destination)
    nodes = {
        "export_folder": str(final),
        "task": results["task"],
        "interface": ruamel.yaml.comments.TaggedScalar(
            "", tag=f"!name:{interface['class']}"
        ),
        **interface["hparams"],
        "upstream": upstream,
        "audio_pipes": saved["eval_pipes"],
    }
    if "featurizer" in saved:
        nodes["featurizer"] = saved["featurizer"]
    if "head" in saved:
        nodes["head"] = saved["head"]
        tag = nodes["head"].tag.value.replace("!name:", "!new:")
        nodes["head"].yaml_set_ctag(ruamel.yaml.tag.Tag(suffix=tag))
        nodes["head"].update(interface["head"])
    modules = [name for name in MODULES if name in nodes]
    text = io.StringIO()
    yaml.dump(nodes, text)
    # The recipe's headings have come along with its entries.
    lines = (line for line in text.getvalue().splitlines() if line.strip())
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    (destination / "results.json").write_text(
        json.dumps(results, indent=2) + "\n", encoding="utf-8"
    )
    (destination / "hyperparams.yaml").write_text(
        f"# {results['task']} with {results['upstream']}, {MARK}.\n"
        "# Load it with s3prl_sb.inference.load.\n"
        f"{text}\n"
        "modules:\n"
        + "".join(f"    {name}: !ref <{name}>\n" for name in modules)
        + _pretrainer(loadables),
        encoding="utf-8",
    )


def _pretrainer(loadables):
    """The lines that load the weights."""
    node = "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
    if not loadables:
        return node  # nothing is trained
    return (
        node
        + "    loadables:\n"
        + "".join(f"        {name}: !ref <{name}>\n" for name in loadables)
        + "    custom_hooks:\n"
        + "".join(
            f"        {name}: !name:s3prl_sb.brains.checkpointer.load_trained\n"
            for name in loadables
        )
    )


def _finished(run):
    """The results, the interface and the best checkpoint of a run."""
    folds = sorted(path.parent.name for path in run.glob("fold*/results.json"))
    if folds:
        raise ExportError(
            f"'{run}' holds a run for each fold: {', '.join(folds)}. Choose one, such "
            f"as {run / folds[0]}."
        )
    for name in ("hyperparams.yaml", "results.json", INTERFACE):
        if not (run / name).is_file():
            raise ExportError(
                f"'{run}' is no finished run of a recipe: it has no {name}. Run "
                "the recipe again with the same command: it goes on where it was."
            )
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    interface = json.loads((run / INTERFACE).read_text(encoding="utf-8"))
    if not results["total_steps"]:  # nothing is trained
        return results, interface, None
    chosen = results["chosen_by"]
    checkpoint = AtomicCheckpointer(run / "save").find_best(
        chosen["metric"], chosen["highest"]
    )
    if checkpoint is None:
        raise ExportError(
            f"'{run}/save' has no checkpoint with the metric '{chosen['metric']}'."
        )
    return results, interface, checkpoint


def _check_weights(upstream, trained_with, run, local):
    """Makes sure that the weights have not changed under the same path."""
    from hyperpyyaml import load_hyperpyyaml
    from ruamel.yaml import YAML

    text = io.StringIO()
    YAML().dump({"upstream": upstream}, text)
    if first_weights(load_hyperpyyaml(text.getvalue())["upstream"]) != trained_with:
        raise ExportError(
            f"'{local}' does not hold the weights that '{run}' was trained with. Put "
            "the old file there again, or train again into another output_folder."
        )


def _check_destination(destination, force):
    if destination.exists() and not destination.is_dir():
        raise ExportError(f"'{destination}' is a file.")
    if destination.is_dir() and any(destination.iterdir()):
        yaml = destination / "hyperparams.yaml"
        text = yaml.read_text("utf-8", "replace") if yaml.is_file() else ""
        if MARK not in text:
            raise ExportError(
                f"'{destination}' holds something else: choose an empty folder."
            )
        if not force:
            about = text.partition(MARK)[0].strip("# ,")
            raise ExportError(
                f"'{destination}' holds an export ({about}). --force replaces it, and "
                "leaves other files; or choose another folder."
            )


def _files_of_export(folder):
    """Names in an earlier export's folder that are its own."""
    listed = folder / SUMS
    text = listed.read_text("utf-8", "replace") if listed.is_file() else ""
    lines = text.splitlines()
    names = {line.partition("  ")[2].partition("/")[0] for line in lines} | {SUMS}
    # Of older versions, which kept no list.
    names |= {f"{name}.ckpt" for name in MODULES}
    return names | {path.name for path in folder.glob(f"{UPSTREAM}*")}


def _copy_modules(saved, destination):
    """Takes along modules that lie beside the upstream's card or in the current
    folder: nobody else could import them."""
    for folder in {_beside_card(saved), Path.cwd()}:
        for key in ("upstream_model", "head", "featurizer"):
            if key not in saved:
                continue
            module = saved[key].tag.value.partition(":")[2].rpartition(".")[0]
            path = folder / (module.replace(".", "/") + ".py")
            if module and "." not in module and path.is_file():
                shutil.copyfile(path, destination / path.name)


def _beside_card(saved):
    """The folder of the upstream's card, if it is a file."""
    return Path(str(saved["upstream"]).partition(".yaml:")[0]).resolve().parent


def _local(source):
    """The file or folder among the places of a checkpoint; None: there is none."""
    places = source if isinstance(source, list) else [source]
    for place in places:
        path = Path(str(place or "").partition("#sha256=")[0]).expanduser()
        if place and path.exists():
            return path
    return None


def _copy(source, target):
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)
