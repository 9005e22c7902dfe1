"""The verb, results and figure of the probes of all hidden states."""

import functools
import json
import math
import re
import types

import pytest
import torch

from s3prl_sb import cli, resources
from s3prl_sb.brains import layer_intervals, layer_plot, layer_results, parts
from s3prl_sb.brains.layer_probes import LayerProbes, Probe
from s3prl_sb.brains.settings import SettingsError
from s3prl_sb.commands import completion, layers, run
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.metrics.measures import Measures, intervals_of
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.startup import layer_weights, readiness
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.startup.preconditions import check_layers


def row(layer, score, **more):
    stats = {"accuracy": score, "loss": 1.0}
    return {
        "layer": layer,
        "lr": 0.1,
        "valid": stats,
        "test": {**stats, "accuracy": score - 0.1},
        "best_step": 4,
        "stopped_at_step": None,
        "diverged_at_step": None,
        **more,
    }


def found(**more):
    diverged = {"valid": None, "test": None, "best_step": None, "diverged_at_step": 3}
    return {
        "task": "SUPERB/KS",
        "upstream": "tiny",
        "chosen_by": {"metric": "accuracy", "highest": True},
        "layers": [row(0, 0.5), row(2, 0.75), row(5, 0.0, **diverged)],
        "weighted_sum": row(None, 0.875),
        "weights": {
            "of": "weighted sum",
            "layers": [0, 2, 5],
            "weights": [0.5, 0.5, 0],
        },
        "utterances": {"test": 3},
        "test": None,
        "seconds": 1.0,
        **more,
    }


# ---------------------------------------------------------------------------- the verb
@pytest.fixture
def ran(monkeypatch):
    """Recipes that the verb starts, as (recipe, rest)."""
    calls = []
    monkeypatch.setattr(run, "run_recipe", lambda *given: calls.append(given) or 0)
    return calls


def test_it_is_a_run_of_the_recipe(ran):
    options = ["--upstream", "tera", "--lr=0.1"]
    assert cli.main(["layers", "ks", *options, "--layers", "0 -1"]) == 0
    more = ["--probe_layers=True", "--featurizer.layers=[0, -1]", "--name=layers"]
    assert ran == [("ks", [*options, *more])]


def test_its_folder_may_be_another(ran):
    cli.main(["layers", "ks", "--name", "mine", "--weights", "run"])
    assert ran == [
        ("ks", ["--name", "mine", "--probe_layers=True", "--weights_of=run"])
    ]


@pytest.mark.parametrize(
    "argv, message",
    [
        (["qbe"], "SUPERB/QbE has no probe.*s3prl-sb run SUPERB/QbE compares all"),
        (["pretraining/tera"], "pretraining/tera has no probe of hidden states"),
        (["ks", "--layers", "0 x"], "--layers '0 x': give numbers of hidden states"),
        (["ks", "--layers", ""], "give numbers"),
        (["kss"], "no recipe 'kss'. Did you mean"),
    ],
)
def test_what_is_refused(argv, message, ran, capsys):
    assert cli.main(["layers", *argv]) == 1 and not ran
    assert re.search(message, capsys.readouterr().err)


def test_every_recipe_that_trains_a_probe_has_layers():
    names = [n for n in resources.recipe_files() if not n.startswith("pretraining")]
    for name in names:
        if name not in ("LibriSpeech/ABX", "SUPERB/QbE"):
            layers.check_recipe(name, resources.recipe_files()[name])


def test_it_is_completed():
    words = functools.partial(completion.candidates, parser=cli.parser())
    assert "SUPERB/KS" in words(["layers", ""])
    assert {"--layers", "--total_steps"} <= set(words(["layers", "ks", "--"]))
    assert "hubert_base" in words(["layers", "ks", "--upstream", "hubert_b"])


def test_a_trained_upstream_and_several_processes_are_refused(monkeypatch):
    hparams = {"upstream_model": types.SimpleNamespace(freeze=False)}
    with pytest.raises(KeysError, match="one frozen upstream.*freeze: True"):
        check_layers(hparams)
    hparams["upstream_model"].freeze = True
    check_layers(hparams)
    monkeypatch.setenv("RANK", "0")  # as torchrun does
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(RecipeError, match="probe_layers .*without torchrun"):
        check_layers(hparams)


