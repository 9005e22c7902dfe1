"""Corpora: the splits and labels they promise, and errors that say the way out."""

import hashlib
import json
import logging
import os
from collections import Counter

import numpy as np
import pytest
import soundfile
from corpus_errors import fails

from s3prl_sb.audio import headers
from s3prl_sb.corpora.speech_commands import prepare_speech_commands, speaker_split
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError

KEYWORDS = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}
TEST_SET = "speech_commands_test_set_v0.01"


def tone(path, seconds=0.05):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(int(seconds * 16000), 0.1), 16000)


def load(paths):
    """The three manifests, checked."""
    assert list(paths) == ["train", "valid", "test"]
    return {n: manifest.validate(manifest.read(p), p) for n, p in paths.items()}


def labels(records):
    return Counter(record["label"] for record in records.values())


def speaker_of(split):
    """Names of speakers whom the published rule puts in that split."""
    for number in range(10000):
        name = f"{number:08x}"
        share = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27 / (2**27 - 1)
        if split == ("valid" if share < 0.1 else "test" if share < 0.2 else "train"):
            yield name


def speech_commands(folder, words=("yes", "no", "bed", "cat"), counts=(4, 2, 1)):
    """A tiny corpus in version 0.01's layout; ``counts`` of each split by hash."""
    for word in words:
        for split, count in zip(("train", "valid", "test"), counts):
            speakers = speaker_of(split)
            for _ in range(count):
                tone(folder / word / f"{next(speakers)}_nohash_0.wav")
    tone(folder / "_background_noise_" / "tap.wav", 20.5)
    tone(folder / "_background_noise_" / "cat.wav", 3.2)
    (folder / "_background_noise_" / "README.md").write_text("noise")
    return folder


def test_set(folder):
    for name in ("yes", "no", "_unknown_", "_silence_"):
        for n in range(3):
            tone(folder / name / f"{n}.wav")
    return folder


test_set.__test__ = False


def put_lists(folder, valid, test):
    (folder / "validation_list.txt").write_text("\n".join(valid) + "\n")
    (folder / "testing_list.txt").write_text("\n".join(test) + "\n")


def segments(records):
    """The (file, second) pairs of the silence that was cut from noise files."""
    found = set()
    for record in records.values():
        if record["start"] is not None:
            assert record["label"] == "_silence_"
            assert record["stop"] - record["start"] == 1
            assert record["duration"] == 1
            assert record["stop"] <= soundfile.info(record["wav"]).duration
            found.add((record["wav"], record["start"]))
    return found


# ---- Speech Commands ----------------------------------------------------------------


def test_version_1(tmp_path):
    corpus = speech_commands(tmp_path / "speech_commands_v0.01")
    test_set(tmp_path / TEST_SET)
    paths = prepare_speech_commands(tmp_path, tmp_path / "save")  # the parent
    found = load(paths)
    train, valid, test = found.values()
    # 23 noise seconds: one in ten to validate, from each file's end; none to test
    silence = {"train": 18 + 2, "valid": 2 + 1}
    words = {"yes": 4, "no": 4, "_unknown_": 8}
    assert labels(train) == {**words, "_silence_": silence["train"]}
    words = {"yes": 2, "no": 2, "_unknown_": 4}
    assert labels(valid) == {**words, "_silence_": silence["valid"]}
    assert labels(test) == dict.fromkeys(("yes", "no", "_unknown_", "_silence_"), 3)
    assert not segments(train) & segments(valid) and not segments(test)
    assert len(segments(train) | segments(valid)) == 23
    test_speaker = next(speaker_of("test"))  # neither trained on nor validated
    assert not any(test_speaker in name for name in (*train, *valid))
    name = f"yes--{next(speaker_of('train'))}_nohash_0"
    assert train[name]["speaker"] == next(speaker_of("train"))
    assert train[name]["wav"] == str(corpus / "yes" / f"{name[5:]}.wav")
    assert load(prepare_speech_commands(corpus, tmp_path / "save2")) == found


