"""Checks, before the first run, that the data and extras of all tasks exist.

Authors
 * The s3prl_sb developers, 2026
"""

import importlib.util

from s3prl_sb.benchmark import parts
from s3prl_sb.benchmark.keys import PlanError, schema, settings, variant_of
from s3prl_sb.corpora import (
    audio_snips,
    common_voice,
    covost2,
    fluent_speech_commands,
    iemocap,
    libri2mix_separation,
    librispeech,
    ml_superb,
    sbcsae,
    slue_voxceleb,
    slue_voxpopuli,
    speech_commands,
    vcc2020,
    voicebank_demand,
)
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.runs.suite_tasks import task_of
from s3prl_sb.startup import readiness

SHOWN = 20  # faults in a message
OUT_OF_DOMAIN = "OOD-ASR"
TABLES = ("train_csv", "documents_csv", "test_csv")


def check(runs, toys=()):
    """Checks that the runs that are not done can start.

    Only looks at the names of files.

    Arguments
    ---------
    runs : list of s3prl_sb.benchmark.plan.Run
        Runs; those that are done are skipped.
    toys : collection of str
        Tasks whose corpus will be created.

    Raises
    ------
    PlanError
        If anything is missing; lists it for all tasks.
    """
    by_task = {}
    for run in runs:
        by_task.setdefault(run.task, []).append(run)
    faults = []
    if toys and importlib.util.find_spec("espeakng_loader") is None:
        made = ", ".join(sorted(toys))
        faults.append(
            f"{made}: toys need espeakng-loader: pip install 's3prl_sb[demo]'"
        )
    for task, task_runs in by_task.items():
        if all(run.is_done() for run in task_runs):
            continue
        keys = {**_plain(task, task_runs[0].variant), **task_runs[0].overrides}
        messages = _missing_packages(task)
        messages += [] if task in toys else missing(task, keys)
        for run in task_runs:
            messages += _missing_inside(task, run.overrides)
        if keys.get("lm"):
            messages += _errors(readiness.check_decoder)
        faults += [f"{task}: {fault}" for fault in dict.fromkeys(messages)]
    if faults:
        more = len(faults) - SHOWN
        lines = faults[:SHOWN] + ([f"and {more} more"] if more > 0 else [])
        raise PlanError("\n  ".join(["nothing was begun:", *lines]))


def missing(task, keys):
    """Lists the missing data of a task.

    Arguments
    ---------
    task : str
        Name such as "KS".
    keys : dict
        All keys of its recipe.

    Returns
    -------
    list of str
        Messages.
    """
    declared = schema(task, variant_of(keys))
    messages = []
    for key, value in keys.items():
        is_place = key in declared and declared.is_path(key) and not declared[key].by
        if is_place and not key.endswith("cache_folder"):
            messages += readiness.absent(key, value)
    if messages or any(keys.get(name) for name in TABLES) or keys.get("skip_prep"):
        return messages
    name = "/".join(task_of(task).recipe.split("/")[:2])  # also of a variant
    find = CORPORA.get(name, _folder)
    return _errors(lambda: find(keys))


def _missing_packages(task):
    """Says which packages of a task's metrics are not installed, if any are not.

    The recipe itself would do without them; the table would lack the numbers.
    """
    messages = []
    for extra, packages in task_of(task).needs.items():
        absent = [name for name in packages if importlib.util.find_spec(name) is None]
        if absent:
            more = f"pip install 's3prl_sb[{extra}]'"
            messages.append(f"its metrics need {', '.join(absent)}: {more}")
    return messages


def _missing_inside(task, overrides):
    """Lists the folders of noise and the like that are missing or empty."""
    messages, recipe = [], schema(task, variant_of(overrides))
    for key, value in overrides.items():
        for inner, declared in recipe[key].inside.items():
            if isinstance(value, dict) and declared.is_path and value.get(inner):
                name, folder = f"{key}.{inner}", value[inner]
                faults = readiness.absent(name, folder)
                messages += faults or without_recordings(name, folder)
    return messages


