"""Probes of the hidden states of a frozen upstream: each alone, all in one training.

The features are extracted and each batch is loaded once for all probes. They train in
turns, not stacked, so that each has the metrics of an ordinary run on that hidden state
(``featurizer.layers``) to the last bit, if the kind of the cache is the same. The
weighted sum of the same hidden states is trained as one more probe.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import logging
from pathlib import Path
from typing import NamedTuple

import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedData

from s3prl_sb.brains import course, layer_results
from s3prl_sb.brains.copies import Copies, copy_of
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.layer_weights import weights_of_run
from s3prl_sb.startup.preconditions import check_search
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import (
    read_metadata,
    read_safetensors,
    write_safetensors,
)

logger = logging.getLogger(__name__)

BEST = "best"  # folder, beside the checkpoints, of the probes at their best
_NONE_LEFT = "the probes of all hidden states diverge. Lower lr, or max_grad_norm."


class Probe(NamedTuple):
    """Hidden states of a probe, and its learning rate.

    Arguments
    ---------
    layers : tuple of int
        One hidden state; or all, for the probe of the weighted sum.
    rate : float
        Learning rate.
    """

    layers: tuple
    rate: float

    def name(self, with_rate):
        """Returns a name for messages and files.

        Arguments
        ---------
        with_rate : bool
            Whether probes differ in the learning rate.

        Returns
        -------
        str

        Example
        -------
        >>> Probe((5,), 0.1).name(False), Probe((4, 5), 0.1).name(True)
        ('layer 5', 'weighted sum, lr 0.1')
        """
        name = f"layer {self.layers[0]}" if len(self.layers) == 1 else "weighted sum"
        return f"{name}, lr {self.rate:g}" if with_rate else name


def probe(brain_class, hparams, run_opts, splits, modules, **kwargs):
    """Trains and tests a probe of each hidden state that the featurizer chooses.

    With ``lr_search`` each probe is trained at every learning rate, and the best one on
    the validation set is tested. Killed and run again, it resumes bit-identically.
    Writes ``layers.json``, ``layers.csv`` and ``layers.png`` into the output folder.

    Arguments
    ---------
    brain_class : type
        A :class:`~s3prl_sb.brains.base.SSLBrain`.
    hparams : dict
        Settings of the recipe, with ``probe_layers``.
    run_opts : dict
        SpeechBrain's options.
    splits : dict
        "train", "valid" and "test" to datasets; changed in place to cached features.
    modules : dict
        All modules to train, the featurizer too. Copied, not changed.
    **kwargs
        Other arguments of the Brain.

    Returns
    -------
    s3prl_sb.brains.base.SSLBrain
        Brain of the weighted sum, or of the only hidden state.

    Raises
    ------
    RecipeError
        If all probes diverge, or ``weights_of`` names no run of this upstream.
    s3prl_sb.brains.settings.SettingsError
        If the folder holds the results of another test set.
    """
    weights = weights_of_run(hparams)
    searches = bool(hparams.get("lr_search"))
    rates = check_search(hparams) if searches else [float(hparams["lr"])]
    layers = modules["featurizer"].layers

    def make(probe):
        featurizer = modules["featurizer"]
        if len(probe.layers) == 1:
            featurizer = featurizer.only(probe.layers[0])
        mine = {**modules, "featurizer": featurizer}
        return copy_of(brain_class, hparams, run_opts, mine, probe.rate, **kwargs)

    probes = [Probe((layer,), rate) for layer in layers for rate in rates]
    if len(layers) > 1 and weights is None:
        probes += [Probe(tuple(layers), rate) for rate in rates]
    copies = [make(probe) for probe in probes]
    # The features of all hidden states are those of the weighted sum.
    whole = copies[-1] if weights is None else make(Probe(tuple(layers), rates[0]))
    if not whole.debug:
        layer_results.check_test(whole, splits)
    whole.use_cache(splits)
    together = LayerProbes(copies, probes, whole, hparams, run_opts)
    together.fit(
        together.counter,
        splits["train"],
        splits["valid"],
        train_loader_kwargs=dict(hparams["train_dataloader_opts"]),
        valid_loader_kwargs=dict(hparams["valid_dataloader_opts"]),
    )
    together.evaluate(
        splits["test"], test_loader_kwargs=dict(hparams["test_dataloader_opts"])
    )
    layer_results.write(together, weights)
    return whole


class LayerProbes(Copies):
    """Brains of one task that differ in the hidden state, and in the learning rate.

    Arguments
    ---------
    copies : list of SSLBrain
        Brain of each probe.
    probes : list of Probe
        Hidden states and learning rate of each.
    whole : SSLBrain
        Brain of the weighted sum, which has filled the cache; it may be a copy.
    hparams : dict
        Settings of the recipe.
    run_opts : dict
        SpeechBrain's options.
    """

    title = "Probes of the layers"
    can_stack = False  # stacked products round differently from an ordinary run's
    none_left = _NONE_LEFT

    def __init__(self, copies, probes, whole, hparams, run_opts=None):
        rates = [probe.rate for probe in probes]
        names = [probe.name(len(set(rates)) > 1) for probe in probes]
        if hparams.get("lr_search"):  # another grid is another search
            hparams = {**hparams, "lr": sorted(set(rates))}
        checkpointer = hparams["checkpointer"]
        super().__init__(copies, names, rates, hparams, run_opts, checkpointer)
        self.probes, self.whole = probes, whole
        self.splits, self.data = whole.splits, whole.data
        cached = whole.raw_modules["featurizer"].layers
        self.rows = {layer: row for row, layer in enumerate(cached)}
        self.folder = Path(hparams["save_folder"]) / BEST
        self.chosen = None  # numbers of the copies that are tested
        self.valid, self.tests = {}, {}  # metrics of these copies
        self.stops = {}  # steps after which copies stopped early

    @property
    def active(self):
        """Numbers and Brains of the copies that are trained, or tested."""
        if self.chosen is None:
            return super().active
        return [(i, self.copies[i]) for i in self.chosen]

    def batch_of(self, i, batch):
        """Returns the batch with the cached hidden state of a copy alone, in the layout
        that it has in an ordinary run."""
        if not hasattr(batch, "feats"):
            return batch
        states, lens = batch.feats
        layers = self.probes[i].layers
        if not torch.is_tensor(states) or len(layers) == states.shape[2]:
            return batch  # the featurizer chooses from a list
        batch.to(self.device)  # once for all copies
        states, lens = batch.feats
        row = self.rows[layers[0]]
        one = copy.copy(batch)
        one.feats = PaddedData(states[:, :, row : row + 1].contiguous(), lens)
        return one

    def keep_validated(self, i, stats, epoch):
        """Writes the weights of a copy at its best and its validation into a file."""
        if self.learners[i].best_epoch != epoch:
            return
        stats = {name: float(value) for name, value in stats.items()}
        tensors = self.copies[i].modules.state_dict()
        tensors = {k: v.detach().cpu().clone() for k, v in tensors.items()}
        with Part(self._file(i)) as part:
            write_safetensors(part.path, tensors, {"epoch": epoch, "stats": stats})
            part.publish()

    def _file(self, i):
        return self.folder / f"{self.names[i].replace(', ', '-').replace(' ', '_')}.st"

    # ----------------------------------------------------------------- test
    def on_evaluate_start(self, max_key=None, min_key=None):
        """Loads the best weights of each probe, at its best learning rate."""
        self.stops = {i: self.stop_of(each) for i, each in enumerate(self.learners)}
        groups = {}
        for i, probe in enumerate(self.probes):
            groups.setdefault(probe.layers, []).append(i)
        best = [self.best_of(numbers) for numbers in groups.values()]
        self.chosen = [i for i in best if i is not None]
        if not self.chosen:
            raise RecipeError(self.none_left)
        for i, brain in self.active:
            path, what = self._file(i), "the best weights of a probe"
            fix = "Delete the folder of the run to train again."
            tensors = read_safetensors(path, what, fix, signed=True)
            kept = read_metadata(path, what)
            if kept["epoch"] != brain.learner.best_epoch:
                raise RecipeError(
                    f"'{path}' is of epoch {kept['epoch']}, and the checkpoint of "
                    f"{brain.learner.best_epoch}. {fix}"
                )
            brain.modules.load_state_dict(tensors)
            brain.optimizer_step = kept["epoch"] * course.planned(self)[1]
            brain.best = self.valid[i] = kept["stats"]

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Records validations; keeps the metrics of the test."""
        super().on_stage_end(stage, stage_loss, epoch)
        if stage != sb.Stage.TEST:
            return
        for i, brain in self.active:
            loss = {"loss": self.means[i]} if brain.evaluation_loss else {}
            stats = {**loss, **brain.stage_stats(stage)}
            self.tests[i] = {name: float(value) for name, value in stats.items()}
