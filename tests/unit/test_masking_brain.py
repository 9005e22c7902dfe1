"""The Brain of enhancement and separation: batches, measures, what it keeps."""

import csv
import functools
import math
from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch

from s3prl_sb.brains import audio_examples, masking
from s3prl_sb.brains.base import SSLBrain
from s3prl_sb.brains.masking import EXAMPLES, MaskingBrain, head_for, stft_of
from s3prl_sb.dataio.collation import collate
from s3prl_sb.dataio.mixtures import sources_of
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.heads.blstm import ProjectedBLSTMHead
from s3prl_sb.lobes.heads.composed import FrameHead
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.metrics import perceptual
from s3prl_sb.metrics.separation import si_sdr
from s3prl_sb.startup.configuration import RecipeError

SETTINGS = {
    "n_fft": 256,
    "win_length": None,
    "hop_length": None,
    "mask_activation": "sigmoid",
    "mask_target": "npsm",
    "mask_loss": "mse",
    "compression": "none",
}
FBANK = load("fbank_no_cmvn")


def brain(num_sources=2, **attributes):
    """One with a small random network over fbank, and no run around it."""
    made = MaskingBrain.__new__(MaskingBrain)
    made.hparams = SimpleNamespace(**SETTINGS)
    made.upstream, made.num_sources, made.device = FBANK, num_sources, "cpu"
    made.stft = stft_of(SETTINGS, FBANK)
    torch.manual_seed(0)
    bins = num_sources * made.stft.bins
    head = FrameHead(FBANK.output_size, bins, "rnn", hidden_size=4, num_layers=1)
    made.modules = {"head": head, "featurizer": lambda states: states[0]}
    made.hidden_states = lambda batch: FBANK(*batch.sig)
    for name, value in attributes.items():
        setattr(made, name, value)
    made.start_stage(sb.Stage.TEST)
    return made


def example(name, samples, sources=2):
    """A mixture of tones and noise."""
    generator = torch.Generator().manual_seed(samples)
    time = torch.arange(samples) / 16000
    tones = [torch.sin(2 * torch.pi * 300 * (n + 1) * time) for n in range(sources - 1)]
    waves = torch.stack([*tones, torch.randn(samples, generator=generator)]) / 5
    waveforms = torch.cat([waves.sum(0)[None], waves]).T.contiguous()
    return {"id": name, "sig": waveforms[:, 0].contiguous(), "waveforms": waveforms}


def evaluated(made, examples, stage=sb.Stage.TEST):
    batch = collate(examples)
    with torch.no_grad():
        predictions = made.compute_forward(batch, stage)
        return made.compute_objectives(predictions, batch, stage).item()


LENGTHS = {"a": 8000, "b": 5003, "c": 700}


def test_an_utterance_does_not_depend_on_its_batch():
    """Neither its loss, nor what is separated of it."""
    examples = [example(name, samples) for name, samples in LENGTHS.items()]
    together, alone = brain(), brain()
    loss = evaluated(together, examples)
    losses = [evaluated(alone, [each]) for each in examples]
    assert loss == pytest.approx(sum(losses) / 3, rel=1e-5)
    for name in LENGTHS:
        found, expected = together.rows[name], alone.rows[name]
        assert found == pytest.approx(expected, abs=1e-3, nan_ok=True)
        for kind, wav in alone.examples[name].items():
            assert len(wav) == LENGTHS[name]
            assert torch.allclose(together.examples[name][kind], wav, atol=1e-5)


def test_measures_are_those_of_the_best_order():
    made = brain()
    evaluated(made, [example("a", 8000)])
    row, heard = made.rows["a"], made.examples["a"]
    estimates, clean = (
        torch.stack([heard[f"{kind}_{n}"] for n in (1, 2)])
        for kind in ("estimate", "clean")
    )
    orders = [si_sdr(estimates[order], clean).mean() for order in ([0, 1], [1, 0])]
    assert row["si_sdr"] == pytest.approx(max(orders).item())
    before = si_sdr(heard["mixture"].expand(2, -1), clean).mean().item()
    assert row["input_si_sdr"] == pytest.approx(before)
    assert row["si_sdr_improvement"] == pytest.approx(row["si_sdr"] - before)


