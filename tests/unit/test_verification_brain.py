"""The Brain of verification: scoring, cohorts, what counts; and the verifier."""

import csv
import functools
import json
import math

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch

from s3prl_sb.brains.verification import VerificationBrain, verification_splits
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.trials import Trial
from s3prl_sb.inference.verifier import SpeakerVerifier
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.xvector import XVector
from s3prl_sb.lobes.margin_losses import AMSoftmaxLoss
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics.verification import equal_error_rate

TRIALS = [
    Trial(1, "a", "b"),
    Trial(0, "c", "a"),
    Trial(1, "c", "d"),
    Trial(0, "d", "b"),
]


@pytest.fixture(scope="module")
def upstream():
    return load("fbank_no_cmvn")


@pytest.fixture
def brain(upstream, tmp_path):
    def brain(run_opts=None, **kwargs):
        hparams = {
            "upstream_model": upstream,
            "opt_class": functools.partial(torch.optim.AdamW, lr=1e-3),
            "min_seconds": 0.5,
            "top_n": 3,
            "output_folder": str(tmp_path),
            "lr_search": kwargs.pop("lr_search", None),
        }
        modules = {
            "featurizer": Featurizer(upstream.num_layers),
            "head": XVector(upstream.output_size, 8, 12, 4),
            "loss": AMSoftmaxLoss(4, 3),
        }
        trials = kwargs.pop("trials", {"valid": TRIALS, "test": TRIALS})
        made = VerificationBrain(
            trials=trials, modules=modules, hparams=hparams, run_opts=run_opts, **kwargs
        )
        made.optimizer_step = 7
        return made

    return brain


def embed(brain, names, stage=sb.Stage.VALID):
    """Random embeddings, of length one, in two batches."""
    brain.start_stage(stage)
    vectors = torch.nn.functional.normalize(torch.randn(len(names), 4))
    brain.names, brain.embeddings = list(names), [vectors[:2], vectors[2:]]
    return dict(zip(names, vectors.double()))


def batch(seconds, labels=None):
    """Noise of the given seconds each."""
    examples = []
    for number, length in enumerate(seconds):
        generator = torch.Generator().manual_seed(number)
        sig = 0.1 * torch.randn(int(16000 * length), generator=generator)
        example = {"id": "abcdefgh"[number], "sig": sig}
        if labels:
            example["speaker_encoded"] = labels[number]
        examples.append(example)
    return PaddedBatch(examples)


def test_cosines(brain):
    brain = brain()
    vectors = embed(brain, "abcd")
    scores, labels = brain.score(TRIALS)
    assert list(scores) == [""] and labels.tolist() == [1, 0, 1, 0]
    for score, trial in zip(scores[""].tolist(), TRIALS):
        a, b = vectors[trial.first].tolist(), vectors[trial.second].tolist()
        assert score == pytest.approx(sum(x * y for x, y in zip(a, b)), abs=1e-12)
    stats = brain.stage_stats(sb.Stage.VALID)
    rate, threshold = equal_error_rate(scores[""], labels)
    assert (stats["eer"], stats["threshold"]) == (rate, threshold)
    assert set(stats) == {"eer", "min_dcf", "threshold"}


def test_a_cohort(brain):
    brain = brain(cohort=["e", "f", "g", "h"])
    vectors = embed(brain, "abcdefgh")
    scores, _ = brain.score(TRIALS)
    assert list(scores) == ["", "cosine_"]
    for score, trial in zip(scores[""].tolist(), TRIALS):
        cosine = float(vectors[trial.first] @ vectors[trial.second])
        normed = []
        for side in trial[1:]:
            near = sorted(float(vectors[side] @ vectors[c]) for c in "efgh")[1:]
            mean = sum(near) / 3
            deviation = math.sqrt(sum((n - mean) ** 2 for n in near) / 2)
            normed.append((cosine - mean) / deviation)
        assert score == pytest.approx(sum(normed) / 2)
    stats = brain.stage_stats(sb.Stage.VALID)
    brain.best = stats
    threshold = brain.interface()["hparams"]["threshold"]
    assert threshold == stats["cosine_threshold"] != stats["threshold"]


def test_the_test_set_is_decided_by_the_threshold_of_validation(brain, tmp_path):
    brain = brain()
    embed(brain, "abcd", sb.Stage.TEST)
    scores, labels = brain.score(TRIALS)
    scores = scores[""].tolist()
    brain.best = {"threshold": sorted(scores)[2]}
    stats = brain.stage_stats(sb.Stage.TEST)
    accepted = [score >= brain.best["threshold"] for score in scores]
    assert stats["false_acceptance"] == (accepted[1] + accepted[3]) / 2
    assert stats["false_rejection"] == 1 - (accepted[0] + accepted[2]) / 2
    brain.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, trial, score, yes in zip(rows, TRIALS, scores, accepted, strict=True):
        assert (row["id1"], row["id2"]) == trial[1:]
        assert (row["label"], row["prediction"]) == (str(trial.label), str(int(yes)))
        assert float(row["score"]) == pytest.approx(score, abs=1e-11)
    first = (tmp_path / "scores.txt").read_text().splitlines()[0].split("\t")
    assert first == ["1", rows[0]["score"], "a", "b"]
    assert (tmp_path / "det.png").stat().st_size > 1000
    json.dumps(brain.interface())


