"""Query by example on real speech: found without training, with S3PRL's scores."""

import csv
import json

import pytest
import torch
from conftest import command

from s3prl_sb import resources
from s3prl_sb.corpora.quesst14 import read_trials
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.audio import LoadAudio
from s3prl_sb.inference.searcher import Searcher
from s3prl_sb.lobes.upstreams import load as load_upstream


@pytest.fixture(scope="module")
def finished(data_folder, launcher, tmp_path_factory):
    """A run of the recipe with mel filterbanks."""
    output = tmp_path_factory.mktemp("QbE") / "out"
    given = {"data_folder": data_folder / "quesst14Database", "upstream": "fbank"}
    recipe = resources.recipes()["SUPERB/QbE"]
    assert launcher.run(command(recipe, output, **given)) == 0
    return output


def predictions(folder):
    with open(folder / "predictions.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_queries_are_found(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["utterances"] == {"documents": 70, "valid": 10, "test": 10}
    assert results["valid"]["mtwv"] > 0.2 and results["metrics"]["mtwv"] > 0.25
    assert results["metrics"]["twv"] > 0.2  # at the threshold of dev
    # Ten queries, of which each is in nine of seventy documents.
    held = read_trials(finished / "save")["test"]
    assert {len(documents) for documents in held.values()} == {9}
    best = {}
    for row in predictions(finished):
        best.setdefault(row["query"], []).append((float(row["cost"]), row["document"]))
    first = [min(found)[1] in held[query] for query, found in best.items()]
    assert sum(first) >= 9


def test_scores_are_s3prls(finished):
    """Its steps one by one: SciPy's distances and dtw-python, in float64."""
    dtw = pytest.importorskip("dtw")
    cdist = pytest.importorskip("scipy.spatial.distance").cdist
    np = pytest.importorskip("numpy")
    upstream, audio = load_upstream("fbank"), LoadAudio()

    def features(split):
        records = manifest.read(finished / f"save/{split}.json")
        wavs = {name: audio.load(name, r["wav"]) for name, r in records.items()}
        return {name: upstream(wav[None])[0][0][0] for name, wav in wavs.items()}

    documents, queries = features("documents"), features("test")
    frames = torch.cat([*queries.values(), *documents.values()])
    mean, deviation = frames.mean(0), frames.std(0).clamp(1e-9)
    documents = {n: ((f - mean) / deviation).numpy() for n, f in documents.items()}
    found = {(row["query"], row["document"]): row for row in predictions(finished)}
    assert len(found) == len(documents) * len(queries)
    for query, x in list(queries.items())[:3]:
        x, scores = ((x - mean) / deviation).numpy(), []
        for y in documents.values():
            table = np.exp(cdist(x, y, "cosine")) - 1
            low, high = table.min(1)[:, None], table.max(1)[:, None]
            table = (table - low) / np.clip(high - low, 1e-9, np.inf)
            path = dtw.dtw(
                table, step_pattern="asymmetric", open_begin=True, open_end=True
            )
            scores.append(-path.normalizedDistance)
        normed = (np.array(scores) - np.mean(scores)) / np.std(scores)
        for document, score, z in zip(documents, scores, normed):
            row = found[query, document]
            assert float(row["cost"]) == pytest.approx(-score, abs=2e-6)
            assert float(row["score"]) == pytest.approx(z, abs=2e-4)


def test_a_searcher_says_where(finished, data_folder):
    told = json.loads((finished / "save/interface.json").read_text())
    searcher = Searcher(
        modules={"upstream": load_upstream("fbank")},
        hparams={"audio_pipes": [LoadAudio()], **told["hparams"]},
    )
    root = data_folder / "quesst14Database"
    query = root / "eval_queries/quesst14_eval_0001.wav"
    held = read_trials(finished / "save")["test"][query.stem]
    paths = sorted((root / "Audio").glob("*.wav"))[:30]
    matches = searcher.search(query, paths)
    assert {match.path for match in matches} == {str(path) for path in paths}
    assert all(0 <= m.start < m.stop <= 30 for m in matches)
    assert matches[0].path.rpartition("/")[2].removesuffix(".wav") in held
    # The word is a second; the path may take it at half to double speed.
    assert 0.4 < matches[0].stop - matches[0].start < 2.1
    rows = {r["document"]: r for r in predictions(finished) if r["query"] == query.stem}
    for match in matches:
        row = rows[match.path.rpartition("/")[2].removesuffix(".wav")]
        assert match.score == pytest.approx(-float(row["cost"]), abs=2e-6)
