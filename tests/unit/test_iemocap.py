"""IEMOCAP: the four classes, S3PRL's folds, errors, and the toy."""

import re
from collections import Counter

import numpy as np
import pytest
import soundfile
import torch
from corpus_errors import fails

from s3prl_sb.audio import headers
from s3prl_sb.corpora.iemocap import DIALOGS, order, prepare_iemocap, split
from s3prl_sb.corpora.toys.iemocap import iemocap as toy
from s3prl_sb.dataio import manifest

SPLITS = ("train", "valid", "test")


def dialog(folder, name, turns):
    """Writes a dialog; ``turns`` are pairs of a number such as F000 and an emotion."""
    home = folder / f"Session{name[4]}"
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    for n, (number, emotion) in enumerate(turns):
        wav = home / "sentences/wav" / name / f"{name}_{number}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(wav, np.full(800 + 16 * n, 0.1), 16000)
        times = f"[{n}.0000 - {n}.9000]"
        lines.append(f"{times}\t{name}_{number}\t{emotion}\t[2.5000, 2.5000, 2.5000]")
        lines += ["C-E2:\tAnger;\t(not what most heard)", ""]
    path = home / f"dialog/EmoEvaluation/{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def corpus(folder):
    emotions = ("neu", "hap", "ang", "sad")
    turns = [(f"F{n:03d}", emotion) for n, emotion in enumerate(emotions * 2)]
    turns += [("M000", "exc"), ("M001", "fru"), ("M002", "xxx")]
    for session in range(1, 6):
        dialog(folder, f"Ses0{session}F_impro01", turns)
    return folder


def load(paths):
    assert list(paths) == list(SPLITS)
    return {n: manifest.validate(manifest.read(p), p) for n, p in paths.items()}


def test_classes_and_folds(tmp_path):
    folder = corpus(tmp_path / "IEMOCAP_full_release")
    tested = []
    for fold in range(1, 6):
        save = tmp_path / f"save{fold}"
        found = load(prepare_iemocap(tmp_path, save, fold=fold))
        assert [len(found[name]) for name in SPLITS] == [28, 8, 9]
        assert {r["session"] for r in found["test"].values()} == {fold}
        rest = [*found["train"].values(), *found["valid"].values()]
        assert {r["session"] for r in rest} == {1, 2, 3, 4, 5} - {fold}
        labels = Counter(r["label"] for r in found["test"].values())
        assert labels == {"neu": 2, "hap": 3, "ang": 2, "sad": 2}  # excited: happy
        assert not set(found["train"]) & set(found["valid"])
        tested += found["test"]
    assert len(set(tested)) == len(tested) == 45
    record = found["test"]["Ses05F_impro01_M000"]
    wav = folder / "Session5/sentences/wav/Ses05F_impro01/Ses05F_impro01_M000.wav"
    assert record["wav"] == str(wav)
    assert record["label"] == "hap" and record["speaker"] == "Ses05M"
    assert record["duration"] == round((800 + 16 * 8) / 16000, 6)


