"""`s3prl-sb new`: names, places, and what is never overwritten."""

import pytest

from s3prl_sb.cli import main
from s3prl_sb.commands.new import KINDS, NewError, add, checkout_of, make


@pytest.fixture
def checkout(tmp_path):
    """A repository as far as `new` looks at it."""
    for name in ("s3prl_sb/lobes/upstreams", "hparams/upstreams", "recipes", "tests"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MyModel", "is no name"),
        ("my-model", "is no name"),
        ("../model", "is no name"),
        ("_model", "is no name"),
        ("2model", "is no name"),
        ("class", "is no name"),
        ("", "is no name"),
        ("m" * 31, "is no name"),
        ("json", "is a Python module already"),
        ("torch", "is a Python module already"),
    ],
)
def test_names(kind, name, message, tmp_path):
    with pytest.raises(NewError, match=message):
        make(kind, name, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("kind", "name"), [("task", "ks"), ("task", "superb"), ("upstream", "hubert_base")]
)
def test_names_that_are_taken(kind, name, tmp_path):
    with pytest.raises(NewError, match=f"there is an? (recipe|upstream) '{name}'"):
        make(kind, name, tmp_path / "folder")


@pytest.mark.parametrize(
    ("kind", "name", "file"),
    [
        ("upstream", "network", "my_upstream.py"),
        ("corpus", "manifest", "my_corpus.py"),
        ("task", "classification_brain", "train.py"),
    ],
)
def test_names_in_the_template(kind, name, file, tmp_path):
    """``class Network`` twice in a file would be no start."""
    with pytest.raises(NewError, match=f"'{name}' is a name in {file}"):
        make(kind, name, tmp_path / "folder")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_overwritten(kind, checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout / "recipes")
    assert main(["new", kind, "birds"]) == 0
    files = {path: path.read_text() for path in checkout.rglob("*") if path.is_file()}
    assert len(files) == len(KINDS[kind].places)
    assert main(["new", kind, "birds"]) == 1
    assert "exists" in capsys.readouterr().err
    assert main(["new", kind, "birds", "--folder", str(checkout / "recipes/..")]) == 1
    assert files == {p: p.read_text() for p in checkout.rglob("*") if p.is_file()}


def test_a_place_that_cannot_be_written(checkout):
    """The next attempt meets no half of this one."""
    (checkout / "tests/unit").write_text("")
    with pytest.raises(OSError, match="tests/unit"):
        add("upstream", "birds", checkout)
    assert not [path for path in checkout.rglob("*birds*") if path.is_file()]


def test_a_test_of_the_same_name(checkout):
    """Pytest refuses two files of one name in two folders."""
    (checkout / "tests/parity").mkdir()
    (checkout / "tests/parity/test_birds.py").write_text("")
    with pytest.raises(NewError, match="test_birds.py exists"):
        add("corpus", "birds", checkout)
    assert not (checkout / "s3prl_sb/corpora").exists()


def test_imports_stay_sorted(checkout):
    add("corpus", "zebras", checkout)
    lines = (checkout / "tests/unit/test_zebras.py").read_text().splitlines()
    imports = [line for line in lines if line.startswith("from s3prl_sb")]
    assert imports == sorted(imports) and len(imports) > 3
    assert "from s3prl_sb.corpora.toys.zebras import zebras" in imports


def test_where_a_checkout_is(checkout, tmp_path_factory):
    assert checkout_of(checkout / "s3prl_sb/lobes") == checkout
    assert checkout_of(tmp_path_factory.mktemp("elsewhere")) is None


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    paths = make("upstream", "birds", tmp_path / "empty")
    assert {path.parent for path in paths} == {tmp_path / "empty"}
    assert "class Birds(" in (tmp_path / "empty/birds.py").read_text()