def test_version_2_by_its_lists(tmp_path):
    corpus = speech_commands(tmp_path / "corpus", ("yes", "no", "bed", "visual"))
    names = [f"{p.parent.name}/{p.name}" for p in sorted(corpus.glob("[a-z]*/*.wav"))]
    put_lists(corpus, valid=names[::5], test=names[1::5] + ["yes/absent.wav"])
    train, valid, test = load(
        prepare_speech_commands(corpus, tmp_path / "save")
    ).values()
    for records, expected in (
        (valid, names[::5]),
        (test, names[1::5]),
        (train, set(names) - set(names[::5]) - set(names[1::5])),
    ):
        words = [r["wav"] for r in records.values() if r["start"] is None]
        assert sorted(words) == sorted(str(corpus / name) for name in expected)
        assert set(labels(records)) == {"yes", "no", "_unknown_", "_silence_"}
    cuts = [segments(records) for records in (train, valid, test)]
    assert [len(cut) for cut in cuts] == [16 + 1, 2 + 1, 2 + 1]
    assert len(set.union(*cuts)) == 23
    # a separate test set: the listed test recordings are left out
    other = test_set(tmp_path / "other")
    paths = prepare_speech_commands(corpus, tmp_path / "save2", test_folder=other)
    train2, valid2, test2 = load(paths).values()
    assert labels(test2)["yes"] == 3 and all("test_set--" in name for name in test2)
    words = [{n for n in r if "_silence_" not in n} for r in (train, valid)]
    assert words == [{n for n in r if "_silence_" not in n} for r in (train2, valid2)]
    assert len(segments(train2)) == 20 and len(segments(valid2)) == 3


def test_folders_of_labels_by_hash(tmp_path):
    corpus = speech_commands(tmp_path / "mine", ("cat", "dog"), counts=(5, 2, 3))
    found = load(prepare_speech_commands(corpus, tmp_path / "save", labels="folders"))
    assert [labels(records) for records in found.values()] == [
        {"cat": 5, "dog": 5},
        {"cat": 2, "dog": 2},
        {"cat": 3, "dog": 3},
    ]
    save = tmp_path / "save2"
    paths = prepare_speech_commands(corpus, save, labels="folders", silence=True)
    assert [labels(r)["_silence_"] for r in load(paths).values()] == [17, 3, 3]


def test_folders_of_labels_without_speakers_in_the_names(tmp_path):
    for n in range(60):
        tone(tmp_path / "mine" / "ab"[n % 2] / f"take {n}.wav")
    paths = prepare_speech_commands(tmp_path / "mine", tmp_path / "s", labels="folders")
    for split, records in load(paths).items():
        for record in records.values():
            assert record["speaker"] is None
            name = os.path.basename(record["wav"])  # the whole of it decides
            number = int(hashlib.sha1(name.encode()).hexdigest(), 16) % 2**27
            tenth = min(int(number / (2**27 - 1) * 10), 2)
            assert split == ("valid", "test", "train")[tenth]


def test_the_published_rule():
    """Speakers as the corpus' own two lists (version 0.02) have them."""
    tested = "bb05582b 97f4c236 f2e59fea fdb5155e dc75148d 3f170018 18f8afd5 e1469561"
    validated = (
        "a69b9b3e 439c84f4 409c962a dbaf8fc6 a6d586b7 0e17f595 ff2b842e 7fd25f7c"
    )
    for split, speakers in (("test", tested), ("valid", validated)):
        for speaker in speakers.split():
            assert speaker_split(f"right/{speaker}_nohash_3.wav") == split
    counts = Counter(speaker_split(f"{n:08x}_nohash_0.wav") for n in range(5000))
    assert abs(counts["valid"] - 500) < 80 and abs(counts["test"] - 500) < 80
    for n in range(100):
        takes = {speaker_split(f"word/{n:08x}_nohash_{take}.wav") for take in range(3)}
        assert len(takes) == 1


