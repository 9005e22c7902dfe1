"""LibriSpeech and Libri-light: what is read, once, and errors that name the line."""

import collections
import logging
import re

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora.librilight import SETS, librilight_folders
from s3prl_sb.corpora.librispeech import (
    find_lexica,
    prepare_librispeech,
    read_transcriptions,
)
from s3prl_sb.dataio import manifest

PARTS = {"train-clean-100": "19", "dev-clean": "84", "test-clean": "61"}
TEXTS = ("A BEE", "SEE A BEE")


def chapter(folder, speaker, number="198", texts=TEXTS, seconds=0.1):
    """Writes a chapter; gives its transcriptions."""
    place = folder / speaker / number
    place.mkdir(parents=True, exist_ok=True)
    lines = []
    for n, text in enumerate(texts):
        name = f"{speaker}-{number}-{n:04d}"
        samples = np.full(int((seconds + n / 10) * 16000), 0.1)
        soundfile.write(place / f"{name}.flac", samples, 16000)
        lines.append(f"{name} {text}\n")
    path = place / f"{speaker}-{number}.trans.txt"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "LibriSpeech"
    for part, speaker in PARTS.items():
        chapter(folder / part, speaker)
    (folder / "librispeech-lexicon.txt").write_text("A AH0\nBEE B IY1\nSEE S IY1\n")
    return folder


def load(paths):
    assert list(paths) == ["train", "valid", "test"]
    return {
        n: manifest.validate(manifest.read(p), p, ("text",)) for n, p in paths.items()
    }


def test_three_parts(corpus, tmp_path):
    found = load(prepare_librispeech(corpus, tmp_path / "save"))
    assert {n: sorted(records) for n, records in found.items()} == {
        "train": ["19-198-0000", "19-198-0001"],
        "valid": ["84-198-0000", "84-198-0001"],
        "test": ["61-198-0000", "61-198-0001"],
    }
    record = found["train"]["19-198-0001"]
    assert record["text"] == "SEE A BEE" and record["speaker"] == "19"
    assert record["duration"] == pytest.approx(0.2)
    assert record["wav"].endswith("train-clean-100/19/198/19-198-0001.flac")
    assert "phones" not in record


def test_parent_folder_and_lexicon(corpus, tmp_path):
    lexica = find_lexica(tmp_path)
    assert lexica == [str(corpus / "librispeech-lexicon.txt")]
    found = load(prepare_librispeech(tmp_path, tmp_path / "save", lexicon=lexica))
    assert found["test"]["61-198-0001"]["phones"] == "S IY1 AH0 B IY1"


def test_lexica_in_superbs_order(corpus, tmp_path):
    for kind in ("allothers-g2p", "200k-g2p"):
        (corpus / f"librispeech-lexicon-{kind}.txt").write_text("A AH0\n")
    names = [path.rpartition("lexicon")[2] for path in find_lexica(corpus)]
    assert names == ["-200k-g2p.txt", "-allothers-g2p.txt", ".txt"]
    (tmp_path / "empty").mkdir()
    with fails("no librispeech-lexicon*.txt", "s3prl-sb download", "lexicon: [a.txt"):
        find_lexica(tmp_path / "empty")


def test_kept_unless_something_changed(corpus, tmp_path):
    save = tmp_path / "save"

    def written(**options):
        prepare_librispeech(corpus, save, **options)
        return (save / "train.json").stat().st_mtime_ns

    lexicon = find_lexica(corpus)
    first = written(lexicon=lexicon)
    assert written(lexicon=lexicon) == first
    chapter(corpus / "dev-clean", "85")
    second = written(lexicon=lexicon)
    assert second > first
    (corpus / "librispeech-lexicon.txt").write_text("A EY1\nBEE B IY1\nSEE S IY1\n")
    assert written(lexicon=lexicon) > second
    assert prepare_librispeech(None, save, skip_prep=True)["train"] == str(
        save / "train.json"
    )


def test_more_parts(corpus, tmp_path, caplog):
    chapter(corpus / "train-clean-360", "14")
    both = ["train-clean-100", "train-clean-360"]
    found = load(prepare_librispeech(corpus, tmp_path / "a", train_splits=both))
    assert len(found["train"]) == 4
    assert "a leak?" not in caplog.text
    with caplog.at_level(logging.WARNING):
        prepare_librispeech(corpus, tmp_path / "b", valid_split="train-clean-100")
    assert "train-clean-100 is in two of the splits: a leak?" in caplog.text


def test_each_transcription_is_read_once(corpus, monkeypatch):
    chapter(corpus / "dev-clean", "84", "199")
    reads = collections.Counter()
    read_text = manifest.read_text
    monkeypatch.setattr(
        manifest, "read_text", lambda path: reads.update([path]) or read_text(path)
    )
    records, _ = read_transcriptions([str(corpus / "dev-clean")])
    assert len(records) == 4 and set(reads.values()) == {1} and len(reads) == 2


