"""Sound by any ending: corpora that were converted, what is skipped, odd names."""

import json
import logging
import os
import re

import numpy
import pytest
import soundfile
import test_audio_snips
import test_corpora
import test_fluent_speech_commands
import test_iemocap
import test_kaldi
import test_libri2mix
import test_librispeech
import test_quesst14
import test_voxceleb1_asv

from s3prl_sb.audio.audio_names import READABLE, UNREADABLE, as_id, only_audio
from s3prl_sb.audio.headers import audio_info
from s3prl_sb.corpora.ami import prepare_ami_sd
from s3prl_sb.corpora.audio_snips import prepare_audio_snips
from s3prl_sb.corpora.fluent_speech_commands import prepare_fluent_speech_commands
from s3prl_sb.corpora.iemocap import prepare_iemocap
from s3prl_sb.corpora.libri2mix import prepare_libri2mix_sd
from s3prl_sb.corpora.librispeech import prepare_librispeech
from s3prl_sb.corpora.quesst14 import prepare_quesst14
from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.corpora.voxceleb1_asv import prepare_voxceleb1_asv
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.pipes import AddNoise
from s3prl_sb.dataio.tables import load_table

FORMATS = {  # what soundfile has to be told to write a file of that ending
    ".sph": "NIST", ".nist": "NIST", ".opus": "OGG", ".oga": "OGG", ".wave": "WAV",
    ".aif": "AIFF", ".aifc": "AIFF", ".snd": "AU", ".iff": "SVX", ".8svx": "SVX",
    ".sf": "IRCAM",
}  # fmt: skip
SUBTYPES = {".opus": "OPUS", ".mp3": "MPEG_LAYER_III"}


def write(path, samples, rate=16000):
    kind = os.path.splitext(path)[1].lower()
    format = FORMATS.get(kind, kind[1:].upper())
    soundfile.write(path, samples, rate, format=format, subtype=SUBTYPES.get(kind))


@pytest.mark.parametrize("kind", [k for k in READABLE if k not in (".sds", ".wve")])
def test_every_ending_that_is_scanned_is_read(tmp_path, kind):
    path = tmp_path / f"a{kind.upper()}"
    write(path, numpy.full(16000, 0.1))
    assert audio_info(path) == (16000, 16000, 1)
    assert len(LoadAudio(16000).load("a", str(path))) == 16000
    assert only_audio(os.listdir(tmp_path), tmp_path) == [path.name]


def test_every_format_that_holds_sound_is_scanned():
    """A format that a later libsndfile reads is not forgotten."""
    usual = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".au", ".caf", ".w64"}
    assert usual | {".sph", ".rf64", ".voc"} <= set(READABLE)
    assert not set(READABLE) & (UNREADABLE | {".raw", ".mat", ".mat5", ".txt", ".json"})


CORPORA = {
    "KS": (test_corpora.speech_commands, prepare_speech_commands, {"version": "v0.02"}),
    "SID": (test_corpora.voxceleb1, prepare_voxceleb1_sid, {}),
    "ASV": (test_voxceleb1_asv.corpus, prepare_voxceleb1_asv, {"valid_speakers": 2}),
    "IC": (test_fluent_speech_commands.corpus, prepare_fluent_speech_commands, {}),
    "ER": (test_iemocap.corpus, prepare_iemocap, {"fold": 1}),
    "SF": (test_audio_snips.corpus, prepare_audio_snips, {}),
    "QbE": (test_quesst14.corpus.__wrapped__, prepare_quesst14, {}),
    "AMI": (test_kaldi.meetings, prepare_ami_sd, {}),
    "SD": (test_libri2mix.librimix, prepare_libri2mix_sd, {}),
    "ASR": (test_librispeech.corpus.__wrapped__, prepare_librispeech, {}),
}


def made(task, folder, save):
    """A small corpus of the task, how to prepare it."""
    build, prepare, options = CORPORA[task]
    folder = build(folder)
    if task == "KS":
        names = [f"{p.parent.name}/{p.name}" for p in sorted(folder.glob("*/*.wav"))]
        names = [name for name in names if not name.startswith("_")]
        test_corpora.put_lists(folder, names[::5], names[1::5])
    return folder, lambda: prepare(str(folder), str(save), **options)


def records(paths):
    """Returns the prepared records without paths."""
    found = {split: manifest.read(path) for split, path in paths.items()}
    for split in found.values():
        for record in split.values():
            record.pop("wav")
    return found


