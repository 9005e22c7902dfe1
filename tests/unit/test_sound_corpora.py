"""Corpora of sounds from their original folders: labels, folds, splits, errors."""

import csv
import importlib
import io
import json
import re
import tarfile

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.corpora import (
    crema_d,
    esc50,
    fsd50k,
    gtzan,
    nsynth,
    urbansound8k,
    vocalsound,
    xares,
)
from s3prl_sb.corpora.clip_corpora import CLIP_CORPORA
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import SPLITS


def sound(path, samples=160):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(samples, 0.1), 16000)


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def load(paths):
    assert list(paths) == list(SPLITS)
    return [manifest.validate(manifest.read(paths[s]), s, ()) for s in SPLITS]


def cross_validated(prepare, folder, save, folds):
    """Each clip is tested once; the next fold validates; nothing is in two splits."""
    tested = []
    for fold in folds:
        train, valid, test = load(prepare(folder, save / str(fold), fold=fold))
        assert {r["fold"] for r in test.values()} == {fold}
        assert {r["fold"] for r in valid.values()} == {fold % len(folds) + 1}
        others = set(folds) - {fold, fold % len(folds) + 1}
        assert {r["fold"] for r in train.values()} == others
        tested += test
    assert len(set(tested)) == len(tested)
    return tested


# ------------------------------------------------------------------------- ESC-50
def esc(folder, classes=("dog", "rain", "clapping"), ending="wav"):
    rows = [["filename", "fold", "target", "category", "esc10", "src_file", "take"]]
    for fold in range(1, 6):
        for target, name in enumerate(classes):
            file = f"{fold}-{100 + target}-A-{target}.wav"
            esc10 = str(name != "clapping")
            rows.append([file, fold, target, name, esc10, 100 + target, "A"])
            sound((folder / "audio" / file).with_suffix(f".{ending}"))
    table(folder / "meta/esc50.csv", rows)
    return folder


def test_esc50_and_esc10(tmp_path):
    folder = esc(tmp_path / "ESC-50-master", ending="ogg")  # converted audio is found
    assert esc50.folds(folder) == [1, 2, 3, 4, 5]
    tested = cross_validated(esc50.prepare_esc50, tmp_path, tmp_path / "s", range(1, 6))
    assert len(tested) == 15
    few = cross_validated(esc50.prepare_esc10, tmp_path, tmp_path / "t", range(1, 6))
    assert len(few) == 10 and not any(name.endswith("-2") for name in few)
    record = load(esc50.prepare_esc50(tmp_path, tmp_path / "u", fold=2))[2]["2-101-A-1"]
    assert record["label"] == "rain" and record["wav"].endswith("2-101-A-1.ogg")
    with fails("fold: 6", "1, 2, 3, 4"):
        esc50.prepare_esc50(tmp_path, tmp_path / "v", fold=6)
    assert load(esc50.prepare_esc50(None, tmp_path / "u", fold=2, skip_prep=True))


def test_esc50_errors(tmp_path, caplog):
    with fails("data_folder is not set", "ESC-50"):
        esc50.prepare_esc50(None, tmp_path / "s", fold=1)
    with fails("esc50.csv", "no such file"):
        esc50.prepare_esc50(tmp_path, tmp_path / "s", fold=1)
    meta = tmp_path / "meta/esc50.csv"
    table(meta, [["filename", "fold", "category"]])
    with fails("esc50.csv:1", "no column esc10", "Restore"):
        esc50.prepare_esc50(tmp_path, tmp_path / "s", fold=1)
    heading = ["filename", "fold", "category", "esc10"]
    table(meta, [heading, ["a.wav", "one", "dog", "True"]])
    with fails("esc50.csv:2", "fold is a whole number", "'one'"):
        esc50.prepare_esc50(tmp_path, tmp_path / "s", fold=1)
    table(meta, [heading, ["a.wav", "1"]])
    with fails("esc50.csv:2", "2 columns instead of 4"):
        esc50.prepare_esc50(tmp_path, tmp_path / "s", fold=1)
    table(meta, [heading, ["a.wav", "1", "dog", "True"]])
    with fails("none of the 1 recordings", "a.wav"):
        esc50.prepare_esc50(tmp_path, tmp_path / "s", fold=1)
    caplog.set_level("WARNING", "s3prl_sb")
    folder = esc(tmp_path / "whole")
    esc50.prepare_esc50(folder, tmp_path / "s", fold=1)
    assert "15 clips of ESC-50, and 2000 are published" in caplog.text
    # A class that is in the test fold only
    rows = (
        (folder / "meta/esc50.csv")
        .read_text()
        .replace("1-100-A-0.wav,1,0,dog", "1-100-A-0.wav,1,0,cat")
    )
    (folder / "meta/esc50.csv").write_text(rows)
    with fails("esc50.csv:2", "label 'cat' is unseen in training"):
        esc50.prepare_esc50(folder, tmp_path / "t", fold=1)