# ------------------------------------------------------------------------- the batches
def test_a_copy_gets_its_hidden_state_in_the_layout_of_a_run():
    whole = types.SimpleNamespace(
        raw_modules={"featurizer": Featurizer(4, layers=[1, 3])}
    )
    states = torch.randn(2, 5, 2, 8)
    batch = types.SimpleNamespace(feats=(states, torch.ones(2)), to=lambda device: None)
    probes = [Probe((3,), 0.1), Probe((1, 3), 0.1)]
    sweep = types.SimpleNamespace(probes=probes, rows={1: 0, 3: 1}, device="cpu")
    one, lens = LayerProbes.batch_of(sweep, 0, batch).feats
    assert torch.equal(one, states[:, :, 1:]) and one.is_contiguous()
    assert LayerProbes.batch_of(sweep, 1, batch) is batch
    feature = whole.raw_modules["featurizer"].only(3)(one)
    assert torch.equal(feature, states[:, :, 1])


# ------------------------------------------------------------------------- the results
def test_the_table_and_the_files(tmp_path, caplog):
    caplog.set_level("INFO")
    layer_results.publish(tmp_path, found())
    lines = (tmp_path / "layers.csv").read_text().splitlines()
    assert lines[0] == "layer,valid accuracy,test accuracy,best step,lr,weight"
    assert lines[1] == "0,0.5,0.4,4,0.1,0.5" and lines[3] == "5,,,,0.1,0"
    assert lines[4].startswith("weighted sum,0.875,")
    assert json.loads((tmp_path / "layers.json").read_text()) == found()
    assert (tmp_path / "layers.png").stat().st_size > 1000
    assert "2             75.00 %" in caplog.text


def test_intervals_in_the_table_and_in_the_figure(tmp_path, caplog, monkeypatch):
    caplog.set_level("INFO")
    drawn = []
    finish = layer_plot.plots.finish
    monkeypatch.setattr(
        layer_plot.plots,
        "finish",
        lambda axes, *o: drawn.append(axes) or finish(axes, *o),
    )
    content, limits = found(), ([0.35, 0.45], [0.7, 0.8])
    content["layers"][0]["intervals"] = {"metrics": {"accuracy": limits[0]}}
    content["weighted_sum"]["intervals"] = {"metrics": {"accuracy": limits[1]}}
    layer_results.publish(tmp_path, content)
    lines = (tmp_path / "layers.csv").read_text().splitlines()
    assert lines[0].endswith("best step,lr,weight,low accuracy,high accuracy")
    assert lines[1].endswith(",0.35,0.45") and lines[2].endswith(",,")
    assert lines[4].endswith(",0.7,0.8")
    assert re.search(r"35.00 % +45.00 %", caplog.text)
    (whiskers,) = drawn[0].collections
    assert whiskers.get_segments()[0].T.tolist() == [[0, 0], pytest.approx([35, 45])]
    assert len(drawn[0].patches) == 1  # of the weighted sum


def test_a_probe_has_the_intervals_of_its_measures(tmp_path):
    accuracy = {"kind": "mean", "values": [1, 0, 1, 1]}
    measures = Measures.build("utterance", "abcd", {"accuracy": accuracy})
    brain = types.SimpleNamespace(measures=lambda: measures)
    tested = brain, {"accuracy": 0.75}, tmp_path
    for layer in (3, None):
        intervals = layer_intervals.of_probe(*tested, layer)
        assert intervals == intervals_of(measures)
        assert layer_intervals.limits_of({"intervals": intervals}, "accuracy")
    assert Measures.read(tmp_path / "layers/layer_3").value("accuracy") == 0.75
    assert Measures.read(tmp_path / "layers/weighted_sum").items == list("abcd")


def test_the_figure_without_weights_and_validation(tmp_path):
    rows = [row(0, 0.5, valid={"step": 4.0})]
    alone = found(layers=rows, weighted_sum=None, weights=None)
    alone["chosen_by"] = {"metric": "step", "highest": True}
    layer_plot.write(tmp_path / "a.png", alone, "accuracy")
    assert (tmp_path / "a.png").exists()


