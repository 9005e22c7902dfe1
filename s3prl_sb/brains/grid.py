"""Search over keys of a recipe: a run for each point of a grid, and the best one again.

The key ``grid`` is a list of grids, each with lists of values by key, as
scikit-learn's ``ParameterGrid`` takes it. Every point is an ordinary run, in a folder
of its own, with the features that all share; so it resumes after a kill like any run.
The best point in validation becomes the run: its training is repeated in the run's
folder, to the same bits on a CPU, and the folders of the points are deleted.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import json
import logging
import random
import shutil
from pathlib import Path

from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.brains.folds import override, read_settings
from s3prl_sb.brains.learner import Diverged
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import Configuration, RecipeError
from s3prl_sb.storage.files import FileError, naming, read_json, write_json
from s3prl_sb.terminal import quantities
from s3prl_sb.terminal.messages import near

logger = logging.getLogger(__name__)

FOLDER, RESULT = "grid", "grid.json"
KEYS = ("grid", "grid_points", "grid_each_fold")
#: Further keys that decide whether and where there is a search.
_OTHERS = ("fold", "seed", "output_folder", "plan", "probe_layers", "lr_search")
_FIRST = 1  # the fold whose search holds for all, as in HEAR


def searched(train):
    """Returns a function that searches a grid before it trains.

    Arguments
    ---------
    train : callable
        Takes the command line of a recipe with the keys ``grid`` (grids; null: no
        search), ``grid_points`` (number of points to draw; null: all) and
        ``grid_each_fold`` (True: each fold has a search; False: the first fold's holds
        for all), and trains one run.

    Returns
    -------
    callable
        It takes the same. A key of the command line is not searched. With ``--debug``,
        ``plan`` and ``probe_layers`` nothing is searched.
    """

    def run(argv):
        hparams = read_settings(argv, (*KEYS, *_OTHERS))
        idle = hparams["probe_layers"] or parse(argv)[1]["debug"]
        points = [] if idle else _points(argv, hparams)
        if len(points) > 1 and hparams["plan"]:
            logger.info("The grid has %d points, and this plans one.", len(points))
        elif len(points) > 1:
            argv = override(argv, **_written(_best(argv, hparams, points, train)))
        elif points:  # nothing to search
            argv = override(argv, **_written(points[0]))
        train(argv)

    return run


def points_of(grids, count=None, seed=0):
    """Returns the points of grids.

    Arguments
    ---------
    grids : list of dict
        Keys to lists of values, of each grid.
    count : int, optional
        Number of points to draw. Default: all.
    seed : int
        Seed of the draw.

    Returns
    -------
    list of dict
        Keys to values; each point once.

    Example
    -------
    >>> points_of([{"lr": [0.1, 0.01], "num_layers": [1]}])
    [{'lr': 0.1, 'num_layers': 1}, {'lr': 0.01, 'num_layers': 1}]
    >>> len(points_of([{"lr": [0.1, 0.01], "num_layers": [1, 2]}], count=3))
    3
    """
    points: list[dict] = []
    for grid in grids:
        for values in itertools.product(*grid.values()):
            point = dict(zip(grid, values))
            points += [point] * (point not in points)
    if count is not None and count < len(points):
        points = random.Random(seed).sample(points, count)
    return points


def _points(argv, hparams):
    """Returns the points that a command line searches, after checks of their keys."""
    grids = plain(hparams["grid"])
    if not grids:
        return []
    file, _, overrides = parse(argv)
    recipe = Configuration(file, overrides)
    for key, values in (pair for grid in grids for pair in grid.items()):
        if key not in recipe.schema or not recipe.schema[key].is_plain:
            names = [name for name in recipe.schema if recipe.schema[name].is_plain]
            raise RecipeError(f"grid: there is no key '{key}'. {near(key, names)}")
        if not isinstance(values, list) or not values:
            raise RecipeError(f"grid: {key} is a list of values, not {values!r}.")
        for value in values:
            recipe.schema.check(key, value, "grid: ")
    fixed = {*recipe.changes}
    fixed |= {"lr"} if hparams["lr_search"] else set()
    # A head that the command line gives need not have the arguments of the recipe's.
    keys = {key for grid in grids for key in grid}
    fixed |= {key for key in keys if "head" in fixed and not _is_used(key, recipe)}
    grids = [{k: v for k, v in grid.items() if k not in fixed} for grid in grids]
    return points_of(grids, hparams["grid_points"], hparams["seed"])


def _is_used(key, recipe):
    """Returns whether another key of a recipe refers to a key, or code reads it."""
    head = json.dumps(plain(recipe.schema.tree["head"]), default=str)
    now = json.dumps(plain(recipe.written["head"]), default=str)
    return f"<{key}>" not in head or f"<{key}>" in now


def _written(point):
    """Returns values as a command line has them."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in point.items()}


