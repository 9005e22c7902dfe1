"""The keys that a score goes by, the folder that it gets, and what it leaves there.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import s3prl_sb
from s3prl_sb import resources
from s3prl_sb.brains.results import VERSION, about_test
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.identity import digest
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.runs.results import measured
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import (
    Configuration,
    RecipeError,
    Settings,
    read_overrides,
    text,
)
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.terminal import quantities

#: Keys of a recipe that an export takes: how texts are decoded.
DECODING = ("lm", "lexicon", "lm_decoding")
#: Keys of the run that a score does not take over: where its own sets were.
OF_THE_RUN = ("train_csv", "valid_csv", "test_csv", "documents_csv", "data_folder")
OF_THE_RUN += ("skip_prep", "cache", "cache_folder", *DECODING)
#: What a model without its training set cannot do: normalize scores by speakers of it.
COHORT = ("score_normalization", "cohort_size", "top_n")
FOLD = "fold"  # chosen by the benchmark, and what a run was tested on
BATCHES = "test_dataloader_opts"


def place(folder, options):
    """The folder of a score, beside the model.

    Arguments
    ---------
    folder : pathlib.Path
        Of the model.
    options : dict
        ``test_csv`` or ``data_folder``, which it is called after.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> place(Path("/models/ks"), {"test_csv": "/lists/noisy.csv"}).as_posix()[:24]
    '/models/ks-scores/noisy-'
    """
    listed = Path(options.get("test_csv") or options["data_folder"]).expanduser()
    mark = digest([str(listed.absolute()), str(options.get("documents_csv"))])[:6]
    folder = folder.absolute()
    name = listed.stem if options.get("test_csv") else listed.name
    return folder.parent / f"{folder.name}-scores" / f"{name}-{mark}"


def check_place(output):
    """Makes sure that no results of a run would be lost.

    Arguments
    ---------
    output : pathlib.Path
        The folder of a score.

    Raises
    ------
    RecipeError
        If it holds something else.
    """
    if not output.exists():
        return
    if not output.is_dir():
        raise RecipeError(f"'{output}' is a file: choose another --output.")
    try:
        is_score = "scored" in read_json(output / "results.json", kind=dict)
    except FileError:
        is_score = (output / "save").is_dir() or not any(output.iterdir())
        is_score = is_score and not (output / "hyperparams.yaml").exists()
    if not is_score:
        raise RecipeError(
            f"'{output}' holds something else than a score: choose another --output."
        )


def changes(task, results, given, rest):
    """The keys that differ from the recipe's own.

    Arguments
    ---------
    task : str
        Of the recipe.
    results : dict
        Of the run, with its ``settings``: how its data were prepared counts.
    given : dict
        What is scored.
    rest : list of str
        ``--key value``.

    Returns
    -------
    dict

    Raises
    ------
    s3prl_sb.errors.UserError
        For what is no key.
    """
    file = resources.recipes()[task] / "hparams" / "train.yaml"
    schema, found = Schema.of(file), {}
    for key, value in (results.get("settings") or {}).items():
        first, *inner = key.split(".")
        if first not in schema or first in (*OF_THE_RUN, *COHORT):
            continue
        if schema[first].by and first != FOLD:
            continue
        if not inner and schema[first].is_plain:
            found[first] = value
        elif first == BATCHES and len(inner) == 1:  # the same batches, the same bits
            found.setdefault(BATCHES, {})[inner[0]] = value
    for key in given:
        if key not in schema:
            raise RecipeError(f"--{key}: the recipe {task} has no such key.")
    more = read_overrides(parse([str(file), *rest])[2]) if rest else {}
    if more.get(COHORT[0]):
        raise RecipeError(
            f"{COHORT[0]}: an export has no cohort, its scores are cosines. To have "
            "them normalized, run the recipe on the list."
        )
    return {**found, **{key: plain(value) for key, value in more.items()}, **given}


def plainly(results):
    """What a score does not do as the run did, in words.

    Arguments
    ---------
    results : dict
        Of the run.

    Returns
    -------
    str
        Nothing, if there is no difference.

    Example
    -------
    >>> plainly({"settings": {"score_normalization": "as_norm"}, "metrics": {}})[:47]
    'The run normalized its scores by a cohort (as_n'
    >>> plainly({"settings": {}})
    ''
    """
    wanted = (results.get("settings") or {}).get(COHORT[0])
    if not wanted:
        return ""
    before = (results.get("metrics") or {}).get("cosine_eer")
    said = "" if before is None else f" {quantities.measure('eer', before)}"
    return (
        f"The run normalized its scores by a cohort ({wanted}), which it does not "
        f"keep: here are plain cosines, to be compared with its cosine_eer{said}."
    )


def undecoded(results, changed):
    """What a score lacks of a run that decoded with a language model, in words.

    Arguments
    ---------
    results : dict
        Of the run.
    changed : dict
        Keys of the score.

    Returns
    -------
    str
        Nothing, if the score has one, or the run had none.

    Example
    -------
    >>> undecoded({"settings": {"lm": "4-gram.arpa"}, "metrics": {"wer": 9.0}}, {})[:52]
    'The run decoded with a language model, too (lm: 4-gr'
    >>> undecoded({"settings": {"lm": "4-gram.arpa"}}, {"lm": "mine.arpa"})
    ''
    """
    wanted = (results.get("settings") or {}).get("lm")
    if not wanted or changed.get("lm"):
        return ""
    return (
        f"The run decoded with a language model, too (lm: {wanted}), which it does not "
        "keep: here is what the model says alone. To decode with it: --lm FILE."
    )


def keys(task, changed, model, results, output):
    """All keys of a recipe, of those things that a score needs.

    Arguments
    ---------
    task : str
        Of the recipe.
    changed : dict
        From :func:`changes`.
    model : s3prl_sb.inference.pretrained.SpeechModel
        Loaded.
    results : dict
        Of the run.
    output : pathlib.Path
        Folder of the score.

    Returns
    -------
    dict
    """
    file = resources.recipes()[task] / "hparams" / "train.yaml"
    # What the model is made of is loaded, not made.
    own = {"upstream": "mel", "output_folder": str(output)}
    own["save_folder"] = str(output / "save")
    configuration = Configuration(file, text({**_plain(changed), **own}))
    found = Settings()
    for key in configuration.schema:
        declared = configuration.schema[key]
        if declared.is_plain or key == BATCHES:
            found[key] = plain(configuration.resolved[key])
    upstream = model.mods.upstream
    found.update(
        upstream_model=upstream,
        upstream_name=results.get("upstream"),
        freeze=upstream.freeze,
        eval_pipes=model.hparams.audio_pipes,
        opt_class=None,
        train_loggers=[],
        cache="off",
        lr_search=None,
        skip_prep=False,
        valid=dict(results.get("valid") or {}),
    )
    if isinstance(model, Transcriber):
        found["tokenizer"] = model.tokenizer
    return found


def _plain(changed):
    """Without what the model takes itself."""
    return {key: value for key, value in changed.items() if key not in DECODING[::2]}


def told(brain, results, folder, seconds, decoding=None):
    """What a score leaves as ``results.json``: as of a run, and what was scored.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        From :func:`s3prl_sb.scoring.measuring.measure`.
    results : dict
        Of the run.
    folder : pathlib.Path
        Of the model.
    seconds : float
        That it took.
    decoding : dict, optional
        Those of :data:`DECODING` that it was given.

    Returns
    -------
    dict
        The run's, but ``metrics``, ``utterances`` and ``test`` of the list, and
        ``scored``, which says of what model they are.
    """
    test = about_test(brain)
    versions = {**(results.get("versions") or {}), "s3prl_sb": s3prl_sb.__version__}
    before = results.get("protocol") or {}
    without = (*COHORT, *DECODING[::2])
    own = {k: v for k, v in (results.get("settings") or {}).items() if k not in without}
    own.update(decoding or {})
    departs = before.get("settings") or {}
    lost = [f"{k} {v}" for k, v in departs.items() if k in without]
    departs = {k: v for k, v in departs.items() if k not in without}
    lost += [before.get("data")]
    differs = [x for x in before.get("differs") or () if x not in lost]
    identity = {**(results.get("identity") or {}), "data": brain.data}
    return {
        **results,
        "version": VERSION,
        "settings": own,
        "defaults": {**dict.fromkeys(own), **(results.get("defaults") or {})},
        "metrics": brain.measured,
        "utterances": brain.splits,
        "test": test,
        "scored": {"model": str(folder.absolute()), "run": results.get("metrics")},
        "seconds": round(seconds, 1),
        "device": str(brain.device),
        "protocol": {
            **before,
            "settings": departs,
            "followed": False,
            "corpus": test["source"],
            "data": "another list",
            "differs": [f"scored on {test['name']}", *differs],
        },
        "identity": identity,
        "versions": versions,
    }


def printed(found, output):
    """A score in lines.

    Arguments
    ---------
    found : dict
        From :func:`told`.
    output : pathlib.Path
        Where it is.

    Returns
    -------
    str
    """
    test = found["test"]
    hours = test["hours"]
    length = "" if hours is None else f", {quantities.audio(3600 * hours)}"
    head = f"{found['task']} with {found['upstream']} on {test['name']}"
    lines = [f"{head}: {test['utterances']} utterances{length}"]
    first = []
    for name, value, _, digits, unit in measured(found):
        lines.append(f"  {name} {value:.{digits}f} {unit}".rstrip())
        first.append(name)
    rest = {k: v for k, v in found["metrics"].items() if k not in first}
    if rest:
        lines.append("  " + quantities.measures(rest))
    return "\n".join([*lines, f"in {output}"])
