"""Exports: complete, movable, and refused where they would lie."""

import csv
import json
import os
import re
import shutil
import signal

import pytest
import soundfile
import torch
from safetensors.torch import save_file
from started_processes import Fork

from s3prl_sb.audio.waveforms import AudioError
from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.cli import main
from s3prl_sb.dataio.pipes import AudioFileError
from s3prl_sb.identity.objects import hash_weights
from s3prl_sb.inference import Classifier, ExportError, export, load
from s3prl_sb.lobes.checkpoints.finiteness import WeightsError
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams.hubert import Hubert

CONFIG = """{hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
    position_kernel: 8, position_groups: 2, conv_layers: [[8, 10, 5], [8, 8, 64]]}"""
HPARAMS = """
upstream: tiny
upstream_model: &model !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: {source}
    config: {config}
    freeze: {freeze}
featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer
    num_layers: !apply:getattr [*model, num_layers]
    layers: all
head: !name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier
    input_size: !apply:getattr [*model, output_size]
    hidden_size: 8
eval_pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio
        sample_rate: !apply:getattr [*model, sample_rate]
"""
RESULTS = {
    "task": "SUPERB/KS",
    "upstream": "tiny",
    "total_steps": 3,
    "chosen_by": {"metric": "accuracy", "highest": True},
}
LABELS = ["no", "yes", "ünder 2"]


def config():
    import yaml

    return yaml.safe_load(CONFIG)


@pytest.fixture
def make_run(tmp_path):
    """``make_run(freeze)``: a finished run, and its trained modules."""

    def make_run(freeze=True, source="null"):
        folder = tmp_path / "run"
        (folder / "save").mkdir(parents=True)
        text = HPARAMS.format(source=source, config=CONFIG, freeze=freeze)
        (folder / "hyperparams.yaml").write_text(text)
        (folder / "results.json").write_text(json.dumps(RESULTS))
        interface = {
            "class": "s3prl_sb.inference.classifier.Classifier",
            "head": {"num_classes": len(LABELS)},
            "hparams": {"labels": LABELS},
        }
        (folder / "save/interface.json").write_text(json.dumps(interface))
        modules = {"featurizer": Featurizer(3), "head": UtteranceClassifier(16, 3, 8)}
        modules["upstream"] = Hubert(config=config(), freeze=freeze)
        saved = {
            name: m for name, m in modules.items() if name != "upstream" or not freeze
        }
        checkpointer = AtomicCheckpointer(str(folder / "save"), saved)
        for accuracy in (0.5, 0.9, 0.7):  # the best is the second
            for module in saved.values():
                for parameter in module.parameters():
                    parameter.data.normal_(std=0.5)
            checkpointer.save_checkpoint(meta={"accuracy": accuracy})
            if accuracy == 0.9:
                best = {
                    n: {k: v.clone() for k, v in m.state_dict().items()}
                    for n, m in saved.items()
                }
        for name, state in best.items():
            modules[name].load_state_dict(state)
        return folder, modules

    return make_run


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, (0.1 * torch.randn(2, 11025)).T.numpy(), 22050)
    return str(path)


def expected(modules, sig):
    with torch.no_grad():
        states, lens = modules["upstream"].eval()(sig[None])
        logits = modules["head"](modules["featurizer"](states), lens)
    return logits.softmax(-1)[0]


@pytest.mark.parametrize("freeze", [True, False])
def test_export_and_load(freeze, make_run, wav, tmp_path):
    run, modules = make_run(freeze)
    destination = export(run, tmp_path / "exported")
    assert destination == tmp_path / "exported"
    assert (destination / "upstream.ckpt").exists() is not freeze
    moved = (tmp_path / "else where").joinpath("moved")
    moved.parent.mkdir()
    destination.rename(moved)
    for model in (Classifier.from_hparams(str(moved)), load(moved), load(run)):
        sig = model.load_file(wav)
        probabilities = expected(modules, sig)
        found = model.classify_batch(sig[None])
        torch.testing.assert_close(found[0], probabilities)
        label, score = model.classify_file(wav)
        assert label == LABELS[int(probabilities.argmax())]
        assert score == pytest.approx(float(probabilities.max()), abs=1e-6)
        segment = model.classify_file(wav, 0.1, 0.3)[1]
        sig = model.load_file(wav, 0.1, 0.3)
        assert segment == pytest.approx(float(expected(modules, sig).max()), abs=1e-6)