def test_converted_audio_and_recordings_without_words(corpus, tmp_path, caplog):
    place = corpus / "dev-clean/84/198"
    (place / "84-198-0000.flac").unlink()
    soundfile.write(place / "84-198-0000.wav", np.zeros(1600), 16000)
    soundfile.write(place / "84-198-0009.flac", np.zeros(1600), 16000)
    with caplog.at_level(logging.WARNING):
        found = load(prepare_librispeech(corpus, tmp_path / "save"))
    assert found["valid"]["84-198-0000"]["wav"].endswith(".wav")
    assert len(found["valid"]) == 2
    assert "1 recordings have no transcription, such as 84-198-0009" in caplog.text


def test_a_chapter_without_transcriptions(corpus, tmp_path):
    for number in ("199", "200"):
        chapter(corpus / "dev-clean", "84", number).unlink()
    (corpus / "dev-clean/84/201").mkdir()  # empty: nothing is lost
    folder = corpus / "dev-clean/84"
    with fails(
        f"{folder / '199'}: audio, but no 84-199.trans.txt\n{folder / '200'}: audio",
        "2 of 3. Unpack",
    ):
        prepare_librispeech(corpus, tmp_path / "save")


def test_files_of_a_mac_are_not_read(corpus, tmp_path):
    folder = corpus / "dev-clean/84/198"
    (folder / "._84-198.trans.txt").write_bytes(b"\x00\xff")
    (folder / "._84-198-0000.flac").write_bytes(b"\x00\xff")
    found = load(prepare_librispeech(corpus, tmp_path / "save"))
    assert len(found["valid"]) == 2


def test_half_a_corpus_is_reported_unless_it_is_a_toy(corpus, tmp_path, caplog):
    prepare_librispeech(tmp_path, tmp_path / "save")
    (entry, *others) = (r.message for r in caplog.records if r.levelname == "WARNING")
    assert entry == (
        f"{corpus}: 2 utterances of train-clean-100, and 28539 are published. Is the "
        "corpus unpacked whole?"
    )
    assert len(others) == 2
    for place in (corpus, tmp_path):
        caplog.clear()
        (place / "toy.json").write_text("{}")
        prepare_librispeech(tmp_path, tmp_path / "save")
        assert "published" not in caplog.text
        (place / "toy.json").unlink()
    (corpus / "dev-clean").rename(corpus / "mine")  # of no known size
    for part in ("train-clean-100", "test-clean"):
        (corpus / part).rename(corpus / f"my-{part}")
    prepare_librispeech(
        corpus, tmp_path / "b", ["my-train-clean-100"], "mine", "my-test-clean"
    )
    assert "published" not in caplog.text


def test_faults(corpus, tmp_path):
    save = tmp_path / "save"
    with fails("data_folder is not set", "--train_csv"):
        prepare_librispeech(None, save)
    with fails("absent: no such folder"):
        prepare_librispeech(tmp_path / "absent", save)
    with fails("dev-other: no such folder", "has dev-clean, test-clean", "valid_split"):
        prepare_librispeech(corpus, save, valid_split="dev-other")
    with fails("train-clean-360: no such folder", "train_splits"):
        prepare_librispeech(corpus, save, train_splits=["train-clean-360"])
    for number in range(30):  # a home directory was given
        (corpus / f"{number:02d}").mkdir()
    with fails("has 00, 01, 02, 03, 04, 05, 06, 07, 08, 09 and 23 more. Unpack"):
        prepare_librispeech(corpus, save, train_splits=["train-clean-360"])
    (corpus / "dev-other").mkdir()
    with fails("dev-other: no files <speaker>/<chapter>/*.trans.txt"):
        prepare_librispeech(corpus, save, valid_split="dev-other")
    with fails("unknown_words: 'maybe'"):
        prepare_librispeech(corpus, save, unknown_words="maybe")
    assert not save.exists()


def test_faults_in_a_transcription(corpus, tmp_path):
    save, path = tmp_path / "save", corpus / "dev-clean/84/198/84-198.trans.txt"
    lines = path.read_text()
    path.write_text(lines + "84-198-0002 A\n\n84-198-0003 A\n")
    with fails(f"{path}:3: missing audio file", "84-198-0002.flac", f"{path}:5"):
        prepare_librispeech(corpus, save)
    path.write_text(lines + "84-198-0000 A\n")
    with fails(f"{path}:3: 84-198-0000 again, first {path}:1"):
        prepare_librispeech(corpus, save)
    path.write_text("84-198-0000\n")
    with fails(f"{path}:1: malformed line '84-198-0000'", "NORTHANGER ABBEY"):
        prepare_librispeech(corpus, save)
    path.write_text(lines)
    (corpus / "dev-clean/84/198/84-198-0001.flac").write_bytes(b"")
    with fails(f"{path}:2:", "84-198-0001.flac: cannot be read as audio"):
        prepare_librispeech(corpus, save)


