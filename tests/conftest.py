"""Fixtures: real speech and S3PRL's outputs, where they are at hand."""

import functools
import gc
import inspect
import itertools
import linecache
import logging
import os
import sys
from pathlib import Path

import pytest
import started_processes
import torch

#: This module has no Examples; one of the same name is below tests/browser.
collect_ignore = ["conftest.py"]
HERE = Path(__file__).parent
SHARED = HERE.parents[1] / "shared"
#: Words in the code of tests that start programs, which takes seconds each.
STARTS = ("subprocess", "sys.executable", "multiprocessing", "kill_9", "torchrun")


def pytest_configure(config):
    """Makes tests independent of how they were started."""
    started_processes.restore_default_signals()
    started_processes.adopt_orphans()
    if getattr(config.option, "numprocesses", None):  # workers share a fork server
        sys.path.append(str(HERE / "integration"))
        from launching import Server

        server = Server()
        config.add_cleanup(server.close)
        os.environ.update(server.variables)
    # pytest adds and removes its handlers at each logger that keeps its records to
    # itself, six times per test, and torch has 40 of them.
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "torch" and isinstance(logger, logging.Logger):
            logger.propagate = True
    # No test cuts the power, and what a killed process has written is there without.
    os.fsync = lambda descriptor: None
    share_rewriting(config)
    gc.disable()


def share_rewriting(config):
    """Makes each worker begin with other files: what it compiles, the others read.

    pytest rewrites the assertions of a file when it is imported for the first time.
    The order of the tests remains, see :func:`pytest_collection_modifyitems`.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and config.args == config.getini("testpaths"):
        workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        files = sorted(map(str, HERE.glob("*/test_*.py")))
        config.args = [*files[int(worker.removeprefix("gw")) :: workers], *config.args]


def pytest_collection_finish():
    """Exempts modules and collected tests from garbage collection: they stay."""
    gc.collect()
    gc.freeze()
    gc.enable()


@functools.lru_cache(maxsize=None)
def starts_programs(function):
    """Returns whether the code of a test itself starts programs."""
    code = inspect.unwrap(function).__code__
    end = max(line for line in _lines(code) if line)
    source = linecache.getlines(code.co_filename)[code.co_firstlineno - 1 : end]
    return any(word in line for line in source for word in STARTS)


def _lines(code):
    """Returns the line numbers of a function; inspect would parse its file for them."""
    inner = (const for const in code.co_consts if inspect.iscode(const))
    yield from (line for _, _, line in code.co_lines())
    for each in inner:
        yield from _lines(each)


def pytest_collection_modifyitems(items):
    """Marks tests by their folder; in parallel, the long ones begin first."""
    for item in items:
        if HERE in item.path.parents:
            *folders, _ = item.path.relative_to(HERE).parts
            for folder in folders[:1]:  # none for scripts beside the folders
                item.add_marker(folder)
            if starts_programs(getattr(item, "function", item.runtest)):
                item.add_marker("slow")
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_place)


def _place(item):
    """Returns the sort key of a file: long tests first, Examples last."""
    folder = item.path.parent
    return folder != HERE / "integration", HERE not in folder.parents, item.path


def pytest_unconfigure(config):
    started_processes.end_children()


@pytest.fixture(autouse=True)
def nothing_keeps_running():
    """Ends every process that a test has started, also when the test fails."""
    before = started_processes.children()
    yield
    started_processes.end_children(except_for=before)


@pytest.fixture(autouse=True)
def one_thread_and_a_seed():
    """Tests do not depend on each other's random numbers."""
    torch.default_generator.manual_seed(0)  # torch.manual_seed costs a millisecond
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(0)


@pytest.fixture(autouse=True)
def nothing_is_said_afterwards():
    """Removes the log handlers that a command has added in a test."""
    root = logging.getLogger()
    level = root.level
    yield
    for handler in list(root.handlers):
        if type(handler).__module__ == "s3prl_sb.terminal.logs":
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture(scope="session")
def config_folders(tmp_path_factory):
    """Paths of folders that do not exist yet: pytest's own cost more, the more."""
    folder = tmp_path_factory.mktemp("config")
    return (str(folder / str(number)) for number in itertools.count())


@pytest.fixture(autouse=True)
def nothing_is_trusted(config_folders, monkeypatch):
    """Tests do not depend on what the user who runs them trusts."""
    monkeypatch.setenv("XDG_CONFIG_HOME", next(config_folders))
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
