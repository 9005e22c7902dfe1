"""Features in files of every format: round trips, resuming, normalization, Kaldi."""

import json
import re
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.cli import main
from s3prl_sb.errors import ManifestError
from s3prl_sb.feature_files import formats, writing
from s3prl_sb.feature_files.cmvn import Statistics, StatisticsError
from s3prl_sb.feature_files.formats import FormatError
from s3prl_sb.feature_files.processing import Processed
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.feature_files.writing import ExtractionError, Processing, write_features
from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.storage import arks
from s3prl_sb.storage.files import FileError, write_json

h5py = pytest.importorskip("h5py")
kaldiio = pytest.importorskip("kaldiio")
SECONDS = {"ann/a1": 0.3, "ann/a2": 0.5, "bob/b1": 0.4}


@pytest.fixture
def corpus(tmp_path):
    random = np.random.default_rng(0)
    for name, seconds in SECONDS.items():
        path = tmp_path / "corpus" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * random.standard_normal(int(16000 * seconds)), 16000)
    return tmp_path / "corpus"


class TwoLayers(type(load("mel"))):
    """Log mel and its square: two hidden states."""

    num_layers = 2

    def encode(self, wavs):
        (x,) = super().encode(wavs)
        return [x, x.square()]


@pytest.fixture
def two():
    return TwoLayers("mel", log=True, n_mels=8)


def expected(upstream, corpus, name):
    """[layers, frames, size] of an utterance alone."""
    wav = torch.from_numpy(soundfile.read(corpus / f"{name}.wav", dtype="float32")[0])
    return torch.stack(upstream.extract([wav])["hidden_states"])[:, 0].numpy()


def write(upstream, corpus, folder, format="npy", **options):
    records = records_of(str(corpus), upstream.input_size)
    return write_features(
        upstream, records, folder, format, progressbar=False, **options
    )


def readers(folder):
    """Readers of each format, as other programs use them."""

    def hdf5(name):
        with h5py.File(folder / "features.h5") as file:
            return file[name][:]

    def kaldi(name):
        lists = [folder / f"layer{layer}/feats.scp" for layer in (0, 1)]
        return np.stack([kaldiio.load_scp(str(path))[name] for path in lists])

    return {
        "npy": lambda name: np.load(folder / f"{name}.npy"),
        "pt": lambda name: torch.load(folder / f"{name}.pt", weights_only=True).numpy(),
        "hdf5": hdf5,
        "kaldi": kaldi,
    }


@pytest.mark.parametrize("format", formats.FORMATS)
def test_round_trip(tmp_path, corpus, two, format):
    assert write(two, corpus, tmp_path / "out", format) == (3, 3)
    for name in SECONDS:
        features = readers(tmp_path / "out")[format](name)
        assert np.array_equal(features, expected(two, corpus, name)), name
    assert not (tmp_path / "out" / writing.UNFINISHED).exists()
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.parametrize("format", formats.FORMATS)
def test_only_what_is_new_is_computed(tmp_path, corpus, two, format):
    out = tmp_path / "out"
    write(two, corpus, out, format)
    assert write(two, corpus, out, format) == (3, 0)
    random = np.random.default_rng(9)
    for name in ("bob/b1", "bob/b2"):  # one is changed, one is new
        path = corpus / f"{name}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(4000), 16000)
    assert write(two, corpus, out, format) == (4, 2)
    for name in (*SECONDS, "bob/b2"):
        features = readers(out)[format](name)
        assert np.array_equal(features, expected(two, corpus, name)), name


@pytest.mark.parametrize("format", formats.FORMATS)
def test_an_interruption_costs_no_features(tmp_path, corpus, two, format, monkeypatch):
    """Killed while it writes, it has the features, and no half file."""
    out, finished = tmp_path / "out", writing._Features.finished

    def killed(self, *options):
        items = finished(self, *options)
        yield next(items)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing._Features, "finished", killed)
    with pytest.raises(KeyboardInterrupt):
        write(two, corpus, out, format)
    assert not any((out / n).exists() for n in ("feats.scp", "features.h5"))
    monkeypatch.setattr(writing._Features, "finished", finished)
    monkeypatch.setattr(TwoLayers, "encode", None)  # would raise if it ran
    assert write(two, corpus, out, format) == (3, 3)
    monkeypatch.undo()
    for name in SECONDS:
        features = readers(out)[format](name)
        assert np.array_equal(features, expected(two, corpus, name)), name


