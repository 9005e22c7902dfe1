"""``s3prl-sb score``: scores a finished experiment on another list.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import sys
import time
from pathlib import Path

logger = logging.getLogger(__name__)

#: Keys of a recipe that name the list.
LISTS = ("test_csv", "data_folder", "documents_csv")
RESULTS = "results.json"


def add_arguments(parser):
    """Adds the arguments of the verb.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.add_argument(
        "model",
        help="an export, the output folder of a run, or owner/name on the hub",
    )
    parser.add_argument(
        "--test_csv",
        help="a list of your own, with the columns of the task (default: the list of "
        "the run, if a condition such as --test_noise follows)",
    )
    parser.add_argument(
        "--data_folder", help="or the corpus, whose test set the recipe finds"
    )
    parser.add_argument(
        "--documents_csv", help="of query by example: what --test_csv is searched in"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="folder to make (default: MODEL-scores/NAME, beside the model)",
    )
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, … (default: a GPU if there is one)"
    )


def main(arguments, rest=()):
    """Computes, writes and prints the metrics.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.
    rest : list of str
        ``--key value`` for other keys of the recipe, such as ``--test_noise``.
    """
    print(score(arguments.model, vars(arguments), rest))


def score(folder, options, rest=()):
    """Scores an export or a run on a list, or on its own list under other conditions.

    Arguments
    ---------
    folder : str
        Folder of the export or the run; it stays unchanged. Or ``owner/name`` on the
        Hugging Face hub.
    options : dict
        ``test_csv``, ``data_folder``, ``documents_csv``, ``output``, ``device``.
    rest : list of str
        ``--key value`` for other keys of the recipe, such as ``--test_noise
        "{snr: 10}"``. With a key of the test among them, no list is needed.

    Returns
    -------
    str
        Lines with the metrics and the folder of the results.

    Raises
    ------
    s3prl_sb.errors.UserError
        If it cannot be scored.
    """
    from s3prl_sb.scoring.settings import as_text

    return as_text(*scored(folder, options, rest))


def scored(folder, options, rest=()):
    """Scores an export or a run.

    Arguments
    ---------
    folder, options, rest
        See :func:`score`.

    Returns
    -------
    results : dict
        Content of the ``results.json`` of the score.
    output : pathlib.Path
        Its folder.
    """
    from s3prl_sb import inference
    from s3prl_sb.brains.measuring import publish
    from s3prl_sb.dataio.conditions import test_pipes
    from s3prl_sb.inference import published
    from s3prl_sb.scoring import conditions, lists, measuring, settings
    from s3prl_sb.startup import devices
    from s3prl_sb.storage.files import read_json, write_json

    started, named = time.time(), Path(folder)
    _check_lists(options, rest)
    device = devices.chosen(options.get("device") or devices.AUTO)
    folder = published.existing(folder)
    # Scores are not put into the cache of the hub, but here.
    named = Path(named.name) if published.is_from_hub(folder) else folder
    results = read_json(folder / RESULTS, "the results of a run", kind=dict)
    task = results.get("task")
    measuring.brain_of(task)  # an unknown one is an error now
    asked = conditions.asked(task, rest)
    output = options.get("output") or settings.place(named, options, asked)
    settings.check_place(output)
    sources = {name: options[name] for name in LISTS if options.get(name)}
    is_own = not sources
    under = conditions.of_the_test(task, asked)
    if not sources.keys() & set(LISTS[:2]):
        if not under:
            raise _nothing()
        sources.update(conditions.own_list(results, sources))
    changes = settings.changes(task, results, sources, rest)
    for warning in settings.warnings(results, changes):
        logger.warning("%s", warning)
    overrides = {key: changes[key] for key in settings.DECODING if key in changes}
    model = inference.load(folder, overrides=overrides, run_opts={"device": device})
    brain_class = measuring.brain_of(task, model)
    hparams = settings.keys(task, changes, model, results, output)
    test_pipes(hparams)  # made once, so that their errors are raised now
    output.mkdir(parents=True, exist_ok=True)
    (output / RESULTS).unlink(missing_ok=True)  # from an earlier score
    records, truth = lists.read(model, brain_class, hparams)
    run_opts = {"device": device, "noprogressbar": not sys.stderr.isatty()}
    brain = measuring.measure(model, brain_class, hparams, run_opts, records, truth)
    seconds = time.time() - started
    under.update({key: asked[key] for key in overrides if key in asked})
    scores = settings.score_results(brain, results, folder, seconds, under, is_own)
    scores.pop("intervals", None)  # of the run
    if intervals := publish(brain, brain.measured, output):
        scores["intervals"] = intervals
    write_json(output / RESULTS, scores)
    return scores, output


def _check_lists(options, rest):
    """Checks that the command names at most one list, and that it says anything."""
    from s3prl_sb.startup.configuration import RecipeError

    if options.get("test_csv") and options.get("data_folder"):
        raise RecipeError("Give --test_csv or --data_folder, not both.")
    if not rest and not any(options.get(name) for name in LISTS[:2]):
        raise _nothing()


def _nothing():
    """Returns the error of a command that names neither a list nor a condition."""
    from s3prl_sb.startup.configuration import RecipeError

    return RecipeError(
        "There is nothing to score: give --test_csv FILE, a list of your own, "
        "--data_folder DIR, the corpus, or a condition of the test of the run, such as "
        "--test_noise '{snr: 10}'."
    )
