"""Audio behind URLs and in tars: the same as local files, whatever servers do."""

import datetime
import io
import logging
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from audio_server import AudioServer
from odd_audio import FILES, tone

from s3prl_sb import cli
from s3prl_sb.audio.headers import audio_info, durations
from s3prl_sb.audio.loading import AudioFileError, load_waveform
from s3prl_sb.audio.waveforms import waveforms
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.dataio.cache import audio_key
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.packing import pack
from s3prl_sb.dataio.tables import load_table, prepare_tables
from s3prl_sb.errors import ManifestError, MissingExtra, UserError
from s3prl_sb.identity import remote, requests
from s3prl_sb.identity.content import hash_file, hash_files
from s3prl_sb.identity.data import audio_hashes, digests
from s3prl_sb.terminal import logs

SIGNED = "X-Amz-Signature=0a1b2c"


@pytest.fixture(autouse=True)
def quick_and_forgetful(monkeypatch):
    monkeypatch.setattr(requests, "PAUSE", 0.001)
    monkeypatch.setattr(remote, "_statuses", {})
    monkeypatch.setattr(remote, "WORTH_LISTING", 8)


@pytest.fixture
def server():
    pytest.importorskip("aiohttp")
    server = AudioServer()
    yield server
    server.close()


@pytest.fixture
def memory():
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.mkdir("/audio")
    yield system
    system.rm("/audio", recursive=True)


def tarred(path, *files):
    """Makes a tar of files, and returns the names of its members."""
    with tarfile.open(path, "w") as tar:
        for file in files:
            tar.add(file, os.path.basename(file))
    with tarfile.open(path) as tar:
        return [f"{path}:{info.offset_data}:{info.size}" for info in tar]


def outcome(name, **limits):
    """Returns the samples that a name leads to, or the error without the name."""
    try:
        return load_waveform("u", str(name), **limits)
    except AudioFileError as error:
        return str(error).replace(str(name), "NAME")


# ---------------------------------------------------------------------------- names
@pytest.mark.parametrize("odd", FILES)
@pytest.mark.parametrize("limits", [{}, {"start": 0.25, "stop": 0.5}])
def test_odd_files_in_a_tar_and_behind_a_url(odd, limits, tmp_path, memory):
    """The same samples or the same words as for the local file."""
    path = tmp_path / odd
    FILES[odd].write(path)
    if not path.is_file():
        return  # a folder, and a broken link
    [member] = tarred(tmp_path / "a.tar", path)
    memory.pipe_file("/audio/a", path.read_bytes())
    memory.pipe_file("/audio/a.tar", (tmp_path / "a.tar").read_bytes())
    far = member.replace(str(tmp_path), "memory://audio")
    local = outcome(path, **limits)
    for name in (member, "memory://audio/a", far):
        other = outcome(name, **limits)
        if isinstance(local, str):
            words = local.partition(" read: ")[0].partition(". ")[0]
            assert isinstance(other, str) and other.startswith(words)
        else:
            assert torch.equal(local, other)


LONG = [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)]