def test_finished_is_kept_and_changed_is_not(tmp_path, monkeypatch):
    corpus = speech_commands(tmp_path / "mine", ("cat", "dog"))
    arguments = dict(save_folder=tmp_path / "save", labels="folders")
    paths = prepare_speech_commands(corpus, **arguments)
    stamp = json.loads((tmp_path / "save" / "prepare.json").read_text())
    assert stamp["arguments"]["files"] == 14
    with monkeypatch.context() as patch:  # no header is read again
        patch.setattr(headers, "durations", None)
        assert prepare_speech_commands(corpus, **arguments) == paths
        assert prepare_speech_commands("x", **arguments, skip_prep=True) == paths
    contents = [open(path, "rb").read() for path in paths.values()]
    prepare_speech_commands(corpus, tmp_path / "again", labels="folders")
    again = [(tmp_path / "again" / f"{name}.json").read_bytes() for name in paths]
    assert again == contents
    tone(corpus / "dog" / f"{next(speaker_of('train'))}_nohash_1.wav")
    assert len(load(prepare_speech_commands(corpus, **arguments))["train"]) == 9


def test_speech_commands_errors(tmp_path):
    save = tmp_path / "save"
    with fails(f"{tmp_path / 'none'}: no such folder. Set data_folder"):
        prepare_speech_commands(tmp_path / "none", save)
    for name in "abc":
        tone(tmp_path / "letters" / name / "0.wav")
    with fails(
        "found 3 folders with audio: a, b, c; none of the ten keywords", "labels"
    ):
        prepare_speech_commands(tmp_path / "letters", save)
    with fails("found 0 folders with audio; none of the ten keywords"):
        prepare_speech_commands(tmp_path / "letters" / "a", save)
    with fails("found 1 folder with audio: a;", "<class>/<recording>.wav"):
        (tmp_path / "one").mkdir()
        (tmp_path / "letters" / "a").rename(tmp_path / "one" / "a")
        prepare_speech_commands(tmp_path / "one", save, labels="folders")
    for option in ("version", "labels"):
        with fails(f"{option}: 'x'. There are"):
            prepare_speech_commands(tmp_path, save, **{option: "x"})

    corpus = speech_commands(tmp_path / "speech_commands_v0.01")
    with fails(
        f"{tmp_path / TEST_SET}: the test set of version v0.01 is missing",
        f"{TEST_SET}.tar.gz",
        "test_folder",
    ):
        prepare_speech_commands(corpus, save)
    with fails("holds", "not version v0.02"):
        prepare_speech_commands(tmp_path, save, version="v0.02")
    with fails(f"{tmp_path / 'none'}: no such folder. Set test_folder"):
        prepare_speech_commands(corpus, save, test_folder=tmp_path / "none")
    with fails("found 2 folders with audio: b, c; expected a test set", "_silence_"):
        prepare_speech_commands(corpus, save, test_folder=tmp_path / "letters")
    with fails(f"{corpus / 'validation_list.txt'}: no such file", "put both there"):
        prepare_speech_commands(corpus, save, version="v0.02")
    put_lists(corpus, ["yes/a.wav"], ["no/b.wav", "yes/a.wav"])
    with fails("testing_list.txt: yes/a.wav is in the other list too"):
        prepare_speech_commands(corpus, save, version="v0.02")
    put_lists(corpus, ["yes/a.wav"], ["no/b.wav"])
    with fails("split valid: the manifest is empty"):
        prepare_speech_commands(corpus, save, labels="folders")

    test_set(tmp_path / TEST_SET)
    broken = corpus / "yes" / "broken_nohash_0.wav"
    broken.write_bytes(b"RIFF")
    with fails(f"{broken}: cannot be read as audio"):
        prepare_speech_commands(corpus, save)
    (corpus / "yes" / "broken_nohash_0.mp3").write_bytes(b"")
    tone(broken)
    os.replace(broken, corpus / "yes" / "twin_nohash_0.wav")
    os.remove(corpus / "yes" / "broken_nohash_0.mp3")
    soundfile.write(corpus / "yes" / "twin_nohash_0.flac", np.zeros(160), 16000)
    with fails("twin_nohash_0.wav: same name as", "twin_nohash_0.flac"):
        prepare_speech_commands(corpus, save)
    speech_commands(tmp_path / "speech_commands_v0.02")
    with fails("holds speech_commands_v0.01 and speech_commands_v0.02. Say which"):
        prepare_speech_commands(tmp_path, save)
    assert not save.exists()


