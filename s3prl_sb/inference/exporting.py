"""Exporting a run: a folder that SpeechBrain's ``from_hparams`` loads.

Authors
 * The s3prl_sb developers, 2026
"""

import io
import shutil
from pathlib import Path

from s3prl_sb import foreign, own
from s3prl_sb.errors import printable
from s3prl_sb.foreign import Document, find_class, own_names, with_own_names
from s3prl_sb.foreign.tags import quoted
from s3prl_sb.foreign.trust import require
from s3prl_sb.hyperyaml import programs
from s3prl_sb.identity.upstreams import changed_since
from s3prl_sb.inference.finished import AGAIN, ExportError, finished
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import naming, read_text, read_yaml, write_json
from s3prl_sb.storage.parts import Part, recover
from s3prl_sb.storage.yaml_texts import yaml_parser

UPSTREAM = "upstream_source"  # a local checkpoint's name in an export
MODULES = ("upstream", "featurizer", "head")
MARK = "exported by s3prl_sb"  # in the first line of an export's hyperparams.yaml
SETTINGS = "the settings of a run"
#: Entries of a run's settings that may name classes of one's own.
NAMING = ("upstream_model", "head", "featurizer", "eval_pipes")


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
    s3prl_sb.foreign.trust.TrustError
        If the export would run code, and that is not trusted where it comes from: in
        the destination it might be.
    """
    run, destination = Path(run_folder), Path(destination)
    recover(destination)
    results, interface, checkpoint = finished(run)
    _check_destination(destination, force)
    saved = read_yaml(run / "hyperparams.yaml", SETTINGS, AGAIN, kind=dict)
    with naming(run / "hyperparams.yaml", SETTINGS, AGAIN):
        upstream = saved["upstream_model"]
        saved["eval_pipes"]  # is there
        if not isinstance(upstream, dict):
            raise ValueError(f"its upstream_model is {upstream!r}")
        for name in {"featurizer", "head"} & set(getattr(checkpoint, "paramfiles", ())):
            saved[name].tag  # of which class it is
    if find_class(interface["class"], foreign.INTERFACE) is None:
        raise ExportError(f"'{run}' is of no known interface: {interface['class']!r}.")
    _ask(saved, run)
    local = _local(upstream.get("source"))
    trained_with = interface.get("upstream_identity", interface.get("upstream_weights"))
    if local is not None and trained_with:
        _check_weights(saved, trained_with, run, local)

    with Part(destination) as part:
        _check_destination(destination, force)  # another may have come first
        part.path.mkdir()
        final = destination.resolve()
        read = (run, results, interface, checkpoint, saved)
        _fill(part.path, final, *read, local if copy_upstream else None, local)
        replaced = _files_of_export(destination)
        part.publish(keep=lambda name: name not in replaced)
    return destination


def _fill(
    destination, final, run, results, interface, checkpoint, saved, copied, local
):
    """Writes an export into a folder that will be called ``final``."""
    import ruamel.yaml

    upstream = saved["upstream_model"]
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
    for folder, name in own_code(saved, run):  # nobody else could import them
        own.copy(folder, name, destination)
    nodes = {
        "export_folder": str(final),
        "task": quoted(results["task"]),
        "interface": ruamel.yaml.comments.TaggedScalar(
            "", tag=f"!name:{interface['class']}"
        ),
        **quoted(interface["hparams"]),
        "upstream": upstream,
        "audio_pipes": saved["eval_pipes"],
    }
    if "featurizer" in saved:
        nodes["featurizer"] = saved["featurizer"]
    if "head" in saved:
        nodes["head"] = saved["head"]
        tag = nodes["head"].tag.value.replace("!name:", "!new:")
        nodes["head"].yaml_set_ctag(ruamel.yaml.tag.Tag(suffix=tag))
        nodes["head"].update(quoted(interface["head"]))
    modules = [name for name in MODULES if name in nodes]
    text = io.StringIO()
    _drop_comments(nodes)  # the recipe's headings have come along with its entries
    programs.write(nodes, text)
    write_json(destination / "results.json", results)
    (destination / "hyperparams.yaml").write_text(
        f"# {printable(results['task'])} with {printable(results['upstream'])}, "
        f"{MARK}.\n# Load it with s3prl_sb.inference.load.\n"
        f"{text.getvalue()}"
        "modules:\n"
        + "".join(f"    {name}: !ref <{name}>\n" for name in modules)
        + pretrainer(loadables),
        encoding="utf-8",
    )
    checksums.write(destination)


def _drop_comments(node):
    from ruamel.yaml.comments import Comment

    if isinstance(node, (dict, list)):
        if hasattr(node, Comment.attrib):
            delattr(node, Comment.attrib)
        for inner in node.values() if isinstance(node, dict) else node:
            _drop_comments(inner)


def pretrainer(loadables):
    """The lines of an export that load the weights.

    Arguments
    ---------
    loadables : list of str
        The modules that have some.

    Returns
    -------
    str
        YAML.
    """
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


def own_code(saved, run):
    """The modules of one's own that a run names, and where they lie.

    Arguments
    ---------
    saved : dict
        Its ``hyperparams.yaml``, as ruamel.yaml's round-trip loader gives it.
    run : pathlib.Path
        Its folder, where a recipe keeps a copy of them; then they are looked for
        beside the upstream's card, and in the current folder.

    Returns
    -------
    list of (pathlib.Path, str)
        The folder and the name of each module in it.
    """
    places = [run.resolve(), _beside_card(saved), Path.cwd()]
    found = []
    for name in own_names([saved[key] for key in NAMING if key in saved]):
        modules = ((place, own.place(place, name)) for place in places)
        found += [next(((p, m) for p, m in modules if m), None)]
    return list(dict.fromkeys(filter(None, found)))


def _ask(saved, run):
    """Asks for trust in what an export would run."""
    entries = {"upstream": saved["upstream_model"], "audio_pipes": saved["eval_pipes"]}
    entries |= {key: saved[key] for key in ("featurizer", "head") if key in saved}
    places = [place for place, _ in own_code(saved, run)]
    folder = places[0] if places else run
    would_run = Document(entries, foreign.KINDS, folder).foreign()
    for asks in (run / "hyperparams.yaml", *places) if would_run else ():
        require(asks, would_run)


def _check_weights(saved, trained_with, run, local):
    """Makes sure that the weights have not changed under the same path."""
    changed = changed_since(trained_with, _upstream(saved, run))
    if changed:
        raise ExportError(
            f"'{local}' does not hold the weights that '{run}' was trained with "
            f"({'; '.join(changed)}). Put the old file there again, or train again "
            "into another output_folder."
        )


def _upstream(saved, run):
    """The upstream of a run, which may run code by now."""
    entries = {"upstream": saved["upstream_model"]}
    places = own_code({**saved, **dict.fromkeys(NAMING[1:], [])}, run)
    folder = places[0][0] if places else run
    document = Document(entries, {"upstream": foreign.UPSTREAM}, folder)
    if not document.foreign():
        return document.build("upstream")
    text = io.StringIO()
    yaml_parser().dump(with_own_names(entries, folder), text)
    return programs.load(text.getvalue())["upstream"]


def _check_destination(destination, force):
    if destination.exists() and not destination.is_dir():
        raise ExportError(f"'{destination}' is a file.")
    if destination.is_dir() and any(destination.iterdir()):
        yaml = destination / "hyperparams.yaml"
        text = read_text(yaml) if yaml.is_file() else ""
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
    listed = folder / checksums.FILE
    text = listed.read_text("utf-8", "replace") if listed.is_file() else ""
    lines = text.splitlines()
    names = {line.partition("  ")[2].partition("/")[0] for line in lines}
    names.add(checksums.FILE)
    # Of older versions, which kept no list.
    names |= {f"{name}.ckpt" for name in MODULES}
    return names | {path.name for path in folder.glob(f"{UPSTREAM}*")}


def _beside_card(saved):
    """The folder of the upstream's card, if it is a file."""
    return Path(str(saved["upstream"]).partition(".yaml:")[0]).parent.resolve()


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
