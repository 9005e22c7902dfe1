"""Features of Kaldi's arks in place of waveforms."""

import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from s3prl_sb.audio.loading import AudioFileError
from s3prl_sb.dataio import extraction
from s3prl_sb.dataio.cache import audio_key
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import AddNoise, LoadAudio, RandomCrop
from s3prl_sb.dataio.tables import load_table
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.s3prl_writing.acoustic import mockingjay_state
from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.mockingjay import Tera
from s3prl_sb.storage import ark_lists, arks

kaldiio = pytest.importorskip("kaldiio")
DATA = os.environ.get("S3PRL_SB_DATA", "")
REAL = [
    Path(DATA, "kaldi_feats/mini_librispeech2/feats.scp"),
    Path(DATA, "an4_nemo/asr/kaldi_an4/feats.scp"),
]


@pytest.fixture
def matrices():
    random = np.random.default_rng(0)
    return {
        name: random.standard_normal((frames, 4), np.float32)
        for name, frames in (("b", 150), ("a", 90), ("c", 310))
    }


@pytest.fixture
def names(tmp_path, matrices):
    return arks.write(tmp_path / "feats.ark", matrices.items())


def records(names):
    frames = {name: arks.shape(entry)[0] for name, entry in names.items()}
    return {
        name: {
            "wav": entry,
            "duration": frames[name] / 100,
            "start": None,
            "stop": None,
        }
        for name, entry in names.items()
    }


def test_kaldiio_reads_what_is_written(tmp_path, matrices, names):
    lines = (tmp_path / "feats.scp").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    theirs = kaldiio.load_scp(str(tmp_path / "feats.scp"))
    for name, matrix in matrices.items():
        assert np.array_equal(theirs[name], matrix)
        assert np.array_equal(arks.read(names[name]), matrix)


@pytest.mark.parametrize("method", [None, 1, 2, 3, 5])
def test_sizes_are_those_of_every_format(tmp_path, matrices, method):
    """Compressed, of doubles, and text."""
    kaldiio.save_ark(
        str(tmp_path / "x.ark"),
        {k: m.astype("f8") if method is None else m for k, m in matrices.items()},
        scp=str(tmp_path / "x.scp"),
        compression_method=method,
    )
    for name, entry in ark_lists.read(tmp_path / "x.scp").items():
        assert arks.shape(entry) == matrices[name].shape
        assert np.abs(arks.read(entry) - matrices[name]).max() < 0.1


def test_text_is_read(tmp_path, matrices):
    names = arks.write(tmp_path / "t.ark", matrices.items(), text=True)
    assert arks.shape(names["a"]) == (90, 4)
    read = dict(arks.entries(str(tmp_path / "t.ark")))
    assert list(read) == list(matrices)
    assert np.allclose(read["c"], matrices["c"], atol=1e-5)


@pytest.mark.parametrize(
    "line, what",
    [
        ("a copy-feats ark:- ark:- |", "x.scp:1: 'a' is the output of a command"),
        ("a feats.ark", "x.scp:1: 'feats.ark' is no entry"),
        ("a feats.ark:2[0:5]", "is no entry"),
        ("a f.ark:2\na f.ark:9", "x.scp:2: 'a' again"),
        ("\n", "names no features"),
    ],
)
def test_bad_lists_are_refused_by_line(tmp_path, line, what):
    (tmp_path / "x.scp").write_text(line)
    with pytest.raises(ManifestError, match=what.replace("(", r"\(")):
        ark_lists.read(tmp_path / "x.scp")


def test_nothing_in_an_ark_is_executed(tmp_path):
    """kaldiio loads pickles and runs commands; here neither reaches it."""
    target = tmp_path / "ran"
    (tmp_path / "x.ark").write_bytes(
        b"a PKLcposix\nsystem\n(S'touch " + str(target).encode() + b"'\ntR."
    )
    with pytest.raises(arks.ArkError, match="neither a matrix nor a vector"):
        arks.read(f"{tmp_path}/x.ark:2")
    assert not target.exists()


@pytest.mark.parametrize(
    "header",
    [
        b"\0BFM " + struct.pack("<bibi", 4, 2**31 - 1, 4, 2**31 - 1),
        b"\0BFM " + struct.pack("<bibi", 4, 2**31 - 1, 4, 1024),
        b"\0BFV " + struct.pack("<bi", 4, 2**31 - 1),
        b"\0BCM " + struct.pack("<ffii", 0, 1, 2**31 - 1, 2**20),
        b"\0B\4" + struct.pack("<i", 2**31 - 1),
    ],
)
def test_a_header_of_more_than_the_file_has_is_damage(tmp_path, header):
    """No room is made for what a header promises."""
    path = tmp_path / "x.ark"
    path.write_bytes(b"a " + header + bytes(100))
    tracemalloc.start()
    with pytest.raises(arks.ArkError, match="x.ark:2: damaged or cut off"):
        arks.read(f"{path}:2")
    with pytest.raises(arks.ArkError, match="x.ark: 'a': damaged or cut off"):
        list(arks.entries(str(path)))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_damage_names_the_entry(tmp_path, names):
    path = tmp_path / "feats.ark"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(arks.ArkError, match=f"{names['c']}: damaged or cut off"):
        arks.read(names["c"])
    with pytest.raises(arks.ArkError, match="neither a matrix"):
        arks.read(f"{path}:7")
    with pytest.raises(AudioFileError, match="utterance 'c'"):
        LoadAudio(100).load("c", names["c"])


