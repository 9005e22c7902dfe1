"""A stand-in of the Hugging Face hub's HTTP interface, on this machine.

It has the parts that creating, writing and reading of a model's repository use: log-in,
revisions, the upload of large files through LFS, commits, and links to them.
"""

import base64
import hashlib
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = re.compile(r"\.(ckpt|pt|safetensors)$")


class Hub:
    """Repositories, ``{name: Repo}``, and the faults of a server.

    ``tokens`` are {token: user} that may write; ``readers`` are tokens that may read.
    ``faults`` is a list of (method, pattern of the path, code): each answers one
    request. ``requests`` lists (method, path). ``hook`` is called with both before the
    answer; there is none if it returns something. ``blobs`` are the contents that
    arrived, by SHA-256.
    """

    def __init__(self):
        self.repos, self.blobs = {}, {}
        self.tokens, self.readers = {"hf_writer": "anna"}, set()
        self.faults, self.requests, self.hook = [], [], None
        self.lock, self.closed = threading.RLock(), False
        owner = self

        class Handler(_Handler):
            hub = owner

        self.http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,)).start()

    def put(self, name, files, private=False):
        """Makes a commit of ``{path: bytes}``, without HTTP; returns its name."""
        repo = self.repos.setdefault(name, Repo(private))
        return repo.commit("main", {**repo.files("main"), **files})

    def count(self, method, pattern):
        """Number of requests of a kind so far."""
        return sum(
            m == method and bool(re.search(pattern, p)) for m, p in self.requests
        )

    def close(self):
        """Ends the server; connections that are still open get no answer."""
        self.closed = True
        self.http.shutdown()
        self.http.server_close()


class Repo:
    """A repository: commits, ``{name: {path: bytes}}``, and branches."""

    numbers = itertools.count()

    def __init__(self, private=False):
        self.private, self.commits, self.branches = private, {}, {}
        self.messages = []
        self.commit("main", {".gitattributes": b""})

    def commit(self, branch, files):
        seed = f"{next(self.numbers)} {sorted(files)}"
        name = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[name], self.branches[branch] = dict(files), name
        return name

    def resolve(self, revision):
        """Name of the commit of a revision, or None."""
        name = self.branches.get(revision, revision)
        return name if name in self.commits else None

    def files(self, revision):
        return self.commits[self.resolve(revision)]


