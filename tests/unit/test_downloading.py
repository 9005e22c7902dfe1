"""Corpora from the network: resumed, verified, never outside their folder."""

import hashlib
import http.server
import io
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from s3prl_sb.corpora import ami, downloading, downloads, librispeech
from s3prl_sb.corpora.downloading import DownloadError, Published, download, extract
from s3prl_sb.dataio import manifest
from s3prl_sb.storage import remote_files

WAV = "amicorpus/{0}/audio/{0}.Mix-Headset.wav"
SOUND = bytes(range(256)) * 2000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``, and parts of them, by a version: the ETag.

    ``server.cuts`` says after how many bytes the next answers break off.
    """

    def do_GET(self):
        name, asked = self.path[1:], self.headers.get("Range")
        self.server.requests.append((name, asked))
        if name not in self.server.files:
            return self.send_error(404)
        data = self.server.files[name]
        tag, first = f'"{hashlib.md5(data).hexdigest()}"', 0
        if asked and self.headers.get("If-Range") == tag:
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
        self.send_response(206 if first else 200)
        self.send_header("ETag", tag)
        if first:
            self.send_header(
                "Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}"
            )
        self.send_header("Content-Length", str(len(data) - first))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        for start in range(first, first + len(data[first:][:cut]), 50_000):
            stop = start + 50_000 if cut is None else min(first + cut, start + 50_000)
            self.wfile.write(data[start:stop])
            self.wfile.flush()
            time.sleep(self.server.pause)
        self.close_connection = True

    def log_message(self, *args):
        """Quietly."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        """Quietly: clients that are killed hang up."""


@pytest.fixture
def server(monkeypatch):
    for name in ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(remote_files, "PAUSE", 0)
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.cuts, server.requests, server.pause = {}, [], [], 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def tar(members):
    """A .tar.gz of ``{name: content}``; what is a TarInfo already goes in as it is."""
    stream = io.BytesIO()
    # Not compressed, so that its length is that of the content
    with tarfile.open(fileobj=stream, mode="w:gz", compresslevel=0) as archive:
        for name, content in members.items():
            info = content
            if not isinstance(content, tarfile.TarInfo):
                info = tarfile.TarInfo(name)
                info.size = len(content)
            archive.addfile(info, io.BytesIO(b"" if info is content else content))
    return stream.getvalue()


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def corpus(server, name="part.tar.gz", folder="Corpus/part"):
    """Puts an archive on the server; gives what is published of it."""
    data = tar({f"{folder}/a.flac": SOUND, f"{folder}/b/c.txt": b"HELLO\n"})
    server.files[name] = data
    sha256 = hashlib.sha256(data).hexdigest()
    return Published(f"{server.url}/{name}", 1e-3, sha256)


def content(folder):
    """``{path: bytes}`` of all files, but the stamps and the lock."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and downloading.WORK not in path.parts
    }


def rest(folder):
    """Names in the working folder, the lock aside."""
    work = folder / downloading.WORK
    names = {path.name for path in work.iterdir()} if work.is_dir() else ()
    return sorted(name for name in names if name != "lock")


WHOLE = {"Corpus/part/a.flac": SOUND, "Corpus/part/b/c.txt": b"HELLO\n"}


def test_unpacked_once(server, tmp_path):
    file = corpus(server)
    assert download([file], tmp_path) == tmp_path
    assert content(tmp_path) == WHOLE
    assert [name[-5:] for name in rest(tmp_path)] == [".json"]
    before = len(server.requests)
    download([file], tmp_path)
    assert len(server.requests) == before
    shutil.rmtree(tmp_path / "Corpus/part")
    download([file], tmp_path)
    assert content(tmp_path) == WHOLE


def test_two_archives_of_one_folder(server, tmp_path):
    files = [corpus(server), corpus(server, "other.tar.gz", "Corpus/other")]
    download(files, tmp_path)
    assert len(content(tmp_path)) == 4
    shutil.rmtree(tmp_path / "Corpus/other")  # only that one is fetched again
    server.requests.clear()
    download(files, tmp_path)
    assert [name for name, _ in server.requests] == ["other.tar.gz"]
    assert len(content(tmp_path)) == 4


