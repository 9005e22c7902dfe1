"""Packs: bytes, keys of caches, kills, and what they refuse."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from audio_server import AudioServer

from s3prl_sb import cli
from s3prl_sb.audio.headers import durations
from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.dataio import manifest, packing
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.extraction import audio_keys
from s3prl_sb.dataio.packing import PackError, pack
from s3prl_sb.dataio.tables import load_table
from s3prl_sb.errors import ManifestError, UserError
from s3prl_sb.identity import packs, remote
from s3prl_sb.identity.content import hash_file, hash_files
from s3prl_sb.identity.data import digests
from s3prl_sb.identity.locations import locate
from s3prl_sb.unlabelled import scanning, sources
from s3prl_sb.unlabelled.reading import read_piece

FORMATS = ("wav", "flac", "ogg", "wav", "flac")


@pytest.fixture
def prepared(tmp_path):
    """A folder of two manifests, of which the second has a file of the first."""
    data, save = tmp_path / "data", tmp_path / "save"
    data.mkdir()
    random, records = np.random.default_rng(0), {}
    for number in range(7):
        ending = FORMATS[number % len(FORMATS)]
        path, seconds = data / f"é {number}.{ending}", 0.5 + 0.1 * number
        soundfile.write(path, 0.1 * random.standard_normal(int(16000 * seconds)), 16000)
        record = {**manifest.whole_file(str(path)), "duration": round(seconds, 6)}
        records[f"spk/{number}"] = {**record, "label": "ab"[number % 2]}
    part = {**records["spk/3"], "start": 0.25, "stop": 0.5, "duration": 0.25}
    records["part"] = part
    save.mkdir()
    splits = {"train": records, "valid": {k: records[k] for k in ("spk/1", "part")}}
    manifest.finish(splits, save, {})
    return save


def keys(path):
    return audio_keys(ManifestDataset(manifest.read(path)))


@pytest.mark.parametrize("size", [1e9, 30_000])
def test_a_pack_is_the_same_data(size, prepared, tmp_path):
    """Waveforms, digests and keys of caches are those of the files."""
    paths = pack(str(prepared), str(tmp_path / "pack"), size)
    assert list(paths) == ["train", "valid"]
    tars = sorted((tmp_path / "pack").glob("*.tar"))
    assert len(tars) == (1 if size == 1e9 else 6)
    for split, path in paths.items():
        files, packed = manifest.read(prepared / f"{split}.json"), manifest.read(path)
        manifest.validate(packed, path)
        for name, record in files.items():
            other = packed[name]
            assert {**other, "wav": 0} == {**record, "wav": 0}
            limits = record["start"], record["stop"]
            assert torch.equal(
                load_waveform(name, record["wav"], *limits),
                load_waveform(name, other["wav"], *limits),
            )
        assert keys(path) == keys(prepared / f"{split}.json")
        data = {n: {n: ManifestDataset(r)} for n, r in (("a", files), ("b", packed))}
        assert digests(data["a"])["a"] == digests(data["b"])["b"]


def test_further_audio_is_packed_and_a_label_of_its_name_is_not(prepared, tmp_path):
    """The clean source of a mixture is another file of the pack."""
    records = manifest.read(prepared / "train.json")
    names = list(records)
    for name, other in zip(names, [*names[1:], names[0]]):
        records[name]["sources"] = [records[other]["wav"]]
        records[name]["target"] = "calm"
    manifest.write(records, tmp_path / "a.json")
    pack(str(tmp_path / "a.json"), str(tmp_path / "pack"), 40_000)
    packed = manifest.read(tmp_path / "pack" / "a.json")
    assert {record["target"] for record in packed.values()} == {"calm"}
    sources = {n: [r["wav"], *r["sources"]] for n, r in records.items()}
    for name, record in packed.items():
        pair = [record["wav"], *record["sources"]]
        assert all(str(tmp_path / "pack") in member for member in pair)
        found = hash_files(pair)
        expected = hash_files(sources[name])
        assert [found[m] for m in pair] == [expected[m] for m in sources[name]]


def test_further_audio_of_tables_is_packed(prepared, tmp_path):
    """Their columns have other names than the keys of a manifest, and short paths."""
    table = tmp_path / "data" / "a.csv"
    table.write_text("wav,clean,target\né 0.wav,é 1.flac,calm\né 1.flac,é 0.wav,sad\n")
    pack(str(table), str(tmp_path / "pack"))
    packed = manifest.read(tmp_path / "pack" / "a.json")
    first, second = packed.values()
    assert first["clean"] == second["wav"] and second["clean"] == first["wav"]
    assert [first["target"], second["target"]] == ["calm", "sad"]
    table.write_text("wav,clean\né 0.wav,é 1.flac\né 1.flac,é 9.wav\n")
    with pytest.raises(ManifestError, match="clean: missing audio file .*é 9.wav"):
        pack(str(table), str(tmp_path / "other"))


def test_tars_are_as_the_index_says(prepared, tmp_path):
    """Other programs read them; ids and folders of this machine are not in them."""
    pack(str(prepared), str(tmp_path / "pack"), 30_000)
    for path in (tmp_path / "pack").glob("*.tar"):
        members, size = packs.parsed(Path(f"{path}{packs.ENDING}").read_text())
        assert size == path.stat().st_size
        assert packs.NAME.search(path.name)[1] == packs.label(members)
        with tarfile.open(path) as tar:
            infos = tar.getmembers()
        assert [(i.name, i.offset_data, i.size) for i in infos] == [
            member[:3] for member in members
        ]
        for member in members:
            name = f"{path}:{member.offset}:{member.size}"
            assert hash_file(name) == member.hash
            assert durations([name]) == [round(member.frames / member.rate, 6)]
        assert str(tmp_path).encode() not in path.read_bytes()


def tree(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_input_gives_equal_bytes(prepared, tmp_path):
    pack(str(prepared), str(tmp_path / "pack"), 30_000, url="/far")
    before = tree(tmp_path / "pack")
    pack(str(prepared), str(tmp_path / "pack"), 30_000, url="/far/")  # finished
    assert tree(tmp_path / "pack") == before
    shutil.move(tmp_path / "data", tmp_path / "moved")
    for path in prepared.glob("[tv]*.json"):
        path.write_text(path.read_text().replace("/data/", "/moved/"))
    pack(str(prepared), str(tmp_path / "other pack"), 30_000, url="/far")
    assert tree(tmp_path / "other pack") == before


KILLED = """
import os, signal, sys
from s3prl_sb.dataio import packing
original, left = packing._write_tar, [int(sys.argv[3])]

