"""ABX as a task: the hidden state that discriminates phones best, and its errors.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import os
import shutil
from pathlib import Path

from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.analysis import abx, figures
from s3prl_sb.analysis.item_tables import SPLITS, items_of
from s3prl_sb.analysis.triples import TASKS, check_speakers
from s3prl_sb.analysis.utterances import HiddenStates, states_of
from s3prl_sb.brains import opening, plots, results, settings
from s3prl_sb.brains.untrained import UntrainedBrain
from s3prl_sb.dataio import conditions
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.identity.data import digests, seconds_of
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.metrics.contributions import mean
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.startup import acceptance
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.csv_files import write_csv

logger = logging.getLogger(__name__)

#: Choices of the key ``speakers`` to tasks.
SPEAKERS = {"both": TASKS, "within": TASKS[:1], "across": TASKS[1:]}
DEBUGGED = 4  # utterances of a set in a --debug run


class DiscriminationBrain(UntrainedBrain):
    """Measures the ABX error of every hidden state, and chooses one on dev.

    The upstream runs once for all hidden states; a run that was killed resumes with
    the features in the cache.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe. Needs ``layers``, ``speakers``, ``distance``,
        ``most_items``, ``most_speakers``, ``eval_pipes``, the keys of the cache, and
        those of :class:`~s3prl_sb.brains.untrained.UntrainedBrain`.
    run_opts : dict
        Options of SpeechBrain.
    """

    metric = "error"
    higher_is_better = False
    unit = "phone"

    def __init__(self, hparams, run_opts=None):
        super().__init__(hparams, run_opts)
        self.layers = chosen_layers(hparams)
        self.tasks = SPEAKERS[hparams["speakers"]]

    def measure(self, records):
        """Measures all hidden states, chooses one, and writes the results.

        Arguments
        ---------
        records : dict
            "valid" and "test" to ``{id: record}``, see
            :mod:`s3prl_sb.analysis.item_tables`.

        Returns
        -------
        dict
            Metrics of the chosen hidden state on the test set.
        """
        if self.debug:
            records = {split: few(each) for split, each in records.items()}
            self.layers = self.layers[: self.debug_batches]
        self.splits = {split: len(each) for split, each in records.items()}
        sets = self._sets(records)
        opening.say(self, sets)
        self.data = digests(sets, if_main_process())
        self.tested_seconds = seconds_of(sets["test"])
        if not self.debug:
            settings.check_test(self)
            acceptance.accept()
        items = {split: items_of(each) for split, each in records.items()}
        for each in items.values():
            check_speakers(each, self.tasks)
        states = self._states(sets)
        metrics = {}
        if if_main_process():
            metrics = self.finish(states, items)
            self._remove_features()
        ddp_barrier()  # torchrun ends all processes when the first one leaves
        return metrics

    def tested_on(self):
        """Returns the digest of the test set."""
        return [self.data["test"]]

    def _sets(self, records):
        hparams, sets = vars(self.hparams), {}
        for split, utterances in records.items():
            pipes = [*hparams["eval_pipes"]]
            pipes += conditions.test_pipes(hparams) if split == "test" else []
            sets[split] = ManifestDataset(utterances, pipes, ["id", "sig"])
        return sets

    def _states(self, sets):
        """Returns the hidden states of each set; processes share the extraction."""
        rank, processes = getattr(self, "rank", 0), int(os.environ.get("WORLD_SIZE", 1))
        identity, opened, states = first_identity(self.upstream), {}, {}
        for split, dataset in sets.items():
            states[split] = states_of(
                self.upstream,
                dataset,
                self._folder(),
                self.hparams.upstream_name,
                self.layers,
                dtype=self.hparams.cache_dtype,
                device=self.device,
                num_processes=self.hparams.cache_processes,
                part=(rank, processes),
                progressbar=if_main_process(),
                identity=identity,
                opened=opened,
            )
        ddp_barrier()
        for each in states.values():
            each.refresh()
        return states

    def _folder(self):
        off = str(self.hparams.cache) in ("off", "False")  # YAML 1.1 reads off so
        own = Path(self.hparams.save_folder) / "features"
        return own if off else self.hparams.cache_folder

    def _remove_features(self):
        own = Path(self.hparams.save_folder) / "features"
        shutil.rmtree(own, ignore_errors=True)

    def _options(self):
        return {
            "tasks": self.tasks,
            "seed": self.hparams.seed,
            "distance": self.hparams.distance,
            "most_items": self.hparams.most_items,
            "most_speakers": self.hparams.most_speakers,
            "device": self.device,
            "progressbar": if_main_process(),
        }

    def errors(self, states, items):
        """Returns the metrics of each hidden state of a set.

        Arguments
        ---------
        states : HiddenStates
            Hidden states of the utterances.
        items : list of Item
            Items in them.

        Returns
        -------
        list of dict
            The errors of the tasks, and ``error``, their mean.
        """
        rows = abx.errors(states, items, **self._options())
        return [{"error": sum(r.values()) / len(r), **r} for r in rows]

    def finish(self, states, items):
        """Chooses the hidden state, and writes the results.

        Arguments
        ---------
        states, items : dict
            "valid" and "test" to hidden states, and to items.

        Returns
        -------
        dict
            Metrics of the test set.
        """
        found = {split: self.errors(states[split], items[split]) for split in SPLITS}
        valid = [row[self.metric] for row in found["valid"]]
        place = valid.index(min(valid))
        self.layer = self.layers[place]
        logger.info("Hidden state %d is the best of %d on dev", self.layer, len(valid))
        self.best, metrics = found["valid"][place], found["test"][place]
        self.tested = metrics
        self.modules["featurizer"] = Featurizer(self.upstream.num_layers, self.layer)
        self._write_layers(found)
        self.write_predictions(states["test"], items["test"])
        results.write_interface(self)
        results.write(self, metrics)
        return metrics

    def _write_layers(self, found):
        """Writes ``layers.csv`` and ``layers.png`` with the errors of all."""
        folder, names = Path(self.hparams.output_folder), [self.metric, *self.tasks]
        columns = ["layer", *(f"{split}_{name}" for split in SPLITS for name in names)]
        rows = (
            [layer, *(f"{row[name]:.6f}" for row in pair for name in names)]
            for layer, *pair in zip(self.layers, *(found[split] for split in SPLITS))
        )
        write_csv(folder / "layers.csv", columns, rows)
        lines = {task: [row[task] for row in found["test"]] for task in self.tasks}
        title = plots.heading(self)
        figures.errors(folder / "layers.png", self.layers, lines, title)

    def write_predictions(self, states: HiddenStates, items) -> None:
        """Writes ``predictions.csv``: the error of each pair of phones.

        Arguments
        ---------
        states : HiddenStates
            Hidden states of the test set, the chosen one among them.
        items : list of Item
            Its items.
        """
        found = abx.errors_of_phones(states.only(self.layer), items, **self._options())
        self.pairs = [
            (task, a, b, error)
            for task, pairs in found[0].items()
            for (a, b), error in pairs.items()
        ]
        rows = [
            [f"{task} {a} {b}", task, a, b, f"{error:.6f}"]
            for task, a, b, error in self.pairs
        ]
        path = Path(self.hparams.output_folder) / "predictions.csv"
        write_csv(path, ["id", "speakers", "phone", "other", "error"], rows)

    def measures(self):
        """Returns the errors of pairs of phones, both of which are drawn."""
        entries = {
            task: mean(error if own == task else None for own, *_, error in self.pairs)
            for task in self.tasks
        }
        entries["error"] = {"kind": "mean_of", "terms": list(self.tasks)}
        names = [f"{task} {a} {b}" for task, a, b, _ in self.pairs]
        units = [(a, b) for _, a, b, _ in self.pairs]
        return Measures.build(self.unit, names, entries, units)

    def interface(self):
        """Returns a comparer with the chosen hidden state."""
        return {
            "class": "s3prl_sb.inference.comparer.Comparer",
            "head": {},
            "hparams": {"layer": self.layer, "distance": self.hparams.distance},
        }


def chosen_layers(hparams):
    """Returns the hidden states to measure.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: ``layers``, ``upstream_model``.

    Returns
    -------
    list of int

    Raises
    ------
    RecipeError
        If there is no such hidden state; names them.
    """
    try:
        number = hparams["upstream_model"].num_layers
        return Featurizer(number, hparams["layers"]).layers
    except ValueError as error:
        raise RecipeError(str(error)) from error


def few(records):
    """Returns the utterances with most items, those of two speakers in turn.

    Arguments
    ---------
    records : dict
        ``{id: record}``.

    Returns
    -------
    dict
        Four of them.
    """
    by_speaker: dict[str, list] = {}
    for name in sorted(records, key=lambda name: -len(records[name]["items"])):
        by_speaker.setdefault(records[name]["speaker"], []).append(name)
    turns = sorted(by_speaker.values(), key=len, reverse=True)[:2]
    share = DEBUGGED // len(turns)
    return {name: records[name] for names in turns for name in names[:share]}