def test_batches(make_run, tmp_path):
    model = load(make_run()[0])
    wavs, lens = 0.1 * torch.randn(3, 8000), torch.tensor([1.0, 0.5, 0.25])
    together = model(wavs, lens)
    torch.testing.assert_close(together.sum(1), torch.ones(3))
    for row, sig, part in zip(together, wavs, lens):
        alone = model.classify_batch(sig[None, : int(part * 8000)])[0]
        torch.testing.assert_close(row, alone, atol=1e-5, rtol=0)
    assert not together.requires_grad and not model.mods.head.training


def test_export_carries_a_local_checkpoint(make_run, wav, tmp_path, monkeypatch):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"stands for a checkpoint")
    run, _ = make_run(source=weights)
    destination = export(run, tmp_path / "exported")
    copied = destination / "upstream_source.pt"
    assert copied.read_bytes() == weights.read_bytes()
    text = (destination / "hyperparams.yaml").read_text()
    assert "<export_folder>/upstream_source.pt" in text and str(weights) not in text
    lean = export(run, tmp_path / "lean", copy_upstream=False)
    assert not (lean / "upstream_source.pt").exists()
    assert str(weights) in (lean / "hyperparams.yaml").read_text()


STORED = """
import torch
from safetensors.torch import save_file
from started_processes import Fork

class Stored(torch.nn.Module):
    def __init__(self, source):
        super().__init__()
        self.register_buffer("weight", torch.load(source))
"""


def test_weights_that_have_changed_under_the_same_path(make_run, tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    weights = tmp_path / "weights.pt"
    run, _ = make_run(source=weights)
    (tmp_path / "stored_upstream.py").write_text(STORED)
    (run / "hyperparams.yaml").write_text(
        f"upstream: {tmp_path}/card.yaml\n"
        "upstream_model: !new:stored_upstream.Stored\n"
        f"    source: {weights}\n"
        "featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer {num_layers: 3}\n"
        "head: !name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier\n"
        "    input_size: 16\n"
        "eval_pipes: []\n"
    )
    first = torch.nn.Module()
    first.register_buffer("weight", torch.ones(3))
    interface = json.loads((run / "save/interface.json").read_text())
    interface["upstream_weights"] = hash_weights(first)
    (run / "save/interface.json").write_text(json.dumps(interface))
    torch.save(torch.zeros(3), weights)
    for attempt in (lambda: export(run, tmp_path / "exported"), lambda: load(run)):
        with pytest.raises(ExportError, match="weights.pt' does not hold the weights"):
            attempt()
    assert not (tmp_path / "exported").exists()
    torch.save(torch.ones(3), weights)
    assert (export(run, tmp_path / "exported") / "upstream_source.pt").is_file()


@pytest.mark.parametrize("options", [{}, {"freeze": False, "adapter": {"rank": 2}}])
def test_a_run_is_exported_with_what_it_was_trained_with(options, tmp_path):
    """Frozen or with adapters, which alone are in its checkpoints."""
    from s3prl_sb.identity.upstreams import changed_since, first_identity

    path = str(tmp_path / "base.safetensors")
    folder = tmp_path / "other"
    for seed, place in ((0, path), (1, str(folder / "base.safetensors"))):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        network = Hubert(config=config(), seed=seed).network
        about = {"class": "s3prl_sb.lobes.upstreams.hubert.Hubert", "config": config()}
        weights = {k: v.contiguous() for k, v in network.state_dict().items()}
        save_file(weights, place, {"s3prl_sb": json.dumps(about)})
    run = Hubert(path, **options)
    trained_with = json.loads(json.dumps(first_identity(run)))
    assert changed_since(trained_with, Hubert(path, **options)) == []
    shutil.copy(folder / "base.safetensors", path)
    words = changed_since(trained_with, Hubert(path, **options))
    assert "other weights of the upstream" in words
    assert "another file source of the upstream" in words


def test_an_interface_knows_the_base_of_adapters(tmp_path):
    """Case: the base of a LoRA run was replaced, and nobody looked."""
    from types import SimpleNamespace

    from s3prl_sb.brains import results

    for number, options in enumerate(
        ({}, {"freeze": False, "adapter": {"rank": 2}}, {"freeze": False})
    ):
        folder = tmp_path / str(number)
        (folder / "save").mkdir(parents=True)
        brain = SimpleNamespace(
            hparams=SimpleNamespace(output_folder=folder),
            upstream=Hubert(config=config(), **options),
            interface=lambda: {},
        )
        results.write_interface(brain)
        found = json.loads((folder / results.INTERFACE).read_text())
        has_its_own = number == 2  # fine-tuned: all weights are in the checkpoint
        assert ("upstream_identity" in found) is not has_its_own


def test_a_bad_file_among_others(make_run, wav, tmp_path, capsys):
    run, absent = make_run()[0], str(tmp_path / "absent.wav")
    assert main(["predict", str(run), wav, absent, wav]) == 1
    out, err = capsys.readouterr()
    assert [line.split("\t")[0] for line in out.splitlines()] == [wav, wav]
    assert err.startswith("s3prl-sb: ") and err.count(absent) == 1
    with pytest.raises(AudioFileError, match="absent.wav"):
        list(load(run).lines([wav, absent]))


def test_exported_again(make_run, tmp_path):
    run, _ = make_run()
    first = export(run, tmp_path / "exported")
    before = {p.name: p.read_bytes() for p in first.iterdir()}
    export(run, tmp_path / "exported", force=True)
    assert before == {p.name: p.read_bytes() for p in first.iterdir()}
    assert json.loads((first / "results.json").read_text()) == RESULTS


def test_another_export_is_replaced_by_force_alone(make_run, tmp_path, capsys):
    """Nothing of it is left, but what the user has put there."""
    run, _ = make_run()
    out = export(run, tmp_path / "exported")
    (out / "README.md").write_text("mine")
    (out / "upstream_source.old").write_text("of the other run")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (run / "results.json").write_text(json.dumps({**RESULTS, "upstream": "newer"}))
    assert main(["export", str(run), str(out)]) == 1
    said = capsys.readouterr().err
    assert "SUPERB/KS with tiny" in said and "--force replaces it" in said
    assert before == {p.name: p.read_bytes() for p in out.iterdir()}
    assert main(["export", str(run), str(out), "--force"]) == 0
    assert (out / "README.md").read_text() == "mine"
    assert not (out / "upstream_source.old").exists()
    assert json.loads((out / "results.json").read_text())["upstream"] == "newer"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "run"]