@pytest.mark.parametrize("form, subtype", LONG)
@pytest.mark.parametrize("place", ["alone", "tar"])
def test_segments_of_a_long_file(form, subtype, place, tmp_path, server, monkeypatch):
    """They are read by ranges where the format allows it."""
    path = tmp_path / f"long.{form}"
    seconds = 10 if form in ("ogg", "mp3") else 100
    samples = np.tile(tone(seconds=10), seconds // 10)
    soundfile.write(path, samples, 16000, subtype, format=form.upper())
    monkeypatch.setattr("s3prl_sb.audio.opening.SMALL", 1 << 14)
    [member] = tarred(tmp_path / "a.tar", path)
    name = f"{server.url}/long.{form}"
    server.files[f"/long.{form}"] = path.read_bytes()
    if place == "tar":
        server.files["/a.tar"] = (tmp_path / "a.tar").read_bytes()
        name = member.replace(str(tmp_path), server.url)
    for start, stop in ((0.0, 1.5), (7.25, 8.0), (seconds - 1.0, float(seconds))):
        local = load_waveform("u", str(path), start, stop)
        assert torch.equal(load_waveform("u", name, start, stop), local)
    if form in ("wav", "flac"):
        assert server.sent() < path.stat().st_size / 2
    assert torch.equal(load_waveform("u", name), load_waveform("u", str(path)))
    assert audio_info(name) == audio_info(path)
    assert torch.equal(*waveforms([name, str(path)], 16000))


def test_names_in_tables(tmp_path, memory):
    """URLs, members and relative tars; times as of local files; ids without them."""
    for number in range(2):
        soundfile.write(tmp_path / f"{number}.wav", tone(seconds=1 + number), 16000)
    members = tarred(tmp_path / "a.tar", tmp_path / "0.wav", tmp_path / "1.wav")
    memory.pipe_file("/audio/0.wav", (tmp_path / "0.wav").read_bytes())
    names = ["memory://audio/0.wav", members[1].removeprefix(f"{tmp_path}/")]
    table = tmp_path / "a.csv"
    table.write_text("wav,start,stop,label\n" + "".join(f"{n},0.2,,x\n" for n in names))
    records = load_table(str(table), ("label",))
    assert list(records) == ["audio/0_0.2", f"{names[1]}_0.2"]
    assert [r["wav"] for r in records.values()] == [names[0], members[1]]
    assert [round(r["duration"], 6) for r in records.values()] == [0.8, 1.8]
    dataset = ManifestDataset(records, [LoadAudio()], ["sig"])
    assert [len(dataset[i]["sig"]) for i in range(2)] == [12800, 28800]


def test_tables_of_changed_audio_are_prepared_again(tmp_path, memory):
    soundfile.write(tmp_path / "0.wav", tone(), 16000)
    memory.pipe_file("/audio/0.wav", (tmp_path / "0.wav").read_bytes())
    (tmp_path / "a.csv").write_text("id,wav,label\na,memory://audio/0.wav,x\n")
    tables = [str(tmp_path / "a.csv")] * 3
    train = prepare_tables(*tables, str(tmp_path / "save"))["train"]
    assert manifest.read(train)["a"]["duration"] == 1.0
    soundfile.write(tmp_path / "0.wav", tone(seconds=2.0), 16000)
    memory.pipe_file("/audio/0.wav", (tmp_path / "0.wav").read_bytes())
    prepare_tables(*tables, str(tmp_path / "save"))
    assert manifest.read(train)["a"]["duration"] == 2.0


# ------------------------------------------------------------------------- presence
def test_tables_behind_urls(tmp_path):
    for path in ("https://host/a.csv", "s3://bucket/pack/train.json"):
        for read in (load_table, manifest.read, lambda p: pack(p, str(tmp_path))):
            with pytest.raises(ManifestError, match=f"{path}: tables .* Copy it here"):
                read(path)


def test_missing_audio_is_named_with_its_line(tmp_path, server):
    soundfile.write(tmp_path / "0.wav", tone(), 16000)
    [member] = tarred(tmp_path / "a.tar", tmp_path / "0.wav")
    server.files["/0.wav"] = (tmp_path / "0.wav").read_bytes()
    names = {
        "url": f"{server.url}/0.wav",
        "no url": f"{server.url}/1.wav",
        "member": member,
        "beyond": member.rpartition(":")[0] + ":99999",
        "no tar": f"{tmp_path}/b.tar:512:9",
    }
    records = {n: {**manifest.whole_file(w), "duration": 1.0} for n, w in names.items()}
    path = tmp_path / "a.json"
    manifest.write(records, path)
    with pytest.raises(ManifestError) as error:
        manifest.validate(manifest.read(path), path, ())
    lines = str(error.value).splitlines()
    assert [line.split("'")[1] for line in lines[:3]] == ["beyond", "no tar", "no url"]
    assert lines[0].startswith(f"{path}:2: ") and "end of the tar" in lines[0]
    assert [r for r in server.requests if r[0] == "HEAD"]
    del server.requests[:]
    records = {f"{n}": records["url"] for n in range(20)}
    manifest.validate(records, path, ())
    assert not server.requests  # the same file is looked up once


def test_a_listing_replaces_requests(memory, monkeypatch):
    for number in range(20):
        memory.pipe_file(f"/audio/{number}.wav", b"x")
    urls = [f"memory://audio/{number}.wav" for number in range(22)]
    looked = []
    monkeypatch.setattr(
        remote, "_look", lambda url: looked.append(url) or remote.MissingRemote(url)
    )
    statuses = remote.statuses(urls)
    assert looked == urls[20:]
    assert all(statuses[url].size == 1 for url in urls[:20])


# --------------------------------------------------------------------------- faults
def wave(server, name="/a.wav", seconds=1.0):
    file = io.BytesIO()
    soundfile.write(file, tone(seconds=seconds), 16000, format="WAV")
    server.files[name] = file.getvalue()
    return server.url + name


def test_connections_that_break_off(server, tmp_path):
    name = wave(server)
    whole = load_waveform("u", name)
    for kind in ({"breaks": 2}, {"refusals": 2}, {"refusals": 1, "refusal": 429}):
        vars(server).update(kind)
        assert torch.equal(load_waveform("u", name), whole)
        vars(server).update(kind)
        assert torch.equal(load_waveform("u", name, 0.0, 0.5), whole[:8000])
    server.breaks, before = 99, len(server.requests)
    with pytest.raises(AudioFileError, match=f"'bad one': {name} cannot be read"):
        load_waveform("bad one", name)
    assert len(server.requests) - before == requests.TRIES


@pytest.mark.parametrize("code, words", [(404, "no such"), (403, "403"), (410, "410")])
def test_what_stays_wrong_is_not_tried_again(code, words, server):
    name = wave(server)
    server.refusals, server.refusal = 99, code
    with pytest.raises(AudioFileError, match=words):
        load_waveform("u", name)
    assert len(server.requests) == 1


def test_a_server_that_is_away(server):
    name = wave(server)
    server.close()
    with pytest.raises(UserError, match="a.wav cannot be read"):
        durations([name])
    with pytest.raises(UserError, match="a.wav cannot be read"):
        hash_files([name])
    dataset = ManifestDataset({"a": manifest.whole_file(name)}, [LoadAudio()])
    with pytest.raises(UserError, match="a.wav cannot be read"):  # not just missing
        audio_hashes(dataset)
    server.close = lambda: None


@pytest.mark.parametrize("limits", [(None, None), (0.5, 0.75)])
def test_servers_that_ignore_ranges(limits, server, tmp_path, monkeypatch):
    monkeypatch.setattr("s3prl_sb.audio.opening.SMALL", 1 << 10)
    name = wave(server, seconds=20.0)
    (tmp_path / "a.wav").write_bytes(server.files["/a.wav"])
    [member] = tarred(tmp_path / "a.tar", tmp_path / "a.wav")
    server.files["/a.tar"] = (tmp_path / "a.tar").read_bytes()
    server.ranges = False
    local = load_waveform("u", str(tmp_path / "a.wav"), *limits)
    for far in (name, member.replace(str(tmp_path), server.url)):
        assert torch.equal(load_waveform("u", far, *limits), local)


def test_a_server_that_sends_another_part(server, tmp_path, monkeypatch):
    """It is of the size that was asked for, and would be other audio."""
    monkeypatch.setattr("s3prl_sb.audio.opening.SMALL", 1 << 10)
    monkeypatch.setattr("s3prl_sb.identity.requests.PAUSE", 0)
    name = wave(server, seconds=60.0)
    (tmp_path / "a.wav").write_bytes(server.files["/a.wav"])
    [member] = tarred(tmp_path / "a.tar", tmp_path / "a.wav")
    server.files["/a.tar"] = (tmp_path / "a.tar").read_bytes()
    server.early = 1000
    for far in (name, member.replace(str(tmp_path), server.url)):
        with pytest.raises(AudioFileError, match="sent bytes .* instead of "):
            load_waveform("u", far, 20.0, 21.0)


@pytest.mark.parametrize("place", ["alone", "tar"])
def test_a_file_that_changes_between_two_parts(place, server, tmp_path, monkeypatch):
    """The audio that is read has the version that is known; both have one size."""
    monkeypatch.setattr("s3prl_sb.audio.opening.SMALL", 1 << 10)
    name = wave(server, seconds=60.0)
    (tmp_path / "a.wav").write_bytes(server.files["/a.wav"])
    if place == "tar":
        [member] = tarred(tmp_path / "a.tar", tmp_path / "a.wav")
        server.files["/a.tar"] = (tmp_path / "a.tar").read_bytes()
        name = member.replace(str(tmp_path), server.url)
    known = hash_file(name)
    before = load_waveform("u", name, 0.0, 1.0)
    for path, data in server.files.items():
        server.files[path] = data[:-1000_000] + data[-1000_000:][::-1]
    with pytest.raises(AudioFileError, match="it has changed .* Start again"):
        load_waveform("u", name, 20.0, 50.0)
    assert hash_file(name) != known  # looked up again
    assert torch.equal(load_waveform("u", name, 0.0, 1.0), before)
    after = load_waveform("u", name, 20.0, 50.0)
    assert not torch.equal(after, load_waveform("u", str(tmp_path / "a.wav"), 20, 50))


@pytest.mark.parametrize("url", ["http://", "https:///a.wav", "http://h:99999/a.wav"])
def test_urls_that_are_none_are_not_tried_again(url, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("s3prl_sb.identity.requests.time.sleep", pytest.fail)
    with pytest.raises(AudioFileError, match=f"'u': {url} cannot be read"):
        load_waveform("u", url)


def test_a_server_without_heads(server, monkeypatch):
    name = wave(server)
    whole = load_waveform("u", name)
    server.heads = False
    assert torch.equal(load_waveform("u", name, 0.5, 0.75), whole[8000:12000])
    assert durations([name]) == [1.0] and len(hash_file(name)) == 64


def test_lists_of_kaldi(tmp_path, memory):
    soundfile.write(tmp_path / "0.wav", tone(), 16000)
    [member] = tarred(tmp_path / "a.tar", tmp_path / "0.wav")
    memory.pipe_file("/audio/0.wav", (tmp_path / "0.wav").read_bytes())
    near = member.removeprefix(f"{tmp_path}/")
    (tmp_path / "data").mkdir()
    scp = tmp_path / "data/wav.scp"
    scp.write_text(f"a memory://audio/0.wav\nb {near}\n")
    records = load_table(str(scp))
    wavs = [record["wav"] for record in records.values()]
    assert wavs == ["memory://audio/0.wav", member]


@pytest.mark.parametrize(
    "tags, words", [(False, "cut off, or changed"), (True, "it has changed")]
)
def test_a_file_that_shrinks_is_not_used(tags, words, server, tmp_path):
    """The size is that of the last look."""
    server.tags = tags
    name = wave(server, seconds=2.0)
    hash_files([name])
    wave(server, seconds=1.0)
    with pytest.raises(AudioFileError, match=words):
        load_waveform("u", name)
    hash_files([name])
    assert len(load_waveform("u", name)) == 16000


def test_in_workers(server):
    """Forked workers read after the process around them did."""
    names = [wave(server, f"/{number}.wav") for number in range(4)]
    records = {n: {**manifest.whole_file(n), "duration": 1.0} for n in names}
    dataset = ManifestDataset(records, [LoadAudio()], ["sig"])
    first = dataset[0]["sig"]
    loader = torch.utils.data.DataLoader(dataset, None, num_workers=2, timeout=60)
    sigs = [item["sig"] for item in loader]
    assert len(sigs) == 4 and torch.equal(sigs[0], first)


def test_extraction(server, tmp_path, capsys):
    """One URL, and a table of them; what is written has no secrets."""
    server.login = "me:hush"
    host = server.url.replace("://", "://me:hush@")
    names = [wave(server, f"/{number}.wav") for number in range(3)]
    names = [f"{host}/{number}.wav?{SIGNED}" for number in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["wav", *names]))
    soundfile.write(tmp_path / "0.wav", tone(), 16000)
    options = ["--upstream", "fbank", "--device", "cpu", "--format", "npy", "--output"]
    local = tmp_path / "local"
    assert cli.main(["extract", str(tmp_path / "0.wav"), *options, str(local)]) == 0
    features = np.load(local / "0.npy")
    one, all_ = tmp_path / "one", tmp_path / "all"
    assert cli.main(["extract", names[0], *options, str(one)]) == 0
    argv = ["extract", str(tmp_path / "a.csv"), *options, str(all_)]
    assert cli.main(argv) == 0
    folder = all_ / server.url.partition("://")[2]
    for path in (one / "0.npy", *(folder / f"{number}.npy" for number in range(3))):
        assert np.array_equal(np.load(path), features)
    written = [p for d in (one, all_) for p in d.rglob("*") if p.is_file()]
    texts = [path.read_bytes() for path in written]
    texts += [text.encode() for text in capsys.readouterr()]
    assert not [text for text in texts if b"hush" in text or b"0a1b2c" in text]


# ------------------------------------------------------------------------- identity
def test_a_changed_file_is_noticed(server):
    name = wave(server)
    before = hash_file(name)
    assert hash_file(name) == before
    get = [r for r in server.requests if r[0] == "GET"]
    assert not get  # it is not read
    server.files["/a.wav"] = server.files["/a.wav"][:-2] + b"\1\1"
    assert hash_file(name) != before


def test_names_with_a_hash_sign_differ(memory):
    """Their sizes and times are equal, as after a copy."""
    moment = datetime.datetime(2020, 1, 1)
    urls = [f"memory://audio/a#{number}.wav" for number in range(2)]
    for url, data in zip(urls, (b"0", b"1")):
        memory.pipe_file(url, data)
        memory.store[memory._strip_protocol(url)].created = moment
        memory.store[memory._strip_protocol(url)].modified = moment
    assert len(set(hash_files(urls).values())) == 2


def test_where_the_server_knows_no_version_the_content_counts(server, tmp_path):
    server.tags = False
    name = wave(server)
    (tmp_path / "a.wav").write_bytes(server.files["/a.wav"])
    assert hash_file(name) == hash_file(str(tmp_path / "a.wav"))


def test_a_copy_on_this_machine_counts_by_its_content(memory, tmp_path):
    """It may be older than the file that the server has now."""
    soundfile.write(tmp_path / "a.wav", tone(), 16000)
    memory.pipe_file("/audio/a.wav", (tmp_path / "a.wav").read_bytes())
    name = "simplecache::memory://audio/a.wav"
    assert len(load_waveform("u", name)) == 16000
    assert hash_file(name) == hash_file(str(tmp_path / "a.wav"))


def test_urls_with_equal_tags_differ(server):
    """Tags of many servers are times and sizes."""
    one, other = wave(server, "/a.wav"), wave(server, "/b.wav")
    assert hash_file(one) != hash_file(other)


def test_a_member_counts_as_the_file(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), 16000)
    soundfile.write(tmp_path / "b.wav", tone(seconds=0.5), 16000)
    one, other = tarred(tmp_path / "x.tar", path, tmp_path / "b.wav")
    record = manifest.whole_file(str(path))
    assert audio_key("a", record) == audio_key("a", {**record, "wav": one})
    assert audio_key("a", record) != audio_key("a", {**record, "wav": other})
    data = bytearray((tmp_path / "x.tar").read_bytes())
    data[int(one.split(":")[-2]) + 100] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    assert audio_key("a", record) != audio_key("a", {**record, "wav": one})
    (tmp_path / "x.tar").write_bytes(data[:2000])
    with pytest.raises(OSError, match="cut off"):
        hash_file(one)