def test_a_diverged_probe_is_a_gap_in_the_figure(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(layer_plot.plots, "finish", lambda axes, *_: drawn.append(axes))
    diverged = row(2, 0.0, valid=None, test=None, diverged_at_step=3)
    layers = found(layers=[row(0, 0.5), diverged, row(5, 0.6)])
    layer_plot.write(tmp_path / "a.png", layers, "accuracy")
    test, valid, *_ = drawn[0].get_lines()
    for line, scores in ((test, [40, math.nan, 50]), (valid, [50, math.nan, 60])):
        assert line.get_xdata().tolist() == [0, 2, 5]
        assert line.get_ydata().tolist() == pytest.approx(scores, nan_ok=True)


def test_weights_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(layer_weights, "first_identity", lambda upstream: "tiny")
    hparams = {"upstream_model": None, "weights_of": str(tmp_path)}
    assert layer_weights.weights_of_run({}) is None
    with pytest.raises(Exception, match="results.json"):
        layer_weights.weights_of_run(hparams)
    early = {**hparams, "upstream_model": types.SimpleNamespace(freeze=True)}
    with pytest.raises(Exception, match="results.json.*Correct --weights"):
        readiness.check({**early, "probe_layers": True})  # before data are read

    def write(**content):
        content = {"layers": [0, 1], "layer_weights": [0.4, 0.6], **content}
        (tmp_path / "results.json").write_text(json.dumps(content))
        return layer_weights.weights_of_run(hparams)

    assert write()["weights"] == [0.4, 0.6]
    with pytest.raises(RecipeError, match="of another upstream, mel"):
        write(upstream="mel", identity={"upstream": "of another"})
    with pytest.raises(RecipeError, match="no weights to draw"):
        write(layers=[1], layer_weights=[1.0])
    for weights in ([0.4], ["a", "b"], [0.4, math.nan], None):
        with pytest.raises(Exception, match="results.json.*Correct --weights"):
            write(layer_weights=weights)


def test_the_results_of_another_test_set_are_kept(tmp_path, monkeypatch):
    brain = types.SimpleNamespace(
        hparams=types.SimpleNamespace(output_folder=str(tmp_path))
    )
    monkeypatch.setattr(layer_results, "digests", lambda splits: splits)
    monkeypatch.setattr(layer_results.results, "test_digest", lambda b: b.data["test"])
    layer_results.check_test(brain, {"test": "a"})
    (tmp_path / "layers.json").write_text(json.dumps({"test": {"sha256": "a"}}))
    layer_results.check_test(brain, {"test": "a"})
    with pytest.raises(SettingsError, match="of another test set: it stays"):
        layer_results.check_test(brain, {"test": "b"})


def test_folds_are_averaged(tmp_path):
    test = {"name": "x", "source": "y", "sha256": "z", "utterances": 3, "hours": 1.0}
    for fold, score in ((1, 0.5), (2, 0.75)):
        content = found(test=test)
        content["layers"][0] = row(0, score, lr=fold)
        (tmp_path / f"fold{fold}/layers/layer_0").mkdir(parents=True)
        accuracy = {"kind": "mean", "values": [1, 0, 1, fold - 1]}
        measures = Measures.build("utterance", "abcd", {"accuracy": accuracy})
        measures.write(tmp_path / f"fold{fold}/layers/layer_0")
        (tmp_path / f"fold{fold}/layers.json").write_text(json.dumps(content))
    merged = parts.layer_summary(tmp_path, parts.folds_of((1, 2)))
    first, _, diverged = merged["layers"]
    assert first["intervals"]["units"] == 8 and diverged["intervals"] is None
    low, high = layer_intervals.limits_of(first, "accuracy")
    assert 0.2 < low < 0.625 < high < 0.95
    assert merged["weighted_sum"]["intervals"] is None
    assert first["valid"]["accuracy"] == 0.625 and first["lr"] is None
    assert first["valid"]["accuracy_std"] == pytest.approx(0.176777, abs=1e-6)
    assert diverged["test"] is None and merged["test"]["utterances"] == 6
    assert merged["weighted_sum"]["valid"]["accuracy"] == 0.875
    layer_results.publish(tmp_path, merged)