# ------------------------------------------------------------ other corpora with folds
def test_urbansound8k(tmp_path):
    rows = [
        [
            "slice_file_name",
            "fsID",
            "start",
            "end",
            "salience",
            "fold",
            "classID",
            "class",
        ]
    ]
    for fold in urbansound8k.FOLDS:
        for number, name in enumerate(("siren", "drilling")):
            file = f"{100 * fold}-{number}-0-0.wav"
            rows.append([file, fold, 0, 1, 1, fold, number, name])
            sound(tmp_path / f"UrbanSound8K/audio/fold{fold}" / file)
    table(tmp_path / "UrbanSound8K/metadata/UrbanSound8K.csv", rows)
    folds = urbansound8k.folds(tmp_path)
    prepare = urbansound8k.prepare_urbansound8k
    assert len(cross_validated(prepare, tmp_path, tmp_path / "s", folds)) == 20


def test_gtzan_folds_are_tens(tmp_path, caplog):
    for genre in ("jazz", "metal"):
        for number in (0, 9, 10, 25, 38, 54, 99):
            sound(tmp_path / f"genres_original/{genre}/{genre}.{number:05d}.wav")
    sound(tmp_path / "genres_original/jazz/notes.wav")  # no excerpt
    (tmp_path / "genres_original/jazz/jazz.00054.wav").write_bytes(b"damaged")
    caplog.set_level("WARNING", "s3prl_sb")
    train, valid, test = load(gtzan.prepare_gtzan(tmp_path, tmp_path / "s", fold=3))
    assert sorted(test) == ["jazz.00025", "metal.00025"]
    assert sorted(valid) == ["jazz.00038", "metal.00038"]
    assert "jazz.00000" in train and "metal.00054" in train
    assert "jazz.00054" not in train and "jazz.00054.wav" in caplog.text
    assert test["jazz.00025"]["label"] == "jazz"
    # Any other damaged file is an error
    (tmp_path / "genres_original/jazz/jazz.00000.wav").write_bytes(b"damaged")
    with fails("jazz.00000.wav"):
        gtzan.prepare_gtzan(tmp_path, tmp_path / "t", fold=3)
    with fails("no excerpts"):
        gtzan.prepare_gtzan(tmp_path / "s", tmp_path / "t", fold=3)


def test_gtzan_filtered(tmp_path):
    for number in range(3):
        sound(tmp_path / f"genres/blues/blues.{number:05d}.au")
    for number, split in enumerate(SPLITS):
        line = f"blues/blues.{number:05d}.wav\n"
        (tmp_path / f"{split}_filtered.txt").write_text(line)
    train, valid, test = load(gtzan.prepare_gtzan_filtered(tmp_path, tmp_path / "s"))
    assert (list(train), list(test)) == (["blues.00000"], ["blues.00002"])
    (tmp_path / "test_filtered.txt").write_text("blues/blues.00077.wav\n")
    with fails("test_filtered.txt:1", "blues.00077.wav is not in"):
        gtzan.prepare_gtzan_filtered(tmp_path, tmp_path / "t")


