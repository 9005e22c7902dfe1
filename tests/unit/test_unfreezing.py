"""An upstream that waits is a frozen one; then it is trained."""

import copy
import functools

import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.schema.combinations import check_together
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.startup.configuration import RecipeError

TINY = {"hidden_size": 16, "ffn_size": 8, "num_layers": 2, "num_heads": 2}
TINY |= {"conv_layers": [[8, 10, 5], [8, 8, 64]]}


def dataset():
    generator = torch.Generator().manual_seed(1)
    records = {f"{i}": {"label_encoded": i % 2} for i in range(8)}
    wavs = {name: 0.1 * torch.randn(3200, generator=generator) for name in records}
    data = ManifestDataset(records, [], ["id", "label_encoded"])
    data.add_dynamic_item(lambda name, draw: wavs[name], ["id", "draw"], "sig")
    data.set_output_keys(["id", "label_encoded", "sig"])
    return data


@pytest.fixture
def trained(tmp_path):
    """``trained(steps, freeze, …)``: a Brain after its training."""

    def trained(steps, freeze=False, **changes):
        torch.manual_seed(0)
        upstream = Hubert(config=TINY, freeze=freeze)
        counter = EpochCounter(1)
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        hparams = {
            "upstream_model": upstream,
            "upstream_name": "tiny",
            "seed": 3,
            "opt_class": functools.partial(torch.optim.AdamW, lr=0.01),
            "lr_upstream": 0.01,
            "total_steps": steps,
            "steps_per_epoch": steps,
            "batch_size": 4,
            "grad_accumulation_factor": 2,
            "output_folder": str(folder),
            "train_loggers": [],
            **changes,
        }
        torch.manual_seed(0)
        head = UtteranceClassifier(upstream.output_size, 2, hidden_size=4)
        brain = ClassificationBrain(
            modules={"featurizer": Featurizer(upstream.num_layers), "head": head},
            hparams=hparams,
            run_opts={"device": "cpu", "noprogressbar": True},
            checkpointer=AtomicCheckpointer(folder, {"counter": counter}),
            labels=["a", "b"],
        )
        brain.first = copy.deepcopy(upstream.state_dict())
        loader = {"batch_size": 4}
        brain.fit(counter, dataset(), dataset(), train_loader_kwargs=loader)
        return brain

    return trained


def moved(brain):
    """Says if any weight of the upstream has changed."""
    now = brain.upstream.state_dict()
    return any(not torch.equal(now[name], value) for name, value in brain.first.items())


def test_it_waits_as_a_frozen_one(trained):
    waiting = trained(3, unfreeze_after=10, total_steps=12)
    frozen = trained(3, freeze=True)
    for name, weight in frozen.modules["head"].named_parameters():
        other = waiting.modules["head"].get_parameter(name)
        torch.testing.assert_close(other, weight, rtol=1e-4, atol=1e-6)
    assert not moved(waiting)
    assert not waiting.optimizers_dict["optimizer_upstream"].state


def test_it_is_trained_from_the_next_update_on(trained):
    brain = trained(4, unfreeze_after=3, weight_decay_on="matrices")
    assert moved(brain)
    state = brain.optimizers_dict["optimizer_upstream"].state
    assert {float(each["step"]) for each in state.values()} == {1}
    assert moved(trained(1)) and not moved(trained(1, unfreeze_after=1, total_steps=2))


def test_the_schedule_counts_from_the_start(trained):
    brain = trained(4, unfreeze_after=2, scheduler="linear", layer_decay=0.5)
    rates = [g["lr"] for g in brain.optimizers_dict["optimizer_upstream"].param_groups]
    assert rates == pytest.approx([0.0025, 0.00125, 0.000625])
    assert brain.optimizer.param_groups[0]["lr"] == pytest.approx(0.0025)


@pytest.mark.parametrize("key, value", [("unfreeze_after", 1), ("layer_decay", 0.9)])
def test_refused_with_a_frozen_upstream(key, value, trained):
    with pytest.raises(RecipeError, match=f"{key} {value} is for a trained upstream"):
        trained(2, freeze=True, **{key: value})


def test_refused_if_it_would_never_be_trained():
    check_together({"unfreeze_after": 9, "total_steps": 10})
    with pytest.raises(KeysError, match="unfreeze_after 10 leaves no update"):
        check_together({"unfreeze_after": 10, "total_steps": 10})


def test_patience_needs_a_validation():
    check_together({"patience": 3, "valid_speakers": 40})
    check_together({"patience": 3, "valid_speakers": 0, "train_csv": "a.csv"})
    with pytest.raises(KeysError, match="patience counts validations"):
        check_together({"patience": 3, "valid_speakers": 0})
