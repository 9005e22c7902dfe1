"""Learning rates trained together learn what each learns alone."""

import copy
import functools
import json
import types

import pytest
import torch
import torch.nn.functional as F
from speechbrain.utils.epoch_loop import EpochCounter

from s3prl_sb.brains import settings, stacking, sweep
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.brains.learner import Learner, SweepState
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.startup.configuration import RECIPE
from s3prl_sb.storage.files import read_json

LAYERS, SIZE, CLASSES, BATCH = 3, 8, 4, 6
RATES = [0.3, 0.01, 0.001]
RUN_OPTS = {"device": "cpu", "noprogressbar": True}


class Upstream(torch.nn.Module):
    """Audio is a number; its hidden states are made of it. Counts its calls."""

    freeze = True

    def __init__(self):
        super().__init__()
        self.calls = 0

    def to(self, device):
        return self

    def __call__(self, sig, lens):
        self.calls += 1
        frames = sig[:, :, None] * torch.linspace(-1, 1, SIZE)
        return [(frames + layer**2).sin() + layer**2 for layer in range(LAYERS)], lens


class Probe(ClassificationBrain):
    """Features are there, or come from the upstream."""

    def use_cache(self, splits):
        pass


class Dropping(UtteranceClassifier):
    """With random numbers in training."""

    def forward(self, features, lens):
        return super().forward(F.dropout(features, 0.3, self.training), lens)


class Recurrent(torch.nn.Module):
    """A module that vmap does not support."""

    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(SIZE, 5, batch_first=True)
        self.linear = torch.nn.Linear(5, CLASSES)

    def forward(self, features, lens):
        return self.linear(self.lstm(features)[0].mean(1))


class Deciding(UtteranceClassifier):
    """Its control flow depends on values, which vmap refuses when it runs."""

    def forward(self, features, lens):
        return super().forward(features if features.sum().item() else -features, lens)


HEADS = {
    "linear": lambda: UtteranceClassifier(SIZE, CLASSES, hidden_size=5),
    "deciding": lambda: Deciding(SIZE, CLASSES, hidden_size=5),
    "dropout": lambda: Dropping(SIZE, CLASSES, hidden_size=5),
    "recurrent": Recurrent,
}


def dataset(count, seed, audio=False):
    generator = torch.Generator().manual_seed(seed)
    records = {f"{i:03d}": {"label_encoded": i % CLASSES} for i in range(count)}
    shape = (7,) if audio else (4, LAYERS, SIZE)
    inputs = {
        name: torch.randn(shape, generator=generator) + record["label_encoded"]
        for name, record in records.items()
    }
    key = "sig" if audio else "feats"
    data = ManifestDataset(records, [], ["id", "label_encoded"])
    data.add_dynamic_item(lambda name, draw: inputs[name], ["id", "draw"], key)
    data.set_output_keys(["id", "label_encoded", key])
    return data


@pytest.fixture
def experiment(tmp_path):
    """``experiment(head, …)``: the arguments of ``search``."""

    def experiment(head="linear", folder="out", audio=False, run_opts=(), **changes):
        torch.manual_seed(0)
        modules = {"featurizer": Featurizer(LAYERS), "head": HEADS[head]()}
        output = tmp_path / folder
        hparams = {
            "upstream_model": Upstream(),
            "upstream_name": "numbers",
            "seed": 3,
            "opt_class": functools.partial(torch.optim.Adam, lr=1.0),
            "lr": 1.0,
            "lr_search": RATES,
            "total_steps": 12,
            "steps_per_epoch": 4,
            "batch_size": BATCH,
            "max_grad_norm": 0.5,
            "ckpt_interval_steps": 0,
            "grad_accumulation_factor": 2,
            "output_folder": str(output),
            "save_folder": str(output / "save"),
            "epoch_counter": EpochCounter(3),
            "train_dataloader_opts": {"batch_size": BATCH},
            "valid_dataloader_opts": {"batch_size": BATCH},
            "train_loggers": [],
        }
        return {
            "brain_class": Probe,
            "hparams": {**hparams, **changes},
            "run_opts": {**RUN_OPTS, **dict(run_opts)},
            "splits": {
                "train": dataset(20, 1, audio),
                "valid": dataset(9, 2, audio),
            },
            "modules": modules,
            "labels": list("abcd"),
        }

    return experiment


