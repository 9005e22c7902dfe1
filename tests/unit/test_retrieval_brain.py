"""Query by example: scores of layers, the choice on dev, and what a run leaves."""

import csv
import json
import math
from xml.etree import ElementTree

import pytest
import soundfile
import torch

from s3prl_sb.brains import layer_scores
from s3prl_sb.brains.retrieval import RetrievalBrain
from s3prl_sb.dataio.pipes import AddNoise, LoadAudio
from s3prl_sb.inference.searcher import Match, Searcher
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.metrics.query_trials import Trials, standardize, stdlist
from s3prl_sb.metrics.retrieval import maximum_term_weighted_value

STRIDE = 160
NORMS = ("mean", "deviation")


class Frames(Upstream):
    """Samples as frames: noise, and the waveform itself, which tells more."""

    num_layers, output_size, stride = 2, 40, STRIDE
    context = 0

    def frames(self, samples):
        return max(1, samples // STRIDE)

    def encode(self, wavs):
        frames = wavs[:, : wavs.shape[1] // STRIDE * STRIDE]
        frames = frames.reshape(len(wavs), -1, STRIDE)[..., :40]
        return [frames * 0 + torch.sin(1e6 * frames), frames]


@pytest.fixture
def data(tmp_path):
    """Six documents; each query is a part of one of them, or of none."""
    generator = torch.Generator().manual_seed(0)

    def record(name, samples):
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, samples.numpy(), 16000, subtype="FLOAT")
        seconds = len(samples) / 16000
        return {"wav": str(path), "duration": seconds, "start": None, "stop": None}

    wavs = {
        f"d{i}": 0.1 * torch.randn(STRIDE * (30 + 7 * i), generator=generator)
        for i in range(6)
    }
    records = {"documents": {name: record(name, wav) for name, wav in wavs.items()}}
    trials = {"documents": list(wavs)}
    for split, numbers in {"valid": (0, 3), "test": (5, 1, 2)}.items():
        cut = {f"{split}{i}": wavs[f"d{i}"][STRIDE * 5 : STRIDE * 20] for i in numbers}
        records[split] = {
            # Noise in the audio: neither layer can be perfect.
            q: record(q, wav + 0.02 * torch.randn(len(wav), generator=generator))
            for q, wav in cut.items()
        }
        trials[split] = {f"{split}{i}": [f"d{i}"] for i in numbers}
    return records, trials


@pytest.fixture
def make(tmp_path):
    """``make(**changes)``: a Brain."""

    def make(run_opts=None, **changes):
        hparams = {
            "upstream_model": Frames(),
            "upstream_name": "frames",
            "seed": 1,
            "layers": "all",
            "distance": "cosine_exp",
            "normalize": True,
            "minmax": True,
            "cache": "auto",
            "cache_folder": str(tmp_path / "cache"),
            "cache_budget": 1,
            "cache_dtype": "float32",
            "cache_processes": 1,
            "eval_pipes": [LoadAudio()],
            "output_folder": str(tmp_path / "out"),
            "save_folder": str(tmp_path / "out/save"),
            **changes,
        }
        return RetrievalBrain(hparams, {"noprogressbar": True, **(run_opts or {})})

    return make


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_better_layer_is_chosen_on_dev(data, make, tmp_path):
    metrics = make().search(*data)
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["layers"] == [1] and results["layer_weights"] == [1.0]
    assert results["metrics"] == metrics and metrics["mtwv"] == 1
    assert results["valid"]["mtwv"] == 1 and "threshold" in results["valid"]
    assert results["utterances"] == {"documents": 6, "valid": 2, "test": 3}
    assert (results["total_steps"], results["best_step"]) == (0, 0)
    rows = read(tmp_path / "out/layers.csv")
    assert [row["layer"] for row in rows] == ["0", "1"]
    assert float(rows[0]["valid_mtwv"]) < 1 == float(rows[1]["valid_mtwv"])
    predictions = read(tmp_path / "out/predictions.csv")
    assert len(predictions) == 3 * 6
    for row in predictions:
        assert row["true"] == str(int(row["query"] == f"test{row['document'][1]}"))
        assert row["detected"] == str(int(float(row["score"]) > 2))
    costs = torch.tensor([float(row["cost"]) for row in predictions]).view(3, 6)
    assert costs.argmin(1).tolist() == [5, 1, 2]


def test_numbers_by_hand(data, make, tmp_path):
    """Normalised by all frames of documents and test queries; z-scores by query."""
    make(layers=1).search(*data)
    records, _ = data
    upstream = Frames()

    def features(name):
        wav = torch.from_numpy(soundfile.read(records[name[0]][name[1]]["wav"])[0])
        return upstream(wav.float()[None])[0][1][0].double()

    documents = [features(("documents", d)) for d in records["documents"]]
    queries = [features(("test", q)) for q in records["test"]]
    frames = torch.cat(documents + queries)
    mean, deviation = frames.mean(0), frames.std(0)
    rows = read(tmp_path / "out/predictions.csv")
    costs = torch.tensor([float(row["cost"]) for row in rows]).view(3, 6)
    scores = torch.tensor([float(row["score"]) for row in rows]).view(3, 6)
    for i, query in enumerate(queries):
        expected = []
        for document in documents:
            table = dtw.frame_distances(
                (query - mean) / deviation, (document - mean) / deviation
            )
            expected.append(dtw.best_match(dtw.normalize_rows(table))[0])
        expected = torch.tensor(expected)
        torch.testing.assert_close(costs[i], expected, atol=2e-6, rtol=1e-5)
        z = -(expected - expected.mean()) / expected.std(correction=0)
        torch.testing.assert_close(scores[i], z, atol=1e-4, rtol=1e-4)


def test_the_threshold_is_that_of_dev(data, make, monkeypatch):
    """The threshold of dev finds one of three queries; that of the test set all."""
    right, wrong = [9, 2, 1, -3, -4, -5], [9, 8, -1, -3, -4, -9]
    valid = [right, [*right[1:4], 9, *right[4:]]]  # in d0, d3
    test = [
        [-1, -1, -1, -1, -1, 5],  # in d5, and more certain than any on dev
        [wrong[1], wrong[0], *wrong[2:]],  # in d1 and d2: less certain,
        [*wrong[1:3], wrong[0], *wrong[3:]],  # but nothing else is more so
    ]
    scores = {"valid": torch.tensor(valid).float(), "test": torch.tensor(test).float()}
    norm = {f"{split}_{n}": torch.ones(40) for split in scores for n in NORMS}
    monkeypatch.setattr(RetrievalBrain, "_score", lambda *_: {1: {**scores, **norm}})
    brain = make(layers=1)
    metrics = brain.search(*data)
    threshold = standardize(scores["valid"]).max(1).values.min().item()
    assert (
        brain.best["threshold"] == pytest.approx(threshold) and brain.best["mtwv"] == 1
    )
    assert metrics["mtwv"] == 1 and metrics["twv"] == pytest.approx(1 / 3)


def outcome(folder):
    names = ("predictions.csv", "layers.csv", "stdlist/valid/benchmark.stdlist.xml")
    return [(folder / name).read_bytes() for name in names]


def test_finished_layers_are_kept(data, make, tmp_path, monkeypatch):
    make().search(*data)
    expected = outcome(tmp_path / "out")
    scores = sorted((tmp_path / "out/save/scores").iterdir())
    assert len(scores) == 2
    searched, original = [], layer_scores.search

    def noting(*args, **kwargs):
        searched.append(args)
        return original(*args, **kwargs)

    monkeypatch.setattr(layer_scores, "search", noting)
    make().search(*data)
    assert not searched and outcome(tmp_path / "out") == expected
    scores[0].write_bytes(scores[0].read_bytes()[:50])  # broken, and one is missing
    scores[1].unlink()
    make().search(*data)
    assert len(searched) == 2 and outcome(tmp_path / "out") == expected
    make(distance="euclidean").search(*data)  # another search: its own scores
    assert len(searched) == 4 and outcome(tmp_path / "out") != expected


def test_features_in_one_pass_or_by_the_budget(data, make, tmp_path):
    make().search(*data)
    expected = outcome(tmp_path / "out")
    assert len(list((tmp_path / "cache").iterdir())) == 1
    passes, upstream = [], Frames()
    encode = upstream.encode
    upstream.encode = lambda wavs: passes.append(len(wavs)) or encode(wavs)
    again = {"output_folder": str(tmp_path / "two"), "save_folder": str(tmp_path / "s")}
    for budget, count in ((1, 1), (1e-5, 2)):
        passes.clear()
        make(**again, cache="off", cache_budget=budget, upstream_model=upstream).search(
            *data
        )
        assert sum(passes) == 11 * count  # each utterance, repeated
        assert outcome(tmp_path / "two") == expected
        assert [path.name for path in (tmp_path / "s").iterdir()] != ["features"]
        assert not (tmp_path / "s/features").exists()
        for path in (tmp_path / "s/scores").iterdir():
            path.unlink()


def test_debug_takes_a_few(data, make, tmp_path):
    make({"debug": True, "debug_batches": 1}).search(*data)
    results = json.loads((tmp_path / "out/results.json").read_text())
    assert results["utterances"] == {"documents": 5, "valid": 2, "test": 2}
    assert len(read(tmp_path / "out/layers.csv")) == 1


def test_what_cannot_be(data, make):
    with pytest.raises(ValueError, match="there is no hidden state 7"):
        make(layers=7)
    with pytest.raises(ValueError, match="distance: 'cosinus', there are cosine_exp"):
        make(distance="cosinus")
    with pytest.raises(ValueError, match="set normalize: False"):
        make(distance="cosine_neg_log")
    with pytest.raises(ValueError, match="cache is auto, off or frames, not pooled"):
        make(cache="pooled").search(*data)
    with pytest.raises(ValueError, match="of the documents each time"):
        make(eval_pipes=[LoadAudio(), AddNoise(snr=[0, 5])]).search(*data)


# ---------------------------------------------------------------------- trials
def test_trials_count_what_was_not_searched():
    """As a matrix of all queries and documents with -10 where nothing was searched."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(3, 20, generator=generator)
    held = {f"q{i}": [f"d{i}", f"d{i + 5}"] for i in range(3)}
    held |= {"other": ["x1"], "nowhere": []}
    names = [f"d{i}" for i in range(20)]
    trials = Trials(list(held)[:3], names, held, [*names, "x1", "x2"])
    stats = trials.measure(scores)
    table = torch.full((4, 22), -10.0, dtype=torch.float64)
    table[:3, :20] = standardize(scores)
    true = torch.zeros(4, 22)
    for i in range(3):
        true[i, [i, i + 5]] = 1
    true[3, 20] = 1
    value, threshold = maximum_term_weighted_value(table, true)
    assert stats["mtwv"] == pytest.approx(value)
    assert stats.get("threshold", math.inf) == threshold
    searched = maximum_term_weighted_value(standardize(scores), true[:3, :20])[0]
    assert stats["mtwv_searched"] == searched
    at_best = trials.measure(scores, threshold)
    assert at_best["twv"] == pytest.approx(value) and "threshold" not in at_best


def test_detecting_nothing_has_no_threshold():
    trials = Trials(["q"], ["a", "b"], {"q": ["b"]}, ["a", "b"])
    stats = trials.measure(torch.tensor([[-0.1, -0.9]]))
    assert stats["mtwv"] == 0 and "threshold" not in stats
    assert trials.measure(torch.tensor([[-0.9, -0.1]]), math.inf)["twv"] == 0


def test_stdlist_is_xml():
    scores = torch.tensor([[2.5, -1.0], [2.0, 0.12345]])
    root = ElementTree.fromstring(stdlist(["q", 'r"&<'], ["a", "b"], scores))
    assert root.tag == "stdlist" and root.get("system_id") == "benchmark"
    lists = list(root)
    assert [found.tag for found in lists] == ["detected_termlist"] * 2
    assert [found.get("termid") for found in lists] == ["q", 'r"&<']
    terms = [dict(term.attrib) for found in lists for term in found]
    assert [t["decision"] for t in terms] == ["YES", "NO", "NO", "NO"]
    assert terms[3] == {
        "file": "b",
        "channel": "1",
        "tbeg": "0.000",
        "dur": "0.00",
        "score": "0.1235",
        "decision": "NO",
    }


# -------------------------------------------------------------------- searcher
def test_searcher_finds_the_place(data, make, tmp_path):
    brain = make()
    brain.search(*data)
    told = brain.interface()
    assert told["class"] == "s3prl_sb.inference.searcher.Searcher"
    json.dumps(told, allow_nan=False)
    searcher = Searcher(
        modules={"upstream": Frames()},
        hparams={"audio_pipes": [LoadAudio()], **told["hparams"]},
    )
    records, _ = data
    paths = {name: r["wav"] for name, r in records["documents"].items()}
    query = records["test"]["test5"]["wav"]
    matches = searcher.search(query, list(paths.values()))
    assert isinstance(matches[0], Match) and matches[0].path == paths["d5"]
    assert (matches[0].start, matches[0].stop) == pytest.approx((0.05, 0.20))
    assert [m.score for m in matches] == sorted(
        (m.score for m in matches), reverse=True
    )
    rows = read(tmp_path / "out/predictions.csv")
    costs = {r["document"]: float(r["cost"]) for r in rows if r["query"] == "test5"}
    found = {match.path: -match.score for match in matches}
    for name, path in paths.items():  # those of the run, so normalised as there
        assert found[path] == pytest.approx(costs[name], abs=1e-5)
    lines = list(searcher.lines([query, paths["d0"], paths["d5"]]))
    score = f"{matches[0].score:.4f}"
    assert lines[0] == f"{paths['d5']}\t{score}\t0.05\t0.20" and len(lines) == 2


def test_searcher_says_what_is_wrong(data, make, tmp_path):
    brain = make()
    brain.search(*data)
    searcher = Searcher(
        modules={"upstream": Frames()},
        hparams={"audio_pipes": [LoadAudio()], **brain.interface()["hparams"]},
    )
    short = str(tmp_path / "short.wav")
    soundfile.write(short, [0.1, 0.2] * 240, 16000)
    with pytest.raises(ValueError, match="short.wav: 3 frames of 0.010 s; .* needs 5"):
        searcher.search(short, [short])
    with pytest.raises(ValueError, match="is taken for the query"):
        list(searcher.lines([short]))