# -------------------------------------------------------------------------- secrets
def test_secrets_are_not_shown(server, tmp_path, caplog, monkeypatch):
    """Neither in errors nor in logs, identities and ids."""
    server.login = "me:hush"
    host = server.url.replace("://", "://me:hush@")
    wave(server)
    good, bad = f"{host}/a.wav?{SIGNED}", f"{host}/b.wav?{SIGNED}"
    assert len(load_waveform("u", good)) == 16000
    texts = []
    records = {"b": {**manifest.whole_file(bad), "duration": 1.0}}
    failures = (
        lambda: load_waveform("u", bad),
        lambda: durations([bad]),
        lambda: manifest.validate(records, "a.json", ()),
        lambda: hash_files([bad]),
        lambda: load_waveform("u", f"{host}/a.wav:9?{SIGNED}"),
    )
    for failure in failures:
        with pytest.raises(UserError) as error:
            failure()
        texts.append(str(error.value))
        texts.append("".join(map(repr, filter(None, [error.value.__cause__]))))
    server.breaks = 99
    with pytest.raises(UserError) as error:
        load_waveform("u", good)
    texts.append(str(error.value))
    logs.to_file(tmp_path / "log.txt")
    logging.getLogger("s3prl_sb.x").warning("%s is odd", bad)
    texts.append((tmp_path / "log.txt").read_text())
    (tmp_path / "a.csv").write_text(f"wav\n{good}\n")
    server.breaks = 0
    texts += load_table(str(tmp_path / "a.csv"))
    assert len(texts) > 8
    for text in texts:
        assert "hush" not in text and "0a1b2c" not in text, text
    # Another signature of the same file is the same audio.
    again = good.replace("0a1b2c", "ffff")
    assert hash_file(good) == hash_file(again)
    data = {n: {**manifest.whole_file(n), "duration": 1.0} for n in (good,)}
    assert "hush" not in str(digests({"train": ManifestDataset(data)}))


