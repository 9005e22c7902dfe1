"""Lists of unlabelled audio: odd inputs, segments, shards, mixtures, damaged files."""

import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy
import pytest
import soundfile

from s3prl_sb.errors import ManifestError, MissingExtra, UserError
from s3prl_sb.unlabelled import headers, scanning, sources, walking
from s3prl_sb.unlabelled.holding_out import held_out
from s3prl_sb.unlabelled.index import AudioIndex, Place
from s3prl_sb.unlabelled.preparing import DataError, prepare, splits
from s3prl_sb.unlabelled.texts import Texts


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keeps scans out of the user's cache."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))


def wave(path, seconds=1.0, rate=16000, channels=1, seed=0):
    """Writes noise, and returns the path."""
    Path(os.fsdecode(path)).parent.mkdir(parents=True, exist_ok=True)
    noise = numpy.random.default_rng(seed).uniform(-0.5, 0.5, (int(seconds * rate), 2))
    kind = os.path.splitext(os.fsdecode(path))[1][1:].upper()
    with open(path, "wb") as file:
        soundfile.write(file, noise[:, :channels], rate, format=kind)
    return path


def shard(path, names, **options):
    """Writes a tar with a FLAC and a label of each name."""
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, options.pop("mode", "w"), **options) as tar:
        for number, name in enumerate(names):
            file = io.BytesIO()
            noise = numpy.random.default_rng(number).uniform(-0.5, 0.5, 8000 + number)
            soundfile.write(file, noise, 16000, format="FLAC")
            for ending, data in ((".flac", file.getvalue()), (".txt", b"label")):
                member = tarfile.TarInfo(name + ending)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def scan(data):
    return scanning.scan(sources.sources(data))


def names(index):
    return [index.name(row) for row in range(len(index))]


def test_odd_folders(tmp_path):
    """Every readable file is found once, in an order that no file system decides."""
    root = tmp_path / "my data"
    wave(root / "b" / "a b.wav")
    wave(root / "b.flac", 2, 8000)
    wave(root / "a" / "stereo.WAV", 1, 44100, 2)
    wave(os.fsencode(root) + b"/b/caf\xe9.wav")
    wave(root / "._hidden.wav")
    (root / "empty" / "deep").mkdir(parents=True)
    (root / "zero.wav").touch()
    (root / "text.wav").write_text("not audio")
    (root / "notes.txt").write_text("notes")
    (root / "broken.wav").symlink_to(root / "nowhere.wav")
    (root / "b" / "loop").symlink_to(root)
    (root / "cut.wav").write_bytes((root / "b" / "a b.wav").read_bytes()[:30])
    audio, faults = scan(str(root))
    assert names(audio) == [
        "my data/a/stereo.WAV",
        "my data/b/a b.wav",
        "my data/b/caf\\xe9.wav",
        "my data/b.flac",
    ]
    assert audio.lengths(16000).tolist() == [16000, 16000, 16000, 32000]
    reasons = {name.rpartition("/")[2]: reason for name, reason, _ in faults}
    assert set(reasons) == {"zero.wav", "text.wav", "broken.wav", "cut.wav"}
    assert "no such audio file" in reasons["broken.wav"]


def test_second_scan_reads_no_header(tmp_path, monkeypatch):
    """Files that have not changed are not opened again."""
    for name in "abc":
        wave(tmp_path / "data" / f"{name}.wav")
    first = scan(str(tmp_path / "data")).audio
    opened, measured = [], headers.measured

    def spy(path, file=None):
        opened.append(os.path.basename(path))
        return measured(path, file)

    monkeypatch.setattr(headers, "measured", spy)
    again = scan(str(tmp_path / "data")).audio
    assert opened == [] and again.digest == first.digest
    wave(tmp_path / "data" / "b.wav", 2)
    wave(tmp_path / "data" / "d.wav", 3)
    os.remove(tmp_path / "data" / "a.wav")
    changed = scan(str(tmp_path / "data")).audio
    assert sorted(opened) == ["b.wav", "d.wav"]
    assert changed.lengths(16000).tolist() == [32000, 16000, 48000]
    assert changed.digest != first.digest


