"""What a run was started with: going on with something else is an error.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import shlex
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from s3prl_sb.errors import UserError
from s3prl_sb.identity import FORMAT, differences, digest
from s3prl_sb.identity.data import digests, parts_identity
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.keys import KeysError, Schema, shared
from s3prl_sb.schema.kinds import WrongKind
from s3prl_sb.startup.configuration import RECIPE, SCHEMA
from s3prl_sb.storage.files import FileError, naming, read_json, write_json

#: Compared by what they hold: the upstream, the pipes, the modules, the data.
IDENTITY = "identity"
LEARNED_FROM = ("train", "valid")  # what is tested on may change
_ANEW = (
    "Choose another output_folder (--name NAME is one beside it), or delete this one "
    "to train again."
)


class SettingsError(UserError, ValueError):
    """Settings that cannot work, or are not those of the run to go on with."""


def check_numbers(hparams):
    """Makes sure that steps and batches can be counted.

    Arguments
    ---------
    hparams : dict
        Of a recipe.

    Raises
    ------
    SettingsError
        That names the key.

    Example
    -------
    >>> check_numbers({"total_steps": 1000, "steps_per_epoch": 300})
    Traceback (most recent call last):
    ...
    s3prl_sb.brains.settings.SettingsError: total_steps 1000 is no multiple of …
    """
    try:
        for key, declaration in shared().items():
            if declaration.kind == "count" and key in hparams:
                try:
                    declaration.value(hparams[key])
                except WrongKind:
                    raise KeysError(
                        f"{key} is {declaration.words()}, not {hparams[key]!r}."
                    ) from None
        check_together(hparams)
    except KeysError as error:
        raise SettingsError(str(error)) from error


def begin(hparams, splits):
    """Looks, before anything is computed, whether it is this run that goes on.

    Arguments
    ---------
    hparams : dict
        Of a recipe.
    splits : dict
        As for :func:`s3prl_sb.identity.data.digests`.

    Raises
    ------
    SettingsError
        If the folder holds checkpoints of other settings.
    """
    if not _goes_on(hparams["checkpointer"]):
        return
    now = current(hparams, hparams["upstream_model"], digests(splits))
    if hparams.get("lr_search"):
        now.pop("lr", None)  # it is yet to be chosen
    _compare(hparams["checkpointer"], now, partial=True)


def check(brain):
    """Compares a run's settings with those that its checkpoints come from.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        About to train.

    Raises
    ------
    SettingsError
        That names the setting that has changed, and the way out.
    """
    now = current(vars(brain.hparams), brain.upstream, brain.data)
    now["modules"] = {
        f"{module}.{name}": list(parameter.shape)
        for module, content in sorted(brain.raw_modules.items())
        for name, parameter in content.named_parameters()
    }
    if hasattr(brain, "tokenizer"):
        now["tokenizer"] = brain.tokenizer.spec()
    now = json.loads(json.dumps(now, default=str))
    if _goes_on(brain.checkpointer):
        _compare(brain.checkpointer, now)
    elif brain.checkpointer.list_checkpoints():
        raise SettingsError(
            f"'{_path(brain.checkpointer)}' is missing, which says what the "
            f"checkpoints beside it are of. {_ANEW}"
        )
    elif if_main_process():
        write_json(_path(brain.checkpointer), now)


def check_test(brain, splits=None):
    """Makes sure that a finished run is not tested on another list.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        About to train, or to find that it has been trained.
    splits : dict, optional
        As for :func:`s3prl_sb.identity.data.digests`; None: the Brain has asked it.

    Raises
    ------
    SettingsError
        If ``results.json`` in its folder is of another test set: it would be lost.
    """
    folder = Path(brain.hparams.output_folder)
    try:
        tested = read_json(folder / "results.json", kind=dict).get("test")
    except FileError:  # none yet, or none to lose
        return
    if not isinstance(tested, dict) or not tested.get("sha256"):
        return  # of a version that did not say it
    if splits is not None:
        brain.data = digests(splits)
    if tested["sha256"] != digest(brain.tested_on()):
        raise SettingsError(
            f"'{folder / 'results.json'}' is of another test set ({tested['name']}): "
            "it stays as it is. To test the finished run on this one: s3prl-sb score "
            f"{folder} {_list_of(brain)}"
        )


def _list_of(brain):
    """The options of ``s3prl-sb score`` for a run's own test set."""
    names = ("documents_csv", "test_csv", "data_folder", "test_split")
    given = {name: getattr(brain.hparams, name, None) for name in names}
    if given["test_csv"]:
        given["data_folder"] = given["test_split"] = None
    return " ".join(f"--{k} {shlex.quote(str(v))}" for k, v in given.items() if v)