def make(arguments):
    """The Sweep of an experiment, as ``search`` makes it, and its copies."""
    made = []

    class Kept(sweep.Sweep):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    original, sweep.Sweep = sweep.Sweep, Kept
    try:
        best = sweep.search(**arguments)
    finally:
        sweep.Sweep = original
    return made[0] if made else None, best


def alone(arguments, rate):
    """An ordinary run with one learning rate: its Brain, best score and weights."""
    hparams = dict(arguments["hparams"])
    hparams["epoch_counter"] = EpochCounter(hparams["epoch_counter"].limit)
    hparams["opt_class"] = functools.partial(hparams["opt_class"], lr=rate)
    folder = f"{hparams['save_folder']}-{rate}"
    checkpointer = AtomicCheckpointer(folder, {"counter": hparams["epoch_counter"]})
    brain = arguments["brain_class"](
        modules=copy.deepcopy(arguments["modules"]),
        hparams=hparams,
        run_opts=arguments["run_opts"],
        checkpointer=checkpointer,
        labels=arguments["labels"],
    )
    brain.fit(
        hparams["epoch_counter"],
        arguments["splits"]["train"],
        arguments["splits"]["valid"],
        train_loader_kwargs=hparams["train_dataloader_opts"],
        valid_loader_kwargs=hparams["valid_dataloader_opts"],
    )
    best = checkpointer.find_best("accuracy")
    return brain, best.meta


def weights(brain):
    return dict(brain.modules.named_parameters())


@pytest.mark.parametrize("audio", (False, True), ids=("features", "audio"))
@pytest.mark.parametrize("head", HEADS)
def test_each_learns_what_it_would_alone(head, audio, experiment):
    arguments = experiment(head, audio=audio)
    together, best = make(arguments)
    stacked = {"recurrent": None, "deciding": False}.get(head, True)
    assert together.state.stacked is stacked
    scores = {}
    for rate, brain in zip(RATES, together.copies):
        single, meta = alone(experiment(head, audio=audio), rate)
        for name, weight in weights(single).items():
            moved = (weight - weights(brain)[name]).abs().max().item()
            assert moved < 1e-5 if stacked else moved == 0, (rate, name)
        for optimizer in brain.learner.optimizers.values():
            assert optimizer.param_groups[0]["fused"] == (stacked or None)
        found = together.result()["rates"][f"{rate:g}"]
        assert found["accuracy"] == meta["accuracy"]
        assert found["loss"] == pytest.approx(meta["loss"], abs=1e-5)
        assert found["epoch"] == meta["epoch"]
        scores[rate] = (meta["accuracy"], -meta["loss"])
    assert best == max(scores, key=scores.get)


def test_the_initial_modules_stay_as_they_are(experiment):
    arguments = experiment()
    before = copy.deepcopy(arguments["modules"]["head"].state_dict())
    sweep.search(**arguments)
    after = arguments["modules"]["head"].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_the_upstream_runs_once_a_batch(experiment):
    arguments = experiment(audio=True, grad_accumulation_factor=1)
    make(arguments)
    # 12 steps, 3 validations of 2 batches; the stack has been proven on the first.
    assert arguments["hparams"]["upstream_model"].calls == 12 + 3 * 2


def test_one_that_diverges_is_out(experiment):
    rates = [RATES[1], 1e25, RATES[2]]
    arguments = experiment(lr_search=rates, folder="three", total_steps=24,
                           epoch_counter=EpochCounter(6))  # fmt: skip
    three, best = make(arguments)
    two, same = make(
        experiment(
            lr_search=[rates[0], rates[2]],
            folder="two",
            total_steps=24,
            epoch_counter=EpochCounter(6),
        )  # fmt: skip
    )
    found = three.result()["rates"]
    assert found["1e+25"]["diverged_at_step"] is not None
    assert best == same
    for i, j in ((0, 0), (2, 1)):
        one, other = weights(three.copies[i]), weights(two.copies[j])
        assert all(torch.allclose(one[n], other[n], atol=1e-6) for n in one)