SCAN = """
import sys, time
from s3prl_sb.unlabelled import headers, scanning, sources
measured = headers.measured
def slow(path, file=None):
    time.sleep(0.002)
    return measured(path, file)
headers.measured, headers.BATCH = slow, 8
scanning.scan(sources.sources(sys.argv[1]))
"""


def test_killed_scan_continues(tmp_path, monkeypatch):
    """The journal of a scan killed with -9 is used; half a line in it is harmless."""
    for number in range(300):
        wave(tmp_path / "data" / f"{number:03}.wav", 0.01 * (1 + number % 5))
    lists = tmp_path / "cache" / "audio_lists"
    child = subprocess.Popen([sys.executable, "-c", SCAN, str(tmp_path / "data")])
    deadline = time.monotonic() + 60
    while not any(f.stat().st_size > 3000 for f in lists.glob("*.journal")):
        assert time.monotonic() < deadline and child.poll() is None
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (journal,) = lists.glob("*.journal")
    done = sum(line.endswith(b"]") for line in journal.read_bytes().splitlines())
    with open(journal, "ab") as file:
        file.write(b'["half')
    opened, measured = [], headers.measured
    monkeypatch.setattr(
        headers, "measured", lambda path, f=None: opened.append(path) or measured(path)
    )
    audio = scan(str(tmp_path / "data")).audio
    assert len(audio) == 300 and 0 < len(opened) == 300 - done < 300
    assert audio.lengths(100).tolist() == [1 + number % 5 for number in range(300)]
    assert not list(lists.glob("*.journal"))


def test_index_on_disk(tmp_path):
    """A list is the same after writing, opening, pickling and selecting."""
    for name, rate in (("a", 8000), ("b", 16000), ("c", 22050)):
        wave(tmp_path / "data" / f"{name}.wav", 1, rate)
    audio = scan(str(tmp_path / "data")).audio
    opened = AudioIndex.open(audio.write(tmp_path / "list"))
    assert not opened.columns["samples"].flags.writeable  # mapped
    received = pickle.loads(pickle.dumps(opened))
    assert not received.columns["samples"].flags.writeable
    for other in (opened, received, pickle.loads(pickle.dumps(audio))):
        assert other.digest == audio.digest and names(other) == names(audio)
        assert [other.location(r) for r in range(3)] == [
            audio.location(r) for r in range(3)
        ]
    some = opened.select(numpy.array([True, False, True]))
    assert names(some) == ["data/a.wav", "data/c.wav"] and some.shares[0].stop == 2
    moved = AudioIndex(audio.columns, [Place("/elsewhere/data", "data/")])
    assert moved.digest == audio.digest
    (tmp_path / "list" / "samples.npy").write_bytes(b"")
    with pytest.raises(UserError, match="list of audio"):
        AudioIndex.open(tmp_path / "list")


TABLES = {
    "my.csv": "id,wav,start,stop\none,a.wav,0.5,1.0\ntwo,sub/b.wav,,\n",
    "my.tsv": "path\toffset_sample\tnum_samples\na.wav\t8000\t8000\nsub/b.wav\t\t\n",
    "my.json": json.dumps(
        {
            "one": {"wav": "a.wav", "duration": 0.5, "start": 0.5, "stop": 1.0},
            "two": {"wav": "sub/b.wav", "duration": 2, "start": None, "stop": None},
        }
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(tmp_path, name):
    """Segments in seconds or samples, whole files, our manifests."""
    wave(tmp_path / "a.wav", 3)
    wave(tmp_path / "sub" / "b.wav", 2)
    (tmp_path / name).write_text(TABLES[name])
    audio, faults = scan(str(tmp_path / name))
    spots = [audio.location(row)[4:] for row in range(2)]
    assert spots == [(8000, 8000, 16000), (0, 32000, 16000)] and not faults
    expected = ["a_8000_8000", "sub/b"] if name == "my.tsv" else ["one", "two"]
    assert names(audio) == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("id,file\none,a.wav\n", None),
        ("id,text\none,a.wav\n", "my.csv:1: no column wav"),
        ("id,wav\none,a.wav\none,a.wav\n", "my.csv:3: duplicated id 'one'"),
        ("wav,start,stop\na.wav,2,9\n", "my.csv:2: .* goes beyond the 3.000 s"),
        ("wav,start,stop\na.wav,2,1\n", "my.csv:2: .* is no segment"),
        ("wav\n", "has no rows"),
    ],
)
def test_faulty_tables(tmp_path, text, message):
    wave(tmp_path / "a.wav", 3)
    (tmp_path / "my.csv").write_text(text)
    if message is None:
        assert len(scan(str(tmp_path / "my.csv")).audio) == 1
        return
    with pytest.raises(ManifestError, match=message):
        scan(str(tmp_path / "my.csv"))


