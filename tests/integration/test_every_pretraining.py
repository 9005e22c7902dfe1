"""Every YAML of pre-training at a small size: killed, resumed, then an upstream."""

import re
import shlex
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import REPOSITORY, assert_same_outcome, command, results

from s3prl_sb.brains.pretraining_data import prepare
from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.cards.objective_files import read_objective
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.startup.configuration import RecipeError

RECIPE = REPOSITORY / "recipes/pretraining"
NAMES = sorted(path.stem for path in RECIPE.glob("hparams/*.yaml"))
sys.path.append(str(RECIPE))
import small  # noqa: E402


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """A folder of tones."""
    folder = tmp_path_factory.mktemp("tones") / "audio"
    small.audio(folder)
    return folder


def argv(name, output, audio, **others):
    keys = {**small.keys(name), "train_data": audio, **others}
    words = command(RECIPE, output, hparams=RECIPE / f"hparams/{name}.yaml", **keys)
    place = words.index("--cache_folder")  # nothing is cached
    return words[:place] + words[place + 2 :]


@pytest.mark.parametrize("name", NAMES)
def test_killed_resumed_and_loaded(name, audio, launcher, tmp_path):
    expected, output = tmp_path / "whole", tmp_path / "output"
    assert launcher.run(argv(name, expected, audio)) == 0
    kill = {"point": "s3prl_sb.brains.training.TrainingBrain.fit_batch"}
    kill |= {"how": "after", "call": 3}
    assert launcher.run(argv(name, output, audio), kill=kill) == -9
    assert launcher.run(argv(name, output, audio)) == 0
    assert_same_outcome(output, expected)
    found = results(output)
    assert found["task"] == f"pretraining/{name}" and len(found["history"]) == 2
    assert found["metrics"]["loss"] > 0 and found["best_step"]
    upstream = load(str(output / "card.yaml"))
    assert check_upstream(upstream)
    states, _ = upstream(torch.randn(1, 16000), torch.ones(1))
    assert all(state.isfinite().all() for state in states)


def test_a_continued_network_begins_with_the_weights_of_a_card(
    audio, launcher, tmp_path
):
    name, first = "apc", tmp_path / "first"
    assert launcher.run(argv(name, first, audio)) == 0
    second = tmp_path / "second"
    keys = {"init": first / "card.yaml", "total_steps": 2, "lr": 1e-12}
    assert launcher.run(argv(name, second, audio, **keys)) == 0
    begun = [results(run)["upstream_model"]["trained"] for run in (first, second)]
    assert begun == ["from scratch", f"from {first / 'card.yaml'}"]
    theirs = load(str(first / "card.yaml")).network.state_dict()
    for key, weight in load(str(second / "card.yaml")).network.state_dict().items():
        torch.testing.assert_close(weight, theirs[key], atol=1e-6, rtol=0)
    heads = [read_objective(str(run / "card.yaml")).weights for run in (first, second)]
    for key, weight in heads[0].items():
        torch.testing.assert_close(heads[1][key], weight, atol=1e-6, rtol=0)


def test_recomputed_layers_learn_the_same(audio, launcher, tmp_path):
    weights = []
    for again in (False, True):
        output = tmp_path / str(again)
        keys = {"activation_checkpointing": again}
        assert launcher.run(argv("best_rq", output, audio, **keys)) == 0
        weights.append(load(str(output / "card.yaml")).network.state_dict())
    for key, weight in weights[0].items():
        torch.testing.assert_close(weights[1][key], weight, atol=1e-5, rtol=1e-4)


def test_half_precision_trains(audio, launcher, tmp_path):
    words = [*argv("wav2vec2", tmp_path / "output", audio), "--precision", "bf16"]
    assert launcher.run(words) == 0
    assert results(tmp_path / "output")["training"]["precision"] == "bf16"


def test_units_that_are_missing(audio, launcher, tmp_path):
    words = argv("hubert", tmp_path / "output", audio, units="null")
    assert "units are missing" in launcher.failure(words)


def test_nothing_held_out(audio):
    """Whatever the declaration of the key allows."""
    hparams = {"objective": SimpleNamespace(needs_codes=False), "valid_share": 0}
    with pytest.raises(RecipeError, match="Give one of them"):
        prepare({**hparams, "train_data": audio, "valid_data": None})