def test_a_class_only_tested(tmp_path, caplog):
    corpus = speech_commands(tmp_path / "mine", ("cat", "dog"))
    tone(corpus / "cow" / f"{next(speaker_of('test'))}_nohash_0.wav")
    with fails("'cow--", "label 'cow' is unseen in training", "cat, dog"):
        prepare_speech_commands(corpus, tmp_path / "save", labels="folders")
    corpus = speech_commands(tmp_path / "speech_commands_v0.01")
    test_set(tmp_path / TEST_SET)
    for noise in (corpus / "_background_noise_").iterdir():
        noise.unlink()
    with caplog.at_level(logging.WARNING), fails("label '_silence_' is unseen"):
        prepare_speech_commands(corpus, tmp_path / "save")
    assert "no _background_noise_ folder" in caplog.text
    assert "no recordings of up, down" in caplog.text


def test_noise_too_short_to_share(tmp_path, caplog):
    corpus = speech_commands(tmp_path / "mine", ("cat", "dog"))
    tone(corpus / "_background_noise_" / "click.wav", 2.5)
    with caplog.at_level(logging.WARNING):
        prepare_speech_commands(
            corpus, tmp_path / "save", labels="folders", silence=True
        )
    assert "click.wav: 2.5 s are too short" in caplog.text


@pytest.mark.parametrize("mode", ["superb", "folders"])
def test_real_speech_commands(data_folder, tmp_path, mode):
    corpus = data_folder / "speech_commands_v0.02"
    expected = {name: Counter() for name in ("train", "valid", "test")}
    lists = {
        "valid": set((corpus / "validation_list.txt").read_text().split()),
        "test": set((corpus / "testing_list.txt").read_text().split()),
    }
    for path in corpus.glob("*/*.wav"):
        word = path.parent.name
        if word == "_background_noise_":
            continue
        splits = [n for n, names in lists.items() if f"{word}/{path.name}" in names]
        label = word if mode == "folders" or word in KEYWORDS else "_unknown_"
        expected[splits[0] if splits else "train"][label] += 1
    if mode == "superb":  # three files of 20 s
        for split, seconds in zip(expected, (48, 6, 6)):
            expected[split]["_silence_"] = seconds
    found = load(prepare_speech_commands(data_folder, tmp_path, labels=mode))
    assert {split: labels(records) for split, records in found.items()} == expected
    assert sum(map(len, found.values())) == 385 + 60 * (mode == "superb")
    for record in found["train"].values():
        whole = soundfile.info(record["wav"]).duration
        assert record["duration"] == (1 if record["label"] == "_silence_" else whole)


def test_real_corpus_of_another_layout(data_folder, tmp_path):
    with fails("found 1 folder with audio: recordings; none of the ten keywords"):
        prepare_speech_commands(data_folder / "FSDD", tmp_path)
    with fails("found 1 folder with audio: recordings;", "write a CSV table"):
        prepare_speech_commands(data_folder / "FSDD", tmp_path, labels="folders")


# ---- VoxCeleb1 ----------------------------------------------------------------------


def voxceleb1(folder, homes=("dev/wav", "test/wav"), split_name="iden_split.txt"):
    """Two speakers, one in each home, a recording of each in every split."""
    lines = []
    for number, home in enumerate(homes, 10001):
        for code in "123":
            wav = f"id{number}/video_-{code}/00001.wav"
            tone(folder / home / wav)
            lines.append(f"{code} {wav}")
    (folder / split_name).write_text("\r\n".join(lines) + "\r\n")
    return folder


@pytest.mark.parametrize("homes", [("dev/wav", "test/wav"), ("wav", "wav"), ("", "")])
@pytest.mark.parametrize("split_name", ["iden_split.txt", "veri_test_class.txt"])
def test_voxceleb1(tmp_path, homes, split_name):
    corpus = voxceleb1(tmp_path / "vox", homes, split_name)
    found = load(prepare_voxceleb1_sid(corpus, tmp_path / "save"))
    for code, records in zip("123", found.values()):
        assert set(records) == {
            f"id{number}--video_-{code}--00001" for number in (10001, 10002)
        }
        assert set(labels(records)) == {"id10001", "id10002"}
    record = found["test"]["id10002--video_-3--00001"]
    assert record["wav"] == str(corpus / homes[1] / "id10002/video_-3/00001.wav")
    assert record["video"] == "video_-3" and record["duration"] == 0.05