def oid(data):
    """Name that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def described(path, data):
    """Entry of a file in a tree."""
    entry = {"type": "file", "path": path, "size": len(data), "oid": oid(data)}
    if LARGE.search(path):
        sha = hashlib.sha256(data).hexdigest()
        entry["lfs"] = {
            "oid": sha,
            "sha256": sha,
            "size": len(data),
            "pointerSize": 130,
        }
    return entry


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Is silent of clients that have left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub = None

    def log_message(self, *args):
        """Is silent."""

    def do_GET(self):
        self._answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    # --------------------------------------------------------------- plumbing
    def _answer(self):
        url = urlsplit(self.path)
        path, self.query = unquote(url.path), parse_qs(url.query)
        self.raw = url.path
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self._chunks()
        hub = self.hub
        if hub.closed:
            self.close_connection = True
            return None
        hub.requests.append((self.command, path))
        if hub.hook and hub.hook(self.command, path):
            self.close_connection = True
            return None
        for fault in list(hub.faults):
            method, pattern, code = fault
            if method == self.command and re.search(pattern, path):
                hub.faults.remove(fault)
                return self._json({"error": "told to"}, code)
        routes = {
            ("GET", "/api/whoami-v2"): self._whoami,
            ("POST", "/api/validate-yaml"): lambda: self._json({"errors": []}),
            ("POST", "/api/repos/create"): self._create,
        }
        route = routes.get((self.command, path))
        if route:
            return route()
        if path.startswith("/lfs/"):
            return self._lfs_file(path.removeprefix("/lfs/"))
        match = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/(.*))?", path)
        if match:
            return self._api(match[1], match[2] or "")
        match = re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path)
        if match:
            return self._batch(match[1])
        match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if match:
            return self._resolve(*match.groups())
        return self._json({"error": f"no {path}"}, 404)

    def _chunks(self):
        body = b""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return body
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, code, body=b"", **headers):
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _json(self, value, code=200, **headers):
        headers["Content_Type"] = "application/json"
        return self._send(code, json.dumps(value).encode(), **headers)

    def _token(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _user(self):
        return self.hub.tokens.get(self._token())

    def _repo(self, name):
        """The repository, unless the token of the request may not read it."""
        repo = self.hub.repos.get(name)
        readers = {*self.hub.readers, *self.hub.tokens}
        if repo is None or (repo.private and self._token() not in readers):
            known = self._token() in readers
            code = 404 if known else 401  # as the hub does
            self._json({"error": "no"}, code, X_Error_Code="RepoNotFound")
            return None
        return repo

    # --------------------------------------------------------------- the parts
    def _whoami(self):
        user = self._user()
        if user is None:
            return self._json({"error": "who?"}, 401)
        return self._json({"type": "user", "name": user, "auth": {}})

    def _create(self):
        asked, user = json.loads(self.body), self._user()
        if user is None:
            return self._json({"error": "Invalid username or password."}, 401)
        owner = asked.get("organization") or user
        name = f"{owner}/{asked['name']}"
        if owner != user:
            return self._json({"error": f"no rights in {owner}"}, 403)
        if name in self.hub.repos:
            return self._json({"error": "exists", "url": f"{self.hub.url}/{name}"}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.repos[name] = Repo(private)
        return self._json({"url": f"{self.hub.url}/{name}", "name": name})

    def _api(self, name, rest):
        repo = self._repo(name)
        if repo is None:
            return None
        kind, _, argument = rest.partition("/")
        if self.command == "POST" and kind in ("preupload", "commit", "branch"):
            if self._user() is None:
                return self._json({"error": "read only"}, 403)
            return getattr(self, f"_{kind}")(name, repo, argument)
        revision, _, inner = argument.partition("/")
        commit = repo.resolve(revision or "main")
        if kind not in ("", "revision", "tree"):
            return self._json({"error": f"no {rest}"}, 404)
        if commit is None:
            return self._json({}, 404, X_Error_Code="RevisionNotFound")
        entries = [described(*item) for item in repo.files(commit).items()]
        if kind == "tree":
            return self._json(entries)
        files = [{"rfilename": entry["path"], **entry} for entry in entries]
        about = {"id": name, "modelId": name, "sha": commit, "siblings": files}
        return self._json({**about, "private": repo.private, "tags": []})

    def _branch(self, name, repo, argument):
        branch = unquote(argument)
        if branch in repo.branches:
            return self._json({"error": "exists"}, 409)
        start = (json.loads(self.body) if self.body else {}).get("startingPoint")
        repo.branches[branch] = repo.resolve(start or "main")
        return self._json({})

    def _preupload(self, name, repo, revision):
        commit, answers = repo.resolve(unquote(revision)), []
        if commit is None:
            return self._json({}, 404, X_Error_Code="RevisionNotFound")
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if LARGE.search(file["path"]) else "regular"
            answer = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
            there = repo.files(commit).get(file["path"])
            if there is not None:
                sha = hashlib.sha256(there).hexdigest()
                answer["oid"] = sha if mode == "lfs" else oid(there)
            answers.append(answer)
        return self._json({"files": answers})

    def _batch(self, name):
        if self._user() is None:
            return self._json({"error": "read only"}, 403)
        objects = []
        for each in json.loads(self.body)["objects"]:
            answer = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.hub.blobs:
                place = f"{self.hub.url}/lfs/{each['oid']}"
                answer["actions"] = {
                    "upload": {"href": place},
                    "verify": {"href": f"{place}/verify"},
                }
            objects.append(answer)
        return self._json({"transfer": "basic", "objects": objects})

    def _lfs_file(self, name):
        sha, _, verify = name.partition("/")
        blobs = self.hub.blobs
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != sha:
                return self._json({"error": "other content"}, 400)
            blobs[sha] = self.body
            return self._send(200)
        if self.command == "POST" and verify:
            return self._json({}, 200 if sha in blobs else 404)
        if sha not in blobs:
            return self._json({}, 404)
        return self._send_file(blobs[sha], f'"{sha}"')

    def _commit(self, name, repo, revision):
        lines = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        branch = unquote(revision)
        if repo.resolve(branch) is None:
            return self._json({}, 404, X_Error_Code="RevisionNotFound")
        files = dict(repo.files(branch))
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                repo.messages.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    return self._json({"error": "not uploaded"}, 400)
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        with self.hub.lock:
            commit = repo.commit(branch, files)
        url = f"{self.hub.url}/{name}/commit/{commit}"
        return self._json({"commitUrl": url, "commitOid": commit, "success": True})

    def _resolve(self, name, revision, path):
        repo = self._repo(name)
        if repo is None:
            return None
        commit = repo.resolve(revision)
        if commit is None:
            return self._json({}, 404, X_Error_Code="RevisionNotFound")
        data = repo.files(commit).get(path)
        if data is None:
            headers = {"X_Error_Code": "EntryNotFound", "X_Repo_Commit": commit}
            return self._json({}, 404, **headers)
        if not LARGE.search(path):
            return self._send_file(data, f'"{oid(data)}"', X_Repo_Commit=commit)
        sha = hashlib.sha256(data).hexdigest()
        self.hub.blobs.setdefault(sha, data)
        return self._send(
            302,
            # Another host, as the hub's files are on one.
            Location=f"{self.hub.url}/lfs/{sha}".replace("127.0.0.1", "localhost"),
            X_Linked_Etag=f'"{sha}"',
            X_Linked_Size=str(len(data)),
            X_Repo_Commit=commit,
        )

    def _send_file(self, data, etag, **headers):
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        code, whole = 200, len(data)
        if asked and self.command == "GET":
            start, last = int(asked[1]), int(asked[2] or whole - 1)
            data, code = data[start : last + 1], 206
            headers["Content_Range"] = f"bytes {start}-{last}/{whole}"
        return self._send(code, data, ETag=etag, Accept_Ranges="bytes", **headers)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub, which ``huggingface_hub`` uses with an empty cache and Anna's token."""
    from huggingface_hub import constants

    server = Hub()
    for name in ("S3PRL_SB_OFFLINE", "HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    use_cache(tmp_path / "hub cache", monkeypatch)
    yield server
    server.close()


def use_cache(folder, monkeypatch):
    """Uses another folder for what is downloaded, as on another machine."""
    from huggingface_hub import constants

    from s3prl_sb.lobes.cards.places import downloaded_card

    downloaded_card.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    return folder
