"""ABX errors against zerospeech-libriabx2, see make_abx.py."""

import json

import make_abx
import pytest
import torch

from s3prl_sb.analysis import abx
from s3prl_sb.analysis.items import Item


class States(dict):
    """Features in memory with the interface of HiddenStates."""

    name, layers, stride_seconds = "random", [0], make_abx.STRIDE


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_equals_libriabx2(seed):
    features, rows = make_abx.corpus(int(seed))
    states = States({n: torch.from_numpy(f)[:, None] for n, f in features.items()})
    items = []
    for row in rows:
        name, start, stop, phone, before, after, speaker = row.split()
        where = (name, float(start), float(stop))
        items.append(Item(*where, phone, (before, after), speaker))
    reference = json.loads(make_abx.FIXTURE.read_text())[seed]
    limits = {"most_items": 1000, "most_speakers": make_abx.SPEAKERS}
    for context in ("within", "any"):
        by_context = context == "within"
        (ours,) = abx.errors(
            states, items, by_context=by_context, progressbar=False, **limits
        )
        for task, error in ours.items():
            assert error == pytest.approx(reference[f"{task} {context}"], abs=2e-6)