def test_plain_files_folders_and_names(server, tmp_path):
    server.files["lexicon.txt"] = b"A AH0\n"
    server.files["drive"] = tar({"a.txt": b"1"})
    files = [
        Published(f"{server.url}/lexicon.txt", 0, folder="Corpus"),
        Published(f"{server.url}/drive", 0, folder="there", name="corpus.tgz"),
    ]
    download(files, tmp_path)
    assert content(tmp_path) == {"Corpus/lexicon.txt": b"A AH0\n", "there/a.txt": b"1"}
    server.requests.clear()
    download(files, tmp_path)
    assert not server.requests


def test_a_broken_transfer_goes_on(server, tmp_path):
    file = corpus(server)
    server.cuts = [200_000, 100_000]
    download([file], tmp_path)
    assert content(tmp_path) == WHOLE
    asked = [part for _, part in server.requests]
    assert asked == [None, "bytes=200000-", "bytes=300000-"]


def test_a_file_that_changes_meanwhile_starts_anew(server, tmp_path, monkeypatch):
    monkeypatch.setattr(remote_files, "TRIES", 1)
    old, server.cuts = corpus(server), [200_000]
    with pytest.raises(DownloadError, match="Run again to resume"):
        download([old], tmp_path)
    data = tar({"Corpus/part/new.txt": SOUND})
    server.files["part.tar.gz"] = data
    new = old._replace(sha256=hashlib.sha256(data).hexdigest())
    download([new], tmp_path)
    assert content(tmp_path) == {"Corpus/part/new.txt": SOUND}


def test_another_file_than_the_published_one(server, tmp_path):
    file = corpus(server)
    with pytest.raises(DownloadError, match="its sha256 is .*, not 0000.*deleted"):
        download([file._replace(sha256="0" * 64)], tmp_path)
    assert not content(tmp_path) and not rest(tmp_path)
    download([file], tmp_path)
    assert content(tmp_path) == WHOLE


def test_published_md5_list(server, tmp_path):
    file = corpus(server)
    md5 = hashlib.md5(server.files["part.tar.gz"]).hexdigest()
    file = file._replace(md5sums=f"{server.url}/md5sum.txt", sha256=None)
    with pytest.raises(DownloadError, match="Cannot download .*md5sum.txt.*404"):
        download([file], tmp_path)
    server.files["md5sum.txt"] = b"00 *other.tar.gz\n"
    with pytest.raises(DownloadError, match="md5sum.txt has no line for part.tar.gz"):
        download([file], tmp_path)
    archives = [n for n, part in server.requests if n == "part.tar.gz"]
    assert len(archives) == 1  # what is there is not fetched again
    server.files["md5sum.txt"] = f"{'0' * 32}  part.tar.gz\n".encode()
    with pytest.raises(DownloadError, match=f"its md5 is {md5}, not 0000"):
        download([file], tmp_path)
    server.files["md5sum.txt"] = f"1  x\n{md5}  ./12/part.tar.gz\n".encode()
    download([file], tmp_path)
    assert content(tmp_path) == WHOLE


def test_absent_room_and_offline(server, tmp_path, monkeypatch):
    with pytest.raises(DownloadError, match="Cannot download .*absent.*404"):
        download([Published(f"{server.url}/absent.tgz", 0)], tmp_path)
    file = corpus(server)._replace(gigabytes=1e6)
    with pytest.raises(DownloadError, match="part.tar.gz takes about .* has room for"):
        download([file], tmp_path)
    assert not any(name == "part.tar.gz" for name, _ in server.requests)
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    with pytest.raises(DownloadError, match="Offline"):
        download([corpus(server)], tmp_path)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil", "a\\b"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_that_lead_outside(server, tmp_path, name, kind):
    if kind == "tar":
        data = tar({"good.txt": b"1", name: b"evil"})
    else:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, b"evil")
        data = stream.getvalue()
    server.files["corpus.tgz" if kind == "tar" else "corpus.zip"] = data
    folder = tmp_path / "inner" / "folder"
    address = f"{server.url}/corpus.{'tgz' if kind == 'tar' else 'zip'}"
    with pytest.raises(DownloadError, match="is not safe: its member .* outside"):
        download([Published(address, 0)], folder)
    assert not content(tmp_path)
    assert not Path("/evil.txt").exists()