def write(path, shard, bar):
    if not left[0]:
        path.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    original(path, shard, bar)

packing._write_tar = write
packing.pack(sys.argv[1], sys.argv[2], 30_000)
"""


@pytest.mark.parametrize("finished", [0, 3])
def test_killed_and_run_again(finished, prepared, tmp_path):
    """Finished tars stay; nothing of the killed one remains."""
    folder = tmp_path / "pack"
    command = [sys.executable, "-c", KILLED, str(prepared), str(folder), str(finished)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    tars = {path: path.stat().st_mtime_ns for path in folder.glob("*.tar")}
    assert len(tars) == finished and not list(folder.glob("*.json"))
    pack(str(prepared), str(folder), 30_000)
    assert {path: path.stat().st_mtime_ns for path in tars} == tars
    after = tree(folder)
    shutil.rmtree(folder)
    pack(str(prepared), str(folder), 30_000)
    assert tree(folder) == after


def test_nothing_is_overwritten(prepared, tmp_path):
    folder = tmp_path / "pack"
    with pytest.raises(PackError, match="train.json' is another manifest"):
        pack(str(prepared), str(prepared))
    pack(str(prepared), str(folder))
    with pytest.raises(PackError, match="is another manifest"):
        pack(str(prepared), str(folder), url="s3://bucket/pack")
    tar = next(folder.glob("train*.tar"))
    data = bytearray(tar.read_bytes())
    data[2000] ^= 1
    tar.write_bytes(data)
    with pytest.raises(PackError, match=f"{tar.name}' is damaged"):
        pack(str(prepared), str(folder))
    assert tar.read_bytes() == data


def test_a_full_disk_is_said_before(prepared, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(PackError, match="has room for 100 kB, and the pack takes"):
        pack(str(prepared), str(tmp_path / "pack"))
    assert not os.listdir(tmp_path / "pack")


def test_a_file_that_changes_meanwhile(prepared, tmp_path, monkeypatch):
    original = packing._write_tar

    def write(path, shard, bar):
        file = Path(shard.sources[0])
        file.write_bytes(file.read_bytes()[:-1] + b"\7")
        original(path, shard, bar)

    monkeypatch.setattr(packing, "_write_tar", write)
    with pytest.raises(PackError, match="3.wav' changed while it was packed"):
        pack(str(prepared), str(tmp_path / "pack"))
    assert not os.listdir(tmp_path / "pack")


def test_audio_that_cannot_be_read(prepared, tmp_path):
    path = Path(manifest.read(prepared / "train.json")["spk/2"]["wav"])
    path.write_bytes(b"no audio")
    with pytest.raises(ManifestError, match="2.ogg: cannot be read as audio"):
        pack(str(prepared), str(tmp_path / "pack"))
    path.unlink()
    with pytest.raises(ManifestError, match="missing audio file"):
        pack(str(prepared), str(tmp_path / "pack"))
    assert not (tmp_path / "pack").exists()


@pytest.mark.parametrize("text", ["", "1", "1 GiB", "-1GB", "GB", "1GB2"])
def test_sizes_that_are_none(text):
    with pytest.raises(PackError, match="write it as 1GB"):
        packing.size_of(text)


def test_the_command(tmp_path, capsys):
    """A table of a user; the size is said first."""
    soundfile.write(tmp_path / "a.wav", np.zeros(8000), 16000)
    (tmp_path / "my.csv").write_text("id,wav,start,label\na,a.wav,0.25,x\n")
    arguments = [str(tmp_path / "my.csv"), str(tmp_path / "pack"), "--url", "s3://b/p"]
    assert cli.main(["pack", *arguments, "--shard_size", "1MB"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path}/pack/my.json\n"
    assert "1 files in 1 tars: 20.5 kB to write" in err
    record = manifest.read(out.strip())["a"]
    assert record["wav"].startswith("s3://b/p/my-00000-")
    assert (record["start"], record["stop"], record["label"]) == (0.25, 0.5, "x")
    assert cli.main(["pack", str(tmp_path), str(tmp_path / "pack 2")]) == 1
    assert "there is no manifest in this folder" in capsys.readouterr().err


def test_places_of_packs(prepared, tmp_path):
    """A signature stays behind the name; places without a folder are refused."""
    signed = "https://host/pack/?sig=hush"
    [wav, *_] = (
        record["wav"]
        for path in pack(str(prepared), str(tmp_path / "pack"), url=signed).values()
        for record in manifest.read(path).values()
    )
    tar, offset, size = locate(wav)
    assert re.fullmatch(r"https://host/pack/train-\S+\.tar\?sig=hush", tar)
    assert offset == 512 and size
    here = pack(str(prepared), str(tmp_path / "here"), url=".")["train"]
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = here.replace("/here/", "/there/")
    records = load_table(moved)
    assert audio_keys(ManifestDataset(records)) == keys(prepared / "train.json")
    with pytest.raises(PackError, match="--url s3://bucket/pack"):
        pack(str(prepared), "s3://bucket/pack")
    with pytest.raises(PackError, match="URL is empty"):
        pack(str(prepared), str(tmp_path / "none"), url="")


def test_other_files_in_a_folder_of_manifests(prepared, tmp_path):
    for name, text in (("empty", "{}"), ("list", "[]"), ("names", '{"a": {"b": 1}}')):
        (prepared / f"{name}.json").write_text(text)
    assert set(pack(str(prepared), str(tmp_path / "pack"))) == {"train", "valid"}
    (prepared / "broken.json").write_text('{"a": {')
    with pytest.raises(UserError, match="broken.json.* take it out of the folder"):
        pack(str(prepared), str(tmp_path / "pack"))


def test_a_pack_is_packed_again(prepared, tmp_path):
    """In tars of another size; the content is read from the tars, or from a server."""
    pytest.importorskip("fsspec").filesystem("memory").mkdir("/packed")
    pack(str(prepared), str(tmp_path / "one"), 30_000)
    pack(str(tmp_path / "one"), str(tmp_path / "two"))
    assert keys(tmp_path / "two/train.json") == keys(prepared / "train.json")
    pack(str(prepared), str(tmp_path / "far"), 30_000, url="memory://packed")
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for path in (tmp_path / "far").iterdir():
        memory.pipe_file(f"/packed/{path.name}", path.read_bytes())
    pack(str(tmp_path / "far"), str(tmp_path / "three"))
    assert keys(tmp_path / "three/train.json") == keys(prepared / "train.json")
    memory.rm("/packed", recursive=True)


@pytest.mark.parametrize("url", [None, "memory://packed"])
def test_pre_training_reads_packs(url, prepared, tmp_path, monkeypatch):
    """A manifest of a pack is the same audio; its folder has the same lengths."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.mkdir("/packed")
    train = pack(str(prepared), str(tmp_path / "pack"), 30_000, url=url)["train"]
    for path in (tmp_path / "pack").glob("*.tar*"):
        memory.pipe_file(f"/packed/{path.name}", path.read_bytes())
    files, faults = scanning.scan(sources.sources(str(prepared / "train.json")))
    packed, faults_ = scanning.scan(sources.sources(train))
    assert len(files) == len(packed) == 8 and not faults and not faults_
    for row in range(8):
        one, other = files.location(row), packed.location(row)
        assert one[3:] == other[3:]
        pieces = [read_piece(row, 1000, 2000, 16000) for row in (one, other)]
        assert torch.equal(*pieces)
    folder = scanning.scan(sources.sources(url or str(tmp_path / "pack"))).audio
    lengths = sorted(files.lengths(16000).tolist())[1:]  # one is a segment
    assert sorted(folder.lengths(16000).tolist()) == lengths
    memory.rm("/packed", recursive=True)