KILLED = """
import sys, time
from s3prl_sb.storage import parts
from s3prl_sb.inference import exporting
run, out, moment = sys.argv[1:]

def wait(*args, **kwargs):
    print("now", flush=True)
    time.sleep(60)

if moment == "weights":
    exporting.shutil.copyfile = wait
elif moment == "settings":
    exporting.pretrainer = wait
elif moment == "publishing":
    parts._sync = wait
else:
    publish = exporting.Part.publish

    def publish_and_wait(part, **kwargs):
        publish(part, **kwargs)
        if part.destination.name == "exported":  # not a file in it
            wait()

    parts.Part.publish = publish_and_wait
exporting.export(run, out, force=True)
"""


@pytest.mark.parametrize("moment", ["weights", "settings", "publishing", "published"])
@pytest.mark.parametrize("is_there", [False, True])
def test_kill_9(moment, is_there, make_run, tmp_path):
    """The old export or the new one, whole, and the next one is not refused."""
    run, _ = make_run()
    out = tmp_path / "exported"
    if is_there:
        export(run, out)
        (run / "results.json").write_text(json.dumps({**RESULTS, "upstream": "newer"}))
    process = Fork(KILLED, str(run), str(out), moment)
    assert process.stdout.readline() == "now\n"
    assert process.kill() == -signal.SIGKILL
    is_new = moment == "published"
    if is_there or is_new:
        found = json.loads((out / "results.json").read_text())["upstream"]
        assert found == ("newer" if is_there and is_new else "tiny")
        assert load(out)
    else:
        assert not out.exists()
    export(run, out, force=is_there or is_new)
    assert load(out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "run"]


@pytest.mark.parametrize("classes, says", [(10**10, "num_classes"), (9, "shape .3")])
def test_sizes_of_another_head(classes, says, make_run, wav, capsys):
    """Named are the run and the number, not the place where it is exported to."""
    run, _ = make_run()
    path = run / "save/interface.json"
    interface = {**json.loads(path.read_text()), "head": {"num_classes": classes}}
    path.write_text(json.dumps(interface))
    assert main(["predict", str(run), wav]) == 1
    said = capsys.readouterr().err
    assert str(run) in said and re.search(says, said) and "Error(s)" not in said


