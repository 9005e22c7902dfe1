"""Downloads: resumed, atomic, verified; offline and failures in plain words."""

import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from s3prl_sb.lobes.upstreams import fetch as module
from s3prl_sb.lobes.upstreams.fetch import FetchError, cache_folder, fetch, offline

DATA = bytes(range(256)) * 1200
SHA256 = hashlib.sha256(DATA).hexdigest()
DOWNLOAD = """
import sys
from s3prl_sb.lobes.upstreams.fetch import fetch
print(fetch(sys.argv[1]))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves DATA in every way a server may: the path says how.

    ``/broken/…`` breaks off in the middle, unless a part is asked for;
    ``/whole/…`` knows no parts; ``/moved/…`` redirects; ``/chunked/…`` gives no
    length and breaks off; ``/wrong/…`` serves other bytes; ``/absent`` nothing.
    """

    def do_GET(self):
        kind, asked = self.path.split("/")[1], self.headers.get("Range")
        self.server.requests.append((kind, asked))
        data, first = DATA, 0
        if kind == "absent":
            return self.send_error(404)
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/broken/target.pt")
            return self.end_headers()
        if kind == "wrong":
            data = b"<html>sign in</html>" * 100
        if asked and kind != "whole":
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if first >= len(data):
                return self.send_error(416)
        self.send_response(206 if first else 200)
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n" % len(data) + data[:1000])
        else:
            self.send_header("Content-Length", str(len(data) - first))
            self.end_headers()
            breaks = kind == "broken" and not first
            self.wfile.write(data[first : len(data) // 3 if breaks else None])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args):
        """Quietly."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Its address; downloads go to a folder of this test."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    for name in ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def leftovers():
    return sorted(path.name for path in cache_folder().glob("*.part"))


# ------------------------------------------------------------------ downloads
def test_download_once(server):
    path = fetch(f"{server.url}/plain/model.pt?download=1")
    assert path.read_bytes() == DATA and path.name.endswith("-model.pt")
    assert path.parent == cache_folder()
    assert fetch(f"{server.url}/plain/model.pt?download=1") == path
    assert len(server.requests) == 1 and leftovers() == []


def test_addresses_do_not_collide(server):
    paths = {
        fetch(f"{server.url}/plain/{name}")
        for name in ("a/x.pt", "b/x.pt", "x.pt?dl=1")
    }
    assert len(paths) == 3


def test_broken_off_and_resumed(server):
    url = f"{server.url}/broken/model.pt"
    with pytest.raises(
        FetchError, match="broke off at .* Run again to resume"
    ) as caught:
        fetch(url, SHA256)
    assert url in str(caught.value) and len(leftovers()) == 1
    assert fetch(url, SHA256).read_bytes() == DATA
    assert [asked for _, asked in server.requests] == [None, f"bytes={len(DATA) // 3}-"]
    assert leftovers() == []


def test_server_without_parts_starts_over(server):
    url = f"{server.url}/whole/model.pt"
    part = module._target(url)
    part = part.with_name(part.name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"another beginning")
    assert fetch(url).read_bytes() == DATA


def test_killed_between_the_last_byte_and_the_name(server):
    url = f"{server.url}/plain/model.pt"
    part = module._target(url)
    part = part.with_name(part.name + ".part")
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA)
    assert fetch(url, SHA256).read_bytes() == DATA  # 416: nothing is lacking


def test_redirects_are_followed(server):
    url = f"{server.url}/moved/model.pt"
    with pytest.raises(FetchError, match="broke off"):
        fetch(url)
    assert fetch(url).read_bytes() == DATA
    assert [kind for kind, _ in server.requests] == ["moved", "broken"] * 2


def test_chunked_answer_that_breaks_off(server):
    with pytest.raises(FetchError, match="Cannot download"):
        fetch(f"{server.url}/chunked/model.pt")


def test_wrong_bytes(server):
    url = f"{server.url}/wrong/model.pt"
    with pytest.raises(FetchError, match=f"another file than the published.*{SHA256}"):
        fetch(url, SHA256)
    assert leftovers() == [] and not module._target(url).exists()


def test_not_found(server):
    with pytest.raises(FetchError, match="Cannot download .*404") as caught:
        fetch(f"{server.url}/absent")
    assert str(module._target(f"{server.url}/absent")) in str(caught.value)


def test_no_server(server):
    url = f"{server.url}/plain/model.pt"
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="Cannot download"):
        fetch(url)


def test_several_processes_download_once(server):
    command = [sys.executable, "-c", DOWNLOAD, f"{server.url}/plain/model.pt"]
    running = [
        subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    printed = {process.communicate(timeout=60)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(printed) == 1 and Path(printed.pop()).read_bytes() == DATA
    assert len(server.requests) == 1


# -------------------------------------------------------------------- offline
@pytest.mark.parametrize("variable", ["S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_says_which_file_goes_where(variable, server, monkeypatch):
    url = f"{server.url}/plain/model.pt"
    monkeypatch.setenv(variable, "1")
    with pytest.raises(FetchError) as caught:
        fetch(url)
    target = module._target(url)
    assert url in str(caught.value) and f"'{target}'" in str(caught.value)
    assert server.requests == []
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(DATA)
    assert fetch(url) == target


@pytest.mark.parametrize("value, expected", [("", False), ("0", False), ("1", True)])
def test_offline_switch(value, expected, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("S3PRL_SB_OFFLINE", value)
    assert offline() is expected


def test_offline_means_hugging_face_too(server, monkeypatch):
    """The library's own switch is read when it is imported: it must be told."""
    import huggingface_hub

    calls = []

    def snapshot_download(repository, local_files_only=False, **kwargs):
        calls.append(local_files_only)
        raise FileNotFoundError("not in the cache.")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    with pytest.raises(FetchError, match="point `source` at the folder"):
        fetch("someone/some-model")
    assert calls in ([], [True])


# ---------------------------------------------------------------- local sources
def test_local_file_and_folder(tmp_path):
    file = tmp_path / "a.pt"
    file.write_bytes(DATA)
    assert fetch(file) == fetch(str(file)) == file and fetch(tmp_path) == tmp_path
    assert fetch(file, SHA256) == file
    with pytest.raises(FetchError, match="is not the published file.*Delete it"):
        fetch(file, "0" * 64)


def test_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.pt").write_bytes(DATA)
    assert fetch("~/a.pt") == tmp_path / "a.pt"
    monkeypatch.setenv("S3PRL_SB_CACHE", "~/elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"


@pytest.mark.parametrize("source", ["absent.pt", "folder/absent.pt", "/a/b/c", "a/b/c"])
def test_no_such_file(source):
    with pytest.raises(FileNotFoundError, match=f"No checkpoint at '{source}'"):
        fetch(source)


@pytest.mark.parametrize("repository", ["someone/some-model", "someone/model-v0.2"])
def test_hugging_face_ids(repository, tmp_path, monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot_download(name, **kwargs):
        asked.append((name, kwargs["allow_patterns"]))
        return str(tmp_path)

    monkeypatch.delenv("S3PRL_SB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    assert fetch(repository) == tmp_path
    assert asked == [(repository, module.HF_FILES)]


def test_a_cached_file_is_verified_too(server, monkeypatch):
    """Whoever put it there: another hash is an error."""
    url = f"{server.url}/plain/model.pt"
    target = module._target(url)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"something else")
    with pytest.raises(FetchError, match="is not the published file"):
        fetch(url, SHA256)


def test_cache_folder_is_read_when_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("S3PRL_SB_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "s3prl_sb")
    assert not os.path.exists(tmp_path / "s3prl_sb")
