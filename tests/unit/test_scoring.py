"""Scores: their folder, their settings, and refused commands."""

import json
import types
from pathlib import Path

import numpy
import pytest
import soundfile

from s3prl_sb.cli import main
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.errors import UserError
from s3prl_sb.inference.frame_labeller import FrameLabeller
from s3prl_sb.scoring import conditions, lists, settings

RESULTS = {
    "task": "SUPERB/ASR",
    "upstream": "mel",
    "settings": {
        "train_csv": "/theirs/train.csv",
        "test_csv": "/theirs/test.csv",
        "lm": "/theirs/lm.arpa",
        "seed": 3,
        "train_splits": ["train-clean-360"],
        "head.hidden_size": 8,
        "test_dataloader_opts.batch_size": 2,
        "cache": "off",
    },
}


def test_keys_of_the_run_that_a_score_goes_by():
    """Settings of preparation and batches, without paths."""
    given = {"data_folder": "/mine"}
    found = settings.changes("SUPERB/ASR", RESULTS, given, [])
    assert found == {
        "train_splits": ["train-clean-360"],
        "test_dataloader_opts": {"batch_size": 2},
        "data_folder": "/mine",
    }
    rest = ["--test_split", "test-other", "--test_dataloader_opts", "{batch_size: 1}"]
    found = settings.changes("SUPERB/ASR", RESULTS, given, rest)
    assert found["test_split"] == "test-other"
    assert found["test_dataloader_opts"] == {"batch_size": 1}


@pytest.mark.parametrize(
    "given, rest, message",
    [
        ({}, ["--tset_split", "x"], "no key 'tset_split'.*Did you mean test_split"),
        ({"documents_csv": "a"}, [], "SUPERB/ASR has no such key"),
        ({}, ["stray"], "stray"),
    ],
)
def test_what_is_no_key(given, rest, message):
    with pytest.raises(UserError, match=message):
        settings.changes("SUPERB/ASR", RESULTS, given, rest)


def test_each_list_has_a_folder_of_its_own(tmp_path):
    places = {
        settings.place(tmp_path / "run", options)
        for options in (
            {"test_csv": "/a/test.csv"},
            {"test_csv": "/b/test.csv"},
            {"data_folder": "/a/v0.02"},
            {"test_csv": "/a/test.csv", "documents_csv": "/d.csv"},
        )
    }
    assert len(places) == 4
    assert all(place.parent == tmp_path / "run-scores" for place in places)
    assert any(place.name.startswith("v0.02-") for place in places)


@pytest.mark.parametrize("holds", ["run", "file", "other", "export"])
def test_nothing_of_others_is_overwritten(holds, tmp_path):
    place = tmp_path / "out"
    if holds == "file":
        place.write_text("")
    else:
        place.mkdir()
        if holds == "other":
            (place / "notes.txt").write_text("")
        else:
            (place / "results.json").write_text(json.dumps(RESULTS))
            (place / "hyperparams.yaml").write_text("")
    with pytest.raises(UserError, match="choose another --output"):
        settings.check_place(place)