def test_links_and_devices_are_left_out(tmp_path, caplog):
    """A link first, then a file through it: the known way out of a folder."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    fifo = tarfile.TarInfo("pipe")
    fifo.type = tarfile.FIFOTYPE
    members = {
        "door": link("door", str(outside)),
        "door/evil.txt": b"evil",
        "hard": link("hard", "/etc/hostname", tarfile.LNKTYPE),
        "pipe": fifo,
        "good.txt": b"good",
    }
    (tmp_path / "a.tgz").write_bytes(tar(members))
    with caplog.at_level(logging.WARNING):
        extract(tmp_path / "a.tgz", inside)
    assert content(inside) == {"door/evil.txt": b"evil", "good.txt": b"good"}
    assert not any(outside.iterdir())
    assert not any(path.is_symlink() for path in inside.rglob("*"))
    assert "3 members that are no plain files are left out, such as door" in caplog.text


def test_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("SNIPS/train/a.wav", SOUND)
        archive.mkdir("SNIPS/empty")
        door = zipfile.ZipInfo("SNIPS/door")
        door.external_attr = 0o120777 << 16  # a symbolic link
        archive.writestr(door, "/etc")
    (tmp_path / "out").mkdir()
    extract(tmp_path / "a.zip", tmp_path / "out")
    assert content(tmp_path / "out") == {"SNIPS/train/a.wav": SOUND}
    assert (tmp_path / "out/SNIPS/empty").is_dir()


def test_no_whole_archive(server, tmp_path):
    """Not verified, as no hash is published; seen when it is unpacked."""
    whole = tar({"a.txt": SOUND})
    broken = {"page": b"no archive" * 100, "half": whole[: len(whole) // 2]}
    broken["wrong"] = whole[:200_000] + b"?" * 1000 + whole[201_000:]
    for name, data in broken.items():
        server.files[f"{name}.tgz"] = data
        with pytest.raises(DownloadError, match="no whole archive .*deleted; run"):
            download([Published(f"{server.url}/{name}.tgz", 0)], tmp_path)
        assert not content(tmp_path)
        server.files[f"{name}.tgz"] = tar({f"{name}.txt": SOUND})
        download([Published(f"{server.url}/{name}.tgz", 0)], tmp_path)
        assert content(tmp_path) == {f"{name}.txt": SOUND}
        (tmp_path / f"{name}.txt").unlink()


def test_something_in_the_way(server, tmp_path):
    file = corpus(server)
    (tmp_path / "Corpus").mkdir()
    (tmp_path / "Corpus/part").write_text("mine")
    with pytest.raises(DownloadError, match="Corpus/part' is in the way"):
        download([file], tmp_path)
    (tmp_path / "Corpus/part").unlink()
    (tmp_path / "Corpus/mine.txt").write_text("mine")
    download([file], tmp_path)
    assert content(tmp_path) == {**WHOLE, "Corpus/mine.txt": b"mine"}


RUN = """
import sys
from s3prl_sb.corpora.downloading import Published, download
download([Published(sys.argv[1], 1e-3, sys.argv[2])], sys.argv[3])
"""


def test_killed_and_run_again(server, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOUND", SOUND * 8)
    file, server.pause = corpus(server), 0.02
    command = [sys.executable, "-c", RUN, file.url, file.sha256, str(tmp_path)]
    killed = subprocess.Popen(command, env={**os.environ}, stderr=subprocess.DEVNULL)
    deadline = time.time() + 60
    while not any(p.stat().st_size for p in tmp_path.rglob("*gz.part")):
        assert time.time() < deadline and killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    server.pause = 0
    download([file], tmp_path)
    assert content(tmp_path) == {**WHOLE, "Corpus/part/a.flac": SOUND}
    assert re.fullmatch(r"bytes=[1-9]\d*-", server.requests[-1][1])


def test_killed_while_unpacking(server, tmp_path, monkeypatch):
    file = corpus(server)

    def die(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(downloading, "_merge", die)
    with pytest.raises(KeyboardInterrupt):
        download([file], tmp_path)
    assert not content(tmp_path)
    monkeypatch.undo()
    server.files.clear()  # the archive is there already
    download([file], tmp_path)
    assert content(tmp_path) == WHOLE


# ------------------------------------------------------------------- the corpora
def test_librispeech_asks_for_the_published_files(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        librispeech, "download", lambda files, to: asked.update(files=files, to=to)
    )
    librispeech.download_librispeech(tmp_path, ["dev-clean"], language_model=True)
    names = [file.file_name for file in asked["files"]]
    assert names == [
        "dev-clean.tar.gz",
        "librispeech-lexicon-200k-g2p.txt",
        "librispeech-lexicon-allothers-g2p.txt",
        "librispeech-lexicon.txt",
        "4-gram.arpa.gz",
    ]
    first, second = asked["files"][:2]
    assert first.url == "https://www.openslr.org/resources/12/dev-clean.tar.gz"
    assert first.md5sums == "https://www.openslr.org/resources/12/md5sum.txt"
    assert len(first.sha256) == 64 and not first.folder
    assert second.folder == "LibriSpeech"
    with pytest.raises(ValueError, match="no part 'dev'. There are dev-clean"):
        librispeech.download_librispeech(tmp_path, ["dev"])


def test_ami(server, tmp_path, monkeypatch):
    """The annotation tells which meetings there are, and how long."""
    commit = f"AMI-diarization-setup-{ami.COMMIT}"
    setup = {}
    for split, name in (("train", "TS1a"), ("dev", "IS2b"), ("test", "EN3c")):
        setup[f"{commit}/lists/{split}.meetings.txt"] = f"{name}\n".encode()
        setup[f"{commit}/uems/{split}/{name}.uem"] = f"{name} 1 0.0 0.5\n".encode()
        line = f"SPEAKER {name} 1 0.1 0.2 <NA> <NA> FEE005 <NA> <NA>\n".encode()
        setup[f"{commit}/only_words/rttms/{split}/{name}.rttm"] = line
        setup[f"{commit}/only_words/rttms/{split}.rttm"] = line
        audio = io.BytesIO()
        soundfile.write(audio, np.zeros(8000), 16000, format="WAV")
        server.files[WAV.format(name)] = audio.getvalue()
    server.files["setup.tar.gz"] = tar(setup)
    monkeypatch.setattr(ami, "SETUP", Published(f"{server.url}/setup.tar.gz", 1e-6))
    monkeypatch.setattr(ami, "MIRROR", f"{server.url}/amicorpus")
    whole = server.files[WAV.format("IS2b")]
    for wrong in (whole[:4000], b"RIFF, but not"):
        server.files[WAV.format("IS2b")] = wrong
        with pytest.raises(DownloadError, match=r"IS2b.*IS2b.uem says that it has 0.5"):
            ami.download_ami(tmp_path / "ami")
    server.files[WAV.format("IS2b")] = whole
    folder = ami.download_ami(tmp_path / "ami")
    assert (folder / WAV.format("EN3c")).is_file()
    paths = ami.prepare_ami_sd(folder, tmp_path / "save")
    record = manifest.read(paths["valid"])["IS2b"]
    assert record["segments"] == [["FEE005", 0.1, pytest.approx(0.3)]]
    asked = len(server.requests)
    ami.download_ami(folder)
    assert len(server.requests) == asked


@pytest.mark.parametrize(
    "name", ["iemocap", "libri2mix", "hear", "xares", "desed", "ml_superb"]
)
def test_what_needs_a_form_says_where(name, tmp_path):
    with pytest.raises(DownloadError, match=r"cannot be downloaded.*\(https://"):
        downloads.downloader(name)(tmp_path)
    assert not any(tmp_path.iterdir())


def test_all_downloads_are_documented():
    for name in downloads.names():
        assert downloads.downloader(name).__doc__, name


def test_stamp_is_json(server, tmp_path):
    download([corpus(server)], tmp_path)
    (name,) = rest(tmp_path)
    stamp = json.loads((tmp_path / downloading.WORK / name).read_text())
    assert stamp["files"] == ["Corpus/part"]


def test_a_failure_with_nothing_to_go_on_with_leaves_nothing(server, tmp_path):
    file = Published(f"{server.url}/absent.tar.gz", 1e-6)
    for folder in (tmp_path / "new", tmp_path / "old"):
        (tmp_path / "old").mkdir(exist_ok=True)
        with pytest.raises(DownloadError, match="404"):
            download([file], folder)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert not list((tmp_path / "old").iterdir())
