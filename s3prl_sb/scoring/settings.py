"""Keys, output folder and results of a score.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import s3prl_sb
from s3prl_sb import resources
from s3prl_sb.brains.results import VERSION, describe_test
from s3prl_sb.dataio.conditions import TEST as CONDITIONS
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.identity import digest
from s3prl_sb.inference.transcriber import Transcriber
from s3prl_sb.runs.results import main_metrics
from s3prl_sb.schema.keys import Schema
from s3prl_sb.scoring import conditions
from s3prl_sb.startup.configuration import Configuration, RecipeError, Settings, text
from s3prl_sb.startup.protocol import flat
from s3prl_sb.storage.files import FileError, read_json
from s3prl_sb.terminal import quantities

#: Keys of a recipe that control the decoding of an export.
DECODING = ("lm", "lexicon", "lm_decoding")
#: Keys of the run that do not apply to a score.
OF_THE_RUN = ("train_csv", "valid_csv", "test_csv", "documents_csv", "data_folder")
OF_THE_RUN += ("skip_prep", "cache", "cache_folder", "pooling")
OF_THE_RUN += (*DECODING, *CONDITIONS)
#: Keys of score normalization, which needs speakers of the training set.
COHORT = ("score_normalization", "cohort_size", "top_n")
FOLD = "fold"  # set by the command, but determines the test set of a run
BATCHES = "test_dataloader_opts"


def place(folder, options, asked=None):
    """Returns the default folder of a score, next to the model.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the model.
    options : dict
        ``test_csv`` or ``data_folder``, which gives the name.
    asked : dict, optional
        Other keys that the command gives, such as ``test_noise``, which are part of
        the name.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> place(Path("/models/ks"), {"test_csv": "/lists/noisy.csv"}).as_posix()[:24]
    '/models/ks-scores/noisy-'
    >>> place(Path("/models/ks"), {}, {"test_noise": {"snr": 5}}).as_posix()[:30]
    '/models/ks-scores/noise_snr_5-'
    """
    parts, names = [], []
    if listed := options.get("test_csv") or options.get("data_folder"):
        path = Path(listed).expanduser()
        names.append(path.stem if options.get("test_csv") else path.name)
        parts += [str(path.absolute()), str(options.get("documents_csv"))]
    if asked:
        names.append(conditions.folder_name(asked))
        parts.append(asked)
    folder = folder.absolute()
    name = "-".join([*names, digest(parts)[:6]])
    return folder.parent / f"{folder.name}-scores" / name


def check_place(output):
    """Checks that no other results would be overwritten.

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


def changes(task, results, sources, rest):
    """Returns the keys that differ from the recipe's defaults.

    Arguments
    ---------
    task : str
        Name of the recipe.
    results : dict
        Results of the run, whose ``settings`` include the preparation of its data.
    sources : dict
        Keys that name the list.
    rest : list of str
        ``--key value``.

    Returns
    -------
    dict

    Raises
    ------
    s3prl_sb.errors.UserError
        For an unknown key.
    """
    file = resources.recipe_files()[task]
    schema, values = Schema.of(file), {}
    for key, value in (results.get("settings") or {}).items():
        first, *inner = key.split(".")
        if first not in schema or first in (*OF_THE_RUN, *COHORT):
            continue
        if schema[first].by and first != FOLD:
            continue
        if not inner and schema[first].is_plain:
            values[first] = value
        elif first == BATCHES and len(inner) == 1:  # same batches for equal results
            values.setdefault(BATCHES, {})[inner[0]] = value
    for key in sources:
        if key not in schema:
            raise RecipeError(f"--{key}: the recipe {task} has no such key.")
    more = conditions.asked(task, rest)
    if more.get(COHORT[0]):
        raise RecipeError(
            f"{COHORT[0]}: an export has no cohort, its scores are cosines. To have "
            "them normalized, run the recipe on the list."
        )
    return {**values, **more, **sources}


def cohort_warning(results):
    """Returns a warning that a score cannot normalize scores like the run.

    Arguments
    ---------
    results : dict
        Results of the run.

    Returns
    -------
    str
        Empty if the run did not normalize.

    Example
    -------
    >>> run = {"settings": {"score_normalization": "as_norm"}, "metrics": {}}
    >>> cohort_warning(run)[:47]
    'The run normalized its scores by a cohort (as_n'
    >>> cohort_warning({"settings": {}})
    ''
    """
    normalization = (results.get("settings") or {}).get(COHORT[0])
    if not normalization:
        return ""
    before = (results.get("metrics") or {}).get("cosine_eer")
    number = "" if before is None else f" {quantities.measure('eer', before)}"
    return (
        f"The run normalized its scores by a cohort ({normalization}), which it does "
        f"not keep: here are plain cosines, to be compared with its cosine_eer{number}."
    )


def decoding_warning(results, changed):
    """Returns a warning that a score lacks the language model of the run.

    Arguments
    ---------
    results : dict
        Results of the run.
    changed : dict
        Keys of the score.

    Returns
    -------
    str
        Empty if the score has a language model, or the run had none.

    Example
    -------
    >>> run = {"settings": {"lm": "4-gram.arpa"}, "metrics": {"wer": 9.0}}
    >>> decoding_warning(run, {})[:52]
    'The run decoded with a language model, too (lm: 4-gr'
    >>> decoding_warning(run, {"lm": "mine.arpa"})
    ''
    """
    lm = (results.get("settings") or {}).get("lm")
    if not lm or changed.get("lm"):
        return ""
    return (
        f"The run decoded with a language model, too (lm: {lm}), which it does not "
        "keep: here is what the model says alone. To decode with it: --lm FILE."
    )