def test_unknown_word_names_its_line(corpus, tmp_path):
    path = chapter(corpus / "dev-clean", "86", texts=["A", "A YAK"])
    with fails(f"{path}:2: '86-198-0001': YAK is in no lexicon"):
        prepare_librispeech(corpus, tmp_path / "save", lexicon=find_lexica(corpus))
    found = load(
        prepare_librispeech(
            corpus,
            tmp_path / "save",
            lexicon=find_lexica(corpus),
            unknown_words="drop",
        )
    )
    assert "86-198-0000" in found["valid"] and "86-198-0001" not in found["valid"]


# ------------------------------------------------------------------- Libri-light
@pytest.fixture
def librilight(tmp_path):
    """Two speakers in each folder; those of 1h/3 are 300 and 310, and so on."""
    folder = tmp_path / "librispeech_finetuning"
    parts = [f"1h/{n}" for n in range(6)] + ["9h"]
    for number, part in enumerate(parts):
        for kind, name in enumerate(("clean", "other")):
            chapter(folder / part / name, f"{number}{kind}0", texts=["A BEE"])
    return folder


@pytest.mark.parametrize(
    ("split", "tens"),
    [("10h", range(7)), ("1h", range(6)), ("10m-0", [0]), ("10m-5", [5])],
)
def test_sets(corpus, librilight, tmp_path, split, tens):
    found = load(
        prepare_librispeech(
            corpus,
            tmp_path / "save",
            librilight_folder=librilight.parent,
            librilight_split=split,
            lexicon=find_lexica(corpus),
        )
    )
    expected = {f"{n}{kind}0-198-0000" for n in tens for kind in (0, 1)}
    assert set(found["train"]) == expected
    record = found["train"][min(expected)]
    assert record["text"] == "A BEE" and record["phones"] == "AH0 B IY1"
    assert set(found["valid"]) == {"84-198-0000", "84-198-0001"}


def test_librilight_faults(librilight):
    assert len(SETS) == 8
    with fails("librilight_split: '10min'. There are 10h, 1h, 10m-0"):
        librilight_folders(librilight, "10min")
    (librilight / "9h").rename(librilight / "nine")
    with fails("9h/clean: no such folder", "s3prl-sb download librilight"):
        librilight_folders(librilight, "10h")
    assert len(librilight_folders(librilight, "1h")) == 12


# -------------------------------------------------------------------------- toys
@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    pytest.importorskip("espeakng_loader")
    from s3prl_sb.corpora.toys.librispeech import librispeech

    folder = tmp_path_factory.mktemp("toy") / "toy"
    return librispeech(folder, speakers=4, chapters=1, utterances=2)


def test_toy_is_read_as_the_original(toy, tmp_path):
    found = load(prepare_librispeech(toy, tmp_path / "save", lexicon=find_lexica(toy)))
    assert {n: len(records) for n, records in found.items()} == {
        "train": 4,
        "valid": 2,
        "test": 2,
    }
    for records in found.values():
        for record in records.values():
            assert 1 < record["duration"] < 12
            assert re.fullmatch("[A-Z ]+", record["text"])
    assert len((toy / "LibriSpeech/SPEAKERS.TXT").read_text().splitlines()) == 5


def test_toy_says_its_phones(toy, tmp_path):
    """The alignment tiles the audio and is, nearly, what the lexicon says."""
    from s3prl_sb.metrics.transcription import per

    paths = prepare_librispeech(toy, tmp_path / "save", lexicon=find_lexica(toy))
    records = {n: r for p in paths.values() for n, r in manifest.read(p).items()}
    said = collections.defaultdict(list)
    lines = (toy / "LibriSpeech/alignments.tsv").read_text().splitlines()
    assert lines[0] == "utterance\tstart\tstop\tphone"
    for line in lines[1:]:
        name, start, stop, phone = line.split("\t")
        start, stop = float(start), float(stop)
        before = said[name][-1][1] if said[name] else 0
        assert start == pytest.approx(before, abs=2e-4) and stop > start
        said[name].append((start, stop, phone))
    assert set(said) == set(records)
    spoken = {n: [p for _, _, p in s if p != "SIL"] for n, s in said.items()}
    written = {name: record["phones"] for name, record in records.items()}
    assert per(spoken, written).rate < 0.03
    for name, phones in said.items():
        assert phones[-1][1] == pytest.approx(records[name]["duration"], abs=0.02)


def test_toy_of_librilight(toy, tmp_path):
    from s3prl_sb.corpora.toys.librilight import librilight

    folder = librilight(tmp_path / "toy", chapters=1, utterances=1)
    found = load(
        prepare_librispeech(
            toy,
            tmp_path / "save",
            lexicon=find_lexica(toy),
            librilight_folder=folder,
            librilight_split="10h",
        )
    )
    assert len(found["train"]) == 6 * 2 * 2 + 2 * 2 * 3
    alignments = (folder / "librispeech_finetuning/alignments.tsv").read_text()
    assert {line.split("\t")[0] for line in alignments.splitlines()[1:]} == set(
        found["train"]
    )