def test_a_table_of_entries_is_a_table_of_audio(tmp_path, matrices, names):
    rows = [f"{key},feats.ark:{n.split(':')[-1]},{key}" for key, n in names.items()]
    (tmp_path / "t.csv").write_text("id,wav,label\n" + "\n".join(rows))
    table = load_table(tmp_path / "t.csv", ["label"])
    assert table["b"]["duration"] == 1.5
    dataset = ManifestDataset(table, [LoadAudio(100)], ["sig"])
    assert torch.equal(dataset[0]["sig"], torch.from_numpy(matrices["b"]))


def test_segments_and_crops_are_of_frames(matrices, names):
    c = torch.from_numpy(matrices["c"])
    assert torch.equal(LoadAudio(100).load("c", names["c"], 0.5, 1.25), c[50:125])
    pipes = [LoadAudio(100), RandomCrop(1.0, sample_rate=100)]
    dataset = ManifestDataset(records(names), pipes, ["sig"])
    crop = dataset[2, 1]["sig"]
    assert crop.shape == (100, 4)
    assert any(torch.equal(crop, c[i : i + 100]) for i in range(211))


def test_pipes_over_waveforms_refuse_features(names):
    with pytest.raises(ManifestError, match="AddNoise changes waveforms"):
        ManifestDataset(records(names), [LoadAudio(100), AddNoise(snr=3)])


def test_the_frame_rate_is_checked(tmp_path, names):
    with pytest.raises(AudioFileError, match="takes 16000 samples.*features_from_ark"):
        LoadAudio(16000).load("a", names["a"])
    (tmp_path / "frame_shift").write_text("0.02\n")
    with pytest.raises(AudioFileError, match="50 frames a second"):
        LoadAudio(100).load("a", names["a"])
    assert load("features_from_ark", size=4, frame_shift=0.02).sample_rate == 50
    (tmp_path / "frame_shift").write_text("often\n")
    with pytest.raises(AudioFileError, match="frame_shift:1"):
        LoadAudio(100).load("a", names["a"])


def test_waveforms_and_features_are_not_confused():
    features = load("features_from_ark", size=4)
    with pytest.raises(ValueError, match=r"\[batch, frames, 4\].*entries of an ark"):
        features(torch.zeros(2, 16000))
    with pytest.raises(ValueError, match=r"\[batch, frames, 4\]"):
        features(torch.zeros(2, 100, 13))
    with pytest.raises(ValueError, match="features_from_ark"):
        load("fbank")(torch.zeros(2, 100, 13))


def test_the_cache_holds_the_features(tmp_path, matrices, names):
    upstream = load("features_from_ark", size=4)
    dataset = ManifestDataset(records(names), [LoadAudio(100)], ["id", "sig"])
    cache = extraction.extract(
        upstream, dataset, tmp_path / "cache", dtype="float32", progressbar=False
    )
    for name, record in records(names).items():
        cached = cache[audio_key(name, record)]
        assert np.array_equal(cached[:, 0].numpy(), matrices[name])


def test_two_entries_of_an_ark_have_their_own_keys(names):
    first, second = (audio_key("x", r) for r in list(records(names).values())[:2])
    assert first != second


def fmllr_checkpoint(path, size=40):
    """A checkpoint of TERA over features that were extracted before: no audio block."""
    tiny = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    tera = Tera(config={"transformer": tiny, "audio": {"ark": {"size": 40}}})
    state = mockingjay_state(tera, HeadWeights())
    assert "audio" not in state["Upstream_Config"]
    state["Upstream_Config"]["transformer"]["input_dim"] = size
    torch.save(state, path)
    return tera


def test_checkpoints_over_fmllr_take_features(tmp_path):
    """S3PRL's Mockingjay and TERA, pre-trained on features extracted by Kaldi."""
    tera = fmllr_checkpoint(tmp_path / "fmllr.ckpt")
    loaded = Tera(source=str(tmp_path / "fmllr.ckpt"))
    assert (loaded.input_size, loaded.sample_rate, loaded.stride) == (40, 100, 1)
    x = torch.randn(2, 70, 40)
    for one, other in zip(loaded(x)[0], tera(x)[0]):
        assert torch.equal(one, other)
    with pytest.raises(ValueError, match="entries of an ark"):
        loaded(torch.randn(2, 16000))


def test_a_checkpoint_without_any_input_is_refused(tmp_path):
    fmllr_checkpoint(tmp_path / "x.ckpt", size=-1)
    with pytest.raises(CheckpointError, match="not a checkpoint of Mockingjay"):
        Tera(source=str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("scp", REAL, ids=lambda path: path.parent.name)
def test_real_arks(scp):
    if not scp.is_file():
        pytest.skip("set $S3PRL_SB_DATA to a folder with kaldi_feats and an4_nemo")
    names = ark_lists.read(scp)
    upstream = load("features_from_ark", size=13)
    for entry in names.values():
        matrix = upstream.extract(entry)["last_hidden_state"][0]
        assert tuple(matrix.shape) == arks.shape(entry)
        assert matrix.abs().max() < 200  # MFCCs, not garbage
    frames = scp.with_name("utt2num_frames")
    if frames.is_file():
        stated = dict(line.split() for line in frames.read_text().splitlines())
        assert stated == {n: str(arks.shape(e)[0]) for n, e in names.items()}


@pytest.mark.parametrize("digits", [30, 5000])
def test_an_offset_that_no_file_has_is_named(tmp_path, names, digits):
    table = tmp_path / "t.csv"
    table.write_text(f"wav\nfeats.ark:{'9' * digits}\n")
    with pytest.raises(ManifestError, match="t.csv:2: .*feats.ark:999"):
        load_table(table)


def test_an_audio_file_with_a_colon_is_audio(tmp_path):
    soundfile.write(tmp_path / "a:12.wav", np.zeros(800), 16000)
    assert len(LoadAudio().load("a", str(tmp_path / "a:12.wav"))) == 800