@pytest.mark.parametrize(
    "url",
    ["reference://a.json", "python://x", "simplecache::reference://a", "x::memory://a"],
)
def test_protocols_that_do_more_than_read(url):
    with pytest.raises(UserError, match="is not read by the protocol"):
        load_waveform("u", url)


@pytest.mark.parametrize("protocol, extra", [("s3", "s3"), ("https", "http")])
def test_a_missing_library_names_the_extra(protocol, extra, monkeypatch):
    fsspec = pytest.importorskip("fsspec")

    def missing(*args, **options):
        raise ImportError("install it")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    monkeypatch.setattr(remote, "_http_options", dict)
    with pytest.raises(MissingExtra, match=rf"s3prl_sb\[{extra}\]"):
        hash_files([f"{protocol}://bucket/a.wav"])


# ------------------------------------------------------------------------------- s3
@pytest.fixture
def bucket(monkeypatch):
    """A bucket of an S3 server on this machine, and a function that puts an object."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    system = s3fs.S3FileSystem()
    system.mkdir("audio")
    yield system
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


def test_a_bucket(bucket, tmp_path):
    """Reading, segments, identity by tag alone and from a listing, missing objects."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(seconds=60.0), 16000)
    few = [f"s3://audio/few/{number}.wav" for number in range(2)]
    many = [f"s3://audio/many/{number}.wav" for number in range(10)]
    for url in few + many:
        bucket.pipe_file(url, path.read_bytes())
    for limits in ((), (20.0, 21.0)):
        local = load_waveform("u", str(path), *limits)
        assert torch.equal(load_waveform("u", few[0], *limits), local)
    assert durations(many) == [60.0] * 10
    before = hash_files(few + many)
    assert before == {u: h for url in few + many for u, h in hash_files([url]).items()}
    bucket.pipe_file(many[3], path.read_bytes()[:-2] + b"\1\1")
    after = hash_files(few + many)
    assert [url for url in after if after[url] != before[url]] == [many[3]]
    records = {
        url: {**manifest.whole_file(url), "duration": 60.0}
        for url in [*many, "s3://audio/many/99.wav"]
    }
    with pytest.raises(
        ManifestError, match="missing audio file s3://audio/many/99.wav"
    ):
        manifest.validate(records, Path("a.json"), ())
