"""Plan of a benchmark: a run for each upstream, task and seed.

The folder of a run is named by a digest of all that it depends on: the recipe's YAML
and code, the overrides, the content of the data, the upstream's card with its files and
code. Runs of different configurations are never mixed up, and nothing is overwritten.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import itertools
import logging
import sys
from pathlib import Path

import s3prl_sb
from s3prl_sb import resources
from s3prl_sb.benchmark import contents, parts
from s3prl_sb.benchmark.keys import (
    VARIANT,
    check_combination,
    is_trained,
    own_variant,
    recipe,
    schema,
    settings,
    variant_of,
)
from s3prl_sb.benchmark.row_names import words_of_changes
from s3prl_sb.engines.jobs import Job
from s3prl_sb.foreign import trust
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.identity import FORMAT, digest
from s3prl_sb.runs.results import RESULTS
from s3prl_sb.startup.arguments import argument
from s3prl_sb.storage.files import FileError, naming, read_json, write_json

logger = logging.getLogger(__name__)

STAMP = "superb.json"
ORIGIN = "about"  # key in it with information outside the configuration
SEARCH = "lr_search.json"
#: Learning rates to search: the powers of ten of SUPERB's recipes.
GRID = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


@dataclasses.dataclass
class Run:
    """One run of a recipe.

    Arguments
    ---------
    upstream, task : str
        Names; ``title`` is the short name of the upstream.
    seed : int
        The seed.
    overrides : dict
        Keys of the recipe's YAML, without those that the command itself sets.
    rates : list of float, optional
        Learning rates to search.
    searched_by : Run, optional
        The run that searches the learning rate for this one.
    output : pathlib.Path
        Folder of the benchmark.
    """

    upstream: str
    title: str
    task: str
    seed: int
    overrides: dict
    output: Path
    rates: list | None = None
    searched_by: "Run | None" = None
    job: Job | None = None

    @functools.cached_property
    def configuration(self):
        """All that the result depends on, as JSON values."""
        by, declared = self.searched_by, schema(self.task, self.variant)
        settings_, data = contents.split(self.task, self.overrides, self.output)
        return {
            "format": FORMAT,
            "task": self.task,
            "upstream": contents.of_card(_absolute(self.upstream)),
            "seed": self.seed,
            "recipe": declared.counting(plain(settings(self.task, self.variant))),
            "code": contents.of_recipe(self.task, self.overrides),
            "overrides": plain(settings_),
            "data": data,
            "lr_search": self.rates,
            "lr_searched_by": by and digest(by.configuration),
        }

    @property
    def variant(self):
        """Variant of the recipe, or None."""
        return variant_of(self.overrides)

    @functools.cached_property
    def folder(self):
        """Output folder of the run."""
        name = f"{self.seed}-{digest(self.configuration)[:8]}"
        return self.output / self.title / self.task / name

    def is_done(self):
        """Returns whether there are results of exactly this configuration.

        Returns
        -------
        bool
        """
        stamp, _ = read_stamp(self.folder)
        return stamp == self.configuration and (self.folder / RESULTS).is_file()

    def has_features(self):
        """Returns whether it has started to train, so that features are in the cache.

        Returns
        -------
        bool
        """
        return any(self.folder.rglob("save/**/settings.json"))

    def command(self):
        """Writes the configuration, and returns the command that runs the recipe.

        Returns
        -------
        list of str
        """
        origin = {"upstream": self.upstream, "s3prl_sb": s3prl_sb.__version__}
        write_json(self.folder / STAMP, {**self.configuration, ORIGIN: origin})
        values, source = {}, self.searched_by or self
        if self.searched_by and (source.folder / SEARCH).is_file():
            path, what = source.folder / SEARCH, "a search of learning rates"
            again = "Delete it: the next run searches again."
            with naming(path, what, again):
                values["lr"] = read_json(path, what, again, kind=dict)["best"]
        elif source.rates:  # without folds; with folds, each searches itself
            values["lr_search"] = source.rates
        return self.words(self.folder, values)

    def words(self, folder, more):
        """Returns the command that runs the recipe in a folder.

        Arguments
        ---------
        folder : pathlib.Path
            Output folder.
        more : dict
            Keys besides those of the run.

        Returns
        -------
        list of str
        """
        values = {
            **parts.listed(self.task, self.overrides),
            "upstream": _absolute(self.upstream),
            "seed": self.seed,
            "output_folder": folder,
        }
        values.setdefault("cache_folder", self.output / "cache")
        values.update(more)
        values.pop(VARIANT, None)
        hparams = resources.recipe_files()[recipe(self.task, self.variant)]
        pairs = [f"--{key}={argument(value)}" for key, value in values.items()]
        script = hparams.parents[1] / "train.py"
        trusted = [trust.FLAG] if trust.trusts_all() else []
        return [sys.executable, script, hparams, "--noprogressbar", *trusted, *pairs]


def read_stamp(folder):
    """Reads the configuration that a run of a benchmark was started with.

    Arguments
    ---------
    folder : pathlib.Path
        Folder of the run.

    Returns
    -------
    configuration : dict or None
        See :attr:`Run.configuration`; None if there is none.
    origin : dict
        Name of the upstream and version of s3prl_sb, if known.
    """
    try:
        stamp = read_json(folder / STAMP, kind=dict)
    except FileError:
        return None, {}
    origin = stamp.pop(ORIGIN, {})
    return stamp, origin if isinstance(origin, dict) else {}


def make(upstreams, tasks, data, budget, output, seeds=(1986,), rates=None):
    """Creates all runs of a benchmark.

    Arguments
    ---------
    upstreams : list of str
        Names or files of cards.
    tasks : list of str
        Tasks; those without data get no run.
    data : dict
        Task to the recipe's keys with the paths of its corpus.
    budget : dict or list of dict
        Task to other keys, for each row of the table. Rows share the runs of equal
        keys. A task that is None has no run.
    output : pathlib.Path
        Folder of the benchmark.
    seeds : list of int
        Seeds of the runs; the first run searches the learning rate.
    rates : list of float, optional
        Learning rates to search.

    Returns
    -------
    list of Run
        The runs of all upstreams for the first task, then for the next one.
    """
    from s3prl_sb.lobes.upstreams import title

    contents.forget()
    titles = {}
    for upstream in upstreams:
        other = titles.setdefault(title(upstream), upstream)
        if other != upstream:
            raise ValueError(
                f"'{other}' and '{upstream}' are both called {title(upstream)}: "
                "give one of the cards another name, or one on the hub a revision, "
                "owner/name@main"
            )
    runs, budgets = [], budget if isinstance(budget, list) else [budget]
    for task in tasks:
        if task not in data:
            continue
        unique = []
        for keys in (each.get(task, {}) for each in budgets):
            overrides = None if keys is None else own_variant({**keys, **data[task]})
            if overrides is not None and overrides not in unique:
                _check(task, overrides, rates)
                unique.append(overrides)
        for overrides, (name, upstream) in itertools.product(unique, titles.items()):
            first, trains = None, is_trained(task, variant_of(overrides))
            for seed in seeds if trains else seeds[:1]:
                run = Run(
                    upstream=upstream,
                    title=name,
                    task=task,
                    seed=seed,
                    overrides=overrides,
                    output=Path(output),
                    rates=list(rates) if rates and trains and not first else None,
                    searched_by=first if rates and trains else None,
                )
                first = first or run
                runs.append(run)
    return runs


def _check(task, overrides, rates):
    """Checks that the keys of a run are consistent."""
    variant = variant_of(overrides)
    search = {"lr_search": rates} if is_trained(task, variant) else {}
    check_combination(task, {**settings(task, variant), **overrides, **search})


def jobs(runs, before=()):
    """Creates the jobs of runs.

    Arguments
    ---------
    runs : list of Run
        Output of :func:`make`; sets the ``job`` of each.
    before : dict, optional
        Task to a job that creates its data.

    Returns
    -------
    list of Job
    """
    before = dict(before)
    _warn_of_older(runs)
    for run, name in zip(runs, _names(runs)):
        after = [run.searched_by.job] if run.searched_by else []
        after += [before[run.task]] if run.task in before else []
        corpus = run.overrides.get("data_folder") or run.overrides.get("train_csv")
        run.job = Job(
            name=name,
            folder=run.folder,
            command=run.command,
            is_done=run.is_done,
            after=after,
            group=f"{run.title} {corpus}",
            has_shared=run.has_features,
        )
    unique = {id(job): job for job in before.values()}  # tasks may share a job
    return [*unique.values(), *(run.job for run in runs)]


def _names(runs):
    """Returns names of the jobs of runs, with the keys in which alike runs differ."""
    groups = {}
    for run in runs:
        groups.setdefault((run.title, run.task, run.seed), []).append(run.overrides)
    names = []
    for run in runs:
        alike = groups[run.title, run.task, run.seed]
        differ = {
            key: value
            for key, value in run.overrides.items()
            if any(other.get(key, ...) != value for other in alike)
        }
        words = ", ".join(words_of_changes({run.task: differ}, [run.task]))
        name = f"{run.title} {run.task} {run.seed}"
        names.append(f"{name} ({words})" if words else name)
    return names


def _warn_of_older(runs):
    """Warns of runs whose identities have an older format."""
    for folder in dict.fromkeys(run.folder.parent for run in runs):
        stamps = [read_stamp(path.parent)[0] for path in folder.glob(f"*/{STAMP}")]
        older = [s for s in stamps if s and s.get("format") != FORMAT]
        if older:
            logger.warning(
                "%s: runs of an older identity, %d: they stay where they are, and are "
                "made anew beside them",
                folder,
                len(older),
            )


def _absolute(name):
    """Makes the file of a card absolute."""
    file, colon, entry = str(name).partition(".yaml:")
    if colon:
        return f"{Path(file).resolve()}.yaml:{entry}"
    is_file = file.endswith((".yaml", ".yml"))
    return str(Path(file).resolve()) if is_file else file
