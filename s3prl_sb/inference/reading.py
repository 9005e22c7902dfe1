"""Reading of an export: as data, or with HyperPyYAML if it is trusted.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import io
from pathlib import Path

from s3prl_sb.brains.checkpointer import load_trained
from s3prl_sb.foreign import KINDS, Document, with_own_names
from s3prl_sb.foreign.trust import require, trusting
from s3prl_sb.hyperyaml import programs
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.inference.exporting import pretrainer
from s3prl_sb.inference.published import is_from_hub
from s3prl_sb.lobes.checkpoints.values import bounded
from s3prl_sb.storage import checksums
from s3prl_sb.storage.files import FileError, naming, read_yaml
from s3prl_sb.storage.yaml_texts import yaml_of, yaml_parser

CHANGED = (
    "Export the run again; or delete SHA256SUMS, if you have changed it on purpose."
)
DAMAGED = "Delete '{}', and load the export again, which downloads it."
WHAT = "the settings of an export"
#: Arguments of SpeechBrain's ``from_hparams`` that a local folder does not need.
FETCHING = ("local_strategy", "fetch_config", "pymodule_file")


def read(
    model_class, folder, overrides=None, trust=False, code=None, asks=None, **kwargs
):
    """Loads an export.

    Arguments
    ---------
    model_class : type
        A subclass of :class:`~s3prl_sb.inference.pretrained.SpeechModel`.
    folder : str
        Folder of the export.
    overrides : dict or str, optional
        Overrides of its ``hyperparams.yaml``.
    trust : bool
        Whether code that comes with it may run.
    code : pathlib.Path, optional
        Folder of its user-defined modules; default: ``folder``.
    asks : pathlib.Path, optional
        The file whose folder must be trusted; default: ``hyperparams.yaml``.
    **kwargs
        Arguments of the class: ``run_opts`` and ``freeze_params``.

    Returns
    -------
    SpeechModel

    Raises
    ------
    s3prl_sb.foreign.trust.TrustError
        If it would run code and is not trusted.
    s3prl_sb.storage.files.FileError
        If a file is damaged or missing, or a module has no weights.
    """
    folder = Path(folder).resolve()
    path = folder / "hyperparams.yaml"
    fix = DAMAGED.format(folder.parents[1]) if is_from_hub(folder) else CHANGED
    checksums.verify(folder, fix)
    entries = read_yaml(path, WHAT, kind=dict)
    overrides = {"export_folder": str(folder), **_overrides(overrides)}
    code = folder if code is None else code
    asks = asks or path  # for a run in a temporary export, the run asks
    with naming(asks, WHAT), trusting(trust):
        foreign = foreign_parts(entries, code)
        if foreign:
            require(asks, foreign)
            hparams = _by_hyperpyyaml(entries, overrides, code, path)
        else:
            with bounded(plain(entries), source=asks):
                hparams = _by_data(entries, overrides)
    modules = hparams["modules"]
    if not foreign:
        _load_weights(modules, entries, folder)
    for name in FETCHING:
        kwargs.pop(name, None)
    model = model_class(modules=modules, hparams=hparams, **kwargs)
    check_all_loaded(model, loadables_of(entries), folder)
    return model


def check_all_loaded(model, loaded, source):
    """Checks that no module has random weights instead of trained ones.

    Arguments
    ---------
    model : SpeechModel
        The loaded model.
    loaded : list of str
        The modules whose weights were loaded.
    source : str
        Source of the model, for the error.

    Raises
    ------
    FileError
        If a module has no weights.
    """
    for name in model.MODULES_NEEDED:
        module = getattr(model.mods, name, None)
        # A frozen upstream loads its weights from its own source.
        if name in loaded or (name == "upstream" and module.freeze):
            continue
        if module is not None and module.state_dict():
            raise FileError(
                f"'{source}' has no weights of its {name}: it is no whole export. "
                "Export the run again."
            )


def _overrides(overrides):
    if isinstance(overrides, str):
        overrides = yaml_of(overrides)
    return dict(overrides or {})


def loadables_of(entries):
    """Returns the modules whose weights an export claims to have.

    Arguments
    ---------
    entries : dict
        Its ``hyperparams.yaml``, from ruamel.yaml's round-trip loader.

    Returns
    -------
    list of str
    """
    node = entries.get("pretrainer")
    loadables = node.get("loadables") if isinstance(node, dict) else None
    return list(loadables) if isinstance(loadables, dict) else []


def foreign_parts(entries, code):
    """Lists the parts of an export that are not data.

    Arguments
    ---------
    entries : dict
        See :func:`loadables_of`.
    code : pathlib.Path
        Folder of its user-defined modules.

    Returns
    -------
    list of str
        Descriptions of what would run; empty for most exports.
    """
    document = Document(entries, KINDS, code)
    foreign = document.foreign([key for key in entries if key != "pretrainer"])
    # The pretrainer is never built: it must be the one that export() writes.
    ours = yaml_of(pretrainer(loadables_of(entries)))["pretrainer"]
    theirs = entries.get("pretrainer", ours)
    if plain(theirs) != plain(ours):
        foreign.append("a pretrainer of its own")
    return foreign


def _by_data(entries, overrides):
    entries = _merged(copy.deepcopy(entries), overrides)
    entries.pop("pretrainer", None)
    document = Document(entries, KINDS)
    return {key: document.build(key) for key in entries}


def _merged(node, changes):
    """Merges overrides like HyperPyYAML: only existing keys can be changed."""
    for key, value in changes.items():
        if key not in node:
            names = ", ".join(map(str, node))
            raise ValueError(f"there is no '{key}' to override, but {names}")
        if isinstance(value, dict) and isinstance(node[key], dict):
            _merged(node[key], value)
        else:
            node[key] = value
    return node


def _load_weights(modules, entries, folder):
    for name in loadables_of(entries):
        if name not in modules:
            raise FileError(f"'{folder}' has weights of '{name}', and no such module.")
        path = folder / f"{name}.ckpt"
        if not path.exists():
            raise FileError(f"'{path}' is missing. Export the run again.")
        load_trained(modules[name], path)


def _by_hyperpyyaml(entries, overrides, code, path):
    """Loads a trusted export like SpeechBrain, with the modules of its folder."""
    from speechbrain.utils.fetching import LocalStrategy

    text = io.StringIO()
    yaml_parser().dump(with_own_names(entries, code), text)
    text.seek(0)
    text.name = str(path)  # for relative paths of !include
    hparams = programs.load(text, overrides)
    collected = hparams["pretrainer"]
    collected.collect_files(
        default_source=str(path.parent), local_strategy=LocalStrategy.NO_LINK
    )
    collected.load_collected()
    return hparams