@pytest.mark.parametrize(
    "lacking", ["hyperparams.yaml", "results.json", "save/interface.json"]
)
def test_unfinished_runs(lacking, make_run, tmp_path):
    run, _ = make_run()
    (run / lacking).unlink()
    with pytest.raises(ExportError, match=f"no finished run .* it has no {lacking}"):
        export(run, tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_probes_of_layers_are_no_model(make_run, tmp_path):
    run, _ = make_run()
    (run / "results.json").rename(run / "layers.json")  # as s3prl-sb layers leaves it
    with pytest.raises(ExportError, match="holds the probes of s3prl-sb layers"):
        export(run, tmp_path / "exported")
    with pytest.raises(ExportError, match="holds the probes of s3prl-sb layers"):
        load(run)


def test_runs_without_the_best_checkpoint(make_run, tmp_path):
    run, _ = make_run()
    results = {**RESULTS, "chosen_by": {"metric": "wer", "highest": False}}
    (run / "results.json").write_text(json.dumps(results))
    with pytest.raises(ExportError, match="no checkpoint with the metric 'wer'"):
        export(run, tmp_path / "exported")


def test_destinations(make_run, tmp_path):
    run, _ = make_run()
    taken, file, empty = tmp_path / "taken", tmp_path / "file", tmp_path / "empty"
    taken.mkdir(), empty.mkdir()
    (taken / "thesis.tex").write_text("precious")
    file.write_text("precious")
    with pytest.raises(
        ExportError, match="holds something else: choose an empty folder"
    ):
        export(run, taken)
    with pytest.raises(ExportError, match="is a file"):
        export(run, file)
    with pytest.raises(ExportError, match="holds something else"):
        export(run, run)
    assert [p.name for p in taken.iterdir()] == ["thesis.tex"]
    assert (export(run, empty) / "hyperparams.yaml").is_file()


def test_neither_run_nor_export(tmp_path):
    with pytest.raises(ExportError, match="neither a run of a recipe nor an export"):
        load(tmp_path)
    with pytest.raises(ExportError, match="no folder '.*absent'. Give .* owner/name"):
        load(tmp_path / "absent")


@pytest.mark.parametrize("names", [("fold1", "fold2"), ("es", "zh-CN")])
def test_a_folder_of_several_runs(names, tmp_path):
    """One for each fold or corpus: there is no one model to load."""
    for name in names:
        (tmp_path / name / "save").mkdir(parents=True)
        (tmp_path / name / "results.json").write_text("{}")
        (tmp_path / name / "save/interface.json").write_text("{}")
    with pytest.raises(ExportError, match=f"a run for each of {', '.join(names)}. Ch"):
        load(tmp_path)


def test_bad_audio(make_run, tmp_path):
    model = load(make_run()[0])
    with pytest.raises(AudioFileError, match="absent.wav"):
        model.classify_file(tmp_path / "absent.wav")
    with open(tmp_path / "a.csv", "w", newline="") as file:
        csv.writer(file).writerow(["not", "audio"])
    with pytest.raises(AudioFileError, match="a.csv"):
        model.classify_file(tmp_path / "a.csv")


@pytest.mark.parametrize("freeze", [True, False])
def test_batches_of_whatever_holds_audio(freeze, make_run, wav):
    model = load(make_run(freeze)[0])
    sig = model.load_file(wav)
    expected = model.classify_batch(sig[None])
    for given in ([sig], sig, sig.numpy(), [torch.stack([sig, sig], 1)], [wav], wav):
        torch.testing.assert_close(model.classify_batch(given), expected)
    two = model.classify_batch([sig, sig[:9000]])
    torch.testing.assert_close(two[:1], expected)
    with pytest.raises(AudioError, match="utterance 1 of the batch is None"):
        model.classify_batch([sig, None])


@pytest.mark.parametrize("freeze", [True, False])
def test_features_that_are_not_finite_are_an_error(freeze, make_run, wav):
    model = load(make_run(freeze)[0])
    with torch.no_grad():
        next(model.mods.upstream.parameters()).fill_(float("inf"))
    with pytest.raises(WeightsError, match="weights of Hubert"):
        model.classify_file(wav)


def test_learned_weights_and_prediction_are_drawn(make_run, wav, tmp_path, capsys):
    """Draws the weights of a run, and its probabilities, by ``s3prl-sb plot``."""
    pytest.importorskip("matplotlib")
    run, modules = make_run()
    assert main(["plot", str(run), "--output", str(tmp_path / "weights.png")]) == 0
    options = ["--run", str(run), "--show", "states"]
    assert main(["plot", wav, *options, "--output", str(tmp_path / "a.png")]) == 0
    for name in ("weights", "a"):
        assert (tmp_path / f"{name}.png").read_bytes()[:4] == b"\x89PNG"
    model = load(run)
    found = model.probabilities_file(wav)
    assert (found.names, found.seconds) == (LABELS, None)
    torch.testing.assert_close(found.values[0], expected(modules, model.load_file(wav)))
