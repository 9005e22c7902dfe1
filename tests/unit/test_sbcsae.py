"""SBCSAE: both layouts, recordings that are missing or short."""

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.sbcsae import prepare_sbcsae
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

NUMBERS = (1, 46, 47, 54)


def prepared(*args):
    return {n: manifest.read(p) for n, p in prepare_sbcsae(*args).items()}


@pytest.fixture
def corpus(tmp_path):
    """Recordings of a second, of which a turn lasts longer by its times."""
    for name in ("mp3", "trn"):
        (tmp_path / "SBCSAE" / name).mkdir(parents=True)
    for number in NUMBERS:
        wav = tmp_path / f"SBCSAE/mp3/{number:02d}.flac"
        soundfile.write(wav, numpy.zeros(16000), 16000)
        lines = ["0.00 0.40\tANN:\tHello, (H) you!", "0.50 1.30\tBOB:\tBye=."]
        lines += ["2.00 2.50\tANN:\tafter the end"]
        path = tmp_path / f"SBCSAE/trn/SBC{number:03d}.trn"
        path.write_bytes("\n".join([*lines, "caf"]).encode() + b"\xe9\n")
    return tmp_path


def test_turns_of_recordings(corpus, caplog):
    splits = prepared(corpus, corpus / "save")
    assert {n: len(r) for n, r in splits.items()} == {"train": 4, "valid": 2, "test": 2}
    turns = splits["train"]
    assert turns["SBC046_000000-000040"]["text"] == "HELLO YOU"
    last = turns["SBC001_000050-000130"]
    assert (last["stop"], last["duration"]) == (1.0, 0.5)  # the recording's end
    assert "2 transcripts of train, and 46 are published" in caplog.text
    assert "train: 2 lines of transcripts have no valid time" in caplog.text


def test_transcripts_with_a_mark_or_without_turns(corpus):
    path = corpus / "SBCSAE/trn/SBC054.trn"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a BOM
    assert "SBC054_000000-000040" in prepared(corpus, corpus / "save")["test"]
    path.write_text("0.00 0.40\tANN:\t<X maybe X>\n")
    with pytest.raises(ManifestError, match="SBC054.trn: neither it nor .* of test"):
        prepare_sbcsae(corpus, corpus / "save")


def test_a_recording_that_is_missing(corpus):
    (corpus / "SBCSAE/mp3/46.flac").unlink()
    with pytest.raises(ManifestError, match="SBC046.trn: no recording .*/mp3/46.mp3"):
        prepare_sbcsae(corpus, corpus / "save")
    (corpus / "SBCSAE/trn/SBC047.trn").unlink()
    with pytest.raises(ManifestError, match="nor another transcript of valid"):
        prepare_sbcsae(corpus, corpus / "save")


def test_turns_that_are_cut_already(tmp_path):
    """As SBCSAE-preprocess writes them, and S3PRL reads them."""
    (tmp_path / "wav").mkdir()
    for name in ("train", "dev", "test"):
        wav = f"SBC001_000000-0000{len(name)}0.wav"
        soundfile.write(tmp_path / "wav" / wav, numpy.zeros(1600), 16000)
        (tmp_path / f"{name}.tsv").write_text(f"path\tsentence\r\n{wav}\tA DAY\r\n")
    splits = prepared(tmp_path, tmp_path / "save")
    assert [[r["text"] for r in each.values()] for each in splits.values()] == [
        ["A DAY"]
    ] * 3


def test_no_corpus(tmp_path):
    with pytest.raises(ManifestError, match="neither a folder trn .* nor train.tsv"):
        prepare_sbcsae(tmp_path, tmp_path / "save")
