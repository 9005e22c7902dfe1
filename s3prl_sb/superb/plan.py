"""What there is to do: a run for each upstream, task and seed.

The folder of a run is named by a digest of all that it depends on: the recipe's
YAML, what is overridden, the upstream's card. Nothing of one configuration is
taken for another's, and nothing is overwritten.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import hashlib
import json
import sys
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.files import write_json
from s3prl_sb.superb.jobs import Job
from s3prl_sb.superb.tasks import recipe, unknown

STAMP = "superb.json"
RESULTS = "results.json"
SEARCH = "lr_search.json"
#: Learning rates to search: the powers of ten of SUPERB's recipes.
GRID = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
#: Keys of a recipe that the command itself sets.
RESERVED = ("upstream", "seed", "output_folder", "save_folder", "lr_search")


@dataclasses.dataclass
class Run:
    """One run of a recipe.

    Arguments
    ---------
    upstream, task : str
        Names; ``title`` is the upstream's short one.
    seed : int
        The seed.
    overrides : dict
        Keys of the recipe's YAML, without those of :data:`RESERVED`.
    rates : list of float, optional
        Learning rates to search.
    searched_by : Run, optional
        The run that has searched the learning rate for this one.
    output : pathlib.Path
        Of the whole benchmark.
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
        by = self.searched_by
        return {
            "task": self.task,
            "upstream": _card(self.upstream),
            "seed": self.seed,
            "recipe": _plain(settings(self.task)),
            "overrides": _plain(self.overrides),
            "lr_search": self.rates,
            "lr_searched_by": by and digest(by.configuration),
        }

    @functools.cached_property
    def folder(self):
        """Where it goes."""
        name = f"{self.seed}-{digest(self.configuration)[:8]}"
        return self.output / self.title / self.task / name

    def is_done(self):
        """Whether its results are there, of this very configuration.

        Returns
        -------
        bool
        """
        try:
            stamp = json.loads((self.folder / STAMP).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return stamp == self.configuration and (self.folder / RESULTS).is_file()

    def has_features(self):
        """Whether it has begun to train, with the features in the cache.

        Returns
        -------
        bool
        """
        return any(self.folder.rglob("save/**/settings.json"))

    def command(self):
        """The command that runs it.

        Returns
        -------
        list of str
        """
        write_json(self.folder / STAMP, self.configuration)
        values = {
            **self.overrides,
            "upstream": _absolute(self.upstream),
            "seed": self.seed,
            "output_folder": self.folder,
        }
        values.setdefault("cache_folder", self.output / "cache")
        source = self.searched_by or self
        if self.searched_by and (source.folder / SEARCH).is_file():
            found = json.loads((source.folder / SEARCH).read_text(encoding="utf-8"))
            values["lr"] = found["best"]
        elif source.rates:  # or it has searched in each of its folds
            values["lr_search"] = source.rates
        place = resources.recipes()[recipe(self.task)]
        pairs = [f"--{key}={_yaml(value)}" for key, value in values.items()]
        script, hparams = place / "train.py", place / "hparams" / "train.yaml"
        return [sys.executable, script, hparams, "--noprogressbar", *pairs]


@functools.lru_cache(maxsize=None)
def settings(task):
    """The YAML of a task's recipe, not resolved.

    Arguments
    ---------
    task : str
        Such as "KS".

    Returns
    -------
    dict
    """
    import ruamel.yaml

    place = resources.recipes().get(recipe(task))
    if place is None:
        raise ValueError(f"there is no recipe for {task} in this installation")
    text = (place / "hparams" / "train.yaml").read_text(encoding="utf-8")
    return ruamel.yaml.YAML().load(text)


def check_keys(task, overrides, where):
    """Makes sure that a recipe has these keys, and numbers where it wants numbers.

    Arguments
    ---------
    task : str
        Such as "KS".
    overrides : dict
        Keys and values.
    where : str
        The file that they stand in, for the message.

    Raises
    ------
    ValueError
        With the nearest keys, or what is wanted.
    """
    defaults = settings(task)
    known = [key for key in defaults if not key.startswith("__")]
    for key, value in overrides.items():
        if key in RESERVED:
            raise ValueError(f"{where}: {task}: '{key}' is set by the command itself")
        if key not in known:
            raise ValueError(f"{where}: {task}: {unknown('key', key, known)}")
        wanted = _kind(defaults[key])
        if wanted and value is not None and _kind(value) != wanted:
            raise ValueError(
                f"{where}: {task}: {key} is {wanted}, such as {defaults[key]}, not "
                f"{value!r}"
            )


def _kind(value):
    """What a plain value is called, if it is no text and nothing larger."""
    if isinstance(value, bool):
        return "True or False"
    return "a number" if isinstance(value, (int, float)) else None


def make(upstreams, tasks, data, budget, output, seeds=(1986,), rates=None):
    """All runs of a benchmark.

    Arguments
    ---------
    upstreams : list of str
        Names of cards, or files.
    tasks : list of str
        Tasks; those without data get no run.
    data : dict
        Task to the recipe's keys that tell where its corpus is.
    budget : dict
        Task to other keys.
    output : pathlib.Path
        Folder of the benchmark.
    seeds : list of int
        A run for each; the first one searches the learning rate.
    rates : list of float, optional
        Learning rates to search.

    Returns
    -------
    list of Run
        Cheap tasks of all upstreams before dear ones.
    """
    from s3prl_sb.lobes.upstreams import title

    titles = {}
    for upstream in upstreams:
        other = titles.setdefault(title(upstream), upstream)
        if other != upstream:
            raise ValueError(
                f"'{other}' and '{upstream}' are both called {title(upstream)}: "
                "give one of the cards another name"
            )
    runs = []
    for task in tasks:
        if task not in data:
            continue
        trains = "total_steps" in settings(task)
        for name, upstream in titles.items():
            first = None
            for seed in seeds if trains else seeds[:1]:
                run = Run(
                    upstream=upstream,
                    title=name,
                    task=task,
                    seed=seed,
                    overrides={**budget.get(task, {}), **data[task]},
                    output=Path(output),
                    rates=list(rates) if rates and trains and not first else None,
                    searched_by=first if rates and trains else None,
                )
                first = first or run
                runs.append(run)
    return runs


def jobs(runs, before=()):
    """Jobs for the runner.

    Arguments
    ---------
    runs : list of Run
        From :func:`make`; each gets its ``job``.
    before : dict, optional
        Task to a job that makes its data.

    Returns
    -------
    list of Job
    """
    before = dict(before)
    for run in runs:
        corpus = run.overrides.get("data_folder") or run.overrides.get("train_csv")
        run.job = Job(
            name=f"{run.title} {run.task} {run.seed}",
            folder=run.folder,
            command=run.command,
            is_done=run.is_done,
            group=f"{run.title} {corpus}",
            has_shared=run.has_features,
        )
        if run.searched_by:
            run.job.after.append(run.searched_by.job)
        if run.task in before:
            run.job.after.append(before[run.task])
    made = dict.fromkeys(id(job) for job in before.values())
    unique = {id(job): job for job in before.values()}
    return [unique[key] for key in made] + [run.job for run in runs]


def digest(configuration):
    """A hash of JSON values.

    Example
    -------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(configuration, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _card(name):
    """The content of an upstream's card."""
    from s3prl_sb.lobes.upstreams import card

    node = card(_absolute(name))
    return {"class": node.tag.value, **_plain(dict(node))}


def _absolute(name):
    """A card's file wherever the runs are started."""
    file, colon, entry = str(name).partition(".yaml:")
    if colon:
        return f"{Path(file).resolve()}.yaml:{entry}"
    is_file = file.endswith((".yaml", ".yml"))
    return str(Path(file).resolve()) if is_file else file


def _plain(value):
    """JSON values, with the tags of a YAML as text, and without its comments."""
    tag = getattr(getattr(value, "tag", None), "value", None)
    if isinstance(value, dict):
        plain = {str(key): _plain(inner) for key, inner in value.items()}
        return {"tag": tag, **plain} if tag else plain
    if isinstance(value, (list, tuple)):
        plain = [_plain(inner) for inner in value]
        return [{"tag": tag}, *plain] if tag else plain
    if tag:
        return f"{tag} {getattr(value, 'value', '')}"
    if value is None or isinstance(value, (bool, int)):
        return value
    return float(value) if isinstance(value, float) else str(value)


def _yaml(value):
    """A value as an override on the command line."""
    if value is None:
        return "null"
    if isinstance(value, (dict, list)):
        return json.dumps(_plain(value))
    return str(value)