def without_recordings(name, folder):
    """Says that a folder has no recordings, if it has none.

    Arguments
    ---------
    name : str
        Key or option that has the folder.
    folder : str or pathlib.Path
        A folder.

    Returns
    -------
    list of str
        One message, or none.
    """
    from s3prl_sb.dataio.recordings import recordings_in  # it loads torch

    try:
        recordings_in(folder, "recordings")
    except ValueError as error:
        return [f"{name}: {error}"]
    return []


def _plain(task, variant=None):
    """Returns the default values of the recipe."""
    return {key: plain(value) for key, value in settings(task, variant).items()}


def _errors(check):
    """Returns the message of a failed check in a list, or an empty one."""
    try:
        check()
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


def _by_folder(find):
    """Returns the check of a corpus that is known by its folder alone."""
    return lambda keys: find(keys["data_folder"])


def _voxceleb1(keys):
    check_folder(keys["data_folder"], "of VoxCeleb1")


def _folder(keys):
    if "data_folder" in keys and not keys["data_folder"]:
        raise PlanError("data_folder is not set: give the folder of the corpus.")


def _translations(keys):
    source, target = keys["source_language"], keys["target_language"]
    folder = common_voice.find_language(keys["data_folder"], source)
    covost2.find_tables(
        keys["data_folder"], folder, source, target, keys["translations"]
    )


def _out_of_domain(keys):
    for corpus in parts.names(OUT_OF_DOMAIN, keys):
        if corpus == "sbcsae":
            sbcsae.find_corpus(keys["sbcsae_folder"] or keys["data_folder"])
        else:
            common_voice.find_language(keys["data_folder"], corpus)


def _conversion(keys):
    folder = check_folder(keys["data_folder"], "of VCC2020 or VCC2016")
    if keys["corpus"] == "vcc2020":
        vcc2020.find_corpus(folder)


def _languages(keys):
    wanted = keys.get("language", ml_superb.MULTILINGUAL)  # LID has no such key
    wanted = ml_superb.MONOLINGUAL if wanted == parts.ALL else wanted
    for language in [wanted] if isinstance(wanted, str) else wanted:
        ml_superb.find_language(keys["data_folder"], language)


def _tables_of_slue(name):
    return lambda keys: slue_voxpopuli.find_tables(keys["data_folder"], name)


def _items(keys):
    from s3prl_sb.analysis.item_tables import find_parts  # it loads torch

    sets = (keys["valid_split"], keys["test_split"])
    find_parts(keys["data_folder"], sets, keys["items"], keys["aligned"])


#: Recipes to checks of their corpus, the same as in the preparation. Those of others
#: only need their folder.
CORPORA = {
    "SUPERB/PR": _phones,
    "SUPERB/KS": _speech_commands,
    "SUPERB/IC": _by_folder(fluent_speech_commands.find_corpus),
    "SUPERB/SID": _voxceleb1,
    "SUPERB/ER": _by_folder(iemocap.find_corpus),
    "SUPERB/ASR": _librispeech,
    "SUPERB/QbE": _folder,
    "SUPERB/SF": _by_folder(audio_snips.find_corpus),
    "SUPERB/ASV": _voxceleb1,
    "SUPERB/SD": _folder,
    "SUPERB/ST": _translations,
    "SUPERB/OOD-ASR": _out_of_domain,
    "SUPERB/VC": _conversion,
    "SUPERB/SS": _by_folder(libri2mix_separation.find_corpus),
    "SUPERB/SE": _by_folder(voicebank_demand.find_corpus),
    "ML-SUPERB/ASR": _languages,
    "ML-SUPERB/LID": _languages,
    "SLUE/NER": _tables_of_slue(slue_voxpopuli.NAME),
    "SLUE/sentiment": _tables_of_slue(slue_voxceleb.NAME),
    "LibriSpeech/ABX": _items,
}