def test_crema_d_speakers(tmp_path, caplog):
    for actor in range(1001, 1012):
        for emotion in ("ANG", "SAD"):
            sound(tmp_path / f"CREMA-D/AudioWAV/{actor}_DFA_{emotion}_XX.wav")
    (tmp_path / "CREMA-D/AudioWAV/1076_MTI_SAD_XX.wav").write_bytes(b"")
    caplog.set_level("WARNING", "s3prl_sb")
    tested = cross_validated(
        crema_d.prepare_crema_d, tmp_path, tmp_path / "s", crema_d.folds(tmp_path)
    )
    assert len(tested) == 22 and "1076_MTI_SAD_XX" in caplog.text
    train, _, test = load(crema_d.prepare_crema_d(tmp_path, tmp_path / "s/1", fold=1))
    assert {r["speaker"] for r in test.values()} == {"1001", "1006", "1011"}
    assert not {r["speaker"] for r in train.values()} & {"1001", "1006", "1011"}
    assert test["1011_DFA_SAD_XX"]["label"] == "sad"
    with fails("no clips", "AudioWAV"):
        crema_d.prepare_crema_d(tmp_path / "s", tmp_path / "t", fold=1)


# ------------------------------------------------------------------------ fixed splits
def test_fsd50k(tmp_path):
    truth = tmp_path / "FSD50K/FSD50K.ground_truth"
    dev = [["fname", "labels", "mids", "split"]]
    dev += [["7", "Bark,Dog,Animal", "/m/1", "train"], ["8", "Rain", "/m/2", "val"]]
    table(truth / "dev.csv", dev)
    table(truth / "eval.csv", [["fname", "labels", "mids"], ["7", "Rain,Water", "/m"]])
    for path in ("dev_audio/7", "dev_audio/8", "eval_audio/7"):
        sound(tmp_path / f"FSD50K/FSD50K.{path}.wav")
    train, valid, test = load(fsd50k.prepare_fsd50k(tmp_path, tmp_path / "s"))
    assert train["dev_7"]["labels"] == ["Bark", "Dog", "Animal"]
    assert (
        valid["dev_8"]["labels"] == ["Rain"] and test["eval_7"]["labels"][1] == "Water"
    )
    assert fsd50k.folds(tmp_path) is None
    with fails("fixed splits", "fold 1"):
        fsd50k.prepare_fsd50k(tmp_path, tmp_path / "t", fold=1)
    table(truth / "dev.csv", [*dev, ["9", "Rain", "/m/2", "dev"]])
    with fails("dev.csv:4", "split 'dev'", "train, val"):
        fsd50k.prepare_fsd50k(tmp_path, tmp_path / "t")


def test_nsynth(tmp_path):
    for split, pitches in {
        "train": (20, 60, 61),
        "valid": (60,),
        "test": (61, 112),
    }.items():
        notes = {}
        for pitch in pitches:
            name = f"brass_acoustic_{len(split)}{split[0]}-{pitch:03d}-075"
            notes[name] = {"pitch": pitch, "instrument_family_str": "brass"}
            sound(tmp_path / f"nsynth-{split}/audio/{name}.wav")
        (tmp_path / f"nsynth-{split}/examples.json").write_text(json.dumps(notes))
    train, valid, test = load(nsynth.prepare_nsynth_pitch(tmp_path, tmp_path / "s"))
    assert [r["label"] for r in train.values()] == ["60", "61"]  # keys of a piano
    assert [r["label"] for r in test.values()] == ["61"]
    train, _, test = load(nsynth.prepare_nsynth_instrument(tmp_path, tmp_path / "t"))
    assert {r["label"] for r in train.values()} == {"brass"} and len(test) == 2
    (tmp_path / "nsynth-test/examples.json").write_text(json.dumps({"a": {}}))
    with fails("examples.json", "'a' has no pitch"):
        nsynth.prepare_nsynth_pitch(tmp_path, tmp_path / "u")
    with fails("nsynth-train", "Set data_folder"):
        nsynth.prepare_nsynth_pitch(tmp_path / "s", tmp_path / "u")