def contents(folder):
    """{file: bytes} of a folder; of HDF5, whose bytes hold times, the arrays."""
    files = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        content = path.read_bytes().replace(bytes(folder), b"OUT")
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                content = {name: file[name][:].tolist() for name in SECONDS}
        files[str(path.relative_to(folder))] = content
    return files


@pytest.mark.parametrize("format", formats.FORMATS)
def test_killed_before_the_end_is_noted(tmp_path, corpus, two, format, monkeypatch):
    """All files are there, and nothing says so: written again, they are the same."""
    write(two, corpus, tmp_path / "whole", format)

    def killed(path, content):
        if content["keys"]:
            raise KeyboardInterrupt
        write_json(path, content)

    monkeypatch.setattr(writing, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        write(two, corpus, tmp_path / "killed", format)
    monkeypatch.undo()
    assert write(two, corpus, tmp_path / "killed", format) == (3, 3)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_an_ark_that_no_list_names_is_deleted(tmp_path, corpus, two):
    out = tmp_path / "out"
    write(two, corpus, out, "kaldi")
    for number, name in enumerate(SECONDS):
        random = np.random.default_rng(number)
        soundfile.write(corpus / f"{name}.wav", random.random(4000), 16000)
    assert write(two, corpus, out, "kaldi") == (3, 3)
    assert [path.name for path in out.glob("*/feats.*.ark")] == ["feats.1.ark"] * 2
    soundfile.write(corpus / "bob/b1.wav", random.random(4000), 16000)
    assert write(two, corpus, out, "kaldi") == (3, 1)
    assert len(list(out.glob("*/feats.*.ark"))) == 4
    for name in SECONDS:
        features = readers(out)["kaldi"](name)
        assert np.array_equal(features, expected(two, corpus, name)), name


def test_the_room_on_the_disk_is_twice_the_files(tmp_path, corpus, two, monkeypatch):
    """The features are kept until all files are written."""
    size = sum(load("mel").frames(int(16000 * s)) for s in SECONDS.values()) * 2 * 8 * 4
    free = 2 * size - 1
    monkeypatch.setattr(
        writing.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free)
    )
    with pytest.raises(ExtractionError, match=r"take 7.87 kB, .* 7.87 kB more"):
        write(two, corpus, tmp_path / "out")
    free = size  # the advice may be followed: other settings in the same folder
    assert write(two, corpus, tmp_path / "out", layers=[1]) == (3, 3)
    shutil.rmtree(tmp_path / "out")
    free = 2 * size
    assert write(two, corpus, tmp_path / "out") == (3, 3)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_two_at_once_take_turns(tmp_path, corpus, two, format, monkeypatch):
    """The second one must not decide by lists that the first one is writing."""
    out, extract = tmp_path / "out", writing.extract
    begun, ended = threading.Event(), threading.Event()

    def slow(model, dataset, *args, **options):
        cache = extract(model, dataset, *args, **options)
        if threading.current_thread() is first:
            begun.set()
            ended.wait(0.5)
        return cache

    def whole():
        write(two, corpus, out, format)
        ended.set()

    monkeypatch.setattr(writing, "extract", slow)
    first = threading.Thread(target=write, args=(two, corpus / "ann", out, format))
    first.start()
    assert begun.wait(60)
    whole()
    first.join()
    for name in SECONDS:
        features = readers(out)[format](name)
        assert np.array_equal(features, expected(two, corpus, name)), name
    assert write(two, corpus, out, format) == (3, 0)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_a_folder_that_cannot_be_made_is_named(tmp_path, corpus, two, format):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(FileError, match="out' cannot be made or .* --output"):
        write(two, corpus, tmp_path / "out", format)
    assert (tmp_path / "out").read_text() == "a file"


def test_other_settings_are_not_mixed(tmp_path, corpus, two):
    write(two, corpus, tmp_path / "out")
    with pytest.raises(ExtractionError, match=r"other settings \(features\)"):
        write(two, corpus, tmp_path / "out", layers=[1])
    with pytest.raises(ExtractionError, match=r"other settings \(features, pooling\)"):
        pooling = Processing(pooling="mean")
        write(two, corpus, tmp_path / "out", processing=pooling, layers=[0])


