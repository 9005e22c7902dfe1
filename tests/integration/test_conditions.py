"""Conditions of training and test, in recipes as their users run them."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import command, results

sys.path.append(str(Path(__file__).parents[1] / "contract/small"))
from tasks import RECIPES, small  # noqa: E402

BUDGET = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}


@pytest.fixture(scope="module")
def on_tables(tmp_path_factory):
    """``on_tables(name)``: keys of a recipe for its small tables, and features."""
    made = {}

    def on_tables(name):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = small(f"SUPERB/{name}").tables(folder)
        return {**made[name], "upstream": "fbank_no_cmvn"}

    return on_tables


def arguments(name, output, **overrides):
    """The command line of a recipe with a budget of a few steps."""
    recipe = RECIPES[f"SUPERB/{name}"]
    if name != "QbE":
        loaders = {
            f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 4}"
            for split in ("train", "valid", "test")
        }
        given = small(f"SUPERB/{name}").BUDGET
        overrides = {**BUDGET, **given, **loaders, **overrides}
    return command(recipe, output, **overrides)


@pytest.fixture
def run(on_tables, launcher, tmp_path):
    """``run(name, output, **keys)``: the results and the log of a run."""

    def run(name, output="out", **overrides):
        folder = tmp_path / output
        overrides = {**on_tables(name), **overrides}
        assert launcher.run(arguments(name, folder, **overrides)) == 0
        return results(folder), (folder / "log.txt").read_text()

    return run


@pytest.fixture(scope="module")
def clean(on_tables, launcher, tmp_path_factory):
    """The folder of a run of KS without conditions."""
    folder = tmp_path_factory.mktemp("clean") / "out"
    keys = {**on_tables("KS"), "cache_dtype": "float32"}
    assert launcher.run(arguments("KS", folder, **keys)) == 0
    return folder


@pytest.fixture
def refused(on_tables, launcher, tmp_path):
    """``refused(name, **keys)``: the error of a run that cannot be."""

    def refused(name, output="refused", **overrides):
        overrides = {**on_tables(name), **overrides}
        return launcher.failure(arguments(name, tmp_path / output, **overrides))

    return refused


@pytest.fixture(scope="module")
def noises(tmp_path_factory):
    """A folder of one recording of noise."""
    folder = tmp_path_factory.mktemp("noises")
    noise = np.random.default_rng(3).normal(0, 0.1, 8000)
    soundfile.write(folder / "hum.wav", noise, 16000)
    return folder


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    """A folder of one impulse response."""
    folder = tmp_path_factory.mktemp("rooms")
    times = np.arange(4000)
    response = np.random.default_rng(4).normal(0, 0.2, 4000) * np.exp(-times / 800)
    response[20] = 1.0
    soundfile.write(folder / "hall.wav", response, 16000)
    return folder


def test_draws_are_cached_as_they_are_computed(run, clean, noises, rooms):
    conditions = {
        "noise": f"{{snr: [0, 15], folder: {noises}, draws: 2}}",
        "reverb": f"{{folder: {rooms}, draws: 3, probability: 0.5}}",
        "speed": "[0.9, 1.1]",
        "crop_seconds": 0.3,
        "crops": 2,
        "cache_dtype": "float32",
    }
    cached, log = run("KS", "cached", **conditions)
    assert "Cache of the train set: pooled" in log
    plain, log = run("KS", "plain", **conditions, cache="off")
    assert "Cache of the train set: off" in log
    assert cached["metrics"] == pytest.approx(plain["metrics"], abs=1e-5)
    assert cached["valid"] == pytest.approx(plain["valid"], abs=1e-5)
    assert cached["settings"]["noise.snr"] == [0, 15]
    assert "noise.draws 2" in cached["protocol"]["differs"]
    assert cached["test"]["conditions"] is None
    still = results(clean)
    assert still["valid"]["loss"] != pytest.approx(cached["valid"]["loss"], abs=1e-4)
    assert still["test"] == cached["test"]  # on the same clean audio


def test_an_endless_draw_says_its_cost(run):
    _, log = run("KS", noise="{snr: 10}", crop_seconds=0.3)
    assert "Cache of the train set: off (its audio is another one" in log
    assert "the upstream runs over" in log
    assert "crops: 4, noise: {draws: 4}" in log
    assert "Cache of the test set: pooled" in log


def test_diarization_follows_crops_and_speed(run):
    moved = {"crop_seconds": 0.6, "crops": 2, "speed": "[0.9, 1.0, 1.1]"}
    found = {}
    for cache in ("frames", "off"):
        keys = {**moved, "cache_dtype": "float32", "cache": cache}
        found[cache], log = run("SD", cache, **keys)
        assert f"Cache of the train set: {cache}" in log
    assert found["frames"]["valid"] == pytest.approx(found["off"]["valid"], abs=1e-5)
    still, _ = run("SD", "still", cache="off")
    assert still["valid"]["loss"] != pytest.approx(found["off"]["valid"]["loss"])


def test_a_test_under_conditions_is_another_test(run, clean, refused, noises):
    keys = {"cache_dtype": "float32", "test_noise": f"{{snr: 0, folder: {noises}}}"}
    noisy, _ = run("KS", "noisy", **keys)
    assert noisy["test"]["conditions"] == {
        "test_noise": {"snr": 0, "folder": str(noises)}
    }
    assert noisy["settings"]["test_noise.snr"] == 0
    assert "test_noise.snr 0" in noisy["protocol"]["differs"]
    quiet = results(clean)
    assert quiet["valid"] == noisy["valid"] and quiet["identity"] == noisy["identity"]
    assert quiet["metrics"]["loss"] != noisy["metrics"]["loss"]
    assert run("KS", "noisy", **keys)[0] == noisy  # and again
    error = refused("KS", "noisy", **{**keys, "test_noise": "{snr: 5}"})
    assert "is of a test under other conditions ({'test_noise': {'snr': 0" in error
    assert "s3prl-sb score" in error and "--test_noise '{\"snr\": 5}'" in error
    error = refused("KS", clean, **keys)  # its folder
    assert "under other conditions (none): it stays" in error


def test_the_content_of_a_folder_of_noise_counts(run, refused, tmp_path):
    """Training continues with the same recordings in another place, not with others."""
    rng = np.random.default_rng(5)
    for name in ("first", "moved", "other"):
        (tmp_path / name).mkdir()
        if name != "moved":
            noise = rng.normal(0, 0.1, 4000)
            soundfile.write(tmp_path / name / "hum.wav", noise, 16000)
    content = (tmp_path / "first/hum.wav").read_bytes()
    (tmp_path / "moved/hum.wav").write_bytes(content)

    def noise(name):
        return f"{{snr: 10, draws: 2, folder: {tmp_path / name}}}"

    first, _ = run("KS", noise=noise("first"))
    moved, _ = run("KS", noise=noise("moved"))
    assert moved["metrics"] == first["metrics"]
    error = refused("KS", "out", noise=noise("other"), total_steps=6)
    assert "another train conditions than before" in error


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_queries_documents_or_both_are_tested_in_noise(run, tmp_path):
    chosen = {}
    for of in ("clean", "queries", "documents", "both"):
        keys = {} if of == "clean" else {"test_conditions_of": of}
        noise = {} if of == "clean" else {"test_noise": "{snr: 0}"}
        found, _ = run("QbE", of, **keys, **noise)
        chosen[of] = found, rows(tmp_path / of / "predictions.csv")
        interface = json.loads((tmp_path / of / "save/interface.json").read_text())
        assert interface["hparams"]["layer"] in found["layers"]
    scores = {of: [row["cost"] for row in table] for of, (_, table) in chosen.items()}
    assert len({tuple(costs) for costs in scores.values()}) == 4
    assert len({found["test"]["sha256"] for found, _ in chosen.values()}) == 4
    for found, _ in chosen.values():  # dev stays clean
        assert found["valid"] == chosen["clean"][0]["valid"]


def test_a_speaker_test_in_a_room(run, rooms):
    found, _ = run("ASV", test_reverb=f"{{folder: {rooms}}}", test_speed=0.9)
    assert found["settings"]["test_speed"] == 0.9


@pytest.mark.parametrize(
    "name, keys, words",
    [
        ("SF", {"chunk_seconds": 1}, "chunk_seconds 1 does not fit this task"),
        ("SD", {"chunk_seconds": 1}, "the recipe has chunks already, of chunk_frames"),
        ("SD", {"test_speed": 1.1}, "the true segments of the test stay"),
        ("KS", {"crops": 2}, "crops 2 has no effect without crop_seconds"),
        ("KS", {"noise": "{snr: [15, 0]}"}, "noise.snr is a number or [lowest, hig"),
        ("KS", {"test_noise": "{snr: 5, draws: 2}"}, "no key 'test_noise.draws'"),
        ("KS", {"noise": "{draws: 2}"}, "noise has no snr: give it"),
        ("KS", {"reverb": "{folder: nowhere}"}, "reverb: no impulse responses under"),
        ("KS", {"speed": "[0.001]"}, "speed: factors such as 0.9"),
    ],
)
def test_what_does_not_fit_is_refused_before_data_are_read(
    name, keys, words, refused, tmp_path
):
    assert words in refused(name, **keys)
    assert not list(tmp_path.glob("refused/save/*.json"))


def test_texts_follow_speed(run):
    found, _ = run("PR", speed="[0.95, 1.05]", cache="off", test_speed=1.05)
    assert "per" in found["metrics"]