def test_odd_names(tmp_path):
    """Bytes outside of UTF-8, spaces, names of any length."""
    names = [b"\xff\xfe.wav", " .wav".encode(), b"x" * 200 + b".wav", b"..wav"]
    records = {}
    for number, name in enumerate(names):
        path = os.path.join(str(tmp_path), os.fsdecode(name))
        soundfile.write(os.fsencode(path), np.full(800, number / 9), 8000, format="WAV")
        record = {**manifest.whole_file(path), "duration": 0.1}
        records[f"../{number}\u00e9 \u2028"] = record
    manifest.write(records, tmp_path / "a b.json")
    paths = pack(str(tmp_path / "a b.json"), str(tmp_path / "pack"))
    assert list(paths) == ["a b"] and keys(paths["a b"]) == keys(tmp_path / "a b.json")
    with tarfile.open(next((tmp_path / "pack").glob("a_b-00000-*.tar"))) as tar:
        assert all(
            len(n) < 100 and n.isascii() and "/" not in n for n in tar.getnames()
        )


# ------------------------------------------------------------------------- uploaded
@pytest.fixture
def uploaded(prepared, tmp_path, monkeypatch):
    """A pack on an HTTP server, and the server."""
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "_statuses", {})
    server = AudioServer()
    folder = tmp_path / "pack"
    pack(str(prepared), str(folder), 30_000, url=server.url)
    server.files = {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}
    yield folder, server
    server.close()