@pytest.mark.parametrize(
    "format, name",
    [("npy", "ann/a1.npy"), ("hdf5", "features.h5"), ("kaldi", "layer0/feats.scp")],
)
def test_files_of_other_programs_are_not_replaced(tmp_path, corpus, two, format, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine /mine.ark:5\n")
    with pytest.raises(ExtractionError, match=f"{name}: exists, and no features.json"):
        write(two, corpus, tmp_path / "out", format)
    assert path.read_text() == "mine /mine.ark:5\n"


def test_links_in_hdf5_are_not_followed(tmp_path, corpus, two):
    """Features that are a link to another file, or to themselves, are written again."""
    out = tmp_path / "out"
    write(two, corpus, out, "hdf5")
    (out / "features.h5").rename(tmp_path / "other.h5")
    links = {"bob/b1": h5py.SoftLink("/bob/b1")}
    with h5py.File(out / "features.h5", "w") as file:
        for name in SECONDS:
            other = h5py.ExternalLink(str(tmp_path / "other.h5"), name)
            file[name] = links.get(name, other)
    assert write(two, corpus, out, "hdf5") == (3, 3)
    (tmp_path / "other.h5").unlink()
    for name in SECONDS:
        features = readers(out)["hdf5"](name)
        assert np.array_equal(features, expected(two, corpus, name)), name


def test_a_damaged_hdf5_is_named(tmp_path, corpus, two):
    write(two, corpus, tmp_path / "out", "hdf5")
    (tmp_path / "out/features.h5").write_text("cut off")
    with pytest.raises(FormatError, match="features.h5: cannot be read as HDF5"):
        write(two, corpus, tmp_path / "out", "hdf5")


# ------------------------------------------------------------------ post-processing
def test_processed_upstreams_keep_the_contract(two):
    check_upstream(Processed(two, deltas=2, cmvn=True))
    check_upstream(Processed(two, pooling="mean_std"))


@pytest.mark.parametrize("pooling", ["mean", "std", "mean_std", "min", "max"])
def test_poolings(tmp_path, corpus, two, pooling):
    write(two, corpus, tmp_path / "out", processing=Processing(pooling=pooling))
    x = expected(two, corpus, "ann/a2")
    statistics = {
        "mean": [x.mean(1)],
        "std": [x.std(1, ddof=1)],
        "mean_std": [x.mean(1), x.std(1, ddof=1)],
        "min": [x.min(1)],
        "max": [x.max(1)],
    }
    features = np.load(tmp_path / "out/ann/a2.npy")
    wanted = np.concatenate(statistics[pooling], -1)
    assert np.allclose(features, wanted, rtol=1e-4, atol=1e-4)


def test_one_pooled_layer_is_a_vector(tmp_path, corpus, two):
    options = {"processing": Processing(pooling="mean"), "layers": [1]}
    write(two, corpus, tmp_path / "npy", **options)
    assert np.load(tmp_path / "npy/ann/a1.npy").shape == (8,)
    write(two, corpus, tmp_path / "kaldi", "kaldi", **options)
    vectors = kaldiio.load_scp(str(tmp_path / "kaldi/feats.scp"))
    assert vectors["ann/a1"].shape == (8,)
    assert not (tmp_path / "kaldi/utt2num_frames").exists()


def table(corpus, path):
    lines = [f"{n},{corpus}/{n}.wav,{n.split('/')[0]}" for n in SECONDS]
    path.write_text("id,wav,speaker\n" + "\n".join(lines))
    return path


@pytest.mark.parametrize("cmvn", ["utterance", "speaker", "global"])
def test_cmvn_is_over_what_it_says(tmp_path, corpus, two, cmvn):
    list_ = table(corpus, tmp_path / "t.csv")
    write(two, list_, tmp_path / "out", processing=Processing(1, cmvn))
    groups = {
        "utterance": [[name] for name in SECONDS],
        "speaker": [["ann/a1", "ann/a2"], ["bob/b1"]],
        "global": [list(SECONDS)],
    }
    for group in groups[cmvn]:
        x = np.concatenate([np.load(tmp_path / f"out/{n}.npy") for n in group], 1)
        assert x.shape[2] == 16 and np.abs(x.mean(1)).max() < 1e-4
        assert np.abs(x.std(1, ddof=1) - 1).max() < 1e-3
    assert (tmp_path / "out/cmvn_stats.npz").exists() == (cmvn != "utterance")


def test_statistics_are_reused(tmp_path, corpus, two):
    write(two, corpus, tmp_path / "train", processing=Processing(0, "global"))
    stats = str(tmp_path / "train/cmvn_stats.npz")
    shutil.rmtree(corpus / "bob")
    write(two, corpus, tmp_path / "test", processing=Processing(0, "global", stats))
    one, other = (np.load(tmp_path / f"{n}/ann/a1.npy") for n in ("train", "test"))
    assert np.array_equal(one, other)
    with pytest.raises(StatisticsError, match="no statistics"):
        Statistics.load(tmp_path / "train/features.json")


def test_new_utterances_change_measured_statistics(tmp_path, corpus, two):
    processing = Processing(0, "global")
    write(two, corpus, tmp_path / "out", processing=processing)
    soundfile.write(corpus / "new.wav", np.full(8000, 0.5), 16000)
    assert write(two, corpus, tmp_path / "out", processing=processing) == (4, 4)


def test_constant_values_become_zero():
    statistics = Statistics()
    features = np.full((1000, 1, 1), 0.1, np.float32)
    statistics.add("global", features)
    assert not statistics.apply("global", features).any()


def test_a_missing_speaker_is_named(tmp_path, corpus, two):
    with pytest.raises(ExtractionError, match="'ann/a1'.*has no speaker"):
        write(two, corpus, tmp_path / "out", processing=Processing(0, "speaker"))


# ------------------------------------------------------------------------- sources
def kaldi_folder(corpus, folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "wav.scp": f"r1 {corpus}/ann/a2.wav\nr2 {corpus}/bob/b1.wav\n",
        "segments": "u2 r1 0.25 -1\nu1 r1 0 0.25\nu3 r2 0.1 0.4\n",
        "utt2spk": "u1 ann\nu2 ann\nu3 bob\n",
        "text": "u1 one\nu2 two words\nu3 three\n",
        "utt2dur": "u1 9\n",
    }
    for name, text in {**files, **changes}.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def test_kaldi_in_kaldi_out(tmp_path, corpus):
    source = kaldi_folder(corpus, tmp_path / "data")
    out = tmp_path / "out"
    assert write(load("mel"), source, out, "kaldi") == (3, 3)
    assert (out / "text").read_text() == (source / "text").read_text()
    assert (out / "utt2spk").read_text() == (source / "utt2spk").read_text()
    assert (out / "spk2utt").read_text() == "ann u1 u2\nbob u3\n"
    assert (out / "frame_shift").read_text() == "0.01\n"
    assert (out / "utt2num_frames").read_text() == "u1 26\nu2 26\nu3 31\n"
    whole = soundfile.read(corpus / "ann/a2.wav", dtype="float32")[0]
    features = load("mel").extract([torch.from_numpy(whole[4000:])])
    theirs = kaldiio.load_scp(str(out / "feats.scp"))["u2"]
    assert np.array_equal(theirs, features["last_hidden_state"][0].numpy())
    # ... and in again
    ark = load("features_from_ark", size=80)
    assert write(ark, out, tmp_path / "again", "kaldi") == (3, 3)
    again = kaldiio.load_scp(str(tmp_path / "again/feats.scp"))["u2"]
    assert np.array_equal(again, theirs)


@pytest.mark.parametrize(
    "changes, what",
    [
        ({"wav.scp": "r1 sph2pipe a.sph |\n"}, "wav.scp:1: 'r1' is the output of a c"),
        ({"segments": "u1 r9 0 1\n"}, "segments:1: .*wav.scp lacks the recording 'r9'"),
        ({"segments": "u1 r1 0\n"}, "segments:1: 3 fields"),
        ({"segments": "u1 r1 0 0.2 1\n"}, "segments:1: 5 fields"),
        ({"segments": "u1 r1 0 .2\nu2 r1 0 99\n"}, "segments:2: .*goes beyond"),
        ({"segments": "u1 r1 0 .2\nu2 r1 .3 .1\n"}, "segments:2: 'u2': stop 0.1"),
        ({"segments": "u1 r1 0 .2\nu2 r1 a .1\n"}, "segments:2: start 'a' is no"),
        ({"segments": "u1 r1 0 .2\nu2 r1 nan .1\n"}, "segments:2: start 'nan' is no"),
        ({"segments": "u1 r1 0 .2\nu2 r1 .1 None\n"}, "segments:2: stop 'None' is no"),
        ({"segments": "u1 r1 0.6 0.7\n"}, "segments:1: .*goes beyond"),
        ({"utt2spk": "u1 ann\n"}, "segments:1: .*utt2spk lacks the utterance 'u2'"),
        ({"utt2spk": "u1 ann lee\n"}, "utt2spk:1: 3 fields in 'u1 ann lee', not 2"),
        ({"wav.scp": "r1 feats.ark:9[0:5]\n"}, "wav.scp:1: .*a part of an entry"),
        ({"text": "u1 a\nu1 b\n"}, "text:2: 'u1' again"),
    ],
)
def test_faults_in_data_folders_are_named(tmp_path, corpus, changes, what):
    with pytest.raises(ManifestError, match=what):
        records_of(str(kaldi_folder(corpus, tmp_path / "data", **changes)))


def test_segments_may_stop_half_a_second_late(tmp_path, corpus):
    """Kaldi cuts them, as its times are often rounded."""
    changes = {"segments": "u1 r1 0.25 0.51\nu3 r2 0 0.9\n", "text": "u1\nu3 three\n"}
    records = records_of(str(kaldi_folder(corpus, tmp_path / "data", **changes)))
    assert (records["u1"]["stop"], records["u3"]["stop"]) == (0.5, 0.4)
    assert records["u1"]["text"] == ""  # as of an utterance without words


def test_sources(tmp_path, corpus, caplog):
    with caplog.at_level("INFO"):
        assert list(records_of(str(corpus))) == sorted(SECONDS)
    assert "left out" not in caplog.text  # the folders of the audio
    assert list(records_of(str(corpus / "ann/a1.wav"))) == ["a1"]
    shutil.copy(corpus / "ann/a1.wav", corpus / "ann/a1.flac")
    with pytest.raises(ManifestError, match="a1.wav: the same name as.*a1.flac"):
        records_of(str(corpus))
    with pytest.raises(ManifestError, match="no such file or folder"):
        records_of(str(tmp_path / "x"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="no audio under"):
        records_of(str(tmp_path / "empty"))


def test_links_and_hidden_folders(tmp_path, corpus):
    (tmp_path / "links").mkdir()
    (tmp_path / "links/to").symlink_to(corpus, target_is_directory=True)
    (corpus / "loop").symlink_to(corpus, target_is_directory=True)
    (corpus / "a_ann").symlink_to(corpus / "ann", target_is_directory=True)
    (corpus / ".hidden").mkdir()
    shutil.copy(corpus / "ann/a1.wav", corpus / ".hidden/a1.wav")
    (corpus / "x.wav").mkdir()  # a folder
    assert list(records_of(str(corpus))) == sorted(SECONDS)
    linked = list(records_of(str(tmp_path / "links")))
    assert linked == [f"to/{name}" for name in sorted(SECONDS)]


def test_ids_that_do_not_fit_are_refused(tmp_path, corpus):
    path = tmp_path / "t.json"
    wav = str(corpus / "ann/a1.wav")
    for format, ids, what in (
        ("npy", ["../../a"], "a path out of"),
        ("npy", ["a", "./a"], "'./a'.*its path is 'a'"),
        ("pt", ["b//a"], "'b//a'.*its path is 'b/a'"),
        ("pt", ["b/" + 130 * "é"], "'b/éé.*a1.wav.*more than 240 bytes"),
        ("hdf5", ["b/../a"], "'b/../a'.*its path is 'a'"),
        ("npy", [".features/a"], "'.features/a'.*until all is written"),
        ("hdf5", ["a", "a/b"], "'a' is an utterance, and 'a/b' below it"),
    ):
        path.write_text(json.dumps({name: {"wav": wav} for name in ids}))
        with pytest.raises(FormatError, match=what):
            write(load("mel"), path, tmp_path / "out", format)
    path.write_text(json.dumps({"a b": {"wav": wav}}))
    with pytest.raises(arks.ArkError, match="a1.wav: the id 'a b' has white space"):
        write(load("mel"), path, tmp_path / "out", "kaldi")


def test_statistics_that_do_not_fit_are_named_before_any_work(
    tmp_path, corpus, two, monkeypatch
):
    write(two, corpus, tmp_path / "a", processing=Processing(0, "global"))
    stats = str(tmp_path / "a/cmvn_stats.npz")
    table = tmp_path / "t.csv"
    table.write_text("wav,speaker\ncorpus/ann/a1.wav,ann\n")
    monkeypatch.setattr(TwoLayers, "encode", None)  # would raise if it ran
    with pytest.raises(ExtractionError, match="a/cmvn_stats.npz' has no.*'ann'"):
        write(two, table, tmp_path / "b", processing=Processing(0, "speaker", stats))
    with pytest.raises(ExtractionError, match="2 hidden states of 8.* are 1 of 8"):
        other = Processing(0, "global", stats)
        write(two, table, tmp_path / "b", layers=[1], processing=other)


def test_kaldi_fields_have_no_white_space(tmp_path, corpus):
    path = tmp_path / "t.csv"
    rows = 'wav,speaker,text\ncorpus/ann/a1.wav,{},"two\n  words"\n'
    path.write_text(rows.format("ann lee"))
    with pytest.raises(FormatError, match="a1.wav.*the speaker 'ann lee' has white sp"):
        write(load("mel"), path, tmp_path / "out", "kaldi")
    path.write_text(rows.format("ann"))
    write(load("mel"), path, tmp_path / "out", "kaldi")
    (name,) = kaldiio.load_scp(str(tmp_path / "out/feats.scp"))
    assert (tmp_path / "out/text").read_text() == f"{name} two words\n"


def test_frames_of_another_size_are_named_before_any_work(tmp_path, corpus):
    write(load("mel"), corpus, tmp_path / "arks", "kaldi")
    what = 'ann/a1.*frames of 80 values.*takes 13.*--upstream_model "{size: 80}"'
    with pytest.raises(ManifestError, match=what):
        records_of(str(tmp_path / "arks"), 13)


@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"x", {"x": 1.0}, {"of a": 1.0}])
def test_files_without_statistics_are_named(tmp_path, content):
    path = tmp_path / "cmvn_stats.npz"
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content)
    with pytest.raises(StatisticsError, match="cmvn_stats.npz' has no statistics"):
        Statistics.load(path)


