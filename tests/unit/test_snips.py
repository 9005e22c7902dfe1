"""SNIPS: intents by voices, as published and in SUPERB's copy; its toy."""

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.audio_snips import TEXT_FILE
from s3prl_sb.corpora.snips import TABLES, prepare_snips
from s3prl_sb.corpora.toys.snips import snips
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS

VOICES = ("Aditi", "Amy", "Joey")
#: The second request has one quote, which would swallow lines of a CSV.
ROWS = ('play "abba"\tPlayMusic', 'rate "it 5\tRateBook')


@pytest.fixture
def corpus(tmp_path):
    """Two requests in each split by three voices, at 22.05 kHz."""
    folder = tmp_path / "audio_slu"
    (folder / TABLES).mkdir(parents=True)
    for split in SPLITS:
        lines = ["u_id\ttext\tintent"]
        for number, row in enumerate(ROWS):
            lines.append(f"snips-{split}-{number}\t{row}")
            for voice in VOICES:
                path = folder / f"audio_{voice}/snips/snips-{split}-{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, numpy.zeros(2205), 22050)
        (folder / TABLES / split).write_text("\n".join(lines) + "\n")
    return folder


def prepared(*args, **kwargs):
    return {n: manifest.read(p) for n, p in prepare_snips(*args, **kwargs).items()}


def summary(splits):
    return {
        split: sorted((r["speaker"], r["label"]) for r in records.values())
        for split, records in splits.items()
    }


TWO = [(voice, intent) for voice in VOICES[:2] for intent in ("PlayMusic", "RateBook")]


def test_s3prls_voices(corpus, tmp_path):
    splits = prepared(corpus, tmp_path / "save")
    assert summary(splits) == {"train": TWO, "valid": TWO, "test": TWO[:2]}
    record = splits["test"]["Aditi-snips-test-1"]
    assert record["duration"] == 0.1 and record["label"] == "RateBook"


def test_other_voices(corpus, tmp_path):
    splits = prepared(corpus, tmp_path / "save", test_speakers=["Joey"])
    assert {r["speaker"] for r in splits["test"].values()} == {"Joey"}


def test_superbs_copy(tmp_path):
    lines = []
    for split in SPLITS:
        for number, intent in enumerate(("PlayMusic", "RateBook")):
            for voice in VOICES:
                name = f"{voice}-snips-{split}-{number}"
                path = tmp_path / f"SNIPS/{split}/{name}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, numpy.zeros(1600), 16000)
                lines.append(f"{name} BOS IT EOS\tO O {intent}")
    (tmp_path / "SNIPS" / TEXT_FILE).write_text("\n".join(lines) + "\n")
    splits = prepared(tmp_path, tmp_path / "save")
    assert summary(splits) == {"train": TWO, "valid": TWO, "test": TWO[:2]}


@pytest.mark.parametrize(
    "text, words",
    [
        ("name\tintent\nsnips-valid-0\tPlayMusic\n", "valid:1: no column u_id; found"),
        ("u_id\tintent\nsnips-valid-0\n", "valid:2: 1 cells, but the header has 2"),
        ("u_id\tintent\na\tX\na\tX\n", "valid:3: 'a' again, first .*valid:2"),
        (
            "u_id\tintent\nsnips-valid-0\tGetWeather\n",
            "valid:2: 'Aditi-snips-valid-0': label 'GetWeather' is unseen in training",
        ),
        (None, "valid: no such file. Unpack the tables"),
    ],
)
def test_errors_name_the_place(text, words, corpus, tmp_path):
    path = corpus / TABLES / "valid"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(ManifestError, match=words):
        prepare_snips(corpus, tmp_path / "save")


def test_wrong_folders_and_voices(corpus, tmp_path):
    with pytest.raises(ManifestError, match="none of the 2 recordings of test is"):
        prepare_snips(corpus, tmp_path / "save", test_speakers=["Nobody"])
    with pytest.raises(ManifestError, match="test_speakers: 'Amy' is no list"):
        prepare_snips(corpus, tmp_path / "save", test_speakers="Amy")
    with pytest.raises(ManifestError, match="all.iob.snips.txt: absent"):
        prepare_snips(tmp_path / "audio_slu/data", tmp_path / "save")


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = snips(tmp_path / "toy", train=7, valid=1, test=1)
    wav = folder / "audio_Amy/snips/snips-train-6.mp3"
    info = soundfile.info(wav)
    assert (info.samplerate, info.channels) == (22050, 1)
    names = [line.split("\t")[0] for line in (folder / TABLES / "train").open()]
    assert names[1:] == [f"snips-train-{number}" for number in range(7)]