def test_an_embedding_does_not_depend_on_its_batch(brain):
    brain = brain()
    brain.modules.eval()
    seconds = [0.1, 1.2, 0.6, 2.0]
    with torch.no_grad():
        together, _ = brain.compute_forward(batch(seconds), sb.Stage.VALID)
        for number, expected in enumerate(together):
            alone = batch(seconds)
            alone = PaddedBatch([{"id": "x", "sig": _true(alone, number)}])
            found, _ = brain.compute_forward(alone, sb.Stage.VALID)
            torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-4)


def _true(batch, number):
    sig, lens = batch.sig
    return sig[number, : round(float(lens[number]) * sig.shape[1])]


def test_utterances_of_little_speech_do_not_count(brain, caplog):
    brain = brain()
    brain.modules.train()
    brain.start_stage(sb.Stage.TRAIN)
    mixed = batch([0.4, 1.0, 0.3, 0.6], labels=[0, 1, 2, 1])
    long = batch([0.4, 1.0, 0.3, 0.6], labels=[2, 1, 1, 1])  # others of the short ones
    losses = []
    for made in (mixed, long):
        predictions = brain.compute_forward(made, sb.Stage.TRAIN)
        losses.append(brain.compute_objectives(predictions, made, sb.Stage.TRAIN))
    assert losses[0] == losses[1] > 0
    assert (int(brain.counted), int(brain.short)) == (4, 4)
    with caplog.at_level("INFO"):
        brain.on_stage_end(sb.Stage.TRAIN, 1.0, 1)
    assert "4 of 8 training utterances had less than min_seconds (0.5 s)" in caplog.text


def test_in_debugging_a_few_batches_are_enough(brain):
    brain = brain(run_opts={"debug": True}, cohort=["e", "f"])
    embed(brain, "abc")
    scores, _ = brain.score(TRIALS)
    assert scores[""][2:].tolist() == [0, 0]
    assert 0 <= brain.stage_stats(sb.Stage.VALID)["eer"] <= 1


def test_the_last_checkpoint(brain):
    last = brain(choose="last")
    assert (last.metric, last.higher_is_better) == ("step", True)
    embed(last, "abcd")
    stats = last.stage_stats(sb.Stage.VALID)
    assert stats["step"] == 7 and "eer" in stats
    with pytest.raises(ValueError, match="the 'best' or the 'last'"):
        brain(choose="first")
    with pytest.raises(ValueError, match="lr_search.*set valid_speakers"):
        brain(choose="last", lr_search=[0.1])


# ---- splits -------------------------------------------------------------------------


@pytest.fixture
def hparams(tmp_path):
    train = {
        f"{s}{n}": {"wav": f"{s}{n}.wav", "duration": 1.0, "speaker": s, "video": "v"}
        for s in ("bo", "al")
        for n in range(3)
    }
    trial = {n: {"wav": f"{n}.wav", "duration": 1.0} for n in ("al0", "x")}
    for split, records in (("train", train), ("valid", trial), ("test", trial)):
        manifest.write(records, tmp_path / f"{split}.json")
    return {
        "save_folder": tmp_path,
        "seed": 0,
        "train_pipes": [],
        "eval_pipes": [],
        "score_normalization": None,
        "cohort_size": 3,
    }


def test_splits(hparams):
    splits, speakers, cohort = verification_splits(hparams)
    assert (speakers, cohort) == (["al", "bo"], [])
    assert splits["test"].data_ids == ["al0", "x"]
    assert "speaker_encoded" in splits["train"].pipeline.output_mapping
    splits["train"].set_output_keys(["speaker_encoded"])
    numbers = [splits["train"][i]["speaker_encoded"] for i in range(6)]
    assert sorted(numbers) == [0, 0, 0, 1, 1, 1]
    few, speakers, _ = verification_splits({**hparams, "train_per_class": 1})
    assert len(few["train"]) == 2 and speakers == ["al", "bo"]


def test_splits_with_a_cohort(hparams):
    hparams["score_normalization"] = "as_norm"
    splits, _, cohort = verification_splits(hparams)
    assert cohort == ["cohort--al0", "cohort--bo0", "cohort--al1"]  # in turns
    for split in ("valid", "test"):
        assert splits[split].data_ids == ["al0", "x", *cohort]
        assert splits[split].data["al0"]["wav"] == "al0.wav"
        assert splits[split].data["cohort--bo0"]["wav"] == "bo0.wav"
    hparams["score_normalization"] = "z_norm"
    with pytest.raises(ValueError, match="null or as_norm, not 'z_norm'"):
        verification_splits(hparams)


# ---- the verifier -------------------------------------------------------------------


@pytest.fixture
def verifier(monkeypatch):
    vectors = {"a": [1.0, 0, 0], "b": [0.8, 0.6, 0], "c": [0, 0, 2.0]}
    made = object.__new__(SpeakerVerifier)
    torch.nn.Module.__init__(made)
    made.hparams = type("hparams", (), {"threshold": 0.5})
    monkeypatch.setattr(made, "embed_file", lambda path: torch.tensor(vectors[path]))
    return made


def test_verifier(verifier):
    score, same = verifier.verify_files("a", "b")
    assert score == pytest.approx(0.8) and same is True
    assert verifier.verify_files("c", "a") == (0, False)
    assert list(verifier.lines(["a", "b", "c"])) == [
        "a\tb\t0.8000\tsame",
        "a\tc\t0.0000\tdifferent",
    ]
    with pytest.raises(ValueError, match="give two or more"):
        list(verifier.lines(["a"]))
