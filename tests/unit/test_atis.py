"""ATIS: its lists and intents, errors that say the way out, and its toy."""

import logging

import numpy
import pytest
import soundfile

from s3prl_sb.brains.classification import classification_splits
from s3prl_sb.corpora.atis import prepare_atis
from s3prl_sb.corpora.toys.atis import atis
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.startup.configuration import RecipeError

LINES = (
    "q1 BOS flights to boston EOS\tO O O B-toloc O atis_flight",
    "q2 BOS fares and flights EOS\tO O O O O atis_airfare#atis_flight",
)


@pytest.fixture
def corpus(tmp_path):
    """Two questions in each split; the second of the test is of an unseen intent."""
    folder = tmp_path / "corpus/atis"
    (folder / "nlu_iob").mkdir(parents=True)
    for split in ("train", "dev", "test"):
        (folder / split).mkdir()
        for name in ("q1", "q2"):
            soundfile.write(folder / split / f"{name}.wav", numpy.zeros(1600), 16000)
        text = "\n".join(LINES) + "\n"
        if split == "test":
            text = text.replace("atis_airfare#atis_flight", "atis_meal")
        (folder / "nlu_iob" / f"iob.{split}").write_text(text)
    return folder


def prepared(*args):
    return {n: manifest.read(path) for n, path in prepare_atis(*args).items()}


def test_intents(corpus, tmp_path):
    splits = prepared(corpus.parent, tmp_path / "save")
    assert list(splits["valid"]) == ["dev-q1", "dev-q2"]
    assert [r["label"] for r in splits["train"].values()] == [
        "atis_flight",
        "atis_airfare#atis_flight",
    ]
    assert splits["test"]["test-q2"]["label"] == "atis_meal"
    assert splits["test"]["test-q1"]["text"] == "flights to boston"


def test_intents_that_are_not_trained_are_classes(corpus, tmp_path):
    prepare_atis(corpus, tmp_path)
    hparams = {"save_folder": tmp_path, "seed": 0, "train_pipes": [], "eval_pipes": []}
    with pytest.raises(RecipeError, match="do not occur in training: atis_meal"):
        classification_splits(hparams)
    _, labels = classification_splits(hparams, unseen=True)
    assert labels == ["atis_airfare#atis_flight", "atis_flight", "atis_meal"]


def test_lines_without_a_recording_and_repeated_ones(corpus, tmp_path, caplog):
    path = corpus / "nlu_iob/iob.train"
    path.write_text(path.read_text() + LINES[0] + "\nq3 BOS hi EOS\tO O O greeting\n")
    with caplog.at_level(logging.WARNING):
        train = prepared(corpus, tmp_path / "save")["train"]
    assert list(train) == ["train-q1", "train-q2"]
    assert f"{path}:3: 'q1' again, left out; first {path}:1" in caplog.text
    assert "train: 1 of 3 recordings" in caplog.text and "q3.wav" in caplog.text


@pytest.mark.parametrize(
    "text, words",
    [
        ("q1 BOS hi EOS O O O greeting\n", "iob.dev:1: expected '<name> BOS words"),
        (LINES[0] + "\nq2 BOS hi EOS\t\n", "iob.dev:2: expected"),
        (None, "iob.dev: no such file. Set data_folder"),
        ("q9 BOS hi EOS\tO O O greeting\n", "none of the 1 recordings of valid is"),
        ("", "none of the 0 recordings of valid is there. Set"),
    ],
)
def test_errors_name_the_place(text, words, corpus, tmp_path):
    path = corpus / "nlu_iob/iob.dev"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ManifestError, match=words):
        prepare_atis(corpus, tmp_path / "save")


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = atis(tmp_path / "toy", train=6, valid=6, test=6, speakers=2)
    splits = prepared(folder, tmp_path / "save")
    for records in splits.values():
        assert len({record["label"] for record in records.values()}) == 6
    for line in (folder / "nlu_iob/iob.test").read_text().splitlines():
        words, tags = line.split("\t")
        assert len(words.split()) - 1 == len(tags.split())  # a name, an intent