def test_a_score_is_made_anew(tmp_path):
    settings.check_place(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    settings.check_place(tmp_path / "empty")
    (tmp_path / "results.json").write_text(json.dumps({**RESULTS, "scored": {}}))
    settings.check_place(tmp_path)


@pytest.mark.parametrize(
    "more, task, words",
    [
        ([], "SUPERB/KS", "nothing to score: give --test_csv FILE"),
        (["--test_csv", "a", "--data_folder", "b"], "SUPERB/KS", "not both"),
        (["--test_csv", "a.csv"], "mine/task", "'mine/task' is no recipe"),
        (["--test_csv", "a.csv"], None, "'None' is no recipe"),
        (["--test_csv", "a.csv", "--device", "gpu"], "SUPERB/KS", "no such device"),
        (["--data_folder", "x", "--output", "OUT"], "SUPERB/KS", "another --output"),
    ],
)
def test_what_cannot_be_scored(more, task, words, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/results.json").write_text(json.dumps({**RESULTS, "task": task}))
    more = [part.replace("OUT", str(tmp_path / "run")) for part in more]
    assert main(["score", str(tmp_path / "run"), *more]) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("\n") <= 3


def test_no_model_at_all(tmp_path, capsys):
    assert main(["score", str(tmp_path / "none"), "--test_csv", "a.csv"]) == 1
    assert "none" in capsys.readouterr().err


def test_a_score_is_never_the_protocol_of_a_run(tmp_path):
    """However the run was trained: it stands below no published number."""
    hparams = types.SimpleNamespace(test_csv=f"{tmp_path}/mine.csv")
    brain = types.SimpleNamespace(
        hparams=hparams,
        splits={"test": 3},
        data={"test": "1" * 32},
        tested_seconds=36.0,
        signatures={},
        tested_on=lambda: ["1" * 32],
        measured={"accuracy": 0.5, "loss": 1.25},
        device="cpu",
    )
    run = {"task": "SUPERB/KS", "upstream": "mel", "metrics": {"accuracy": 0.9}}
    run |= {"chosen_by": {"metric": "accuracy", "highest": True}}
    run["protocol"] = {"followed": True, "data": "real data", "differs": ["real data"]}
    found = settings.score_results(brain, run, Path("model"), 1.0)
    assert found["protocol"]["followed"] is False
    assert found["protocol"]["differs"] == ["scored on mine.csv"]
    assert (found["metrics"], found["scored"]["run"]) == (
        brain.measured,
        run["metrics"],
    )
    lines = settings.as_text(found, tmp_path).split("\n")
    assert lines[0] == "SUPERB/KS with mel on mine.csv: 3 utterances, 36.0 s"
    assert lines[1:3] == ["  accuracy 50.00 %", "  loss 1.25"]


def test_a_fold_is_tested_on_its_own_session():
    results = {"settings": {"fold": 3, "seed": 5}}
    found = settings.changes("SUPERB/ER", results, {"data_folder": "/x"}, [])
    assert found == {"fold": 3, "data_folder": "/x"}


NORMED = {
    "settings": {"score_normalization": "as_norm", "top_n": 10, "lr": 0.1},
    "metrics": {"eer": 0.1, "cosine_eer": 0.2},
}


def test_scores_that_a_cohort_normalized_are_told_apart():
    given = {"test_csv": "/x"}
    assert settings.changes("SUPERB/ASV", NORMED, given, [])
    found = settings.changes("SUPERB/ASV", NORMED, given, [])
    assert not set(settings.COHORT) & set(found)
    assert "plain cosines" in settings.cohort_warning(NORMED)
    assert "20.00 %" in settings.cohort_warning(NORMED)
    assert not settings.cohort_warning(RESULTS)
    rest = ["--score_normalization", "as_norm"]
    with pytest.raises(UserError, match="has no cohort"):
        settings.changes("SUPERB/ASV", NORMED, given, rest)


def test_a_score_does_not_say_that_it_was_normalized(tmp_path):
    class Brain:
        measured = {"eer": 0.2}
        splits = {"test": 2}
        data = {}
        device = "cpu"
        tested_seconds = None
        signatures = {}
        hparams = type("hparams", (), {"test_csv": "/x/my.csv"})

        def tested_on(self):
            return {}

    before = {"settings": {"score_normalization": "as_norm", "top_n": 10}}
    before["differs"] = ["score_normalization as_norm", "top_n 10", "lr 0.1"]
    found = settings.score_results(
        Brain(), {**NORMED, "protocol": before}, tmp_path, 1.0
    )
    assert found["settings"] == {"lr": 0.1}
    assert found["protocol"]["settings"] == {}
    assert found["protocol"]["differs"] == ["scored on my.csv", "lr 0.1"]
    assert found["scored"]["run"] == NORMED["metrics"]


# ------------------------------------------------- the run's own list, in noise
NOISE = {"test_noise": {"snr": 10}}


def test_a_condition_names_the_folder(tmp_path):
    places = {
        settings.place(tmp_path / "run", options, asked)
        for options in ({}, {"test_csv": "/a/test.csv"})
        for asked in (NOISE, {"test_noise": {"snr": -10}}, {"test_speed": 0.9})
    }
    names = sorted(place.name.rpartition("-")[0] for place in places)
    assert names[:3] == ["noise_snr_-10", "noise_snr_10", "speed_0.9"]
    assert names[3:] == [f"test-{name}" for name in names[:3]]
    listed = {"test_csv": "/a/test.csv"}  # as before without a condition
    plain = settings.place(tmp_path / "run", listed)
    assert plain == settings.place(tmp_path / "run", listed, {})
    odd = {"test_noise": {"snr": [0, 5], "folder": "/n/" + "street, day " * 9}}
    name = settings.place(tmp_path, {}, odd).name
    assert name.startswith("noise_snr_0_5_noise_folder_street-day-") and len(name) < 70


def test_the_list_of_a_run(tmp_path):
    table, documents = tmp_path / "test.csv", tmp_path / "documents.csv"
    run = {"task": "SUPERB/QbE", "test": {"source": str(table)}}
    run["settings"] = {"test_csv": "test.csv", "documents_csv": str(documents)}
    with pytest.raises(UserError, match="test_csv '.*test.csv', which is not there"):
        conditions.own_list(run)
    table.write_text("")
    with pytest.raises(UserError, match="documents_csv '.*'.* Give --test_csv FILE"):
        conditions.own_list(run)
    assert conditions.own_list(run, ["documents_csv"]) == {"test_csv": str(table)}
    documents.write_text("")
    expected = {"test_csv": str(table), "documents_csv": str(documents)}
    assert conditions.own_list(run) == expected
    corpus = {"task": "SUPERB/KS", "test": {"source": str(tmp_path)}, "settings": {}}
    assert conditions.own_list(corpus) == {"data_folder": str(tmp_path)}
    for test in (None, {}, {"source": None}):
        with pytest.raises(UserError, match="do not say what was tested"):
            conditions.own_list({**corpus, "test": test})
    # Phones are made with the lexicon; an ASR run's is of its language model.
    for task, keys in (("PR", {"test_csv", "lexicon"}), ("ASR", {"test_csv"})):
        lexicon = {"test_csv": "x", "lexicon": [str(documents)]}
        one = {**run, "task": f"SUPERB/{task}", "settings": lexicon}
        assert set(conditions.own_list(one)) == keys


def test_conditions_of_the_run_are_not_those_of_a_score():
    """A score is clean unless its command says otherwise."""
    run = {"settings": {"test_noise.snr": 5, "test_speed": 0.9, "train_hours": 2}}
    found = settings.changes("SUPERB/KS", run, {"test_csv": "/x"}, [])
    assert found == {"train_hours": 2, "test_csv": "/x"}
    rest = ["--test_noise", "{snr: 10}"]
    found = settings.changes("SUPERB/KS", run, {"test_csv": "/x"}, rest)
    assert found == {"train_hours": 2, "test_csv": "/x", **NOISE}


@pytest.mark.parametrize("is_own", [True, False])
def test_a_score_says_its_conditions(is_own, tmp_path):
    hparams = types.SimpleNamespace(test_csv=f"{tmp_path}/mine.csv", **NOISE)
    brain = types.SimpleNamespace(
        hparams=hparams,
        splits={"test": 3},
        data={"test": "1" * 32},
        tested_seconds=36.0,
        signatures={},
        tested_on=lambda: ["1" * 32],
        measured={"accuracy": 0.5},
        device="cpu",
    )
    run = {"task": "SUPERB/KS", "upstream": "mel", "metrics": {"accuracy": 0.9}}
    run |= {"chosen_by": {"metric": "accuracy", "highest": True}}
    run["settings"] = {"test_speed": 0.9, "lr": 0.1}
    differs = ["toy data", "test_speed 0.9", "lr 0.1"]
    run["protocol"] = {"corpus": "/toy", "data": "toy data", "differs": differs}
    run["protocol"]["settings"] = run["settings"]
    found = settings.score_results(brain, run, Path("model"), 1.0, NOISE, is_own)
    assert found["settings"] == {"lr": 0.1, "test_noise.snr": 10}
    assert found["scored"]["under"] == found["test"]["conditions"] == NOISE
    protocol = found["protocol"]
    assert protocol["settings"] == found["settings"] and protocol["followed"] is False
    first = [] if is_own else ["scored on mine.csv"]
    data = ["toy data"] if is_own else []
    assert protocol["differs"] == [*first, "test_noise.snr 10", *data, "lr 0.1"]
    assert protocol["corpus"] == ("/toy" if is_own else f"{tmp_path}/mine.csv")
    head = settings.as_text(found, tmp_path).split("\n")[0]
    assert "mel on mine.csv, test_noise.snr 10: 3 utterances" in head


def test_two_labels_at_a_time_are_named_by_their_line(tmp_path):
    """Unless the model has any number of labels in a frame."""
    soundfile.write(tmp_path / "a.wav", numpy.zeros(16000), 16000)
    table = tmp_path / "my.csv"
    header = "record_id,wav,label,start,stop"
    table.write_text(f"{header}\na,a.wav,ah,0,0.5\na,a.wav,t,0.4,1\n")
    model = FrameLabeller.__new__(FrameLabeller)
    model.hparams = types.SimpleNamespace(utterance_labels=False, threshold=None)
    keys = {"test_csv": table, "save_folder": tmp_path}
    with pytest.raises(ManifestError, match="my.csv:3: 'a': 't' from 0.4 s"):
        lists.read(model, None, keys)
    model.hparams.threshold = 0.5
    assert len(lists.read(model, None, keys)[0]["test"]["a"]["segments"]) == 2
