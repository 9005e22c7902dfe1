"""Settings of a run, and the check that a resumed run has the same ones.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import shlex
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from s3prl_sb.brains.results import test_digest
from s3prl_sb.dataio import conditions
from s3prl_sb.errors import UserError
from s3prl_sb.identity import FORMAT, differences
from s3prl_sb.identity.data import digests, parts_identity
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.schedules import schedule_of
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.defaults import default_values
from s3prl_sb.schema.keys import KeysError, Schema, shared
from s3prl_sb.schema.kinds import WrongKind
from s3prl_sb.startup.configuration import RECIPE, SCHEMA
from s3prl_sb.storage.files import FileError, naming, read_json, write_json
from s3prl_sb.terminal.messages import setting

#: Key of what is compared by content: upstream, pipes, modules and data.
IDENTITY = "identity"
LEARNED_FROM = ("train", "valid")  # the test set may change
_WAY_OUT = (
    "Choose another output_folder (--name NAME is one beside it), or delete this one "
    "to train again."
)


class SettingsError(UserError, ValueError):
    """Settings that are invalid, or differ from those of the run to resume."""


def check_numbers(hparams):
    """Checks that numbers of steps and batches are valid.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe.

    Raises
    ------
    SettingsError
        If one is invalid; names the key.

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
    """Checks, before any work, that the checkpoints in the folder belong to these
    settings.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe.
    splits : dict
        See :func:`s3prl_sb.identity.data.digests`.

    Raises
    ------
    SettingsError
        If the folder holds checkpoints of other settings.
    """
    if resumes(hparams["checkpointer"]):
        begin_with(hparams, digests(splits))


def begin_with(hparams, data):
    """Checks the same as :func:`begin`, for data whose digests are known.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe, in whose folder are checkpoints.
    data : dict
        Names of sets to digests.

    Raises
    ------
    SettingsError
        If the checkpoints are of other settings.
    """
    now = current(hparams, hparams["upstream_model"], data)
    if hparams.get("lr_search"):
        now.pop("lr", None)  # not chosen yet
    _compare(hparams["checkpointer"], now, partial=True)


def check(brain):
    """Compares the settings of a run with those of its checkpoints.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain to train.

    Raises
    ------
    SettingsError
        If a setting has changed; names it and the way out.
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
    if resumes(brain.checkpointer):
        _compare(brain.checkpointer, now)
    elif brain.checkpointer.list_checkpoints():
        raise SettingsError(
            f"'{_path(brain.checkpointer)}' is missing, which says what the "
            f"checkpoints beside it are of. {_WAY_OUT}"
        )
    elif if_main_process():
        write_json(_path(brain.checkpointer), now)


def check_test(brain, splits=None):
    """Checks that a finished run is not tested on another list.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain to train; the training may be finished already.
    splits : dict, optional
        See :func:`s3prl_sb.identity.data.digests`; None if ``brain.data`` has them.

    Raises
    ------
    SettingsError
        If ``results.json`` in its folder has the results of another test set, which
        would be lost.
    """
    folder = Path(brain.hparams.output_folder)
    try:
        tested = read_json(folder / "results.json", kind=dict).get("test")
    except FileError:  # there are no results to lose
        return
    if not isinstance(tested, dict) or not tested.get("sha256"):
        return  # written by an older version
    if splits is not None:
        brain.data = digests(splits)
    if tested["sha256"] != test_digest(brain):
        now = conditions.tested_under(vars(brain.hparams))
        before = tested.get("conditions") or {}
        what = f"another test set ({tested['name']})"
        if now != before:
            what = f"a test under other conditions ({setting(before or 'none')})"
        raise SettingsError(
            f"'{folder / 'results.json'}' is of {what}: it stays as it is. To test the "
            f"finished run on this one: {_score(brain, folder, now, now != before)}"
        )


def _score(brain, folder, now, only_conditions):
    """Returns the command that scores a finished run on the test set of a Brain."""
    tested = "" if now and only_conditions else _list_of(brain)
    words = ["s3prl-sb score", str(folder), tested, _options(now)]
    return " ".join(filter(None, words))


def _list_of(brain):
    """Returns the options of ``s3prl-sb score`` for the test set of a run."""
    names = ("documents_csv", "test_csv", "data_folder", "test_split")
    options = {name: getattr(brain.hparams, name, None) for name in names}
    if options["test_csv"]:
        options["data_folder"] = options["test_split"] = None
    return _options({k: v for k, v in options.items() if v})


def _options(values):
    """Returns options of a command line, quoted for a shell."""
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    return " ".join(f"--{k} {shlex.quote(text)}" for k, text in texts.items())


def described(hparams):
    """Returns the keys of a recipe that may affect the outcome.

    Arguments
    ---------
    hparams : dict
        Settings from :func:`s3prl_sb.startup.configuration.load_recipe`.

    Returns
    -------
    dict
        The keys that a run keeps, without those of :func:`kept`, which are compared by
        their values. None if the settings do not come from a recipe.
    """
    recipe = hparams.get(RECIPE)
    if recipe is None:
        return None
    schema = hparams.get(SCHEMA) or Schema("", recipe)
    # The upstream is compared by its identity.
    separate = {*kept(), "upstream_model"}
    return {k: v for k, v in schema.kept(recipe).items() if k not in separate}


def kept():
    """Returns the shared keys that a run keeps and that have plain values.

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
    """Returns what identifies a run: settings, weights and data.

    Arguments
    ---------
    hparams : dict
        Settings of a recipe.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream as it was loaded.
    data : dict
        Digests from :func:`s3prl_sb.identity.data.digests`.

    Returns
    -------
    dict
        JSON values.
    """
    now = {key: hparams[key] for key in kept() if key in hparams}
    schedule = schedule_of(hparams)
    if schedule is not None and schedule.needs_total:  # otherwise it is free
        now["total_steps"] = hparams["total_steps"]
    now[IDENTITY] = {
        "format": FORMAT,
        "upstream": first_identity(upstream),
        "data": {name: data[name] for name in LEARNED_FROM if name in data},
        **parts_identity({**hparams, **conditions.train_identity(hparams)}),
    }
    recipe = described(hparams)
    if recipe is not None:
        now[RECIPE] = recipe
    return json.loads(json.dumps(now, default=str))


