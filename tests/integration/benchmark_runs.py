"""Small benchmarks whose results are compared between engines."""

import contextlib

import pytest
from safetensors import safe_open
from test_superb import Forked
from test_superb import folder as corpora  # noqa: F401

from s3prl_sb import cli
from s3prl_sb.engines import guard

_made = []  # folder of the outcomes of the local engine, of all modules


def arguments_of(place, output, *options):
    """Returns the command line of a benchmark of one task, without torch."""
    words = ["--upstream", "fbank", "--tasks", "KS"]
    words += ["--data", f"{place}/data.yaml", "--budget", f"{place}/budget.yaml"]
    return [*words, "--output", str(output), "--jobs", "1", *options]


@pytest.fixture(scope="module")
def reference(corpora, launcher, tmp_path_factory):  # noqa: F811
    """Output of a benchmark on the local engine, with the table that was printed."""
    if not _made:
        output = tmp_path_factory.mktemp("reference")
        with (
            open(output / "printed", "w") as file,
            contextlib.redirect_stdout(file),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(guard, "start", lambda *given: Forked(launcher, *given))
            assert cli.main(["superb", *arguments_of(corpora, output)]) == 0
        _made.append(output)
    return _made[0]


def learned(output):
    """Returns the bytes of the weights and the predictions of all runs."""
    found = {}
    for path in sorted(output.glob("*/*/*/**/*")):
        if path.is_file() and path.suffix in (".ckpt", ".csv", ".safetensors"):
            place = path.relative_to(output)
            name = "/".join(p for p in place.parts if not p.startswith("CKPT"))
            found[name] = path.read_bytes()
    return found


def shards(folder):
    """The bytes of the features; the order of a shard's header is arbitrary."""
    found = {}
    for path in folder.rglob("*.safetensors"):
        with safe_open(path, "np") as shard:
            values = {key: shard.get_tensor(key).tobytes() for key in shard.keys()}
            found[path.name] = values, shard.metadata()
    return found