@pytest.mark.parametrize("name", ["npc", "wav2vec2"])
def test_two_processes_train_as_one(name, audio, launcher, tmp_path):
    """SGD, because Adam makes a gradient of rounding errors as large as any other."""
    keys = {"opt_class": "!name:torch.optim.SGD {lr: 0.01}"}
    keys["grad_accumulation_factor"] = 2
    one, two = tmp_path / "one", tmp_path / "two"
    assert launcher.run(argv(name, one, audio, **keys)) == 0
    assert launcher.run_distributed(argv(name, two, audio, **keys)) == 0
    ours, theirs = (load(str(o / "card.yaml")).network for o in (two, one))
    for (key, weight), other in zip(ours.named_parameters(), theirs.parameters()):
        torch.testing.assert_close(weight, other, atol=2e-5, rtol=1e-4, msg=key)


README = (RECIPE / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
COMMANDS = [
    words
    for block in BLOCKS
    for words in block.split("s3prl-sb run pretraining/")
    if "AcousticEncoder" in words
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda text: text.split()[0])
def test_any_network_by_the_commands_of_the_readme(words, audio, launcher, tmp_path):
    name, *rest = shlex.split(words.replace("\\\n", " "))
    keys = {k.removeprefix("--"): v for k, v in zip(rest[::2], rest[1::2])}
    keys |= {**small.COMMON, "train_data": audio, "output_folder": tmp_path / "run"}
    listed = [part for k, v in keys.items() for part in (f"--{k}", str(v))]
    script, file = str(RECIPE / "train.py"), str(RECIPE / f"hparams/{name}.yaml")
    assert launcher.run([script, file, "--noprogressbar", *listed]) == 0
    assert results(tmp_path / "run")["upstream"] == keys["upstream_name"]
    upstream = load(str(tmp_path / "run" / "card.yaml"))
    assert type(upstream).__name__ == "AcousticEncoder" and check_upstream(upstream)


def test_there_are_two_such_commands():
    assert [words.split()[0] for words in COMMANDS] == ["tera", "apc"]


def test_an_objective_of_ones_own(audio, launcher, tmp_path):
    """The block of the README, beside a copy of TERA's YAML."""
    [code] = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    [key] = re.findall(r"^```yaml\n(.*?)^```", README, re.M | re.S)
    (tmp_path / "my_objective.py").write_text(code)
    text = (RECIPE / "hparams/tera.yaml").read_text("utf-8")
    file = tmp_path / "my.yaml"
    file.write_text(text[: text.index("objective: !new:")] + key)
    words = argv("tera", tmp_path / "run", audio)
    assert launcher.run([words[0], str(file), *words[2:]]) == 0
    assert results(tmp_path / "run")["metrics"]["loss"] > 0
    assert check_upstream(load(str(tmp_path / "run" / "card.yaml")))


def test_a_refused_command_leaves_the_run_as_it_is(audio, launcher, tmp_path):
    """Its lists of audio too: the run continues with its own."""
    other, output = tmp_path / "other", tmp_path / "output"
    small.audio(other, utterances=5)
    assert launcher.run(argv("apc", output, audio)) == 0
    said = launcher.failure(argv("apc", output, other))
    assert "another experiment" in said and "the train set" in said
    assert launcher.run(argv("apc", output, audio, total_steps=6)) == 0
    assert results(output)["utterances"] == {"train": 8, "valid": 4}


@pytest.mark.parametrize(
    "name, overrides, message",
    [
        ("apc", {"init": "huber_base"}, "init: No checkpoint at 'huber_base'"),
        ("apc", {"init": "hubert_small_random"}, "is of another architecture"),
        ("hubert", {"units": "{upstream: mel1, clusters: 2}"}, "units: Unknown"),
        (
            "hubert",
            {"units": "{upstream: mfcc_hubert, layer: 3, clusters: 2}"},
            "units: layer 3 does not exist",
        ),
    ],
)
def test_other_models_are_tried_before_the_data(
    name, overrides, message, launcher, tmp_path
):
    """The folder of audio does not exist either, and would be looked for next."""
    nowhere = tmp_path / "nowhere"
    said = launcher.failure(argv(name, tmp_path / "output", nowhere, **overrides))
    assert message in said


def test_a_process_may_have_nothing_to_validate_on(audio, launcher, tmp_path):
    keys = {"valid_share": 0.01, "grad_accumulation_factor": 2}
    one, two = tmp_path / "one", tmp_path / "two"
    assert launcher.run(argv("apc", one, audio, **keys)) == 0
    assert launcher.run_distributed(argv("apc", two, audio, **keys)) == 0
    first, second = results(one), results(two)
    assert first["utterances"]["valid"] == 1
    assert second["metrics"] == pytest.approx(first["metrics"], rel=1e-3)
