"""The upstream runs once in most of SUPERB, as the runs themselves decide."""

import importlib.util
from pathlib import Path

import pytest

from s3prl_sb.brains import caching

FILE = Path(__file__).resolve().parents[2] / "benchmarks/superb_cost.py"
SHARE = 0.005  # of the utterances, and of the disk


@pytest.fixture(scope="module")
def cost():
    spec = importlib.util.spec_from_file_location("superb_cost", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("recipes")


def encoded(plan):
    """The audio that a run's upstream encodes, in hours."""
    return sum(p["seconds"] * p["passes"] for p in plan["parts"]) / 3600


def test_by_default_on_two_terabytes(cost, folder):
    """QbE, the tenth task, trains nothing."""
    plans = cost.plans(2e12, {}, folder, SHARE)
    done = cost.once(plans)
    assert {"PR", "KS", "IC", "SID", "ER", "ASR", "SF"} <= set(done)
    assert len(done) + 1 >= 8
    audio = cost.plans(2e12, {"crops": None}, folder, SHARE)
    for task in done:
        corpus = sum(part["seconds"] for part in audio[task]["parts"]) / 3600
        assert encoded(plans[task]) <= 3 * corpus, task
    # Phones and characters of the same audio have the same features.
    features = [[p["features"] for p in plans[t]["parts"]] for t in ("PR", "ASR")]
    assert features[0] == features[1] and all(features[0])


def test_with_little_room_it_runs_at_every_step(cost, folder):
    plans = cost.plans(0.2e12, {}, folder, SHARE)
    assert {"KS", "IC", "SID", "ER"} == set(cost.once(plans))
    assert encoded(plans["PR"]) > 100 * 100  # hours, passes
    assert encoded(plans["ASR"]) == pytest.approx(2 * encoded(plans["PR"]), rel=0.1)


def test_the_five_of_superb_sg_on_eight_terabytes(cost, folder):
    """OOD-ASR is a run for each of four corpora."""
    plans = cost.plans(8e12, {}, folder, SHARE, tuple(cost.SUPERB_SG))
    assert set(cost.once(plans)) == {"ST", "OOD-ASR", "VC", "SS", "SE"}
    assert encoded(plans["ST"]) == pytest.approx(430 + 27 + 25, rel=0.05)
    assert plans["OOD-ASR"]["updates"] == 4 * 500_000


def test_before(cost, folder, monkeypatch):
    monkeypatch.setattr(caching, "LEAST", caching.LEAST)  # restored afterwards
    assert cost.once(cost.plans(2e12, cost.BEFORE, folder, SHARE)) == ["KS", "IC", "ER"]