def test_vocalsound(tmp_path):
    for file, speaker in {
        "tr_meta": "f0001",
        "val_meta": "m0002",
        "te_meta": "f0003",
    }.items():
        table(tmp_path / f"meta/{file}.csv", [[speaker, "female", "30", "US"]])
        for name in ("cough", "throatclearing"):
            sound(tmp_path / f"audio_16k/{speaker}_0_{name}.wav")
    sound(tmp_path / "audio_16k/m0099_0_cough.wav")  # of no set
    train, valid, test = load(vocalsound.prepare_vocalsound(tmp_path, tmp_path / "s"))
    assert list(train) == ["f0001_0_cough", "f0001_0_throatclearing"]
    assert valid["m0002_0_cough"]["label"] == "cough" and len(test) == 2
    with fails("val_meta.csv"):
        (tmp_path / "meta/val_meta.csv").unlink()
        vocalsound.prepare_vocalsound(tmp_path, tmp_path / "t")


# ------------------------------------------------------------------------------ X-ARES
def webdataset(path, examples):
    """Writes a tar of (key, description); waveforms differ in length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for number, (key, description) in enumerate(examples):
            audio = io.BytesIO()
            soundfile.write(audio, np.full(160 + number, 0.1), 16000, format="WAV")
            text = json.dumps(description).encode()
            for name, content in (
                (f"{key}.wav", audio.getvalue()),
                (f"{key}.json", text),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def test_xares_folds_from_zero(tmp_path):
    for fold in range(3):
        examples = [(f"{n}{fold}", {"genre": n, "number": 1}) for n in ("jazz", "pop")]
        webdataset(tmp_path / f"gtzan_fold_{fold}_0000000.tar", examples)
    assert xares.folds(tmp_path) == [1, 2, 3]
    cross_validated(xares.prepare_xares, tmp_path, tmp_path / "s", [1, 2, 3])
    test = load(xares.prepare_xares(tmp_path, tmp_path / "s/1", fold=1))[2]
    record = test["gtzan_fold_0_0000000/pop0"]
    assert record["label"] == "pop" and record["duration"] == round(161 / 16000, 6)
    assert re.fullmatch(r".*_fold_0_0000000\.tar:\d+:\d+", record["wav"])


@pytest.mark.parametrize(
    "names, description, label",
    [
        (
            ("wds-audio-train-0", "wds-audio-valid-0", "wds-audio-test-0"),
            {"label": 3},
            "3",
        ),
        (("train-clean-100-0", "dev-clean-0", "test-clean-0"), {"gender": "M"}, "M"),
        (
            ("nsynth_train", "nsynth_valid", "nsynth_test"),
            {"instrument_family_str": "b"},
            "b",
        ),
    ],
)
def test_xares_labels_of_tasks(tmp_path, names, description, label):
    for name in names:
        webdataset(tmp_path / f"{name}.tar", [("a", description)])
    webdataset(tmp_path / "wds-encoded-train.tar", [("b", {})])  # X-ARES' own cache
    for records in load(xares.prepare_xares(tmp_path, tmp_path / "s")):
        assert [record["label"] for record in records.values()] == [label]


def test_xares_splits_that_are_missing(tmp_path):
    many = [(f"k{n}", {"sound": "ab"[n % 2]}) for n in range(30)]
    webdataset(tmp_path / "fsd/fsd18_train_0.tar", many)
    webdataset(tmp_path / "fsd/fsd18_test_0.tar", many[:2])
    sizes = [
        len(r) for r in load(xares.prepare_xares(tmp_path / "fsd", tmp_path / "s"))
    ]
    assert sizes == [27, 3, 2]
    spoken = [(f"k{n}", {"labels": "de"}) for n in range(10)]
    webdataset(tmp_path / "lang/train_subset_0.tar", spoken)
    webdataset(tmp_path / "lang/dev_0.tar", spoken)
    sizes = [
        len(r) for r in load(xares.prepare_xares(tmp_path / "lang", tmp_path / "t"))
    ]
    assert sizes == [9, 1, 10]


def test_xares_many_labels_and_errors(tmp_path):
    for name in ("fsd50k_train_0", "fsd50k_validation_0", "fsd50k_eval_0"):
        webdataset(tmp_path / f"a/{name}.tar", [("x", {"soundevent": "Bark;Dog"})])
    train = load(xares.prepare_xares(tmp_path / "a", tmp_path / "s"))[0]
    assert train["fsd50k_train_0/x"]["labels"] == ["Bark", "Dog"]
    with fails("no tars", "one task of X-ARES"):
        xares.prepare_xares(tmp_path, tmp_path / "t")
    webdataset(tmp_path / "b/wds-audio-train.tar", [("x", [{"onset": 0}])])
    with fails("events in time"):
        xares.prepare_xares(tmp_path / "b", tmp_path / "t")
    webdataset(tmp_path / "c/wds-audio-train.tar", [("x", {"tag": "T"})])
    with fails("without label or labels or gender", "tag"):
        xares.prepare_xares(tmp_path / "c", tmp_path / "t")
    webdataset(tmp_path / "d/mine.tar", [("x", {"label": "T"})])
    with fails("mine.tar", "neither a fold nor a split"):
        xares.prepare_xares(tmp_path / "d", tmp_path / "t")
    (tmp_path / "e").mkdir()
    (tmp_path / "e/wds-audio-train.tar").write_bytes(b"no tar" * 200)
    with fails("wds-audio-train.tar", "Download the tar again"):
        xares.prepare_xares(tmp_path / "e", tmp_path / "t")


def test_xares_keys_that_occur_again_are_other_clips(tmp_path):
    """Keys are names of files: in VoxCeleb each video has a 00001."""
    for split in SPLITS:
        names = ("00001", "a"), ("00002", "a"), ("00001", "b"), ("00002", "b")
        examples = [(key, {"speakerid": speaker}) for key, speaker in names]
        webdataset(tmp_path / f"voxceleb1_{split}_0000000.tar", examples)
    train = load(xares.prepare_xares(tmp_path, tmp_path / "s"))[0]
    found = [(record["label"], record["duration"]) for record in train.values()]
    lengths = [round((160 + number) / 16000, 6) for number in range(4)]
    assert sorted(found) == list(zip("aabb", lengths))


def test_xares_folds_that_are_missing(tmp_path):
    example = [("x", {"label": "T"})]
    for number in (1, 3, 4):
        webdataset(tmp_path / f"a/wds-audio-fold-{number}-0.tar", example)
    with fails("no tars of fold 2", "Download all"):
        xares.folds(tmp_path / "a")
    webdataset(tmp_path / "b/wds-audio-fold-2-0.tar", example)
    with fails("no tars of fold 1"):
        xares.prepare_xares(tmp_path / "b", tmp_path / "s", fold=1)
    for name in ("fold-1-0", "fold-2-0", "fold-3-0", "test-0"):
        webdataset(tmp_path / f"c/wds-audio-{name}.tar", example)
    with fails("wds-audio-test-0.tar beside tars of folds", "elsewhere"):
        xares.folds(tmp_path / "c")


def test_xares_labels_of_the_test_fold_alone(tmp_path, caplog):
    """Nobody can add clips to a published tar: a rare label is an error of a model."""
    for fold in range(3):
        rare = [("y", {"imitation": "rare"})] * (fold == 0)
        examples = [("x", {"imitation": "dog"}), *rare]
        webdataset(tmp_path / f"vocal_imitations_fold0{fold}_0000000.tar", examples)
    with caplog.at_level("WARNING"):
        test = load(xares.prepare_xares(tmp_path, tmp_path / "s", fold=1))[2]
    assert len(test) == 2 and "do not occur in training: rare" in caplog.text


@pytest.mark.parametrize(
    "members, words",
    [
        ([("a.wav", b"")], "a is a sound without JSON"),
        ([("a.json", b"1"), ("a.json", b"1")], "a is a JSON without sound"),
        ([("a.wav", b""), ("a.json", b'{"label": ["x"]}')], "a: the label is a text"),
        ([("a.wav", b""), ("a.json", b'{"label":')], "Download the tar again"),
        ([("a.wav", b""), ("a.json", b'{"label": null}')], "without label"),
    ],
)
def test_xares_broken_pairs(tmp_path, members, words):
    with tarfile.open(tmp_path / "wds-audio-train-0.tar", "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with fails("wds-audio-train-0.tar", words):
        xares.prepare_xares(tmp_path, tmp_path / "s")


@pytest.mark.parametrize("name", CLIP_CORPORA)
def test_the_folder_of_another_corpus_is_told_to_be_one(name, tmp_path):
    (tmp_path / "audio").mkdir()
    with fails(str(tmp_path), "Set data_folder to"):
        CLIP_CORPORA[name].prepare(str(tmp_path), str(tmp_path / "save"), fold=1)


def test_downloads_are_declared():
    for name in "esc50 urbansound8k fsd50k gtzan nsynth vocalsound crema_d".split():
        module = importlib.import_module(f"s3prl_sb.corpora.{name}")
        assert callable(getattr(module, f"download_{name}"))


# -------------------------------------------------------------------------------- toys
def made(name, folder, **parameters):
    """A toy, and that the same parameters give the same bytes."""
    toy = importlib.import_module(f"s3prl_sb.corpora.toys.{name}")
    first = getattr(toy, name)(folder / "a", **parameters)
    second = getattr(toy, name)(folder / "b", **parameters)
    files = [
        path.relative_to(first) for path in sorted(first.rglob("*")) if path.is_file()
    ]
    assert len(files) > 5
    assert all((first / f).read_bytes() == (second / f).read_bytes() for f in files)
    return first


def test_toys_with_folds(tmp_path):
    small = {"labels": 4, "clips": 1, "seconds": 0.1}
    folder = made("esc50", tmp_path / "esc", **small)
    train, valid, test = load(esc50.prepare_esc50(folder, tmp_path / "s", fold=5))
    assert (len(train), len(valid), len(test)) == (12, 4, 4)
    assert len(load(esc50.prepare_esc10(folder, tmp_path / "t", fold=1))[2]) == 2
    folder = made("urbansound8k", tmp_path / "urban", **small)
    prepare = urbansound8k.prepare_urbansound8k
    train, valid, test = load(prepare(folder, tmp_path / "u", fold=10))
    assert (len(train), len(valid), len(test)) == (32, 4, 4)


def test_toys_with_splits(tmp_path):
    sizes = {"train": 12, "valid": 8, "test": 8}
    times = {"labels": 4, "seconds": (0.2, 0.3)}
    folder = made("fsd50k", tmp_path / "fsd", **sizes, **times)
    train, valid, test = load(fsd50k.prepare_fsd50k(folder, tmp_path / "s"))
    assert (len(train), len(valid), len(test)) == (12, 8, 8)
    heard = {label for record in train.values() for label in record["labels"]}
    assert {"Siren", "Clicks", "Hiss", "Buzz", "Alarm"} == heard
    assert any(len(record["labels"]) > 2 for record in train.values())
    folder = made("nsynth", tmp_path / "nsynth", **sizes, pitches=4, seconds=0.2)
    train, _, test = load(nsynth.prepare_nsynth_pitch(folder, tmp_path / "t"))
    assert {r["label"] for r in test.values()} == {"48", "49", "50", "51"}
    assert len(train) == 12
    train, _, _ = load(nsynth.prepare_nsynth_instrument(folder, tmp_path / "u"))
    assert {r["label"] for r in train.values()} == {"bass", "brass", "flute"}


def test_toy_crema_d(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = made("crema_d", tmp_path / "crema", actors=5, sentences=1)
    train, valid, test = load(crema_d.prepare_crema_d(folder, tmp_path / "s", fold=5))
    assert (len(train), len(valid), len(test)) == (18, 6, 6)


def test_toy_xares_has_every_task(tmp_path):
    small = {"labels": 2, "clips": 1, "training": 6, "seconds": 0.1}
    folder = made("xares", tmp_path / "toy", **small)
    tasks = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert len(tasks) == 18
    for task in tasks:
        folds = xares.folds(folder / task)
        fold = folds and folds[-1]
        prepare = xares.prepare_xares
        train, valid, test = load(prepare(folder / task, tmp_path / task, fold=fold))
        key = "labels" if task == "fsd50k" else "label"
        named = {str(record[key]) for record in (*train.values(), *test.values())}
        assert len(named) >= 2 and valid, task