def test_the_split_is_s3prls():
    """Shuffled as by random_split after manual_seed(0), which S3PRL calls."""
    turns = {f"{n}": {"session": n // 300 + 1} for n in range(1500)}
    for fold in range(1, 6):
        rest = [name for name, turn in turns.items() if turn["session"] != fold]
        torch.manual_seed(0)
        first = int((1 - 0.2) * len(rest))
        expected = torch.utils.data.random_split(rest, [first, len(rest) - first])
        found = split(turns, fold)
        for name, subset in zip(SPLITS, expected):
            assert list(found[name]) == list(subset)
        assert list(found["test"]) == [n for n in turns if n not in rest]


def test_the_split_leaves_the_global_random_numbers_alone():
    state = torch.get_rng_state()
    split({f"{n}": {"session": 1 + n % 2} for n in range(9)}, 1)
    assert torch.equal(state, torch.get_rng_state())


def test_order_of_dialogs():
    dialogs = {k: names.split() for k, names in DIALOGS.items()}
    assert [len(names) for names in dialogs.values()] == [28, 30, 32, 30, 31]
    assert all(len(set(names)) == len(names) for names in dialogs.values())
    # as in the corpus: two actors wear the markers; improvised and scripted ones
    for names in dialogs.values():
        assert all(re.fullmatch(r"[FM](i0\d[ab]?|s0\d_\db?)", name) for name in names)
    names = ["Ses01X_mine", "Ses02F_impro03", "Ses01F_impro01", "Ses01M_impro02"]
    assert sorted(names, key=order) == [names[3], names[2], names[0], names[1]]


def test_finished_is_kept_and_changed_is_not(tmp_path, monkeypatch):
    folder, save = corpus(tmp_path / "c"), tmp_path / "save"
    paths = prepare_iemocap(folder, save)
    with monkeypatch.context() as patch:  # no header is read again
        patch.setattr(headers, "durations", None)
        assert prepare_iemocap(folder, save) == paths
        assert prepare_iemocap(None, save, skip_prep=True) == paths
    before = load(paths)
    dialog(folder, "Ses01F_impro01", [("F000", "sad"), ("F001", "neu")])
    after = load(prepare_iemocap(folder, save))
    assert len(after["test"]) == 2 and len(before["test"]) == 9
    (folder / "Session1/dialog/EmoEvaluation/._Ses01F_impro01.txt").write_bytes(b"\xff")
    assert load(prepare_iemocap(folder, save)) == after  # a Mac's shadow file


def test_faults(tmp_path):
    save = tmp_path / "save"
    with fails("data_folder is not set", "--train_csv"):
        prepare_iemocap(None, save)
    with fails(f"{tmp_path / 'x'}: no such folder. Set data_folder"):
        prepare_iemocap(tmp_path / "x", save)
    with fails("Session1/dialog/EmoEvaluation: no such folder", "Session1 to Session5"):
        prepare_iemocap(tmp_path, save)
    folder = corpus(tmp_path / "c")
    for fold in (0, 6, "all", None):
        with fails(f"fold: {fold!r}. There are 1 to 5"):
            prepare_iemocap(folder, save, fold=fold)
    path = folder / "Session3/dialog/EmoEvaluation/Ses03F_impro01.txt"
    sound = path.read_text()
    path.write_text(sound.replace("\tneu\t", " neu ", 1))
    with fails(f"{path}:3: malformed line", "Ses03F_impro01_F000 neu", "with tabs"):
        prepare_iemocap(folder, save)
    path.write_text(sound.replace("_F001", "_F000"))
    with fails(f"{path}:6: Ses03F_impro01_F000 again, first {path}:3"):
        prepare_iemocap(folder, save)
    path.write_text(sound)
    wav = "sentences/wav/Ses03F_impro01/Ses03F_impro01_F002.wav"
    (folder / "Session3" / wav).unlink()
    with fails(f"{path}:9: missing audio file", wav, "Unpack IEMOCAP"):
        prepare_iemocap(folder, save)
    assert not save.exists()


def test_a_class_that_only_the_test_session_has(tmp_path):
    for session in range(1, 6):
        emotion = "ang" if session == 2 else "neu"
        turns = [(f"F{n:03d}", "sad" if n else emotion) for n in range(5)]
        path = dialog(tmp_path, f"Ses0{session}M_script01_1", turns)
        if session == 2:
            place = f"{path}:3"
    with fails(f"{place}: 'Ses02M_script01_1_F000': label 'ang' is unseen"):
        prepare_iemocap(tmp_path, tmp_path / "save", fold=2)


def test_half_a_corpus_is_reported(tmp_path, caplog):
    prepare_iemocap(corpus(tmp_path / "corpus"), tmp_path / "save")
    assert "45 turns of the four classes, and 5531 are published" in caplog.text


def test_other_files_beside_the_labels(tmp_path):
    folder = corpus(tmp_path / "corpus")
    labels = folder / "Session1/dialog/EmoEvaluation"
    (labels / "README.txt").write_text("[about the labels]")
    (labels / "._Ses01F_impro01.txt").write_bytes(b"\x00\xff")
    load(prepare_iemocap(folder, tmp_path / "save"))


def test_toy(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = toy(tmp_path / "toy", turns=3, dialogs=1)
    found = load(prepare_iemocap(folder, tmp_path / "save", fold=5))
    everyone = {n: r for records in found.values() for n, r in records.items()}
    assert len(everyone) <= 5 * 2 * 3
    assert {r["label"] for r in everyone.values()} == {"neu", "hap", "ang", "sad"}
    assert len({r["speaker"] for r in everyone.values()}) == 10
    peaks = {}
    for record in everyone.values():
        peak = np.abs(soundfile.read(record["wav"])[0]).max()
        peaks.setdefault(record["label"], []).append(20 * np.log10(peak))
    assert max(peaks["sad"]) < min(peaks["neu"]) < max(peaks["neu"]) < min(peaks["ang"])
    with pytest.raises(ValueError, match="1 turn"):
        toy(tmp_path / "other", turns=0)
