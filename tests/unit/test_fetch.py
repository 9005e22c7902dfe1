"""Downloads: resumed, atomic, verified; offline and failures in plain words."""

import dataclasses
import hashlib
import http.server
import io
import json
import os
import re
import signal
import threading
import time
import types
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from started_processes import Fork

from s3prl_sb.lobes.checkpoints import fetch as module
from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.fetch import FetchError, cache_folder, fetch
from s3prl_sb.lobes.checkpoints.language_adapters import read_source
from s3prl_sb.storage import remote_files
from s3prl_sb.storage.remote_files import offline

DATA = bytes(range(256)) * 1200
OTHER = bytes(reversed(range(256))) * 1200
SHA256 = hashlib.sha256(DATA).hexdigest()
PAGE = b"\n<!DOCTYPE HTML><html><head><title>Sign in\n</title></head></html>"
DOWNLOAD = """
import sys
from s3prl_sb.lobes.checkpoints.fetch import fetch
print(fetch(sys.argv[1]))
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the server's ``data`` in every way a server may: the path says how.

    ``/plain/…`` as it should, parts too, with an ETag;
    ``/dated/…`` the same with Last-Modified alone, ``/weak/…`` with a weak ETag;
    ``/careless/…`` gives any part that is asked for, whatever If-Range says, and
    ``/blind/…`` does so without a version;
    ``/whole/…`` knows no parts, ``/bare/…`` neither parts nor versions;
    ``/short/…`` parts of 50 kB at most;
    ``/chunked/…`` gives no length, ``/open/…`` neither, nor an end;
    ``/moved/…`` redirects to what follows, ``/busy/…`` is busy twice;
    ``/absent`` is not there.

    ``cuts`` says after how many bytes the next answers break off.
    """

    def do_GET(self):
        kind, rest = self.path.split("/", 2)[1:]
        server, data = self.server, self.server.data
        asked = self.headers.get("Range")
        server.requests.append((kind, asked))
        if kind == "absent":
            return self.send_error(404)
        if kind == "busy" and len(server.requests) < 3:
            return self.send_error(503)
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", "/" + rest)
            return self.end_headers()
        tag = '"%s"' % hashlib.md5(data).hexdigest()
        versions = {"ETag": tag} if kind not in ("bare", "blind") else {}
        if kind in ("dated", "weak"):
            versions = {"Last-Modified": f"Mon, {tag}"}
        if kind == "weak":
            versions["ETag"] = "W/" + tag
        ignores = kind in ("careless", "blind")
        if self.headers.get("If-Range") not in versions.values() and not ignores:
            asked = None
        first, last = 0, len(data)
        if asked and kind not in ("whole", "bare"):
            first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if first >= last:
                return self.send_error(416)
            if kind == "short":
                last = min(last, first + 50_000)
        self.protocol_version = "HTTP/1.1" if kind == "chunked" else "HTTP/1.0"
        self.send_response(206 if first else 200)
        for name, value in versions.items():
            self.send_header(name, value)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{len(data)}")
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        body = data[first:last][:cut]
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            self.wfile.write(b"0\r\n\r\n" if cut is None else b"")
        else:
            if kind != "open":
                self.send_header("Content-Length", str(last - first))
            self.end_headers()
            for start in range(0, len(body), 20_000):
                self.wfile.write(body[start : start + 20_000])
                self.server.pause()
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, *args):
        """Quietly."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args):
        """Quietly: clients that are killed hang up."""


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Its address; downloads go to a folder of this test."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))
    for name in ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(remote_files, "PAUSE", 0)
    server = Server(("127.0.0.1", 0), Handler)
    server.data, server.cuts, server.requests = DATA, [], []
    server.pause = lambda: None
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


def files():
    """Returns the files in the cache, without locks."""
    found = sorted(path.name[17:] for path in cache_folder().glob("*"))
    return [name for name in found if not name.endswith(".lock")]


def begun(server, kind, size=1000):
    """A download that was killed after some bytes."""
    url = f"{server.url}/{kind}/model.pt"
    server.cuts = [size] * remote_files.TRIES if kind != "bare" else [size] * 20
    tries, remote_files.TRIES = remote_files.TRIES, 1
    try:
        with pytest.raises(FetchError, match="broke off"):
            fetch(url)
    finally:
        remote_files.TRIES, server.cuts = tries, []
    assert module._target(url).with_suffix(".pt.part").stat().st_size == size
    server.requests.clear()
    return url


# ------------------------------------------------------------------ downloads
KINDS = "plain dated weak careless blind whole bare short chunked open".split()


@pytest.mark.parametrize("kind", KINDS)
def test_download_once(kind, server):
    path = fetch(f"{server.url}/{kind}/model.pt?download=1")
    assert path.read_bytes() == DATA and path.name.endswith("-model.pt")
    assert path.parent == cache_folder()
    assert fetch(f"{server.url}/{kind}/model.pt?download=1") == path
    assert len(server.requests) == 1 and files() == ["model.pt"]


def test_addresses_do_not_collide(server):
    names = ("a/x.pt", "b/x.pt", "x.pt?dl=1", "x.pt#a", "n" * 300 + ".pt")
    paths = {fetch(f"{server.url}/plain/{name}") for name in names}
    assert len(paths) == len(names)


# ---------------------------------------------------------------- breaking off
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "open"])
def test_goes_on_by_itself_where_it_broke_off(kind, server, monkeypatch):
    monkeypatch.setattr(remote_files, "CHUNK", 10_000)
    server.cuts = [100_000, 1000]
    url = f"{server.url}/{kind}/model.pt"
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    asked = [asked for _, asked in server.requests]
    if kind in ("whole", "bare", "blind"):
        # Without a version nobody knows of what the part is.
        expected = "bytes=100000-" if kind == "whole" else None
        assert asked[:2] == [None, expected] and len(asked) == 3
    elif kind == "short":
        assert asked[:3] == [None, "bytes=100000-", "bytes=101000-"]
        assert len(asked) == 2 + -(-(len(DATA) - 101_000) // 50_000)
    elif kind == "chunked":  # the last of what came may be lost
        assert asked[0] is None and asked[1].startswith("bytes=")
    else:
        assert asked == [None, "bytes=100000-", "bytes=101000-"]
    assert files() == ["model.pt"]


def test_gives_up_after_a_few_tries(server):
    server.cuts = [100] * 100
    url = f"{server.url}/plain/model.pt"
    with pytest.raises(FetchError, match="broke off at .* Run again to resume") as e:
        fetch(url)
    assert url in str(e.value) and len(server.requests) == remote_files.TRIES
    assert files() == ["model.pt.part", "model.pt.part.json"]
    server.cuts = []
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    assert server.requests[-1][1] == f"bytes={100 * remote_files.TRIES}-"
    assert files() == ["model.pt"]


def test_as_long_as_it_makes_progress_it_goes_on(server, monkeypatch):
    monkeypatch.setattr(remote_files, "CHUNK", 1000)
    server.cuts = [len(DATA) // 20] * 30
    assert fetch(f"{server.url}/plain/model.pt").read_bytes() == DATA
    assert len(server.requests) > 3 * remote_files.TRIES
    server.cuts = [len(DATA) // 20] * 30  # and not, if it only seems to
    with pytest.raises(FetchError, match="broke off"):
        fetch(f"{server.url}/bare/model.pt")


def test_waits_longer_each_time(server, monkeypatch):
    waits = []
    monkeypatch.setattr(remote_files, "PAUSE", 1)
    monkeypatch.setattr(remote_files.time, "sleep", waits.append)
    server.cuts = [10] * 100
    with pytest.raises(FetchError):
        fetch(f"{server.url}/plain/model.pt")
    assert waits == [1, 2, 4, 8]


def test_busy_servers_are_asked_again(server):
    assert fetch(f"{server.url}/busy/model.pt").read_bytes() == DATA
    assert len(server.requests) == 3


def test_open_end(server):
    """No length and no end: a zip is known to be cut, other files need a hash."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", DATA)
    server.data, server.cuts = stream.getvalue(), [1000]
    assert fetch(f"{server.url}/open/zip.pt").read_bytes() == server.data
    assert len(server.requests) == 2
    server.data, server.cuts = DATA, [1000]
    with pytest.raises(FetchError, match="gives another file"):
        fetch(f"{server.url}/open/model.pt#sha256={SHA256}")
    assert fetch(f"{server.url}/open/model.pt#sha256={SHA256}").read_bytes() == DATA