def test_keeps_numbers_and_a_few_waveforms(tmp_path, monkeypatch):
    """So the memory does not grow with the test set."""
    monkeypatch.setattr(audio_examples, "spectrograms", lambda *_: None)
    made = brain()
    names = [f"{n}" for n in range(2 * EXAMPLES)]
    for name in names:
        evaluated(made, [example(name, 4000)])
    assert len(made.examples) == EXAMPLES
    assert all(isinstance(v, float) for row in made.rows.values() for v in row.values())
    made.hparams.output_folder = str(tmp_path)
    made.write_predictions()
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == names and rows[0]["seconds"] == "0.250"
    assert float(rows[0]["si_sdr"]) == pytest.approx(made.rows["0"]["si_sdr"], abs=1e-4)
    assert len(audio_examples.sounds(tmp_path)) == 5 * EXAMPLES


def test_validation_measures_what_chooses():
    """PESQ takes most of the time of a validation: only enhancement needs it."""
    made = brain()
    evaluated(made, [example("a", 8000)], sb.Stage.VALID)
    assert "pesq" not in made.rows["a"] and "input_pesq" not in made.rows["a"]
    made.validated = ("pesq",)
    evaluated(made, [example("a", 8000)], sb.Stage.VALID)
    assert "pesq" in made.rows["a"] and "stoi" not in made.rows["a"]
    assert not made.examples


def test_undefined_measures_are_left_out():
    made = brain()
    made.rows["a"] = {"stoi": math.nan, "si_sdr_improvement": 2.0}
    made.rows["b"] = {"stoi": 0.5, "si_sdr_improvement": 4.0}
    assert made.stage_stats(sb.Stage.TEST) == {"stoi": 0.5, "si_sdr_improvement": 3.0}
    made.metric = "pesq"
    with pytest.raises(RecipeError, match="pesq is undefined for every utterance"):
        made.stage_stats(sb.Stage.VALID)


def test_without_pesq_another_measure_chooses(monkeypatch, caplog):
    monkeypatch.setattr(perceptual, "available", lambda name: name != "pesq")
    monkeypatch.setattr(SSLBrain, "__init__", lambda self: None)
    monkeypatch.setattr(SSLBrain, "checkpointer", None, raising=False)

    class Enhancement(MaskingBrain):
        metric, validated = "pesq", ("pesq",)
        hparams, upstream = SimpleNamespace(**SETTINGS), FBANK

    made = Enhancement(num_sources=1)
    assert made.metric == "si_sdr" and Enhancement.metric == "pesq"
    assert "pip install 's3prl_sb[se]'" in caplog.text
    row = masking.measured(*torch.randn(2, 1, 8000), 16000, ["pesq", "stoi"], "a")
    assert row.keys() == {"stoi", "si_sdr"}


@pytest.mark.parametrize("now", ["pesq", "si_sdr"])
def test_a_run_keeps_the_metric_that_it_began_with(now):
    """Otherwise the best of half a run would be chosen, without a word."""
    metas = {"pesq": {"loss": 1.0, "si_sdr": 9.0, "pesq": 2.0}, "si_sdr": {"si_sdr": 9}}
    within = {"unixtime": 0}  # within an epoch nothing is measured
    for before, meta in metas.items():
        checkpoints = [SimpleNamespace(meta=each) for each in (within, meta)]
        checkpointer = SimpleNamespace(
            list_checkpoints=lambda found=checkpoints: found, checkpoints_dir="save"
        )
        if now == before:
            masking.check_choice(checkpointer, "pesq", now)
            continue
        with pytest.raises(RecipeError, match=f"{before} has chosen, and pesq is"):
            masking.check_choice(checkpointer, "pesq", now)


def test_impossible_settings():
    features = SimpleNamespace(stride=1, input_size=40)
    with pytest.raises(RecipeError, match="masks need the waveforms"):
        stft_of(SETTINGS, features)
    given = {**SETTINGS, "mask_target": "psm", "compression": "log1p"}
    with pytest.raises(RecipeError, match="psm may be negative"):
        stft_of(given, FBANK)
    head = functools.partial(ProjectedBLSTMHead, 240, stride=160, hidden_size=4)
    given = {**SETTINGS, "upstream_model": FBANK, "head": head}
    with pytest.raises(RecipeError, match="it returns one of 2 frames"):
        head_for(given, num_sources=1)
    records = {"train": {"a": {"sources": ["1"]}}, "test": {"b": {"sources": ["1", 2]}}}
    with pytest.raises(ManifestError, match="'a' has 1, 'b' has 2"):
        sources_of(records)