def warnings(results, changed):
    """Returns the warnings about a score that lacks something that the run had.

    Arguments
    ---------
    results : dict
        Results of the run.
    changed : dict
        Keys of the score.

    Returns
    -------
    list of str
    """
    both = (cohort_warning(results), decoding_warning(results, changed))
    return [warning for warning in both if warning]


def keys(task, changed, model, results, output):
    """Returns all hyperparameters that a score needs.

    Arguments
    ---------
    task : str
        Name of the recipe.
    changed : dict
        Output of :func:`changes`.
    model : s3prl_sb.inference.pretrained.SpeechModel
        The loaded model.
    results : dict
        Results of the run.
    output : pathlib.Path
        Folder of the score.

    Returns
    -------
    dict
    """
    file = resources.recipe_files()[task]
    # The modules are those of the model, so the upstream here is a placeholder.
    fixed = {"upstream": "mel", "output_folder": str(output)}
    fixed["save_folder"] = str(output / "save")
    # The model itself handles its language model.
    others = {k: v for k, v in changed.items() if k not in DECODING[::2]}
    configuration = Configuration(file, text({**others, **fixed}))
    hparams = Settings()
    for key in configuration.schema:
        declared = configuration.schema[key]
        if declared.is_plain or key in (BATCHES, *CONDITIONS):
            hparams[key] = plain(configuration.resolved[key])
    upstream = model.mods.upstream
    hparams.update(
        upstream_model=upstream,
        upstream_name=results.get("upstream"),
        sample_rate=upstream.sample_rate,
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
        hparams["tokenizer"] = model.tokenizer
    return hparams


def score_results(brain, results, folder, seconds, under=None, is_own=False):
    """Returns the content of the ``results.json`` of a score.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Output of :func:`s3prl_sb.scoring.measuring.measure`.
    results : dict
        Results of the run.
    folder : pathlib.Path
        Folder of the model.
    seconds : float
        Duration of the score.
    under : dict, optional
        Keys of the test that the command gives, such as ``test_noise`` and ``lm``.
    is_own : bool
        Whether the list is that of the run.

    Returns
    -------
    dict
        Results of the run, with ``metrics``, ``utterances`` and ``test`` of the list,
        and ``scored``, which names the model.
    """
    test, under = describe_test(brain), under or {}
    versions = {**(results.get("versions") or {}), "s3prl_sb": s3prl_sb.__version__}
    settings = {**_without_test(results.get("settings")), **flat(under)}
    return {
        **results,
        "version": VERSION,
        "settings": settings,
        "defaults": {**dict.fromkeys(settings), **(results.get("defaults") or {})},
        "metrics": brain.measured,
        "utterances": brain.splits,
        "test": test,
        "scored": {
            "model": str(folder.absolute()),
            "run": results.get("metrics"),
            "under": under or None,
        },
        "seconds": round(seconds, 1),
        "device": str(brain.device),
        "protocol": _protocol(results, test, under, is_own),
        "identity": {**(results.get("identity") or {}), "data": brain.data},
        "versions": versions,
    }


def _without_test(values):
    """Returns settings of a run without those of its test."""
    without = (*COHORT, *DECODING[::2], *CONDITIONS)
    return {k: v for k, v in (values or {}).items() if _key(k) not in without}


def _key(name):
    return name.split()[0].partition(".")[0] if name else name


def _protocol(results, test, under, is_own):
    """Returns the departures of a score from the protocol."""
    before = results.get("protocol") or {}
    departs = conditions.departures(results.get("task"), under)
    differs = dict.fromkeys(before.get("differs") or ())
    if not is_own:
        differs.pop(before.get("data"), None)
    differs = _without_test(differs)
    where = [] if is_own else [f"scored on {test['name']}"]
    data = {"corpus": test["source"], "data": "another list"}
    return {
        **before,
        **({} if is_own else data),
        "settings": {**_without_test(before.get("settings")), **departs},
        "followed": False,
        "differs": [*where, *conditions.in_words(departs), *differs],
    }


def as_text(scores, output):
    """Formats a score in lines.

    Arguments
    ---------
    scores : dict
        Output of :func:`score_results`.
    output : pathlib.Path
        Folder of the score.

    Returns
    -------
    str
    """
    test = scores["test"]
    hours = test["hours"]
    length = "" if hours is None else f", {quantities.audio(3600 * hours)}"
    head = f"{scores['task']} with {scores['upstream']} on {test['name']}"
    if under := scores["scored"]["under"]:
        head += f", {', '.join(conditions.in_words(under))}"
    lines = [f"{head}: {test['utterances']} utterances{length}"]
    first = []
    for name, value, _, digits, unit in main_metrics(scores):
        lines.append(f"  {name} {value:.{digits}f} {unit}".rstrip())
        first.append(name)
    rest = {k: v for k, v in scores["metrics"].items() if k not in first}
    if rest:
        lines.append("  " + quantities.measures(rest))
    return "\n".join([*lines, f"in {output}"])