@pytest.mark.parametrize("task", CORPORA)
def test_a_converted_corpus_is_the_same(task, tmp_path, caplog):
    """Half of the files in other formats and other cases, with the same samples."""
    folder, prepare = made(task, tmp_path / "corpus", tmp_path / "save")
    expected = records(prepare())
    files = sorted(p for p in folder.rglob("*.*") if p.suffix in (".wav", ".flac"))
    kinds = (".FLAC", ".WAV", ".Aiff", ".w64", ".wav", ".CAF")
    for number, path in enumerate(files):
        kind = kinds[number % len(kinds)]
        if path.suffix != kind:
            samples, rate = soundfile.read(path, dtype="int16")
            path.unlink()
            write(path.with_suffix(kind), samples, rate)
    (tmp_path / "save" / manifest.STAMP).unlink()
    assert records(prepare()) == expected
    assert "cannot be read here" not in caplog.text


@pytest.mark.parametrize("task", sorted({*CORPORA} - {"SD"}))
def test_what_cannot_be_read_is_told(task, tmp_path, caplog):
    folder, prepare = made(task, tmp_path / "corpus", tmp_path / "save")
    files = sorted(p for p in folder.rglob("*.*") if p.suffix in (".wav", ".flac"))
    for path in files:
        path.rename(path.with_suffix(".m4a"))
    with pytest.raises(ManifestError) as fault:
        prepare()
    told = f"{fault.value}{caplog.text}"
    assert re.search(
        r"m4a is there: convert it|files of sound cannot be read here", told
    )


def test_skipped_files_are_counted(caplog):
    caplog.set_level(logging.WARNING)
    names = ["a.wav", "b.M4A", "c.m4a", "._d.m4a", "e.wma", "f.txt", "notes", "G.opus"]
    assert only_audio(names, "corpus") == ["a.wav", "G.opus"]
    assert (
        "corpus: 3 files of sound cannot be read here and are left out" in caplog.text
    )
    assert "(2 .m4a, 1 .wma), such as b.M4A. Convert them: ffmpeg" in caplog.text
    caplog.clear()
    assert only_audio(["a.txt", "b.wav"], "corpus") == ["b.wav"]
    assert not caplog.text
    caplog.set_level(logging.INFO)
    assert only_audio(["a.txt", "b.wav", "c", "d.pcm", "e.txt", ".f"], "corpus")
    assert "4 other files are left out (2 .txt, 1 without an ending" in caplog.text


def test_noise_of_any_ending(tmp_path):
    for name in ("a.AU", "b.Opus", "c.flac"):
        write(tmp_path / name, numpy.full(1600, 0.1))
    (tmp_path / "d.txt").touch()
    assert len(AddNoise([0, 0], files=tmp_path).files) == 3


# ------------------------------------------------------------------- not UTF-8
def test_names_that_are_not_utf8(tmp_path):
    folder = test_corpora.speech_commands(tmp_path / "corpus")
    old = next((folder / "yes").glob("*.wav"))
    new = os.path.join(os.fsencode(folder), b"yes", b"andr\xe9_nohash_0.wav")
    os.rename(old, new)
    save = tmp_path / "save"
    paths = prepare_speech_commands(folder, save, labels="folders")
    found = {n: r for p in paths.values() for n, r in manifest.read(p).items()}
    record = found["yes--andr\\xe9_nohash_0"]
    assert os.fsencode(record["wav"]) == new
    assert LoadAudio(16000).load("a", record["wav"]).any()
    assert record["speaker"] == "andr\\xe9"
    for path in paths.values():
        with open(path, encoding="utf-8") as file:
            json.load(file)
    assert prepare_speech_commands(folder, save, labels="folders") == paths  # kept


def test_users_name_them_in_json(tmp_path):
    wav = os.path.join(os.fsencode(tmp_path), b"\xff.wav")
    soundfile.write(wav, numpy.zeros(1600), 16000)
    table = tmp_path / "t.json"
    table.write_text(json.dumps({"a": {"wav": os.fsdecode(wav), "label": "x"}}))
    assert load_table(table)["a"]["wav"] == os.fsdecode(wav)
    table.write_text(json.dumps({"a": {"wav": "\ud800.wav", "label": "x"}}))
    with pytest.raises(ManifestError, match="t.json:1: 'a': wav .*not valid Unicode"):
        load_table(table)
    table.write_text(json.dumps({"a": {"wav": os.fsdecode(wav), "label": "\udcff"}}))
    with pytest.raises(ManifestError, match="label .*not valid Unicode"):
        load_table(table)
    (tmp_path / "t.csv").write_bytes(b"wav,label\n\xff.wav,x\n")
    with pytest.raises(ManifestError, match="t.csv: line 2 is not UTF-8"):
        load_table(tmp_path / "t.csv")


def test_ids_hold_any_name():
    names = [os.fsdecode(name) for name in (b"a\xe9", "aé".encode(), b"\xff\xfe", b"b")]
    ids = [as_id(name) for name in names]
    assert ids == ["a\\xe9", "aé", "\\xff\\xfe", "b"]
    "".join(ids).encode()