def test_an_uploaded_pack_is_known_by_its_index(prepared, uploaded):
    """Keys of caches and durations cost requests for tars, not for utterances."""
    folder, server = uploaded
    assert keys(folder / "train.json") == keys(prepared / "train.json")
    tars = {name for name in server.files if name.endswith(".tar")}
    largest = max(path.stat().st_size for path in folder.glob("*.tar"))
    assert server.sent() < len(tars) * (largest + 2000)
    del server.requests[:]
    records = load_table(str(folder / "train.json"), ("label",))
    assert len([r for r in server.requests if r[0] == "HEAD"]) == len(tars)
    for name, record in manifest.read(prepared / "train.json").items():
        limits = record["start"], record["stop"]
        local = load_waveform(name, record["wav"], *limits)
        far = records[name]["wav"]
        assert torch.equal(load_waveform(name, far, *limits), local)


def test_an_index_without_members(monkeypatch, caplog):
    """Its tar may well have the digits of an empty list in its name."""
    monkeypatch.setattr(remote, "read", lambda *_: packs.index_text([], 0).encode())
    monkeypatch.setattr(remote, "status", lambda url: SimpleNamespace(size=0))
    monkeypatch.setattr(remote, "statuses", lambda urls: None)
    name = f"https://host/train-00000-{packs.label([])}.tar:0:5"
    assert list(packs.listed([name])) == [] and "is not used" in caplog.text