def test_shards(tmp_path):
    """Members are read where they lie; a folder may hold files and shards."""
    (tmp_path / "data").mkdir()
    shard(tmp_path / "data" / "s0.tar", ["x/a", "x/b"])
    shard(tmp_path / "data" / "s1.tar", [f"{'long' * 40}/c"], format=tarfile.PAX_FORMAT)
    wave(tmp_path / "data" / "z.wav")
    audio = scan(str(tmp_path / "data")).audio
    long = "long" * 40
    assert names(audio) == [
        "data/z.wav",
        "data/s0/x/a.flac",
        "data/s0/x/b.flac",
        f"data/s1/{long}/c.flac",
    ]
    assert audio.lengths(16000).tolist() == [16000, 8000, 8001, 8000]
    spot = audio.location(2)
    content = (tmp_path / "data" / "s0.tar").read_bytes()[spot.offset :][: spot.size]
    assert soundfile.info(io.BytesIO(content)).frames == 8001
    pattern = scan(str(tmp_path / "data" / "s?.tar")).audio
    assert names(pattern)[0] == "s0/x/a.flac"
    # A member that is appended again replaces the first.
    shard(tmp_path / "data" / "s0.tar", ["x/b"], mode="a")
    assert scan(str(tmp_path / "data" / "s0.tar")).audio.lengths(16000).tolist() == [
        8000,
        8000,
    ]


def test_faulty_shards(tmp_path):
    """They are left out with the reason, and read when they are sound again."""
    data = tmp_path / "data"
    wave(data / "a.wav")
    shard(data / "s.tar.gz", ["a"], mode="w:gz")
    shard(data / "t.tar", ["a", "b"])
    content = (data / "t.tar").read_bytes()

    def reason_of(name):
        audio, faults = scan(str(data))
        assert "data/a.wav" in names(audio)
        return {fault.name: fault.reason for fault in faults}[f"data/{name}"]

    assert re.match(r"is compressed.*gunzip -k 's.tar.gz'", reason_of("s.tar.gz"))
    os.rename(data / "s.tar.gz", data / "s.tar")
    assert "is compressed" in reason_of("s.tar")
    (data / "s.tar").unlink()
    (data / "t.tar").write_bytes(content[:4096])
    assert reason_of("t.tar").startswith("is cut off at byte 4096, within a.flac")
    second = content.index(b"b.flac")
    torn = content[:second] + b"\1" * 512 + content[second + 512 :]
    (data / "t.tar").write_bytes(torn)
    assert f"is damaged at byte {second}" in reason_of("t.tar")
    (data / "t.tar").write_bytes(b"text" * 999)
    assert "is not a tar, or damaged" in reason_of("t.tar")
    assert scan([str(data / "t.tar"), str(data / "a.wav")]).faults[0].name == "t.tar"
    (data / "t.tar").write_bytes(content)
    audio, faults = scan(str(data))
    assert len(audio) == 3 and not faults


def test_a_damaged_shard_counts_as_many_as_the_others(tmp_path, caplog):
    """The others of the same source, which is a folder or a pattern."""
    for number in range(4):
        shard(tmp_path / "data" / f"{number}.tar", [f"{number}-{i}" for i in range(5)])
    (tmp_path / "data" / "4.tar").write_bytes(b"text" * 999)
    for data in (str(tmp_path / "data"), str(tmp_path / "data" / "*.tar")):
        audio, [fault] = scan(data)
        assert len(audio) == 20 and fault.utterances == 5
    keys = hparams(tmp_path, unreadable_share=0.19)
    with pytest.raises(DataError, match=r"(?s)about 5 of 25 .*4\.tar: is not .*0\.19"):
        prepare(keys)
    prepare({**keys, "unreadable_share": 0.2})
    assert "about 5 of 25 files cannot be read, such as data/4.tar" in caplog.text
    listed = (tmp_path / "save" / "train_data.unreadable.tsv").read_text()
    assert listed.startswith("data/4.tar\tis not a tar")
    for number in range(4):
        (tmp_path / "data" / f"{number}.tar").unlink()
    with pytest.raises(DataError, match="1 of 1 files cannot be read.*is not a tar"):
        prepare({**keys, "unreadable_share": 1, "min_seconds": 0.1})