# -------------------------------------------------------------------- resuming
@pytest.mark.parametrize("kind", ["plain", "dated", "weak", "careless", "short"])
def test_resumes_the_same_file(kind, server, monkeypatch):
    monkeypatch.setattr(remote_files, "CHUNK", 10_000)
    url = begun(server, kind)
    assert fetch(url).read_bytes() == DATA
    assert server.requests[0][1] == "bytes=1000-" and files() == ["model.pt"]


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind not in ("chunked", "open")]
)
def test_another_file_by_now(kind, server):
    """Half of one and half of the other would pass for a checkpoint."""
    url = begun(server, kind)
    server.data = OTHER
    assert fetch(url).read_bytes() == OTHER and files() == ["model.pt"]


def test_another_size_by_now(server):
    url = begun(server, "careless")
    server.data = DATA + b"more"
    assert fetch(url).read_bytes() == DATA + b"more"


def test_shorter_than_the_part_by_now(server):
    url = begun(server, "careless", 5000)
    server.data = DATA[:3000]
    assert fetch(url).read_bytes() == DATA[:3000]


@pytest.mark.parametrize("record", [None, b"", b"[]", b"{", b'{"size": 1}', b"\xff"])
def test_a_part_of_unknown_version_starts_over(record, server):
    url = f"{server.url}/plain/model.pt"
    part = module._target(url).with_suffix(".pt.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"another beginning")
    if record is not None:
        part.with_suffix(".part.json").write_bytes(record)
    assert fetch(url).read_bytes() == DATA and files() == ["model.pt"]


def test_killed_between_the_last_byte_and_the_name(server):
    url = begun(server, "plain")
    module._target(url).with_suffix(".pt.part").write_bytes(DATA)
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    assert server.requests == [] and files() == ["model.pt"]


@pytest.mark.parametrize("moment", [0.1, 0.5, 0.9])
def test_kill_9(moment, server):
    """A real one, in the middle; what has arrived is not asked for again."""
    url = f"{server.url}/plain/model.pt"
    arrived, done = threading.Event(), []

    def pause():
        done.append(1)
        if len(done) == max(1, int(moment * len(DATA) / 20_000)):
            arrived.set()
            time.sleep(0.5)  # long enough to be killed
        return None

    server.pause = pause
    small = "from s3prl_sb.storage import remote_files; remote_files.CHUNK = 10_000"
    code = DOWNLOAD.replace("import sys", f"import sys\n{small}", 1)
    process = Fork(code, url)
    assert arrived.wait(60)
    part = module._target(url).with_suffix(".pt.part")
    for _ in range(100):
        if part.exists() and part.stat().st_size:
            break
        time.sleep(0.01)
    assert process.kill() == -signal.SIGKILL
    size = part.stat().st_size
    assert 0 < size < len(DATA) and not module._target(url).exists()
    server.pause = lambda: None
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    assert server.requests[-1] == ("plain", f"bytes={size}-")
    assert files() == ["model.pt"]


# ------------------------------------------------------------------- redirects
@pytest.mark.parametrize("kind", ["plain", "dated", "whole", "moved/plain"])
def test_redirects_are_followed(kind, server):
    server.cuts = [100_000]
    url = f"{server.url}/moved/{kind}/model.pt"
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    last = kind.split("/")[-1]
    assert [one for one, _ in server.requests].count(last) == 2
    assert server.requests[-1] == (last, "bytes=100000-")  # through the redirects


def test_redirect_to_a_server_that_drops_the_range(server):
    url = f"{server.url}/moved/whole/model.pt"
    server.cuts = [1000] * 2
    assert fetch(url).read_bytes() == DATA
    assert len(server.requests) == 6 and files() == ["model.pt"]


def test_redirect_in_circles(server):
    path = "moved/" * 20 + "plain/model.pt"
    with pytest.raises(FetchError, match="Cannot download .*redirect"):
        fetch(f"{server.url}/{path}")


# ----------------------------------------------------------------- wrong bytes
def test_wrong_bytes(server):
    server.data = OTHER
    url = f"{server.url}/plain/model.pt"
    with pytest.raises(FetchError, match=f"another file than the published.*{SHA256}"):
        fetch(f"{url}#sha256={SHA256}")
    assert files() == []
    server.data = DATA
    assert fetch(f"{url}#sha256={SHA256.upper()}").read_bytes() == DATA


@pytest.mark.parametrize(
    "served, message",
    [
        (PAGE, r"a web page \(Sign in\) and no file.* dead, or asks to sign"),
        (b"\xef\xbb\xbf<html>gone", "a web page and no file"),
        (b"<?xml version='1.0'?><Error>NoSuchKey", "a web page"),
        (b"<!doctype html><title>\x1b[2J<b></title>" + DATA, "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "chunked", "open"])
def test_no_checkpoint_at_all(kind, served, message, server):
    server.data = served
    url = f"{server.url}/{kind}/model.pt"
    with pytest.raises(FetchError, match=message) as caught:
        fetch(url)
    assert url in str(caught.value) and str(caught.value).isprintable()
    assert files() == [] and len(server.requests) == 1


def test_not_found(server):
    with pytest.raises(FetchError, match="Cannot download .*404") as caught:
        fetch(f"{server.url}/absent/model.pt")
    target = module._target(f"{server.url}/absent/model.pt")
    assert str(target) in str(caught.value) and len(server.requests) == 1


def test_no_server(server):
    url = f"{server.url}/plain/model.pt"
    server.shutdown()
    server.server_close()
    with pytest.raises(FetchError, match="Cannot download"):
        fetch(url)


@pytest.mark.parametrize("url", ["http://", "http://a b/c", "http://[::1/x.pt"])
def test_no_address(url, server):
    with pytest.raises(FetchError, match="Cannot download"):
        fetch(url)


# ------------------------------------------------------------------ a full disk
def test_too_large_for_the_disk(server, monkeypatch):
    free = [200_000, 10**9, 1, len(DATA) - 150_000]
    usage = lambda folder: types.SimpleNamespace(free=free.pop(0))  # noqa: E731
    monkeypatch.setattr(remote_files.shutil, "disk_usage", usage)
    url = f"{server.url}/plain/model.pt"
    with pytest.raises(FetchError, match="has room for 0.00 GB.*S3PRL_SB_CACHE"):
        fetch(url)
    server.cuts = [150_000]
    with pytest.raises(FetchError, match="has room for"):  # for the rest of it
        fetch(url)
    assert fetch(url).read_bytes() == DATA  # what has arrived was kept


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit of file size")
def test_disk_runs_full(server):
    """A real error of the file system, in the middle."""
    import resource

    url = f"{server.url}/plain/model.pt"
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, kept[1]))
    try:
        with pytest.raises(FetchError, match="Cannot download .*Run again to resume"):
            fetch(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)
    assert fetch(f"{url}#sha256={SHA256}").read_bytes() == DATA
    assert server.requests[-1][1] == "bytes=100000-"


def test_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(FetchError, match="Cannot download .*file/cache"):
        fetch(f"{server.url}/plain/model.pt")


def test_several_processes_download_once(server):
    running = [Fork(DOWNLOAD, f"{server.url}/plain/model.pt") for _ in range(2)]
    (printed, status), other = [process.read() for process in running]
    assert status == 0 and other == (printed, 0)
    assert Path(printed.strip()).read_bytes() == DATA
    assert len(server.requests) == 1


# --------------------------------------------------------------------- mirrors
def test_mirrors_in_order(server):
    mirrors = [f"{server.url}/{kind}/model.pt" for kind in ("absent", "plain", "dated")]
    assert fetch(mirrors) == module._target(mirrors[1])
    assert [kind for kind, _ in server.requests] == ["absent", "plain"]
    server.requests.clear()
    assert fetch(mirrors) == module._target(mirrors[1])  # nothing is asked again
    assert fetch(tuple(mirrors[::-1])) == module._target(mirrors[1])
    assert server.requests == []


def test_mirror_of_wrong_bytes(server):
    other = hashlib.sha256(OTHER).hexdigest()
    mirrors = [
        f"{server.url}/plain/a.pt#sha256={other}",
        f"{server.url}/plain/b.pt#sha256={SHA256}",
    ]
    assert fetch(mirrors).name.endswith("b.pt") and files() == ["b.pt"]


def test_mirror_of_a_page(server):
    good, server.data = cache_folder() / "good.pt", PAGE
    good.parent.mkdir()
    mirrors = [f"{server.url}/plain/model.pt", str(good)]
    with pytest.raises(FetchError, match="web page"):
        fetch(mirrors)
    good.write_bytes(DATA)
    assert fetch(mirrors) == good


def test_each_mirror_is_quoted(server, tmp_path):
    """In order; local files and Hugging Face ids are allowed."""
    url = f"{server.url}/absent/model.pt"
    (tmp_path / "bad.pt").write_bytes(OTHER)
    mirrors = [
        str(tmp_path / "absent.pt"),
        url,
        f"{tmp_path}/bad.pt#sha256={SHA256}",
        f"{server.url}/plain/model.pt#sha256={'0' * 64}",
        "x.pt#sha256=123",
    ]
    with pytest.raises(FetchError) as caught:
        fetch(mirrors)
    lines = str(caught.value).splitlines()
    assert lines[0] == "None of the 5 sources gives the checkpoint:"
    assert len(lines) == 6 and all(line.startswith("- ") for line in lines[1:])
    for part in (
        f"No checkpoint at '{tmp_path}/absent.pt'",
        f"Cannot download {url}: HTTP Error 404",
        "bad.pt' is not the published file: its SHA-256 is",
        "gives another file than the published one",
        "after #sha256= go 64 hexadecimal digits",
    ):
        assert part in str(caught.value)
    with pytest.raises(FetchError, match="list of sources is empty"):
        fetch([])


def test_forget(server, tmp_path, monkeypatch):
    (tmp_path / "own.pt").write_bytes(DATA)
    urls = [f"{server.url}/plain/{name}.pt" for name in "ab"]
    paths = [fetch(url) for url in urls]
    mirrors = [f"{urls[0]}#sha256={SHA256}", urls[1], str(tmp_path / "own.pt")]
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    module.forget(mirrors)
    assert all(path.exists() for path in paths)
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "0")
    module.forget(mirrors)
    module.forget(None)
    assert not any(path.exists() for path in paths) and (tmp_path / "own.pt").exists()


def test_one_mirror_fails_as_it_would_alone(server):
    with pytest.raises(FileNotFoundError, match="No checkpoint at 'absent.pt'"):
        fetch(["absent.pt"])


def test_mirrors_of_a_card(server, tmp_path):
    """A list in YAML, down to the network."""
    from s3prl_sb.lobes.upstreams import card, load
    from s3prl_sb.lobes.upstreams.hubert import Hubert

    tiny = {"hidden_size": 32, "ffn_size": 8, "num_layers": 1, "num_heads": 2}
    tiny["conv_layers"] = [[4, 10, 5], [4, 8, 64]]
    upstream = Hubert(config=tiny)
    config = json.loads(json.dumps(dataclasses.asdict(upstream.config)))
    about = {"s3prl_sb": json.dumps({"class": "hubert.Hubert", "config": config})}
    save_file(upstream.network.state_dict(), tmp_path / "served.safetensors", about)
    server.data = (tmp_path / "served.safetensors").read_bytes()
    sha256 = hashlib.sha256(server.data).hexdigest()
    (tmp_path / "mine.yaml").write_text(
        "_mirrors: &mirrors\n"
        f"    - {server.url}/absent/model.safetensors\n"
        f"    - {server.url}/plain/model.safetensors#sha256={sha256}\n"
        "mine: !new:s3prl_sb.lobes.upstreams.hubert.Hubert\n"
        "    source: *mirrors\n"
    )
    name, wavs = str(tmp_path / "mine.yaml"), torch.randn(1, 16000)
    states, _ = load(name)(wavs)
    assert torch.equal(states[-1], upstream(wavs)[0][-1])
    assert len(server.requests) == 2
    # A mirror beside the card is found there.
    assert list(card(name)["source"])[0].startswith("http")
    text, beside = (tmp_path / "mine.yaml").read_text(), "served.safetensors#sha256="
    text = text.replace("    - http", f"    - {beside}{sha256}\n    - http", 1)
    (tmp_path / "mine.yaml").write_text(text)
    local = tmp_path / "served.safetensors"
    assert card(name)["source"][0] == f"{local}#sha256={sha256}"
    states, _ = load(name)(wavs)
    assert torch.equal(states[-1], upstream(wavs)[0][-1])
    assert len(server.requests) == 2


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
    assert fetch(f"{file}#sha256={SHA256}") == file
    with pytest.raises(FetchError, match="is not the published file.*Delete it"):
        fetch(f"{file}#sha256={0:064}")


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


def test_one_language_of_a_thousand(monkeypatch, tmp_path):
    """MMS lies beside adapters of as many languages as nobody has room for."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    from huggingface_hub.utils import filter_repo_objects

    there = ["config.json", "model.safetensors", "adapter.fra.safetensors"]
    there += ["adapter.deu.safetensors", "adapter.deu.bin", "adapter_config.json"]
    loaded = []

    def snapshot_download(name, local_files_only, **patterns):
        loaded.extend(filter_repo_objects(there, **patterns))
        return str(tmp_path)

    monkeypatch.delenv("S3PRL_SB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    fetch("someone/mms")
    assert loaded == ["config.json", "model.safetensors", "adapter_config.json"]
    del loaded[:]
    for target_lang in ("deu", "*"):
        with pytest.raises(ValueError, match="config.json"):  # nothing has come
            read_source("someone/mms", huggingface_folder.entries, target_lang)
    assert [n for n in loaded if n.startswith("adapter.")] == there[3:5]
    module.fetch_more(str(tmp_path), ["adapter.fra.bin"])
    assert [n for n in loaded if n.startswith("adapter.")] == there[3:5]


def test_a_cached_file_is_verified_too(server, monkeypatch):
    """Another hash is an error, for files that others put there too."""
    url = f"{server.url}/plain/model.pt"
    target = module._target(url)
    target.parent.mkdir(parents=True)
    target.write_bytes(b"something else")
    with pytest.raises(FetchError, match="is not the published file"):
        fetch(f"{url}#sha256={SHA256}")


def test_cache_folder_is_read_when_needed(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("S3PRL_SB_CACHE")
    assert cache_folder().parts[-2:] == (".cache", "s3prl_sb")
    assert not os.path.exists(tmp_path / "s3prl_sb")