def _path(checkpointer):
    return Path(checkpointer.checkpoints_dir) / "settings.json"


def resumes(checkpointer):
    """Returns whether there is a run to resume.

    Arguments
    ---------
    checkpointer : AtomicCheckpointer
        Checkpointer of the run's folder.

    Returns
    -------
    bool
    """
    return _path(checkpointer).exists() and bool(checkpointer.list_checkpoints())


def _compare(checkpointer, now, partial=False):
    path = _path(checkpointer)
    before = read_json(path, "the settings of a run", _WAY_OUT, kind=dict)
    with naming(path, "the settings of a run", _WAY_OUT):
        _compare_with(before, now, partial, path)


def _compare_with(before, now, partial, path):
    if before.get(IDENTITY, {}).get("format") != FORMAT:
        raise SettingsError(
            f"'{path.parent}' holds checkpoints of an older identity: what they were "
            "trained with cannot be compared. Choose another output_folder, delete "
            "this one, or go on with the version of s3prl_sb that began it."
        )
    # A run from before a key existed had its default.
    before = {**{k: v for k, v in default_values().items() if k in now}, **before}
    optional = {RECIPE, IDENTITY, "modules"}
    if not {*before} & {*now} & {"total_steps"}:  # the schedules differ, and say so
        optional.add("total_steps")
    if before[IDENTITY].get("upstream") == now[IDENTITY]["upstream"]:
        optional.add("upstream")  # under another name: a path, or one on the hub
    keys = (now.keys() if partial else before.keys() | now.keys()) - optional
    changed = [words for key in sorted(keys) for words in _change(key, before, now)]
    # Keys that another version of the recipe has added or removed do not count.
    old, new = before.get(RECIPE, {}), now.get(RECIPE, {})
    for key in sorted(old.keys() & new.keys()):
        changed += _changes(key, old, new)
    named = {words.split()[0].partition(".")[0] for words in changed}
    if named & set(conditions.TRAIN):
        named.add("train_conditions")
    changed += differences.named(before[IDENTITY], now[IDENTITY], named)
    old, new = before.get("modules", {}), now.get("modules", {})
    for name in sorted(old.keys() | new.keys() if not partial else ()):
        changed += _change(name, old, new)
    if changed:
        follows = " (scheduler and warmup_steps depend on it)"
        changed = [w + follows * w.startswith("total_steps ") for w in changed]
        raise SettingsError(
            f"'{path.parent}' holds checkpoints of another experiment: with "
            f"{'; '.join(changed[:6])}. Choose another output_folder (--name NAME "
            "is one beside it), or delete this one."
        )


def _changes(key, old, new, prefix=""):
    """Describes the parts of a key whose values differ."""
    before, now = old.get(key), new.get(key)
    if not isinstance(before, dict) or not isinstance(now, dict):
        return _change(key, old, new, prefix)
    inside = [
        _changes(inner, before, now, f"{prefix}{key}.") for inner in {**before, **now}
    ]
    return sum(inside, [])


def _change(key, old, new, prefix=""):
    """Describes a key in a list if its values differ; otherwise the list is empty."""
    before, now = old.get(key), new.get(key)
    if before == now:
        return []
    return [f"{prefix}{key} {setting(before)}, not {setting(now)}"]