def _best(argv, hparams, points, train):
    """Returns the point that a run is trained at."""
    folder, fold = Path(hparams["output_folder"]), hparams["fold"]
    settings = _settings(argv, points)
    of_first = isinstance(fold, int) and not hparams["grid_each_fold"]
    if of_first and fold != _FIRST:
        path = folder.parent / f"fold{_FIRST}" / RESULT
        if (best := _known(path, None)) is None:
            raise RecipeError(
                f"fold {fold} is trained at the point of the grid that fold {_FIRST} "
                f"chooses: run that first (--fold {_FIRST}), or give --grid_each_fold "
                "True or --grid null."
            )
        logger.info("Point of the grid, of fold %s: %s", _FIRST, _words(best))
        return best
    best = _known(folder / RESULT, settings)
    if best is None:
        best = _search(argv, folder, points, train, settings)
    ddp_barrier()  # another process may still read the results of the points
    if if_main_process():
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return best


def _search(argv, folder, points, train, settings):
    """Trains at all points, and writes how they compare."""
    rows = []
    for number, point in enumerate(points, 1):
        logger.info("Grid, point %d of %d: %s", number, len(points), _words(point))
        place = folder / FOLDER / "-".join(f"{k}_{v}" for k, v in point.items())
        try:
            train(override(argv, output_folder=place, **_written(point)))
        except Diverged as error:
            logger.warning("The point is out: %s", error)
            rows.append({"point": point, "diverged": True})
            continue
        rows.append({"point": point, **_row(place / "results.json")})
    ranked = [row for row in rows if "diverged" not in row]
    if not ranked:
        raise RecipeError("grid: all points diverge. Give lower values of lr to it.")
    best = max(ranked, key=lambda row: row["rank"])
    for row in ranked:
        del row["rank"]
    if if_main_process():
        content = {"best": best["point"], "points": rows, "settings": settings}
        write_json(folder / RESULT, content)
    words = quantities.measures(best["valid"])
    logger.info("The best point is %s: %s", _words(best["point"]), words)
    return best["point"]


def _row(path):
    """Returns what the results of a point say of it."""
    results = read_json(path, "the results of a point of the grid", kind=dict)
    with naming(path, "the results of a point of the grid"):
        chosen, valid = results["chosen_by"], results["valid"]
        score = valid[chosen["metric"]]
        # Among equal ones that with the lower loss; then the first
        rank = (score if chosen["highest"] else -score, -valid.get("loss", 0.0))
        return {"valid": valid, "best_step": results["best_step"], "rank": rank}


def _settings(argv, points):
    """Returns the points, and the settings that their comparison depends on."""
    file, _, overrides = parse(argv)
    recipe = Configuration(file, overrides)
    schema, needed = recipe.schema, ("total_steps",)  # although a run may go on
    kept = [key for key in schema if schema[key].is_kept or key in needed]
    others = {key for key in kept if schema.is_path(key) or key in points[0]}
    values = {key: plain(recipe.written[key]) for key in kept if key not in others}
    return json.loads(json.dumps({"points": points, "keys": values}, default=str))


def _known(path, settings):
    """Returns the best point of an earlier search with the same settings; None if there
    is none. With ``settings`` None any settings are right."""
    if not path.exists():
        return None
    try:
        found = read_json(path, "a search of a grid", kind=dict)
        with naming(path, "a search of a grid"):
            best, before = dict(found["best"]), found["settings"]
    except FileError as error:
        logger.warning("%s The grid is searched again.", error)
        return None
    return best if settings is None or before == settings else None


def _words(point):
    return ", ".join(f"{key} {value}" for key, value in point.items())
