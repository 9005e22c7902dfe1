"""Outcomes of runs: their results, and all that they have trained."""

import json
from pathlib import Path

import torch
import yaml


def best_checkpoint(output):
    """The folder of the checkpoint that was evaluated; None: nothing is trained."""
    found = results(output)
    if not found["total_steps"]:
        return None
    step = found["best_step"]
    for path in Path(output, "save").glob("CKPT*/brain.ckpt"):
        if yaml.safe_load(path.read_text())["optimizer_step"] == step:
            return path.parent
    raise AssertionError(f"no checkpoint of step {step} in {output}")


def trained(output):
    """{name: tensor or number} of all that the best checkpoint holds."""
    found = {}

    def collect(name, value):
        items = None
        if isinstance(value, dict):
            items = value.items()
        elif isinstance(value, (list, tuple)):
            items = enumerate(value)
        if items is None:
            found[name] = value
        for key, item in items or ():
            collect(f"{name}.{key}", item)

    checkpoint = best_checkpoint(output)
    for path in sorted(checkpoint.glob("*.ckpt")) if checkpoint else ():
        if path.stem == "search":  # how it was trained: results.json has it too
            continue
        try:
            collect(path.stem, torch.load(path, weights_only=True))
        except Exception:  # a counter, the steps: plain text
            collect(path.stem, path.read_text())
    return found


def results(output):
    """``results.json``, less what tells one run of the same from another."""
    found = json.loads(Path(output, "results.json").read_text())
    for name in ("seconds", "peak_memory_gb"):
        del found[name]
    for name in ("settings", "defaults"):  # where its features lie, how lr was found
        for key in ("cache_folder", "lr_search"):
            (found.get(name) or {}).pop(key, None)
    return found


def assert_same_outcome(output, expected):
    """Every bit that was trained, each prediction and the results."""
    weights, others = trained(output), trained(expected)
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        same = (
            torch.equal(value, others[name])
            if torch.is_tensor(value)
            else (value == others[name])
        )
        assert same, f"{name} differs"
    for name in ("predictions.csv", "measures.json"):
        files = [Path(folder, name) for folder in (output, expected)]
        ours, theirs = (path.read_text() if path.exists() else None for path in files)
        assert ours == theirs  # a pre-training has none
    assert results(output) == results(expected)


def assert_searched_outcome(searched, alone):
    """The best copy of a search is a run at its rate; one that was stacked is close."""
    path = Path(searched, "results.json")
    found = json.loads(path.read_text())
    trained = found["search"]["trained"]
    path.write_text(json.dumps({**found, "search": None}))
    same = {"stacked": assert_close_outcome, "in turns": assert_same_outcome}
    same[trained](searched, alone)
    path.write_text(json.dumps(found))
    return found["search"]


def assert_close_outcome(output, one):
    """The same utterances and metrics, and weights that are the same but for sums."""
    found, expected = results(output), results(one)
    assert found["utterances"] == expected["utterances"]
    assert found["metrics"].keys() == expected["metrics"].keys()
    texts = [(folder / "predictions.csv").read_text() for folder in (output, one)]
    assert sorted(ids(texts[0])) == sorted(ids(texts[1]))
    weights, others = trained(output), trained(one)
    assert weights.keys() == others.keys()
    for key, value in others.items():
        if torch.is_tensor(value):
            torch.testing.assert_close(weights[key], value, atol=2e-5, rtol=1e-3)


def ids(text):
    """Returns the first column of a table of predictions."""
    return [line.split(",")[0] for line in text.splitlines()]
