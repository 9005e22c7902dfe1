"""LibriSpeech with CPC's split and alignments: S3PRL's split, errors, and the toy."""

import random

import numpy
import pytest
import soundfile

from s3prl_sb.corpora.cpc_librispeech import (
    ALIGNMENTS,
    TEST_LIST,
    TRAIN_LIST,
    prepare_cpc_librispeech,
    read_split,
)
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

NAMES = [f"{speaker}-100-{n:04d}" for speaker in (19, 26) for n in range(10)]


@pytest.fixture
def corpus(tmp_path):
    """Ten utterances of 0.035 s by each of two speakers."""
    folder = tmp_path / "LibriSpeech"
    for name in NAMES:
        speaker, chapter, _ = name.split("-")
        wav = folder / "train-clean-100" / speaker / chapter / f"{name}.flac"
        wav.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(wav, numpy.zeros(560), 16000)
    (folder / TRAIN_LIST).write_text("".join(f"{name}\n" for name in NAMES[::2]))
    (folder / TEST_LIST).write_text("\n".join(NAMES[1::2]))
    lines = [f"{name} 12 12 7 40" for name in NAMES]
    (folder / ALIGNMENTS).write_text("\n".join(lines) + "\n")
    return folder


def prepared(folder, save, **keys):
    paths = prepare_cpc_librispeech(folder, save, **keys)
    return {name: manifest.read(path) for name, path in paths.items()}


def test_phones(corpus, tmp_path):
    splits = prepared(tmp_path, tmp_path / "save")
    assert {n: len(r) for n, r in splits.items()} == {
        "train": 9,
        "valid": 1,
        "test": 10,
    }
    record = splits["test"]["19-100-0001"]
    segments = [["12", 0.0, 0.02], ["7", 0.02, 0.03], ["40", 0.03, 0.035]]
    assert record["segments"] == segments  # the last frame ends with the audio


def test_speakers_need_no_alignments(corpus, tmp_path):
    (corpus / ALIGNMENTS).unlink()
    splits = prepared(corpus, tmp_path / "save", labels="speakers")
    assert splits["test"]["26-100-0001"]["label"] == "26"
    with pytest.raises(ManifestError, match=f"{ALIGNMENTS}: no such file.*alignments"):
        prepare_cpc_librispeech(corpus, tmp_path / "save")


@pytest.mark.parametrize("count", [10, 22830])
def test_the_split_is_that_of_s3prl(count, tmp_path):
    """It shuffles the lines after random.seed(1337); the last tenth is its dev set."""
    lines = [f"{n % 251}-{n}-0000\n" for n in range(count)]
    (tmp_path / "train.txt").write_text("".join(lines))
    (tmp_path / "test.txt").write_text("1-2-3\n")
    before = random.getstate()
    splits = read_split(tmp_path / "train.txt", tmp_path / "test.txt", 0.1, 1337)
    assert random.getstate() == before
    try:
        random.seed(1337)
        random.shuffle(lines)
    finally:
        random.setstate(before)
    first = int(count * 0.9)
    names = [line.strip() for line in lines]
    assert [*splits["train"]] == names[:first] and [*splits["valid"]] == names[first:]


@pytest.mark.parametrize(
    "file, text, words",
    [
        (TRAIN_LIST, "19-100-0000\n19-100\n", f"{TRAIN_LIST}:2: malformed line"),
        (TEST_LIST, "19-100-0000\n", "again, first .*train_split.txt:1"),
        (
            TEST_LIST,
            "19-100-0011\n",
            "split.txt:1: missing audio file .*0011.flac",
        ),
        (ALIGNMENTS, "19-100-0000 1 2 x\n", f"{ALIGNMENTS}:1: malformed line"),
        (ALIGNMENTS, "19-100-0000 1 2\n", "train_split.txt:2: 19-100-0002"),
    ],
)
def test_errors_name_the_line(file, text, words, corpus, tmp_path):
    (corpus / file).write_text(text)
    with pytest.raises(ManifestError, match=words):
        prepare_cpc_librispeech(corpus, tmp_path / "save")


@pytest.mark.parametrize("share, rest", [(1, "0 to train"), (0.95, "0 to train")])
def test_a_share_that_leaves_nothing(share, rest, corpus, tmp_path):
    with pytest.raises(ManifestError, match=f"valid_share {share} of its 10.*{rest}"):
        prepare_cpc_librispeech(corpus, tmp_path / "save", valid_share=share)


def test_alignments_that_end_early(corpus, tmp_path, caplog):
    """Their time is not counted, which few would notice."""
    wav = corpus / "train-clean-100/19/100" / f"{NAMES[0]}.flac"
    soundfile.write(wav, numpy.zeros(11200), 16000)
    splits = prepared(corpus, tmp_path / "save")
    [words] = [m for m in caplog.messages if "after their phones" in m]
    assert (
        words.startswith(f"1 of {len(NAMES)} utterances") and f"{ALIGNMENTS}:1" in words
    )
    [record] = [r[NAMES[0]] for r in splits.values() if NAMES[0] in r]
    assert record["duration"] == 0.7 and record["segments"][-1] == ["40", 0.03, 0.04]


def test_alignments_of_other_audio(corpus, tmp_path):
    lines = [f"{name} {'5 ' * 20}" for name in NAMES]
    (corpus / ALIGNMENTS).write_text("\n".join(lines))
    words = f"{ALIGNMENTS}:1: 19-100-0000 has 0.20 s of phones and 0.04 s of audio"
    with pytest.raises(ManifestError, match=words):
        prepare_cpc_librispeech(corpus, tmp_path / "save")


def test_no_corpus(tmp_path):
    with pytest.raises(ManifestError, match="no train-clean-100 in it"):
        prepare_cpc_librispeech(tmp_path, tmp_path / "save")
    with pytest.raises(ManifestError, match="neither phones nor speakers"):
        prepare_cpc_librispeech(tmp_path, tmp_path / "save", labels="words")


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.cpc_librispeech import PHONES, cpc_librispeech

    toy = cpc_librispeech(tmp_path / "toy", speakers=2, chapters=1, utterances=3)
    splits = prepared(toy, tmp_path / "save", valid_share=0.25)
    assert {n: len(r) for n, r in splits.items()} == {"train": 3, "valid": 1, "test": 2}
    assert len(PHONES) == 41
    for records in splits.values():
        for record in records.values():
            assert abs(record["segments"][-1][2] - record["duration"]) < 0.01