def refusing(name, error):
    """An `os.scandir` that cannot list the folders of a name."""
    scandir = os.scandir

    def listed(folder):
        if os.fspath(folder).endswith(f"/{name}"):
            raise error
        return scandir(folder)

    return listed


@pytest.mark.parametrize(
    "error, reason",
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (FileNotFoundError(2, "No such file or directory"), "No such file"),
    ],
)
def test_a_folder_that_cannot_be_listed(tmp_path, error, reason, monkeypatch):
    """Or that vanishes: it counts as many as other folders hold on average."""
    corpus(tmp_path / "data", 5, 4)
    lost = sorted(path.name for path in (tmp_path / "data").iterdir())[2]
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refusing(lost, error))
        audio, [fault] = scan(str(tmp_path / "data"))
        assert fault.name == f"data/{lost}/" and fault.utterances == 4
        assert reason in fault.reason and len(audio) == 16
        with pytest.raises(DataError, match="about 4 of 20 files"):
            prepare(hparams(tmp_path, unreadable_share=0.1))
        prepare(hparams(tmp_path, unreadable_share=0.2))
        patch.setattr(os, "scandir", refusing("data", error))
        with pytest.raises(UserError, match="data cannot be listed"):
            scan(str(tmp_path / "data"))
    assert len(scan(str(tmp_path / "data")).audio) == 20


def test_a_folder_that_vanishes_before_it_is_opened(tmp_path, monkeypatch):
    corpus(tmp_path / "data", 3, 2)
    lost = tmp_path / "data" / "gone"
    lost.mkdir()
    sort = walking._sorted

    def removing(folder, prefix):
        entries = list(sort(folder, prefix))
        if lost.exists():
            lost.rmdir()
        return iter(entries)

    monkeypatch.setattr(walking, "_sorted", removing)
    audio, [fault] = scan(str(tmp_path / "data"))
    assert len(audio) == 6 and fault.name == "data/gone/"


def test_a_shard_that_vanishes(tmp_path, monkeypatch):
    shard(tmp_path / "data" / "a.tar", ["a"])
    shard(tmp_path / "data" / "b.tar", ["b"])
    walk = walking.walk

    def removing(folder):
        found = walk(folder)
        (tmp_path / "data" / "b.tar").unlink()
        return found

    monkeypatch.setattr(walking, "walk", removing)
    audio, [fault] = scan(str(tmp_path / "data"))
    assert len(audio) == 1 and fault.name == "data/b.tar"
    assert "cannot be opened: No such file" in fault.reason


def test_union_and_mixture(tmp_path):
    """Sources of a union and of a mixture have names that differ."""
    wave(tmp_path / "one" / "x" / "a.wav")
    wave(tmp_path / "two" / "x" / "a.wav")
    one, two = str(tmp_path / "one" / "x"), str(tmp_path / "two" / "x")
    audio = scan([one, two]).audio
    assert names(audio) == ["x/a.wav", "x~2/a.wav"] and len(audio.shares) == 1
    mixture = {"a": {"data": one, "weight": 3}, "b": {"data": [two], "weight": 1}}
    shares = scan(mixture).audio.shares
    assert [tuple(share) for share in shares] == [("a", 3.0, 0, 1), ("b", 1.0, 1, 2)]


