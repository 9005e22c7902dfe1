"""A tiny corpus, a tiny upstream, and the fork server that starts recipes."""

import os

import numpy as np
import pytest
import soundfile

pytest.register_assert_rewrite("outcomes", "recipe_runs")

# isort: off
from command_lines import KS, SID, command, run  # noqa: E402, F401
from launching import REPOSITORY, Launcher  # noqa: E402, F401
from outcomes import assert_same_outcome, results, trained  # noqa: E402, F401
from recipe_runs import exported, finished, on_tables  # noqa: E402, F401
# isort: on

LABELS = ("cat", "dog", "fox", "owl")
TINY = """
tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config:
        hidden_size: 32
        ffn_size: 64
        num_layers: 2
        num_heads: 4
        conv_layers: [[16, 10, 5], [16, 8, 4], [16, 4, 4], [16, 2, 2]]
"""

os.environ["OMP_NUM_THREADS"] = "1"  # of every process that is started here


def clip(label, number, seconds=None):
    """A tone in noise: the same samples for the same arguments."""
    rng = np.random.default_rng([LABELS.index(label), number])
    seconds = seconds or 0.3 + 0.7 * rng.random()
    time = np.arange(int(seconds * 16000)) / 16000
    pitch = 300 * 1.3 ** (LABELS.index(label) + rng.normal(0, 0.5))
    tone = 0.1 * np.sin(2 * np.pi * pitch * time)
    return (tone + rng.normal(0, 0.05, len(time))).astype("float32")


def make_corpus(folder, clips=12):
    """``clips`` recordings of each label, two each for validation and test."""
    lists = {"validation": [], "testing": []}
    for label in LABELS:
        (folder / label).mkdir(parents=True)
        for number in range(clips):
            name = f"{label}/{number:08x}_nohash_0.wav"
            soundfile.write(folder / name, clip(label, number), 16000)
            if number < 4:
                lists[("validation", "testing")[number % 2]].append(name)
    for split, names in lists.items():
        (folder / f"{split}_list.txt").write_text("\n".join(names) + "\n")
    return folder


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """48 clips of four labels. Not to be changed; make your own for that."""
    return make_corpus(tmp_path_factory.mktemp("corpus") / "animals")


@pytest.fixture(scope="session")
def tiny_card(tmp_path_factory):
    """The card of a random HuBERT of two small layers."""
    path = tmp_path_factory.mktemp("card") / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def launcher(tmp_path_factory):
    """Runs recipes without waiting for imports."""
    launcher = Launcher(tmp_path_factory.mktemp("launcher") / "log.txt")
    yield launcher
    launcher.close()
