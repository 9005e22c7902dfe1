"""Private facts in texts about a run, and in files that cannot be rewritten."""

import pickle

import pytest

from s3prl_sb.sharing.private import Private, PrivateError, paths_in


@pytest.fixture
def private(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/Anna M")
    monkeypatch.chdir("/")
    return Private(["/srv/Anna M/runs"], host="lab-7", token="hf_secret")


@pytest.mark.parametrize(
    "text, left",
    [
        ("/data/a b.csv", "a b.csv"),
        ("/data/", "data"),
        ("~/x/y", "y"),
        ("file:///home/u/x.wav", "x.wav"),
        ("C:\\Users\\u\\d", "d"),
        ("\\\\server\\share\\x", "x"),
        ("/home/u/mine.yaml:tiny", "mine.yaml:tiny"),
        ("no '/srv/Anna M/runs/x'", "no 'x'"),
        ("at /home/Anna M", "at …"),
        ("/scratch/Anna M/", "…"),
        ("Anna M@lab-7:/home/Anna M/x", "…@…:x"),
        ("no '/net/a b/c d/e.csv', 'x' or \"/f/g h\"", "no 'e.csv', 'x' or \"g h\""),
        ("[/data/one/a.csv, /data/two/b.csv]", "[a.csv, b.csv]"),
        ("a=/home/u/x", "a=x"),
        ("host:/export/u/x", "host:x"),
        ("-/home/u/x", "-x"),
        ("{'p': '/home/u/x'}", "{'p': 'x'}"),
        ("on lab-7, not lab-77", "on …, not lab-77"),
        ("https://me:pw@h/x?token=abc", "https://***@h/x?token=***"),
    ],
)
def test_texts(text, left, private):
    assert private.text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "and/or a/b 1/2 x/y/z ./a/b",
        "http://a.org/b/c.wav",
        "s3://bucket/x/y",
        "/",
        "SUPERB/KS",
        "[0.1, 0.2]",
        "",
    ],
)
def test_what_is_no_path(text, private):
    assert private.text(text) == text


def test_values(private):
    value = {"/a/b/k": 1, "/c/d/k": ["/data/u/lists", {"x": "in /data/u/lists!"}, None]}
    scrubbed = private.scrubbed(value)
    assert scrubbed == {"k": 1, "k'": ["lists", {"x": "in lists!"}, None]}
    spaced = {"folder": "/net/Anna B/lists", "why": "/net/Anna B/lists/a.csv is new"}
    assert private.scrubbed(spaced)["why"] == "a.csv is new"
    assert paths_in(value) == ["/a/b/k", "/c/d/k", "/data/u/lists"]


def test_a_common_word_is_no_host():
    assert Private(host="tiny").text("tiny and small") == "tiny and small"


@pytest.mark.parametrize(
    "content, words",
    [
        (
            b"a\nb '/srv/Anna M/runs/x'",
            "'f', line 2, holds '/srv/Anna M/runs', a folder",
        ),
        (b"\n\nTOKEN = 'hf_secret'", "line 3, holds your token"),
        (b"hf_" + 32 * b"a", "a key of a service"),
        (b"AKIA" + 16 * b"A", "a key of a service"),
        (b"\0key=github_pat_" + 40 * b"A", "a key of a service"),
        (b"-----BEGIN RSA PRIVATE KEY-----", "a key of a service"),
        (b"\0\1/home/Anna M/x\0", "(?s)'f' holds '/home/Anna M'.*s3prl-sb convert"),
    ],
)
def test_files(content, words, private, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(content)
    for each in (content, path):
        with pytest.raises(PrivateError, match=words):
            private.check({"f": each})


@pytest.mark.parametrize("path", ["/home/Anna M", "/home/Anna M/" + 55 * "x"])
@pytest.mark.parametrize("protocol", range(1, 6))
def test_pickles(path, protocol, private):
    """Their marks before and after a text may be letters."""
    data = b"\0" + pickle.dumps({"data": path, "more": 1}, protocol)
    with pytest.raises(PrivateError, match="'/home/Anna M'"):
        private.check({"head.ckpt": data})


@pytest.mark.parametrize(
    "content", [b"", b"/srv/Anna Max", b"x/home/Anna M", b"archive/data/0", b"hf_short"]
)
def test_files_without(content, private, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(content)
    private.check({"f": content, "g": path})