@pytest.mark.parametrize(
    "data, message",
    [
        ("{root}/dat", "In .*Did you mean data?"),
        ("{root}/data/*.ogg", "nothing matches"),
        ("{root}/data/a.txt", "is not audio"),
        ([], "is not audio"),
        ([7], "is not audio"),
        ({}, "is empty"),
        ({"a": "{root}/data"}, "give data and weight"),
        ({"a": {"data": "{root}/data", "weight": 0}}, "not a positive number"),
    ],
)
def test_faulty_sources(tmp_path, data, message):
    wave(tmp_path / "data" / "a.wav")
    (tmp_path / "data" / "a.txt").touch()
    data = json.loads(json.dumps(data).replace("{root}", str(tmp_path)))
    with pytest.raises(sources.SourceError, match=message):
        sources.sources(data)


def corpus(folder, speakers=12, each=4):
    for speaker in range(speakers):
        for number in range(each):
            wave(folder / f"spk{speaker}" / f"{number}.wav", 0.2 + 0.1 * number)


def hparams(tmp_path, **more):
    settings = {
        "train_data": str(tmp_path / "data"),
        "save_folder": str(tmp_path / "save"),
        "valid_share": 0.1,
        "min_seconds": 0.0,
        "sequence_seconds": 0.25,
        "seed": 0,
    }
    return {**settings, **more}


def test_prepare(tmp_path, monkeypatch):
    """Whole speakers are held out; a prepared run searches nothing again."""
    corpus(tmp_path / "data")
    prepare(hparams(tmp_path))
    datasets = splits(hparams(tmp_path), 16000)
    speakers = {
        name: {each.split("/")[1] for each in names(dataset.index)}
        for name, dataset in datasets.items()
    }
    assert speakers["train"].isdisjoint(speakers["valid"])
    assert len(speakers["valid"]) == 1 and len(speakers["train"]) == 11
    wave(tmp_path / "data" / "new" / "a.wav")
    monkeypatch.setattr(scanning.walking, "walk", None)
    prepare(hparams(tmp_path))
    monkeypatch.undo()
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    again = splits(hparams(tmp_path), 16000)["train"]
    assert again.digest == datasets["train"].digest
    prepare(hparams(tmp_path, min_seconds=0.35))
    assert splits(hparams(tmp_path), 16000)["train"].index.lengths(10).min() == 4
    prepare(hparams(tmp_path, valid_data=str(tmp_path / "data" / "spk3")))
    assert len(splits(hparams(tmp_path), 16000)["valid"]) == 4


def test_held_out_share_is_close():
    """The share is met within a group, and is the same wherever the data are."""
    rng = numpy.random.default_rng(0)
    paths = [f"{s}/{c}/{n}.wav" for s in range(40) for c in range(2) for n in range(9)]
    columns = {
        "paths": Texts.of(paths),
        "samples": rng.integers(16000, 160000, len(paths)),
        "rates": numpy.full(len(paths), 16000),
        "places": numpy.zeros(len(paths)),
    }
    index = AudioIndex(columns, [Place("/a/data", "data/")])
    chosen = held_out(index, 0.1)
    share = columns["samples"][chosen].sum() / columns["samples"].sum()
    assert abs(share - 0.1) < 1 / 40
    elsewhere = AudioIndex(columns, [Place("/b/data", "data/")])
    assert (held_out(elsewhere, 0.1) == chosen).all()


def test_held_out_of_each_source(tmp_path):
    """A folder of few folders is not held out as a whole beside one of many."""
    corpus(tmp_path / "many", 20, 3)
    corpus(tmp_path / "few" / "TRAIN", 10, 3)
    corpus(tmp_path / "few" / "TEST", 3, 3)
    audio = scan([str(tmp_path / "many"), str(tmp_path / "few")]).audio
    chosen = held_out(audio, 0.1)
    speakers = {os.path.dirname(audio.name(row)) for row in numpy.flatnonzero(chosen)}
    assert sorted(name.split("/")[0] for name in speakers) == ["few", "many", "many"]
    assert chosen.sum() == 9
    single = [str(wave(tmp_path / f"{name}" / "a.wav")) for name in "xy"]
    assert held_out(scan(single).audio, 0.01).sum() == 1