def described(hparams):
    """What a recipe says, as far as the outcome may depend on it.

    Arguments
    ---------
    hparams : dict
        From :func:`s3prl_sb.startup.configuration.load_recipe`.

    Returns
    -------
    dict
        The keys that a run keeps, without :func:`kept`, which are compared by
        their values. None: they do not come from a recipe.
    """
    recipe = hparams.get(RECIPE)
    if recipe is None:
        return None
    schema = hparams.get(SCHEMA) or Schema("", recipe)
    # The upstream is compared by its identity.
    apart = {*kept(), "upstream_model"}
    return {k: v for k, v in schema.kept(recipe).items() if k not in apart}


def kept():
    """The keys of many recipes that a run keeps and that have plain values.

    Returns
    -------
    list of str

    Example
    -------
    >>> "lr" in kept(), "total_steps" in kept(), "head" in kept()
    (True, False, False)
    """
    return [k for k, key in shared().items() if key.is_kept and key.is_plain]


def current(hparams, upstream, data):
    """What a run is known by: settings, weights, data.

    Arguments
    ---------
    hparams : dict
        Of a recipe.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        As it was loaded.
    data : dict
        From :func:`s3prl_sb.identity.data.digests`.

    Returns
    -------
    dict
        JSON values.
    """
    now = {key: hparams[key] for key in kept() if key in hparams}
    now[IDENTITY] = {
        "format": FORMAT,
        "upstream": first_identity(upstream),
        "data": {name: data[name] for name in LEARNED_FROM if name in data},
        **parts_identity(hparams),
    }
    recipe = described(hparams)
    if recipe is not None:
        now[RECIPE] = recipe
    return json.loads(json.dumps(now, default=str))


def _path(checkpointer):
    return Path(checkpointer.checkpoints_dir) / "settings.json"


def _goes_on(checkpointer):
    """Whether there is something to go on with."""
    return _path(checkpointer).exists() and bool(checkpointer.list_checkpoints())


def _compare(checkpointer, now, partial=False):
    path = _path(checkpointer)
    before = read_json(path, "the settings of a run", _ANEW, kind=dict)
    with naming(path, "the settings of a run", _ANEW):
        _compare_with(before, now, partial, path)


def _compare_with(before, now, partial, path):
    if before.get(IDENTITY, {}).get("format") != FORMAT:
        raise SettingsError(
            f"'{path.parent}' holds checkpoints of an older identity: what they were "
            "trained with cannot be compared. Choose another output_folder, delete "
            "this one, or go on with the version of s3prl_sb that began it."
        )
    optional = {RECIPE, IDENTITY, "modules"}
    keys = (now.keys() if partial else before.keys() | now.keys()) - optional
    changed = [
        f"{key} {_readable(before.get(key))}, not {_readable(now.get(key))}"
        for key in sorted(keys)
        if before.get(key) != now.get(key)
    ]
    # Keys that came or went with a version of the recipe do not count.
    old, new = before.get(RECIPE, {}), now.get(RECIPE, {})
    for key in sorted(old.keys() & new.keys()):
        changed += _differences(key, old[key], new[key])
    told = {words.split()[0].partition(".")[0] for words in changed}
    changed += differences.named(before[IDENTITY], now[IDENTITY], told)
    old, new = before.get("modules", {}), now.get("modules", {})
    changed += [
        f"{name} {_readable(old.get(name))}, not {_readable(new.get(name))}"
        for name in sorted(old.keys() | new.keys() if not partial else ())
        if old.get(name) != new.get(name)
    ]
    if changed:
        raise SettingsError(
            f"'{path.parent}' holds checkpoints of another experiment: with "
            f"{'; '.join(changed[:6])}. Choose another output_folder (--name NAME "
            "is one beside it), or delete this one."
        )


def _differences(key, old, new):
    """The parts of a key that differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            words
            for inner in {**old, **new}
            for words in _differences(f"{key}.{inner}", old.get(inner), new.get(inner))
        ]
    return [f"{key} {_readable(old)}, not {_readable(new)}"] if old != new else []


def _readable(value):
    text = "null" if value is None else str(value)
    return text if len(text) < 80 else f"{text[:80]}…"
