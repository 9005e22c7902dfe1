"""Export of a run to a folder that SpeechBrain's ``from_hparams`` loads.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import io
import shutil
from pathlib import Path

from speechbrain.utils.checkpoints import Checkpoint

from s3prl_sb import foreign, own
from s3prl_sb.errors import printable
from s3prl_sb.foreign import Document, find_class, own_names, with_own_names
from s3prl_sb.foreign.tags import quoted
from s3prl_sb.foreign.trust import require
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import drop_comments
from s3prl_sb.identity.upstreams import changed_since
from s3prl_sb.inference.finished import AGAIN, ExportError, read_run
from s3prl_sb.lobes.cards.fusing import sources
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import naming, read_text, read_yaml, write_json
from s3prl_sb.storage.parts import Part, recover
from s3prl_sb.storage.yaml_texts import yaml_parser
from s3prl_sb.terminal.messages import few

UPSTREAM = "upstream_source"  # name of a local checkpoint in an export
MEASURES = "measures.json"  # of each utterance of the test, for intervals
PREDICTIONS = "predictions.csv"  # of the test, with what is true
MODULES = ("upstream", "featurizer", "head")
MARK = "exported by s3prl_sb"  # in the first line of an export's hyperparams.yaml
SETTINGS = "the settings of a run"
#: Entries of a run's settings that may name user-defined classes.
NAMING = ("upstream_model", "head", "featurizer", "eval_pipes")


@dataclasses.dataclass
class _Run:
    """Contents of a finished run: see :func:`~s3prl_sb.inference.finished.read_run`.
    ``settings`` is its ``hyperparams.yaml``."""

    folder: Path
    results: dict
    interface: dict
    checkpoint: Checkpoint | None
    settings: dict

    @property
    def local_upstreams(self):
        """Nodes of the upstream and of its parts that have a local checkpoint, and the
        checkpoint of each: pairs."""
        nodes = sources(self.settings["upstream_model"])
        pairs = [(node, _local(node["source"])) for node in nodes]
        return [(node, local) for node, local in pairs if local is not None]


def export(
    run_folder: str | Path,
    destination: str | Path,
    copy_upstream: bool = True,
    force: bool = False,
    predictions: bool = False,
) -> Path:
    """Exports the best checkpoint of a run to a folder that ``from_hparams`` loads.

    Arguments
    ---------
    run_folder : str
        ``output_folder`` of a finished recipe.
    destination : str
        Folder of the export, created atomically; it may exist if it is empty.
    copy_upstream : bool
        Whether to copy a local checkpoint that the upstream was loaded from. A
        published address stays an address.
    force : bool
        Whether to replace an existing export. Other files in the folder stay.
    predictions : bool
        Whether to copy the predictions of the test, which ``s3prl-sb compare`` shows.
        They have the labels or texts of the corpus, whose licence may forbid that.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    ExportError
        If the run is not finished or lacks what is asked for, the destination holds
        something else, or the upstream's checkpoint is not the one that the run was
        trained with.
    s3prl_sb.foreign.trust.TrustError
        If the export would run code that is not trusted in the folder of the run. The
        destination might be trusted.
    """
    folder, destination = Path(run_folder), Path(destination)
    recover(destination)
    results, interface, checkpoint = read_run(folder)
    _check_destination(destination, force)
    settings = read_yaml(folder / "hyperparams.yaml", SETTINGS, AGAIN, kind=dict)
    with naming(folder / "hyperparams.yaml", SETTINGS, AGAIN):
        upstream = settings["upstream_model"]
        settings["eval_pipes"]  # must exist
        if not isinstance(upstream, dict):
            raise ValueError(f"its upstream_model is {upstream!r}")
        for name in {"featurizer", "head"} & set(getattr(checkpoint, "paramfiles", ())):
            settings[name].tag  # must name a class
    kind = interface["class"]
    if find_class(kind, foreign.INTERFACE) is None:
        raise ExportError(f"'{folder}' is of no known interface: {kind!r}.")
    run = _Run(folder, results, interface, checkpoint, settings)
    if predictions and not (folder / PREDICTIONS).is_file():
        raise ExportError(f"'{folder}' has no {PREDICTIONS} to export. {AGAIN}")
    _require_trust(run)
    _check_weights(run)
    kept = [MEASURES, *([PREDICTIONS] if predictions else [])]

    with Part(destination) as part:
        _check_destination(destination, force)  # it may have been created meanwhile
        part.path.mkdir()
        _fill(part.path, destination.resolve(), run, copy_upstream, kept)
        replaced = _files_of_export(destination)
        part.publish(keep=lambda name: name not in replaced)
    return destination


def _fill(folder, destination, run, copy_upstream, kept):
    """Writes an export into a folder that will be moved to its destination."""
    loadables = []
    for name in MODULES:
        if run.checkpoint is not None and name in run.checkpoint.paramfiles:
            shutil.copyfile(run.checkpoint.paramfiles[name], folder / f"{name}.ckpt")
            loadables.append(name)
    _set_upstream(folder, run, copy_upstream)
    for place, name in own_code(run.settings, run.folder):  # not importable elsewhere
        own.copy(place, name, folder)
    nodes = _nodes(run, destination)
    text = io.StringIO()
    drop_comments(nodes)  # the entries carry the headings of the recipe
    programs.write(nodes, text)
    write_json(folder / "results.json", run.results)
    for name in kept:  # s3prl-sb compare takes exports, too
        if (run.folder / name).is_file():
            shutil.copyfile(run.folder / name, folder / name)
    (folder / "hyperparams.yaml").write_text(
        f"# {printable(run.results['task'])} with {printable(run.results['upstream'])},"
        f" {MARK}.\n# Load it with s3prl_sb.inference.load.\n"
        f"{text.getvalue()}"
        "modules:\n"
        + "".join(f"    {name}: !ref <{name}>\n" for name in MODULES if name in nodes)
        + pretrainer(loadables),
        encoding="utf-8",
    )
    checksums.write(folder)


def _set_upstream(folder, run, copy_upstream):
    """Sets the sources that are local checkpoints: copies or their paths."""
    from ruamel.yaml.comments import TaggedScalar

    for number, (node, local) in enumerate(run.local_upstreams):
        if not copy_upstream:
            node["source"] = str(local.resolve())
            continue
        name = f"{UPSTREAM}{number or ''}{local.suffix}"
        _copy(local, folder / name)
        node["source"] = TaggedScalar(f"<export_folder>/{name}", tag="!ref")


def _nodes(run, destination):
    """Returns the entries of the ``hyperparams.yaml`` of an export."""
    from ruamel.yaml.comments import TaggedScalar
    from ruamel.yaml.tag import Tag

    interface, settings = run.interface, run.settings
    nodes = {
        "export_folder": str(destination),
        "task": quoted(run.results["task"]),
        "interface": TaggedScalar("", tag=f"!name:{interface['class']}"),
        **quoted(interface["hparams"]),
        "upstream": settings["upstream_model"],
        "audio_pipes": settings["eval_pipes"],
    }
    if "featurizer" in settings:
        nodes["featurizer"] = settings["featurizer"]
    if "head" in settings:
        nodes["head"] = settings["head"]
        tag = nodes["head"].tag.value.replace("!name:", "!new:")
        nodes["head"].yaml_set_ctag(Tag(suffix=tag))
        nodes["head"].update(quoted(interface["head"]))
    return nodes


def pretrainer(loadables):
    """Returns the lines of an export that load the weights.

    Arguments
    ---------
    loadables : list of str
        The modules with weights.

    Returns
    -------
    str
        YAML.
    """
    node = "pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer\n"
    if not loadables:
        return node  # nothing is trained
    hook = "!name:s3prl_sb.brains.checkpointer.load_trained"
    references = "".join(f"        {name}: !ref <{name}>\n" for name in loadables)
    hooks = "".join(f"        {name}: {hook}\n" for name in loadables)
    return f"{node}    loadables:\n{references}    custom_hooks:\n{hooks}"


def own_code(settings, run):
    """Returns the user-defined modules that a run names.

    Arguments
    ---------
    settings : dict
        Its ``hyperparams.yaml``, from ruamel.yaml's round-trip loader.
    run : pathlib.Path
        Its folder, where a recipe keeps a copy of them. Modules that it lacks are
        searched next to the upstream's card, then in the current folder.

    Returns
    -------
    list of (pathlib.Path, str)
        Folder and name of each module.
    """
    places = [run.resolve(), _beside_card(settings), Path.cwd()]
    modules = []
    for name in own_names([settings[key] for key in NAMING if key in settings]):
        candidates = ((place, own.place(place, name)) for place in places)
        modules += [next(((p, m) for p, m in candidates if m), None)]
    return list(dict.fromkeys(filter(None, modules)))


def _require_trust(run):
    """Raises an error if an export would run code that is not trusted."""
    settings = run.settings
    names = {"upstream": "upstream_model", "audio_pipes": "eval_pipes"}
    names |= {key: key for key in ("featurizer", "head") if key in settings}
    entries = {key: settings[name] for key, name in names.items()}
    places = [place for place, _ in own_code(settings, run.folder)]
    folder = places[0] if places else run.folder
    would_run = Document(entries, foreign.KINDS, folder).foreign()
    for asks in (run.folder / "hyperparams.yaml", *places) if would_run else ():
        require(asks, would_run)


def _check_weights(run):
    """Checks that the local checkpoints of the upstream have not changed."""
    local, interface = [f"'{p}'" for _, p in run.local_upstreams], run.interface
    trained_with = interface.get("upstream_identity", interface.get("upstream_weights"))
    if not local or not trained_with:
        return
    changed = changed_since(trained_with, _upstream(run.settings, run.folder))
    if changed:
        raise ExportError(
            f"{few(local)} does not hold the weights that '{run.folder}' was trained "
            f"with ({'; '.join(changed)}). Put the old file there again, or train "
            "again into another output_folder."
        )


def _upstream(settings, run):
    """Loads the upstream of a run, whose code is trusted at this point."""
    entries = {"upstream": settings["upstream_model"]}
    places = own_code({**settings, **dict.fromkeys(NAMING[1:], [])}, run)
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
            title = text.partition(MARK)[0].strip("# ,")
            raise ExportError(
                f"'{destination}' holds an export ({title}). --force replaces it, and "
                "leaves other files; or choose another folder."
            )


def _files_of_export(folder):
    """Returns the names in a folder that belong to an earlier export."""
    listed = folder / checksums.FILE
    text = listed.read_text("utf-8", "replace") if listed.is_file() else ""
    lines = text.splitlines()
    names = {line.partition("  ")[2].partition("/")[0] for line in lines}
    # Exports of older versions have no list.
    names |= {checksums.FILE, *(f"{name}.ckpt" for name in MODULES)}
    return names | {path.name for path in folder.glob(f"{UPSTREAM}*")}


def _beside_card(settings):
    """Returns the folder of the upstream's card, if it is a file."""
    return Path(str(settings["upstream"]).partition(".yaml:")[0]).parent.resolve()


def _local(source):
    """Returns the first existing file or folder of a checkpoint's sources, or None."""
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