def test_held_out_segments(tmp_path):
    """Segments of a file stay together; a table may be moved with its audio."""
    rows = [
        f"{s}-{n},{s}.wav,{n / 10},{n / 10 + 0.1}" for s in "abcd" for n in range(9)
    ]
    digests = []
    for folder in ("here", "there"):
        for speaker in "abcd":
            wave(tmp_path / folder / f"{speaker}.wav", 1)
        table = tmp_path / folder / "my.csv"
        table.write_text("\n".join(["id,wav,start,stop", *rows]))
        audio = scan(str(table)).audio
        chosen = held_out(audio, 0.2).reshape(4, 9)
        assert (chosen.all(1) == chosen.any(1)).all() and chosen.sum() == 9
        digests.append(audio.digest)
    assert digests[0] == digests[1]


def test_prepare_names_what_is_wrong(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(DataError, match="no audio in"):
        prepare(hparams(tmp_path))
    corpus(tmp_path / "data", 1, 3)
    with pytest.raises(DataError, match="shorter than min_seconds 1"):
        prepare(hparams(tmp_path, min_seconds=1))
    (tmp_path / "data" / "bad.wav").write_text("bad")
    with pytest.raises(DataError, match=r"1 of 4 files.*bad.wav.*\n.*unreadable_share"):
        prepare(hparams(tmp_path))
    prepare(hparams(tmp_path, unreadable_share=0.5))
    listed = (tmp_path / "save" / "train_data.unreadable.tsv").read_text()
    assert listed.startswith("data/bad.wav\tcannot be read as audio")
    with pytest.raises(DataError, match="valid_share 2 "):
        prepare(hparams(tmp_path, valid_share=2, unreadable_share=0.5))


def test_urls(tmp_path):
    """Folders, shards and files in fsspec's memory are like local ones."""
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    shard(tmp_path / "s.tar", ["a", "b"])
    wave(tmp_path / "c.wav", 1.5, 8000)
    try:
        for name in ("s.tar", "c.wav"):
            memory.pipe_file(f"/unl/{name}", (tmp_path / name).read_bytes())
        audio = scan("memory://unl").audio
        assert names(audio) == ["unl/c.wav", "unl/s/a.flac", "unl/s/b.flac"]
        assert audio.lengths(16000).tolist() == [24000, 8000, 8001]
        single = scan(["memory://unl/c.wav", "memory://unl/*.tar"]).audio
        assert single.lengths(16000).tolist() == [24000, 8000, 8001]
        table = tmp_path / "t.csv"
        table.write_text("id,wav\none,memory://unl/c.wav\n")
        assert scan(str(table)).audio.lengths(8000).tolist() == [12000]
        with pytest.raises(UserError, match="memory://nothing/here.wav: no such file"):
            scan("memory://nothing/here.wav")
    finally:
        memory.rm("/unl", recursive=True)


def test_urls_without_fsspec(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(MissingExtra, match=r'pip install "s3prl_sb\[remote\]"'):
        scan("s3://bucket/audio")


def test_no_folder_is_visited_twice(tmp_path):
    """Links to folders that the walk comes to anyway add nothing, in any number."""
    root = tmp_path / "data"
    for number in range(6):
        wave(root / f"s{number}" / "a.wav", 0.1)
        for other in range(6):
            (root / f"s{number}" / f"to{other}").symlink_to(root / f"s{other}")
    wave(root / ".store" / "b.wav", 0.1)  # hidden: a link is the only way
    (root / "seen").symlink_to(root / ".store")
    (root / "seen again").symlink_to(root / ".store")
    wave(tmp_path / "outside" / "deep" / "c.wav", 0.1)
    (root / "out").symlink_to(tmp_path / "outside" / "deep")
    (root / "out above").symlink_to(tmp_path / "outside")
    (root / "up").symlink_to(tmp_path)
    found = [name.rpartition("/")[2] for name in names(scan(str(root)).audio)]
    assert sorted(found) == ["a.wav"] * 6 + ["b.wav", "c.wav"]


@pytest.mark.parametrize("kind", ["pipe", "broken link"])
def test_names_of_audio_that_are_no_files(tmp_path, kind):
    """A pipe is not opened, where reading would wait for ever."""
    wave(tmp_path / "data" / "a.wav")
    make = os.mkfifo if kind == "pipe" else lambda p: os.symlink(tmp_path / "no", p)
    make(tmp_path / "data" / "b.wav")
    audio, faults = scan(str(tmp_path / "data"))
    assert names(audio) == ["data/a.wav"]
    assert faults == [("data/b.wav", "no such audio file", 1)]
    make(tmp_path / "data" / "c.tar")
    _, (_, fault) = scan(str(tmp_path / "data"))
    assert fault.name == "data/c.tar"
    assert re.match("cannot be opened: No such|is not a file", fault.reason)


def test_mended_files_are_read_again(tmp_path, monkeypatch):
    """Permissions and networks get mended without a change of size or time."""
    for name in "ab":
        wave(tmp_path / "data" / f"{name}.wav")
    measured = headers.measured

    def forbidden(path, file=None):
        is_bad = path.endswith("a.wav")
        return (0, 0, "Permission denied") if is_bad else measured(path, file)

    monkeypatch.setattr(headers, "measured", forbidden)
    assert len(scan(str(tmp_path / "data")).faults) == 1
    monkeypatch.setattr(headers, "measured", measured)
    assert not scan(str(tmp_path / "data")).faults


def test_sparse_shards(tmp_path):
    """A member with holes does not lie in the tar byte for byte."""
    with open(wave(tmp_path / "a.wav"), "r+b") as file:
        file.truncate(10_000_000)
    tar = ["tar", "-S", "-C", str(tmp_path), "-cf", str(tmp_path / "s.tar"), "a.wav"]
    subprocess.run(tar, check=True)
    assert "with holes" in scan(str(tmp_path / "s.tar")).faults[0].reason


@pytest.mark.parametrize("change", [{"valid_share": 0}, {"valid_share": None}])
def test_no_part_remains_of_other_settings(tmp_path, change):
    """A list that was held out before is not validated on while it is learned from."""
    corpus(tmp_path / "data", 12, 1)
    prepare(hparams(tmp_path))
    (tmp_path / "data" / "spk1" / "bad.wav").write_text("bad")
    changed = hparams(tmp_path, unreadable_share=0.5, **change)
    prepare(changed)
    assert {k: len(v) for k, v in splits(changed, 16000).items()} == {"train": 12}
    os.remove(tmp_path / "data" / "spk1" / "bad.wav")
    prepare(hparams(tmp_path))
    assert not list((tmp_path / "save").glob("*.tsv"))


def test_a_damaged_held_out_list_is_made_again(tmp_path):
    corpus(tmp_path / "data", 12, 1)
    prepare(hparams(tmp_path))
    os.remove(tmp_path / "save" / "valid" / "index.json")
    prepare(hparams(tmp_path))
    assert len(splits(hparams(tmp_path), 16000)["valid"]) == 1


def files(dataset):
    locations = map(dataset.index.location, range(len(dataset)))
    return {(os.path.realpath(each.path), each.start) for each in locations}


@pytest.mark.parametrize(
    "train, valid",
    [
        ("data", "data/spk3"),
        ("data", "link/spk3"),
        ("data", "data/spk3/*.wav"),
        ("data", "data/valid.csv"),
        ("data/all.csv", "data/valid.csv"),
        (["data", "data/spk3"], "data/spk3"),
    ],
)
def test_what_is_validated_on_is_not_learned_from(tmp_path, caplog, train, valid):
    """However a file is named in the two lists."""
    corpus(tmp_path / "data", 6, 4)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    some = [f"{tmp_path}/data/spk3/{n}.wav" for n in range(4)]
    (tmp_path / "data" / "valid.csv").write_text("\n".join(["wav", *some]))
    every = [f"spk{s}/{n}.wav,0.0,0.1" for s in range(6) for n in range(4)]
    every.append("spk3/3.wav,0.1,0.2")
    (tmp_path / "data" / "all.csv").write_text("\n".join(["wav,start,stop", *every]))
    paths = [f"{tmp_path}/{each}" for each in numpy.atleast_1d(train)]
    settings = hparams(
        tmp_path, train_data=paths, valid_data=f"{tmp_path}/{valid}", min_seconds=0.05
    )
    prepare(settings)
    datasets = splits(settings, 16000)
    assert files(datasets["train"]).isdisjoint(files(datasets["valid"]))
    assert len(datasets["train"]) == 20 and len(datasets["valid"]) == 4
    assert "rows of train_data are left out" in caplog.text


def test_sources_within_each_other_and_a_share(tmp_path):
    """A file that comes twice is not on both sides."""
    corpus(tmp_path / "data", 12, 2)
    data = [str(tmp_path / "data"), str(tmp_path / "data" / "*" / "0.wav")]
    prepare(hparams(tmp_path, train_data=data, valid_share=0.3))
    datasets = splits(hparams(tmp_path), 16000)
    assert files(datasets["train"]).isdisjoint(files(datasets["valid"]))


def test_all_data_to_validate_on(tmp_path):
    corpus(tmp_path / "data", 2, 2)
    with pytest.raises(DataError, match="train_data: data: all of it is also"):
        prepare(hparams(tmp_path, valid_data=str(tmp_path / "data")))


def test_parts_of_a_recording_may_be_on_both_sides(tmp_path):
    """The user has divided it: only segments that overlap are taken out."""
    wave(tmp_path / "a.wav", 4)
    (tmp_path / "t.csv").write_text("wav,start,stop\na.wav,0,1\na.wav,1,3\na.wav,3,4\n")
    (tmp_path / "v.csv").write_text("wav,start,stop\na.wav,2,3\n")
    tables = {f"{n}_data": str(tmp_path / f"{n[0]}.csv") for n in ("train", "valid")}
    prepare(hparams(tmp_path, **tables))
    train = splits(hparams(tmp_path), 16000)["train"]
    assert [start for _, start in sorted(files(train))] == [0, 48000]


def test_names_differ(tmp_path):
    """A shard lies beside its unpacked folder; tables share an id; bytes are odd."""
    wave(tmp_path / "data" / "x" / "a.flac")
    shard(tmp_path / "data" / "x.tar", ["a"])
    wave(tmp_path / "data" / "\\xe9.wav")
    wave(os.fsencode(tmp_path) + b"/data/\xe9.wav")
    for name in "pq":
        (tmp_path / f"{name}.csv").write_text(
            f"id,wav\none,data/x/a.flac\n{name},data/x/a.flac\n"
        )
    data = [str(tmp_path / each) for each in ("data", "p.csv", "q.csv")]
    found = names(scan(data).audio)
    assert len(set(found)) == len(found) == 8
    assert found[4:] == ["one", "p", "one~2", "q"]


@pytest.mark.parametrize("kind", ["folders", "tables"])
def test_names_are_those_of_both_parts_together(tmp_path, kind):
    """Units are applied to training and validation at once, and found by name."""
    for number, part in enumerate(("train", "valid")):
        wave(tmp_path / part / "wav" / "0.wav", 1 + number)
        (tmp_path / f"{part}.csv").write_text(f"id,wav\n{part}0,{part}/wav/0.wav\n")
    form = "{}/wav" if kind == "folders" else "{}.csv"
    train, valid = (str(tmp_path / form.format(part)) for part in ("train", "valid"))
    together = scan([train, valid]).audio
    prepare(hparams(tmp_path, train_data=train, valid_data=valid))
    parts = splits(hparams(tmp_path), 16000).values()
    assert [name for part in parts for name in names(part.index)] == names(together)


class Breaking(io.BytesIO):
    """A file behind a URL, the connection to which breaks."""

    def readinto(self, buffer):
        raise LookupError("payload is not completed")  # no OSError, as aiohttp's

    def read(self, size=-1):
        return self.readinto(size)


def test_connections_that_break(monkeypatch):
    """Errors of a protocol's library name the URL; a broken shard is not kept."""
    pytest.importorskip("fsspec")
    monkeypatch.setattr(headers.remote, "opened", lambda url, block=None: Breaking())
    monkeypatch.setattr(headers.remote, "state", lambda url: (9, 9))
    _, faults = scan("memory://unl/a.wav")
    assert "payload is not completed" in faults[0][1]
    for _ in range(2):
        _, faults = scan("memory://unl/s.tar")
        assert faults[0].reason.startswith("cannot be read: payload")


def test_servers_without_ranges():
    with pytest.raises(UserError, match="https://h/a.tar: .*simplecache::https://h/a"):
        with headers.remote.naming("https://h/a.tar"):
            raise ValueError("The server doesn't support range requests. Open with 0")
