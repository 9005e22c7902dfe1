"""Fixtures: real speech and S3PRL's outputs, where they are at hand."""

import logging
import os
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"


@pytest.fixture(autouse=True)
def one_thread_and_a_seed():
    """Tests do not depend on each other's random numbers."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def nothing_is_said_afterwards():
    """What a command has set up to be heard ends with the test that has run it."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in list(root.handlers):
        if type(handler).__module__ == "s3prl_sb.terminal.logs":
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(autouse=True)
def nothing_is_trusted(tmp_path_factory, monkeypatch):
    """What whoever runs the tests trusts has no part in them."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("S3PRL_SB_TRUST", raising=False)


@pytest.fixture
def without_flashlight(monkeypatch):
    """flashlight-text is not installed, torchaudio is."""
    import torchaudio.models.decoder as decoder

    for name in [name for name in sys.modules if name.startswith("flashlight")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flashlight", None)
    monkeypatch.delitem(sys.modules, f"{decoder.__name__}._ctc_decoder", raising=False)
    for name in ("ctc_decoder", "_ctc_decoder"):
        monkeypatch.delitem(vars(decoder), name, raising=False)


def _folder(variable, default):
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: set ${variable} to run this test")
    return folder


@pytest.fixture(scope="session")
def data_folder():
    """Real speech in the layouts of the corpora."""
    return _folder("S3PRL_SB_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def oracle_folder():
    """Checkpoints in S3PRL's formats with S3PRL's own outputs."""
    return _folder("S3PRL_SB_ORACLE", HERE / "parity" / "fixtures")