def test_voxceleb1_is_kept(tmp_path, monkeypatch):
    corpus = voxceleb1(tmp_path / "vox")
    split = (corpus / "iden_split.txt").rename(tmp_path / "my_split.txt")
    save = tmp_path / "save"
    paths = prepare_voxceleb1_sid(corpus, save, split_file=split)
    with monkeypatch.context() as patch:
        patch.setattr(headers, "durations", None)
        assert prepare_voxceleb1_sid(corpus, save, split_file=split) == paths
        assert prepare_voxceleb1_sid("x", save, skip_prep=True) == paths
    lines = split.read_text().splitlines()
    split.write_text("\n".join([*lines[:4], lines[5].replace("3", "1", 1)]))
    with fails("split valid: the manifest is empty"):  # a changed split counts
        split.write_text("\n".join(line for line in lines if line[:1] in "13"))
        prepare_voxceleb1_sid(corpus, save, split_file=split)


def test_voxceleb1_errors(tmp_path):
    save = tmp_path / "save"
    with fails(f"{tmp_path / 'none'}: no such folder. Set data_folder"):
        prepare_voxceleb1_sid(tmp_path / "none", save)
    corpus = voxceleb1(tmp_path / "vox")
    split = corpus / "iden_split.txt"
    good = split.read_text().splitlines()
    for line in ("4 id10001/v/1.wav", "1 id1/v/1.wav", "1 id10001/v/1", "hello"):
        split.write_text("\n".join([good[0], "", line]))
        with fails(f"{split}:3: malformed line '{line}'. Expected 1, 2 or 3"):
            prepare_voxceleb1_sid(corpus, save)
    split.write_text("\n".join([*good, good[0].replace("1", "2", 1)]))
    with fails(f"{split}:7: ", f"again, first {split}:1"):
        prepare_voxceleb1_sid(corpus, save)
    split.write_text("\n".join(good[1:]))
    with fails(f"{split}:1: 'id10001--", "label 'id10001' is unseen in training"):
        prepare_voxceleb1_sid(corpus, save)
    split.write_text("\n".join([*good, *(f"1 id10001/v/{n}.wav" for n in range(7))]))
    with pytest.raises(ManifestError) as error:
        prepare_voxceleb1_sid(corpus, save)
    message = str(error.value)
    assert message.count("missing audio file") == 5 and "... and 2 more" in message
    assert f"{split}:7: missing audio file id10001/v/0.wav" in message
    assert "7 of 13. Unpack VoxCeleb1 so that" in message and "dev/wav" in message
    split.write_text("\n".join(good))
    broken = corpus / "dev/wav/id10001/video_-1/00001.wav"
    broken.write_bytes(b"RIFF")
    with fails(f"{broken}: cannot be read as audio"):
        prepare_voxceleb1_sid(corpus, save)
    split.unlink()
    url = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt"
    with fails(f"{split}: the split file is missing. Get it from {url}"):
        prepare_voxceleb1_sid(corpus, save)
    with fails("none.txt: the split file is missing"):
        prepare_voxceleb1_sid(corpus, save, split_file="none.txt")
    assert not save.exists()


def test_real_voxceleb1_layout(data_folder, tmp_path):
    corpus = data_folder / "VoxCeleb1"
    expected = {"1": set(), "2": set(), "3": set()}
    for line in (corpus / "iden_split.txt").read_text().splitlines():
        code, wav = line.split()
        (path,) = corpus.glob(f"*/wav/{wav}")
        expected[code].add((str(path), wav[:7], soundfile.info(path).duration))
    found = load(prepare_voxceleb1_sid(corpus, tmp_path))
    for records, facts in zip(found.values(), expected.values()):
        values = list(records.values())
        assert {(r["wav"], r["label"], r["duration"]) for r in values} == facts
    assert [len(records) for records in found.values()] == [60, 25, 25]