@pytest.mark.parametrize(
    "array",
    [
        np.full((1, 2, 3), "x"),
        np.full((1, 2, 3), np.nan),
        np.zeros((1, 2, 3)),  # of no frame: all features would become 0
        np.ones((2, 3)),
        np.ones((1, 2, 3), np.float32),
        b"no array",
    ],
)
def test_statistics_that_are_none_are_refused(tmp_path, array):
    path = tmp_path / "a.npz"
    if isinstance(array, bytes):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("of global.npy", array)
    else:
        np.savez(path, **{"of global": array})
    with pytest.raises(StatisticsError, match="a.npz' has no statistics .*'"):
        Statistics.load(path)


# ------------------------------------------------------------------------- the verb
def test_the_verb(tmp_path, corpus, capsys):
    out = str(tmp_path / "out")
    arguments = ["extract", str(corpus), "--upstream", "mel", "--output", out]
    main([*arguments, "--format", "npy", "--dtype", "float16"])
    assert "3 utterances in" in capsys.readouterr().out
    assert np.load(tmp_path / "out/bob/b1.npy").dtype == np.float16
    main([*arguments[:-1], str(tmp_path / "cache"), "--pooling", "mean"])
    assert (tmp_path / "cache").is_dir()


@pytest.mark.parametrize(
    "options, what",
    [
        ([], "Give the audio once"),
        (["AUDIO", "--manifest", "x.csv"], "Give the audio once"),
        (["AUDIO", "--posteriors", "RUN"], "--upstream NAME or --posteriors"),
        (["AUDIO", "--priors", "x"], "--priors belongs to --posteriors"),
        (["AUDIO", "--upstream_model", "size 13"], "give keys and values"),
        (["AUDIO", "--cmvn", "global"], "Choose another --format"),
        (["AUDIO", "--format", "npy", "--part", "0/2"], "--part is for --format cache"),
        (["AUDIO", "--format", "npy", "--cmvn_stats", "x"], "--cmvn_stats needs"),
        (["AUDIO", "--format", "kaldi", "--dtype", "float16"], "no half precision"),
        (["AUDIO", "--format", "npy", "--dtype", "int8"], "int8 is for --format cache"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, corpus, options, what, capsys):
    options = [str(corpus) if option == "AUDIO" else option for option in options]
    rest = ["--upstream", "mel", "--output", str(tmp_path / "out")]
    assert main(["extract", *options, *rest])
    assert re.search(what, capsys.readouterr().err)