FAULTS = ["other tar", "other index", "no index", "refused", "no JSON"]


LIES = [
    ("offset", -512),
    ("offset", 1 << 40),
    ("size", 1 << 40),
    ("size", 1.5),
    ("hash", "ab" * 31),
    ("rate", 0),
    ("rate", True),
    ("frames", -7),
    ("frames", 10**400),
]


@pytest.mark.parametrize("key, value", LIES)
def test_an_index_whose_members_cannot_be_is_not_used(key, value, uploaded, caplog):
    """Also if the name of the tar fits the list."""
    folder, server = uploaded
    [*tars] = folder.glob("train-00000-*.tar")
    data, text = (Path(f"{tars[0]}{end}").read_bytes() for end in ("", packs.ENDING))
    [first, *others], size = packs.parsed(text)
    for member in (first._replace(**{key: value}), first):
        members = [member, *others]
        name = f"/t-00000-{packs.label(members)}.tar"
        index = packs.index_text(members, size).encode()
        server.files.update({name: data, name + packs.ENDING: index})
        url = f"{server.url}{name}:{first.offset}:{first.size}"
        assert (hash_files([url])[url] == first.hash) is (member is first)
        assert ("is not used" in caplog.text) is (member is not first)
        assert durations([url]) == [round(first.frames / first.rate, 6)]
        caplog.clear()
    text = text.replace(f'"size": {size}'.encode(), b'"size": Infinity')
    with pytest.raises(ValueError, match="no index of a pack"):
        packs.parsed(text)


@pytest.mark.parametrize("fault", FAULTS)
def test_an_index_that_does_not_fit_is_not_used(fault, prepared, uploaded, caplog):
    """The audio then counts by the version of the tar."""
    folder, server = uploaded
    before = keys(prepared / "train.json")
    server.index = fault != "refused"
    for name in [name for name in server.files if name.endswith(packs.ENDING)]:
        tar = name.removesuffix(packs.ENDING)
        if fault == "other tar":
            server.files[tar] += bytes(512)
        elif fault == "no index":
            del server.files[name]
        elif fault == "no JSON":
            server.files[name] = b"{[}"
        elif fault == "other index":
            content = json.loads(server.files[name])
            content["members"][0][3] = "00" * 32
            server.files[name] = json.dumps(content).encode()
    after = keys(folder / "train.json")
    assert not set(map(str, before.values())) & set(map(str, after.values()))
    assert ("is not used" in caplog.text) == (fault not in ("no index", "refused"))
    names = [r["wav"] for r in manifest.read(folder / "train.json").values()]
    assert len(set(hash_files(names).values())) == 7
