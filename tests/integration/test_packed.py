"""A recipe on a pack ends as on the files, to the last bit, on disk and behind URLs."""

import sys
from pathlib import Path

import pytest
import torch
from conftest import KS, command, results, trained

from s3prl_sb.cli import main
from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.dataio.manifest import paths_in, read
from s3prl_sb.dataio.packing import pack

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from audio_server import AudioServer  # noqa: E402

#: Audio of every batch is read by a worker and cropped; or features are cached.
CASES = {
    "read": {
        "upstream": "fbank",
        "cache": "off",
        "train_dataloader_opts": "{batch_size: 8, num_workers: 1}",
    },
    "cached": {"upstream": "fbank_no_cmvn"},
}


@pytest.fixture(scope="module")
def prepared(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    prepare_speech_commands(str(corpus), str(folder), labels="folders", version="v0.02")
    return folder


def arguments(case, tables, output, **options):
    budget = {"total_steps": 6, "steps_per_epoch": 3, "lr": 0.01}
    splits = {f"{n}_csv": p for n, p in paths_in(tables).items()}
    return command(KS, output, **{**budget, **CASES[case], **splits, **options})


def assert_same(output, expected):
    ours, theirs = trained(output), trained(expected)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if torch.is_tensor(value):
            assert torch.equal(value, theirs[name]), name
    texts = [(folder / "predictions.csv").read_text() for folder in (output, expected)]
    assert texts[0] == texts[1]
    ours, theirs = results(output), results(expected)
    assert ours["metrics"] == theirs["metrics"]
    assert ours["identity"]["data"] == theirs["identity"]["data"]


@pytest.mark.parametrize("case", CASES)
def test_files_tars_and_urls(case, prepared, launcher, tmp_path, capsys):
    """Killed in between, too; the cache of the files serves the pack."""
    files = tmp_path / "files"
    assert launcher.run(arguments(case, prepared, files)) == 0
    pack(str(prepared), str(tmp_path / "pack"), 100_000)
    cache = {"cache_folder": files / "cache"}
    before = sorted((files / "cache").rglob("*.safetensors"))
    local = arguments(case, tmp_path / "pack", tmp_path / "local", **cache)
    assert launcher.run(local) == 0
    assert_same(tmp_path / "local", files)
    assert sorted((files / "cache").rglob("*.safetensors")) == before
    pytest.importorskip("aiohttp")
    server = AudioServer()
    try:
        pack(str(prepared), str(tmp_path / "copy"), 100_000, url=server.url)
        for path in (tmp_path / "copy").iterdir():
            server.files[f"/{path.name}"] = path.read_bytes()
        far = arguments(case, tmp_path / "copy", tmp_path / "far")
        kill = {"point": "s3prl_sb.brains.base.SSLBrain.fit_batch", "call": 4}
        assert launcher.run(far, kill={**kill, "how": "after"}) != 0
        server.breaks = 2
        assert launcher.run(far) == 0
        assert_same(tmp_path / "far", files)
        assert_predicts(files, tmp_path / "copy", prepared, server, capsys)
    finally:
        server.close()


def assert_predicts(run, packed, prepared, server, capsys):
    """URLs with a log-in, which is not shown; one is missing."""
    server.login = "me:hush"
    near, far = (read(folder / "test.json").values() for folder in (prepared, packed))
    names = [record["wav"] for record in near][:2]
    assert main(["predict", str(run), *names]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    urls = [record["wav"].replace("://", "://me:hush@") for record in far][:2]
    none = urls[0].partition(".tar")[0] + ".wav"
    assert main(["predict", str(run), *urls, none]) == 1
    out, err = capsys.readouterr()
    others = [line.split("\t") for line in out.splitlines()]
    assert [line[1:] for line in others] == [line[1:] for line in lines]
    assert "no such file" in err and "hush" not in out + err
