"""A run resumes only with the settings it began with."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from s3prl_sb.brains import settings
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.startup.configuration import load_recipe

YAML = """
__keys:
    thresholds: {is: list of number, resume: free}
seed: 1
upstream: fbank
lr: 0.1
total_steps: 10
steps_per_epoch: 5
threshold_of_mine: 3
thresholds: [0.5]
score_normalization: null
data_folder: /a
cache: auto
lr_search: null
train_dataloader_opts: {num_workers: 2, batch_size: 4}
valid_dataloader_opts: {batch_size: 4}
opt_class: !name:torch.optim.Adam
    lr: !ref <lr>
head: !name:torch.nn.Linear
    in_features: 3
train_pipes:
    - !new:torch.nn.Linear
        in_features: 3
        out_features: 2
"""


class Upstream(torch.nn.Linear):
    freeze = True

    def __init__(self):
        super().__init__(1, 1)
        torch.nn.init.zeros_(self.weight)
        torch.nn.init.zeros_(self.bias)


@pytest.fixture
def begun(tmp_path):
    """``begun(overrides)``: the Brain and the hparams of a run in one folder."""
    (tmp_path / "train.yaml").write_text(YAML)

    def begun(overrides="", recipe=True, upstream=None):
        hparams = load_recipe(tmp_path / "train.yaml", overrides)
        if not recipe:
            del hparams[settings.RECIPE]
        hparams["upstream_model"] = upstream or Upstream()
        head = torch.nn.Linear(3, 2)
        hparams["checkpointer"] = AtomicCheckpointer(tmp_path / "save", {"head": head})
        return SimpleNamespace(
            hparams=SimpleNamespace(**hparams),
            upstream=hparams["upstream_model"],
            checkpointer=hparams["checkpointer"],
            raw_modules={"head": head},
            data={"train": "abc"},
        )

    brain = begun()
    settings.check(brain)
    brain.checkpointer.save_checkpoint()
    return begun


def both(brain, monkeypatch):
    """Before anything is computed, and before the first step."""
    monkeypatch.setattr(settings, "digests", lambda splits: brain.data)
    yield lambda: settings.begin(vars(brain.hparams), {})
    yield lambda: settings.check(brain)


@pytest.mark.parametrize(
    "overrides, message",
    [
        ("seed: 2", "not 2. Choose another output_folder .--name NAME"),
        ("lr: 0.5", "with lr 0.1, not 0.5. Choose"),
        ("head: {in_features: 4}", "with head.in_features 3, not 4. Choose"),
        ("head: {bias: False}", "with head.bias null, not False. Choose"),
        ("threshold_of_mine: 4", "with threshold_of_mine 3, not 4. Choose"),
        ("train_dataloader_opts: {batch_size: 2}", "batch_size 4, not 2. Choose"),
        # Of the scores that chose the checkpoint and the threshold
        ("score_normalization: as_norm", "score_normalization null, not as_norm"),
        ("train_pipes: []", "train_pipes .*, not .*Choose"),
    ],
)
def test_another_experiment(overrides, message, begun, monkeypatch):
    for check in both(begun(overrides), monkeypatch):
        with pytest.raises(settings.SettingsError, match=message):
            check()


@pytest.mark.parametrize(
    "overrides",
    [
        "",
        "data_folder: /b\ncache: off",
        "total_steps: 20",
        "thresholds: [0.1, 0.2]",
        "train_dataloader_opts: {num_workers: 0}",
        "valid_dataloader_opts: {batch_size: 1}",
    ],
)
def test_the_same_experiment(overrides, begun, monkeypatch):
    for check in both(begun(overrides), monkeypatch):
        check()


@pytest.mark.parametrize(
    "scheduler, warmup, is_free",
    [
        ("constant", 3, True),
        ("noam", 3, True),
        ("constant", 0.3, False),
        ("cosine", 0, False),
        ("{name: tri_stage, hold: 1}", 0, False),
    ],
)
def test_more_steps_are_free_if_the_schedule_stays(
    scheduler, warmup, is_free, begun, tmp_path, monkeypatch
):
    keys = f"scheduler: {scheduler}\nwarmup_steps: {warmup}\n"
    (tmp_path / "train.yaml").write_text(YAML + keys)
    shutil.rmtree(tmp_path / "save")
    brain = begun()
    settings.check(brain)
    brain.checkpointer.save_checkpoint()
    settings.check(begun())
    message = "total_steps 10, not 20 .scheduler and warmup_steps depend on it"
    for check in both(begun("total_steps: 20"), monkeypatch):
        if is_free:
            check()
            continue
        with pytest.raises(settings.SettingsError, match=message):
            check()


def test_another_schedule_is_one_change(begun, tmp_path):
    (tmp_path / "train.yaml").write_text(f"{YAML}\nscheduler: cosine\npatience: 2")
    with pytest.raises(settings.SettingsError) as error:
        settings.check(begun())
    # A run from before there were such keys had their defaults.
    assert "with patience null, not 2. Choose" in str(error.value)


def test_a_learning_rate_to_be_searched_is_compared_later(begun, monkeypatch):
    early, late = both(begun("lr: 0.5\nlr_search: [0.5, 0.1]"), monkeypatch)
    early()
    with pytest.raises(settings.SettingsError, match="lr 0.1, not 0.5"):
        late()


def test_the_same_upstream_under_another_name(begun, monkeypatch):
    """Its card has moved, or is on the hub."""
    for check in both(begun("upstream: elsewhere/card.yaml"), monkeypatch):
        check()
    upstream = Upstream()
    upstream.weight.data += 1
    words = "with upstream fbank, not mel; other weights of the upstream"
    for check in both(begun("upstream: mel", upstream=upstream), monkeypatch):
        with pytest.raises(settings.SettingsError, match=words):
            check()


def test_other_weights_under_the_same_name(begun, monkeypatch):
    upstream = Upstream()
    upstream.weight.data += 1
    for check in both(begun(upstream=upstream), monkeypatch):
        with pytest.raises(settings.SettingsError, match="other weights of the up"):
            check()


def test_an_upstream_counts_as_it_was_first():
    upstream = Upstream()
    before = first_identity(upstream)
    upstream.weight.data += 1  # as in training
    assert first_identity(upstream) == before
    assert first_identity(Upstream()) == before


def test_other_data(begun):
    brain = begun()
    brain.data = {"train": "xyz"}
    with pytest.raises(
        settings.SettingsError, match="other audio or labels in the train set"
    ):
        settings.check(brain)


@pytest.mark.parametrize("older", [None, {"format": 1}])
def test_a_run_of_an_older_identity(older, begun, tmp_path, monkeypatch):
    """Its training settings cannot be compared, so it is never resumed."""
    path = tmp_path / "save/settings.json"
    before = json.loads(path.read_text())
    del before["identity"]
    path.write_text(json.dumps({**before, **({"identity": older} if older else {})}))
    for check in both(begun(), monkeypatch):
        with pytest.raises(settings.SettingsError, match="older identity.*output_fol"):
            check()


def test_the_words_name_what_differs(begun, tmp_path):
    path = tmp_path / "save/settings.json"
    text = path.read_text()
    for key, value, message in (
        ("versions", {"torch": "1.0"}, "torch .*, not 1.0, for the upstream"),
        ("modules", {"tests.py": "12"}, "another module tests.py of the upstream"),
    ):
        before = json.loads(text)
        before["identity"]["upstream"]["code"][key].update(value)
        path.write_text(json.dumps(before))
        with pytest.raises(settings.SettingsError, match=message):
            settings.check(begun())


def test_without_a_recipe(begun):
    settings.check(begun("threshold_of_mine: 4", recipe=False))
    with pytest.raises(settings.SettingsError, match="lr 0.1, not 0.5"):
        settings.check(begun("lr: 0.5", recipe=False))


@pytest.mark.parametrize(
    "hparams, message",
    [
        (
            {"total_steps": 3, "steps_per_epoch": 5},
            "total_steps 3 is no .*epoch 5: choose",
        ),
        ({"total_steps": 0}, "total_steps is a whole number from 1 on, not 0"),
        ({"steps_per_epoch": 2.5}, "steps_per_epoch is .*, not 2.5"),
        ({"batch_size": None}, "batch_size is .*, not None"),
        ({"grad_accumulation_factor": True}, "grad_accumulation_factor .* True"),
    ],
)
def test_numbers(hparams, message):
    with pytest.raises(settings.SettingsError, match=message):
        settings.check_numbers(hparams)


def test_batches_by_seconds_need_no_size():
    settings.check_numbers({"batch_size": None, "batch_seconds": 10})
