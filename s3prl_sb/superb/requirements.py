"""What the tasks of a benchmark need: looked at before the first of them begins.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib.util

from s3prl_sb.corpora import (
    audio_snips,
    fluent_speech_commands,
    iemocap,
    librispeech,
    speech_commands,
    voxceleb1,
)
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.startup import readiness
from s3prl_sb.superb.keys import PlanError, schema, settings

SHOWN = 20  # faults
TABLES = ("train_csv", "documents_csv")


def check(runs, toys=()):
    """Looks whether the runs that are to be done can begin.

    Nothing is read but the names of files.

    Arguments
    ---------
    runs : list of s3prl_sb.superb.plan.Run
        Those that are done are not looked at.
    toys : collection of str
        Tasks whose corpus will be made.

    Raises
    ------
    PlanError
        With all that is missing, of all tasks.
    """
    wanted = {}
    for run in runs:
        wanted.setdefault(run.task, []).append(run)
    faults = []
    if toys and importlib.util.find_spec("espeakng_loader") is None:
        made = ", ".join(sorted(toys))
        faults.append(
            f"{made}: toys need espeakng-loader: pip install 's3prl_sb[demo]'"
        )
    for task, runs_of_it in wanted.items():
        if all(run.is_done() for run in runs_of_it):
            continue
        keys = {**_plain(task), **runs_of_it[0].overrides}
        found = [] if task in toys else missing(task, keys)
        if keys.get("lm"):
            found += _said(readiness.check_decoder)
        faults += [f"{task}: {fault}" for fault in dict.fromkeys(found)]
    if faults:
        more = len(faults) - SHOWN
        lines = faults[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise PlanError("nothing was begun:\n" + "\n".join(f"  {x}" for x in lines))


def missing(task, keys):
    """What of a task's data is not there.

    Arguments
    ---------
    task : str
        Such as "KS".
    keys : dict
        Of its recipe, all of them.

    Returns
    -------
    list of str
        Sentences.
    """
    declared = schema(task)
    found = []
    for key, value in keys.items():
        declaration = declared[key] if key in declared else None
        if declaration is None or not declared.is_path(key) or declaration.by:
            continue
        if key.endswith("cache_folder"):
            continue
        found += readiness.absent(key, value)
    if found or any(keys.get(name) for name in TABLES) or keys.get("skip_prep"):
        return found
    return _said(lambda: CORPORA[task](keys))


def _plain(task):
    """The recipe's own values."""
    return {key: plain(value) for key, value in settings(task).items()}


def _said(look):
    """What is wrong, if anything is."""
    try:
        look()
    except UserError as error:
        return [" ".join(str(error).split())]
    return []


def _librispeech(keys):
    train = keys["train_splits"] if not keys.get("librilight_folder") else []
    sets = (train, keys["valid_split"], keys["test_split"])
    librispeech.find_sets(keys["data_folder"], *sets)


def _phones(keys):
    _librispeech(keys)
    if not keys.get("lexicon"):
        librispeech.find_lexica(keys["data_folder"])


def _speech_commands(keys):
    speech_commands.find_corpus(keys["data_folder"], keys["version"])


def _intents(keys):
    fluent_speech_commands.find_corpus(keys["data_folder"])


def _slots(keys):
    audio_snips.find_corpus(keys["data_folder"])


def _sessions(keys):
    iemocap.find_corpus(keys["data_folder"])


def _speakers(keys):
    voxceleb1.check_folder(keys["data_folder"])


def _folder(keys):
    if not keys.get("data_folder"):
        raise PlanError("data_folder is not set: give the folder of the corpus.")


#: What looks for a task's corpus, as its preparation does.
CORPORA = {
    "PR": _phones,
    "KS": _speech_commands,
    "IC": _intents,
    "SID": _speakers,
    "ER": _sessions,
    "ASR": _librispeech,
    "QbE": _folder,
    "SF": _slots,
    "ASV": _speakers,
    "SD": _folder,
}