@pytest.mark.parametrize("head", ("linear", "recurrent"))
def test_all_diverge(head, experiment):
    with pytest.raises(ValueError, match="all learning rates diverge. Give lower"):
        sweep.search(**experiment(head, lr_search=[2e37, 3e37], total_steps=40,
                                  epoch_counter=EpochCounter(10)))  # fmt: skip


class Killed(Exception):
    pass


@pytest.mark.parametrize("head", ("dropout", "recurrent"))
@pytest.mark.parametrize("step", (4, 15))
def test_killed_and_resumed_it_is_bit_identical(head, step, experiment, monkeypatch):
    whole, best = make(experiment(head, folder="whole"))
    original, count = sweep.Sweep.fit_batch, []

    def dying(self, batch):
        count.append(1)
        if len(count) == step:
            raise Killed
        return original(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(sweep.Sweep, "fit_batch", dying)
        with pytest.raises(Killed):
            sweep.search(**experiment(head, folder="killed", ckpt_interval_steps=2))
    resumed, same = make(experiment(head, folder="killed", ckpt_interval_steps=2))
    assert (best, whole.result()) == (same, resumed.result())
    for one, other in zip(whole.copies, resumed.copies):
        pairs = zip(weights(one).values(), weights(other).values())
        assert all(torch.equal(a, b) for a, b in pairs)


def test_what_it_leaves(experiment, tmp_path):
    _, best = make(experiment())
    found = json.loads((tmp_path / "out/lr_search.json").read_text())
    assert found["best"] == best and found["metric"] == "accuracy" and found["highest"]
    assert list(found["rates"]) == [f"{rate:g}" for rate in RATES]
    assert not list((tmp_path / "out/save/lr_search").glob("CKPT*"))


def test_what_is_known_is_not_searched_again(experiment):
    _, best = make(experiment())
    assert make(experiment()) == (None, best)
    again, _ = make(experiment(seed=4))  # another experiment
    assert again is not None
    other = experiment()
    for record in other["splits"]["train"].data.values():
        record["speaker"] = "another"
    assert make(other)[0] is not None


def test_other_weights_or_modules_are_searched_again(experiment, tmp_path):
    arguments = experiment()
    arguments["hparams"][RECIPE] = {"featurizer": {"normalize": False}}
    _, best = make(arguments)
    assert make(arguments) == (None, best)
    arguments["hparams"][RECIPE] = {"featurizer": {"normalize": True}}
    assert make(arguments)[0] is not None
    arguments["hparams"]["upstream_model"].bias = torch.nn.Parameter(torch.ones(1))
    del arguments["hparams"]["upstream_model"]._first_identity
    assert make(arguments)[0] is not None
    path = tmp_path / "out" / sweep.RESULT
    found = read_json(path)
    del found["settings"][settings.IDENTITY]["format"]  # of an older identity
    path.write_text(json.dumps(found))
    assert make(arguments)[0] is not None


def test_each_scaler_has_a_name_of_its_own(experiment, tmp_path):
    """In half precision, where they are enabled."""
    arguments, copies = experiment(), []
    for _ in RATES:
        brain = Probe(
            modules=copy.deepcopy(arguments["modules"]),
            hparams=arguments["hparams"],
            run_opts=RUN_OPTS,
            labels=arguments["labels"],
        )
        assert not brain.scaler.is_enabled()
        brain.scaler = types.SimpleNamespace(is_enabled=lambda: True)
        copies.append(brain)
    checkpointer = AtomicCheckpointer(str(tmp_path / "scaled"))
    sweep.Sweep(copies, RATES, arguments["hparams"], RUN_OPTS, checkpointer)
    kept = checkpointer.recoverables
    for i, brain in enumerate(copies):
        assert kept[f"scaler{i}"] is brain.scaler


def test_another_grid_does_not_resume(experiment, monkeypatch):
    def dying(self, stage, loss, epoch=None):
        original(self, stage, loss, epoch)
        if epoch == 2:
            raise Killed

    original = sweep.Sweep.on_stage_end
    with monkeypatch.context() as patch:
        patch.setattr(sweep.Sweep, "on_stage_end", dying)
        with pytest.raises(Killed):
            sweep.search(**experiment())
    with pytest.raises(ValueError, match="checkpoints of another experiment.*lr "):
        sweep.search(**experiment(lr_search=[0.5, 0.1, 0.01]))
    other = experiment()
    for record in other["splits"]["train"].data.values():
        record["speaker"] = "another"
    with pytest.raises(
        ValueError, match="checkpoints of another experiment.*audio or labels"
    ):
        sweep.search(**other)


def test_a_card_that_is_trained_is_not_searched():
    """Whatever the key ``freeze`` says; and by the rule that the command line has."""
    hparams = {"lr_search": [0.1, 0.01]}
    for freeze in (True, False):
        hparams["upstream_model"] = types.SimpleNamespace(freeze=freeze)
        if freeze:
            assert sweep.check_search(hparams) == [0.1, 0.01]
        else:
            with pytest.raises(KeysError, match="shares one frozen upstream"):
                sweep.check_search(hparams)


@pytest.mark.parametrize("rates", (0.1, "0.1", [], [0.1, 0.1], [0], [-1], ["x"]))
def test_what_is_no_grid(rates, experiment):
    with pytest.raises(ValueError, match="a list of different learning rates"):
        sweep.search(**experiment(lr_search=rates))


def test_an_unfrozen_upstream(experiment):
    arguments = experiment()
    arguments["hparams"]["upstream_model"].freeze = False
    with pytest.raises(ValueError, match="with freeze: False choose lr yourself"):
        sweep.search(**arguments)


def test_several_processes(experiment, monkeypatch):
    arguments = experiment()
    monkeypatch.setenv("RANK", "0")  # as torchrun does
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(ValueError, match="lr_search .*without torchrun"):
        sweep.search(**arguments)


def test_equals_are_told_apart_by_the_loss():
    learners = [Learner(), Learner()]
    for learner, loss in zip(learners, (0.5, 0.4)):
        learner.record_validation(1.0, loss, epoch=1, highest=True)
    learners[0].record_validation(1.0, 0.1, epoch=2, highest=True)  # the earlier stays
    learners[1].record_validation(float("nan"), 0.1, epoch=2, highest=True)
    assert [learner.best["epoch"] for learner in learners] == [1, 1]


def test_lower_is_better():
    learner = Learner()
    for epoch, score in enumerate((0.5, 0.7, 0.3, 0.3)):
        learner.record_validation(score, 1.0, epoch, highest=False)
    assert learner.best == {"score": 0.3, "loss": 1.0, "epoch": 2}


def test_the_state_of_a_sweep_is_restored(tmp_path):
    learners = [Learner(), Learner()]
    learners[0].record_validation(0.5, 1.0, epoch=1, highest=True)
    learners[1].diverged_at, learners[1].nonfinite_count = 7, 3
    learners[1].avg_train_loss = 0.25
    state = SweepState(learners)
    state.stacked = True
    state._save(tmp_path / "state.ckpt")
    assert json.loads((tmp_path / "state.ckpt").read_text()) == {
        "best": [{"score": 0.5, "loss": 1.0, "epoch": 1}, None],
        "diverged": [None, 7],
        "nonfinite": [0, 3],
        "train_loss": [0.0, 0.25],
        "stacked": True,
    }
    restored = SweepState([Learner(), Learner()])
    restored._load(tmp_path / "state.ckpt", end_of_epoch=True)
    assert restored.stacked
    assert [vars(one) for one in restored.learners] == [vars(one) for one in learners]


@pytest.mark.parametrize("kind", ("Adam", "AdamW", "SGD", "Adagrad", "RMSprop"))
def test_only_what_can_be_fused_is(kind):
    """As if it had been made so."""
    moved = []
    for fused in (False, True):
        parameter = torch.nn.Parameter(torch.arange(8.0).sin())
        optimizer = getattr(torch.optim, kind)([parameter], lr=0.1)
        can = "fused" in optimizer.defaults
        if fused:
            stacking.fuse(optimizer)
        elif can:
            optimizer = getattr(torch.optim, kind)([parameter], lr=0.1, fused=True)
        for _ in range(3):
            parameter.grad = parameter.detach().cos()
            optimizer.step()
        moved.append(parameter.detach())
        assert optimizer.param_groups[0].get("fused", None) is (True if can else None)
    assert torch.equal(*moved)


def test_a_task_of_ones_own_may_choose_by_a_metric_of_its_own(experiment, tmp_path):
    class Mine(Probe):
        metric = "correct"

        def stage_stats(self, stage):
            stats = super().stage_stats(stage)
            return {**stats, "correct": stats["accuracy"]}

    sweep.search(**{**experiment(), "brain_class": Mine})
    found = json.loads((tmp_path / "out/lr_search.json").read_text())
    assert found["metric"] == "correct"


def test_it_chooses_by_what_the_run_chooses_by(experiment, tmp_path):
    sweep.search(**experiment(), choose_by="balanced_accuracy")
    found = json.loads((tmp_path / "out/lr_search.json").read_text())
    assert found["metric"] == "balanced_accuracy"
    assert all("balanced_accuracy" in rate for rate in found["rates"].values())


OPTIMIZATION = {
    "scheduler": {"name": "cosine", "min_lr": 0.1},
    "warmup_steps": 0.25,
    "weight_decay_on": "matrices",
    "opt_class": functools.partial(torch.optim.AdamW, lr=1.0, weight_decay=0.1),
}
PATIENT = {"patience": 2, "total_steps": 32, "epoch_counter": EpochCounter(8)}


@pytest.mark.parametrize("head", ("linear", "recurrent"))
def test_each_follows_the_schedule_as_alone(head, experiment):
    together, _ = make(experiment(head, **OPTIMIZATION))
    constant, _ = make(experiment(head, "constant"))
    for rate, brain, other in zip(RATES, together.copies, constant.copies):
        single, _ = alone(experiment(head, **OPTIMIZATION), rate)
        for name, weight in weights(single).items():
            moved = (weight - weights(brain)[name]).abs().max().item()
            assert moved < 1e-5, (rate, name)
            assert not torch.allclose(weight, weights(other)[name], atol=1e-4)
        rates = [
            [(group["lr"], group["weight_decay"]) for group in each.param_groups]
            for each in (brain.optimizers_dict["optimizer"], single.optimizer)
        ]
        assert rates[0] == rates[1] and len(rates[0]) == 2


@pytest.mark.parametrize("head", ("linear", "recurrent"))
def test_each_stops_where_it_would_alone(head, experiment):
    changes = {**PATIENT, **OPTIMIZATION}
    together, best = make(experiment(head, **changes))
    stops = []
    for rate, brain in zip(RATES, together.copies):
        single, meta = alone(experiment(head, **changes), rate)
        found = together.result()["rates"][f"{rate:g}"]
        stops.append(found["stopped_at_step"])
        assert stops[-1] == single.stopping.step
        assert (found["accuracy"], found["epoch"]) == (meta["accuracy"], meta["epoch"])
        for name, weight in weights(single).items():
            assert torch.allclose(weight, weights(brain)[name], atol=1e-5)
    assert len(set(stops)) > 1 and any(stop is not None for stop in stops), stops
    assert together.step == 0  # it has ended at a validation
    last = max(stop or 32 for stop in stops)
    assert together.optimizer_step == last


@pytest.mark.parametrize("step", (4, 29))
def test_killed_and_resumed_it_stops_at_the_same_steps(step, experiment, monkeypatch):
    changes = {**PATIENT, **OPTIMIZATION}
    whole, best = make(experiment(folder="whole", **changes))
    original, count = sweep.Sweep.fit_batch, []

    def dying(self, batch):
        count.append(1)
        if len(count) == step:
            raise Killed
        return original(self, batch)

    killed = {"folder": "killed", "ckpt_interval_steps": 2, **changes}
    with monkeypatch.context() as patch:
        patch.setattr(sweep.Sweep, "fit_batch", dying)
        with pytest.raises(Killed):
            sweep.search(**experiment(**killed))
    resumed, same = make(experiment(**killed))
    assert (best, whole.result()) == (same, resumed.result())
    for one, other in zip(whole.copies, resumed.copies):
        pairs = zip(weights(one).values(), weights(other).values())
        assert all(torch.equal(a, b) for a, b in pairs)


def test_another_patience_is_another_search(experiment):
    make(experiment(**PATIENT))
    assert make(experiment(**PATIENT))[0] is None
    assert make(experiment(**{**PATIENT, "patience": 3}))[0] is not None
