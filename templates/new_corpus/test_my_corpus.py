"""My corpus: its splits and labels, and errors that say the way out."""

import re

import numpy as np
import pytest
import soundfile
from my_corpus import prepare_my_corpus
from my_corpus_toy import my_corpus

from s3prl_sb.audio import headers
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError


@pytest.fixture
def corpus(tmp_path):
    """A corpus of six speakers with two words each, in the layout of the original."""
    folder, lines = tmp_path / "corpus", []
    for speaker in range(1, 7):
        for number, word in enumerate(("yes", "no")):
            wav = folder / f"audio/s0{speaker}/{number}.wav"
            wav.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(wav, np.full(800, 0.1), 16000)
            lines.append(f"{wav.relative_to(folder).as_posix()}\t{word}")
    (folder / "labels.tsv").write_text("\n".join(lines))
    return folder


def fails(*parts):
    """A ManifestError whose message has the parts in that order."""
    return pytest.raises(ManifestError, match="(?s)" + ".*".join(map(re.escape, parts)))


def test_splits_and_labels(corpus, tmp_path):
    paths = prepare_my_corpus(corpus, tmp_path / "save")
    splits = {n: manifest.validate(manifest.read(p), p) for n, p in paths.items()}
    speakers = {
        n: {r["speaker"] for r in records.values()} for n, records in splits.items()
    }
    assert speakers == {
        "train": {"s01", "s02", "s03"},
        "valid": {"s04"},
        "test": {"s05", "s06"},
    }
    assert splits["test"]["s06--1"] == {
        "wav": str(corpus / "audio/s06/1.wav"),
        "duration": 0.05,
        "start": None,
        "stop": None,
        "label": "no",
        "speaker": "s06",
    }


def test_the_toy_is_read(tmp_path):
    pytest.importorskip("espeakng_loader")
    paths = prepare_my_corpus(my_corpus(tmp_path / "toy"), tmp_path / "save")
    counts = {n: len(manifest.read(path)) for n, path in paths.items()}
    assert counts == {"train": 6, "valid": 2, "test": 4}


def test_a_finished_preparation_is_kept(corpus, tmp_path, monkeypatch):
    save = tmp_path / "save"
    paths = prepare_my_corpus(corpus, save)
    monkeypatch.setattr(headers, "durations", None)  # a call would fail
    assert prepare_my_corpus(corpus, save) == paths
    assert prepare_my_corpus("elsewhere", save, skip_prep=True) == paths


def test_a_changed_corpus_is_noticed(corpus, tmp_path):
    labels = corpus / "labels.tsv"
    prepare_my_corpus(corpus, tmp_path / "save")
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]))
    paths = prepare_my_corpus(corpus, tmp_path / "save")
    assert "s06--1" not in manifest.read(paths["test"])


def test_errors(corpus, tmp_path):
    save, labels = tmp_path / "save", corpus / "labels.tsv"
    with fails("none/labels.tsv: no such file. Set data_folder"):
        prepare_my_corpus(tmp_path / "none", save)
    good = labels.read_text()
    labels.write_text(f"{good}\nhello")
    with fails(f"{labels}:13: malformed line 'hello'. Expected a path, a tab"):
        prepare_my_corpus(corpus, save)
    labels.write_text(f"{good}\n{good.splitlines()[0]}")
    with fails(f"{labels}:13: audio/s01/0.wav again, first {labels}:1"):
        prepare_my_corpus(corpus, save)
    labels.write_text(f"{good}\naudio/s01/9.wav\tyes")
    with fails(f"{labels}:13: missing audio file audio/s01/9.wav", "Unpack"):
        prepare_my_corpus(corpus, save)
    labels.write_text(good.replace("s06/1.wav\tno", "s06/1.wav\tperhaps"))
    with fails(f"{labels}:12: 's06--1'", "'perhaps' is unseen in training"):
        prepare_my_corpus(corpus, save)
    labels.write_text(good)
    (corpus / "audio/s02/0.wav").write_bytes(b"RIFF")
    with fails("s02/0.wav: cannot be read as audio"):
        prepare_my_corpus(corpus, save)
    assert not save.exists()  # nothing half done
