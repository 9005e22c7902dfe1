"""Errors name the cause and the fix, tested through the real recipes."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
import soundfile
import torch
from conftest import KS, LABELS, SID, clip, command

from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
from s3prl_sb.lobes.upstreams import load

SPLITS = ("train", "valid", "test")
BROKEN = "00000005_nohash_0"  # of the training set


@pytest.fixture
def failure(corpus, launcher, tmp_path):
    """``failure(**overrides)``: the error message of a recipe."""

    def get(*options, recipe=KS, output=tmp_path / "output", **overrides):
        settings = {
            "data_folder": corpus,
            "labels": "folders",
            "version": "v0.02",
            "upstream": "fbank_no_cmvn",
            "total_steps": 20,
            "steps_per_epoch": 20,
            "batch_size": 4,
            **overrides,
        }
        settings = {k: v for k, v in settings.items() if v is not None}
        return launcher.failure(command(recipe, output, *options, **settings))

    return get


def assert_says(message, *words):
    for word in words:
        assert str(word) in message, f"no '{word}' in:\n{message[-1500:]}"


# ------------------------------------------------------------------ the command line
@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"batch_sizes": 4}, ["no key 'batch_sizes'", "Did you mean batch_size"]),
        (
            {"train_dataloader_opts": "{num_worker: 1}"},
            [
                "'train_dataloader_opts.num_worker'",
                "train_dataloader_opts.num_workers?",
            ],
        ),
        ({"upstream": "hubert_bas"}, ["'hubert_bas'", "Did you mean hubert_base"]),
        ({"upstream": "none.yaml"}, ["no card file 'none.yaml'"]),
        ({"upstream_model": "{n_mel: 3}"}, ["n_mel", "num_mel_bins"]),
        (
            {"upstream": "hubert_base", "upstream_model": "{sourc: x}"},
            ["Hubert", "'sourc'"],
        ),
        ({"featurizer": "{layers: 7}"}, ["no hidden state 7", "has 1"]),
        ({"cache": "sometimes"}, ["auto, off, pooled or frames", "sometimes"]),
        (
            {"cache": "pooled", "featurizer": "{normalize: True}"},
            ["pooled would not be exact", "not linear", "cache: frames"],
        ),
        ({"cache": "pooled", "freeze": False}, ["pooled is impossible", "is trained"]),
        ({"max_grad_norm": "-1"}, ["--max_grad_norm is a number above 0", "not -1"]),
        ({"train_fraction": 3}, ["train_fraction", "above 0, up to 1", "not 3"]),
        ({"skip_prep": True}, ["train.json: absent", "skip_prep: False"]),
        pytest.param(
            {"train_dataloader_opts": "{balance: lable}"},
            ["balance", "'lable'", "label"],
        ),
        pytest.param(
            {"total_steps": 3, "steps_per_epoch": 5},
            ["total_steps 3", "steps_per_epoch 5"],
        ),
        ({"batch_size": 0}, ["batch_size", "not 0"]),
    ],
)
def test_a_wrong_option(overrides, words, failure):
    assert_says(failure(**overrides), *words)


# ---------------------------------------------------------------------- the corpus
@pytest.mark.parametrize("recipe", [KS, SID])
def test_no_data_folder(recipe, failure):
    own = {"labels": None, "version": None} if recipe == SID else {}
    message = failure(recipe=recipe, data_folder=None, **own)
    assert_says(message, "data_folder", "train_csv")


def test_a_missing_corpus(failure, tmp_path):
    message = failure(data_folder=tmp_path / "nowhere")
    assert_says(message, tmp_path / "nowhere", "no such folder", "data_folder")


def test_another_layout(failure, corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    message = failure(data_folder=tmp_path / "empty")
    assert_says(message, tmp_path / "empty", "found 0 folders", "CSV")
    message = failure(labels="superb", version="auto")
    assert_says(message, corpus, "none of the ten keywords", "labels: folders")


def test_a_label_unseen_in_training(failure, corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    (data / "emu").mkdir()
    soundfile.write(data / "emu/1_nohash_0.wav", clip("cat", 1), 16000)
    with open(data / "testing_list.txt", "a") as file:
        file.write("emu/1_nohash_0.wav\n")
    assert_says(
        failure(data_folder=data), "emu--1_nohash_0", "'emu' is unseen in training"
    )


def test_a_table_that_names_a_missing_file(failure, corpus, tmp_path):
    table = tmp_path / "train.csv"
    table.write_text(f"wav,label\n{corpus}/cat/{BROKEN}.wav,cat\n")
    (tmp_path / "bad.csv").write_text(f"wav,label\n{corpus}/cat/none.wav,cat\n")
    tables = {"train_csv": table, "valid_csv": table, "test_csv": tmp_path / "bad.csv"}
    message = failure(recipe=SID, labels=None, version=None, **tables)
    assert_says(message, "bad.csv:2", "cat/none.wav")


# ----------------------------------------------------------------------- the audio
def cut(wav):
    """The first half of a FLAC file: its header is whole."""
    flac = wav.with_suffix(".flac")
    soundfile.write(flac, clip("cat", 5, seconds=1.0), 16000)
    flac.write_bytes(flac.read_bytes()[: flac.stat().st_size // 2])
    wav.unlink()


def not_a_number(wav):
    samples = clip("cat", 5)
    samples[7] = np.nan
    soundfile.write(wav, samples, 16000, subtype="FLOAT")


@pytest.mark.parametrize("cache", ["auto", "off"])
@pytest.mark.parametrize(
    "damage, words",
    [
        (cut, ("is cut off: 8192 samples of the 16000",)),  # by the preparation
        (not_a_number, (f"utterance 'cat--{BROKEN}'", "NaN or infinite")),
    ],
)
def test_broken_audio(damage, words, cache, failure, corpus, tmp_path):
    data = shutil.copytree(corpus, tmp_path / "data")
    damage(data / "cat" / f"{BROKEN}.wav")
    message = failure(data_folder=data, cache=cache)
    assert_says(message, data / "cat" / BROKEN, *words)


def test_training_that_diverges(failure):
    message = failure(lr="1e30")
    assert_says(
        message, "the loss is nan", "utterances", "_nohash_0", "lower lr (now 1e+30)"
    )


# ------------------------------------------------------------------ the checkpoints
def save_nested(path):
    torch.save({"model": {"x": torch.ones(3)}}, path)


def save_flat(path):
    torch.save({"x.weight": torch.ones(3)}, path)


def save_safetensors(path):
    from safetensors.torch import save_file

    save_file({"x": torch.ones(3)}, path)


@pytest.mark.parametrize(
    "save, name, words",
    [
        (save_nested, "a.pt", "no checkpoint of"),
        (save_flat, "b.pt", "which do not say the sizes of their network"),
        (save_safetensors, "c.safetensors", "no checkpoint of"),
    ],
)
def test_a_checkpoint_of_another_architecture(save, name, words, failure, tmp_path):
    save(tmp_path / name)
    source = f"{{source: {tmp_path / name}}}"
    message = failure(upstream="hubert_base", upstream_model=source)
    assert_says(message, "CheckpointError", tmp_path / name, "holds", words)


def test_weights_of_another_size(failure, tmp_path):
    """A checkpoint of the right layout, and of the wrong network."""
    from s3prl_sb.lobes.checkpoints.reading import load_weights

    network = torch.nn.Linear(2, 3)
    weights = {"weight": torch.ones(3, 4), "other": torch.ones(1)}
    with pytest.raises(
        CheckpointError, match="(?s)missing.*bias.*unexpected.*other.*shape"
    ):
        load_weights(network, weights, "x.pt")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"<html>404</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n",
        b"PK\x03\x04" + b"\0" * 40,
        pytest.param(
            b"RIFF....WAVEfmt ",
        ),
        pytest.param(
            b"\x80\x02X\x04\x00\x00\x00\xff\xff\xff\xff.",
        ),
    ],
)
def test_a_file_that_is_no_checkpoint(content, tmp_path):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="x.pt"):
        read(path)


class Hostile:
    """Unpickled, it makes a file: if that is there, code has run."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def hostiles(sentinel):
    touch = f"touch {sentinel}"
    code = f"open({str(sentinel)!r}, 'w').close()"
    import subprocess

    return {
        "system": Hostile(os.system, touch),
        "eval": Hostile(eval, code),
        "exec": Hostile(exec, code),
        "open": Hostile(open, str(sentinel), "w"),
        "check_call": Hostile(subprocess.check_call, ["touch", str(sentinel)]),
        "import": Hostile(__import__, "this"),
        "getattr": Hostile(getattr, "", "upper"),
        "torch.load": Hostile(torch.load, str(sentinel.with_name("inner.pt"))),
    }


@pytest.mark.parametrize("kind", list(hostiles(KS)))
@pytest.mark.parametrize("zipped", [True, False, None])
def test_a_hostile_checkpoint_is_refused_by_name(kind, zipped, tmp_path):
    sentinel = tmp_path / "executed"
    hostile = hostiles(sentinel)[kind]
    path = tmp_path / "model.pt"
    content = {"model": {"weight": torch.ones(2)}, "cfg": [{"deep": (hostile,)}]}
    if zipped is None:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as error:
        read(path)
    assert not sentinel.exists()
    name = {"system": "system", "import": "__import__", "torch.load": "load"}.get(
        kind, kind
    )
    if zipped is not None:  # a plain pickle is refused for the way it holds tensors
        assert_says(
            str(error.value), "model.pt", "refused", name, "Do not trust this file"
        )


def test_a_hostile_checkpoint_harms_no_recipe(failure, tmp_path):
    sentinel = tmp_path / "executed"
    torch.save(hostiles(sentinel)["system"], tmp_path / "evil.pt")
    source = f"{{source: {tmp_path / 'evil.pt'}}}"
    message = failure(upstream="hubert_base", upstream_model=source)
    assert_says(message, "evil.pt", "refused", "system", "Do not trust this file")
    assert not sentinel.exists()


# ------------------------------------------------------------ resuming, evaluating
@pytest.fixture
def begun(corpus, launcher, tmp_path):
    """The output of a finished training, to be gone on with."""
    steps = {"total_steps": 2, "steps_per_epoch": 2, "batch_size": 4}
    data = {"data_folder": corpus, "labels": "folders", "version": "v0.02"}
    argv = command(KS, tmp_path / "begun", upstream="fbank_no_cmvn", **data, **steps)
    assert launcher.run(argv) == 0
    return tmp_path / "begun"


def test_resuming_with_another_head(begun, failure):
    message = failure(output=begun, head="{hidden_size: 8}")
    assert_says(message, begun, "head", "output_folder")


def test_resuming_with_another_upstream(begun, failure, tiny_card):
    message = failure(output=begun, upstream=tiny_card)
    assert_says(message, begun, "upstream fbank_no_cmvn, not", "output_folder")


def test_resuming_with_another_learning_rate(begun, failure):
    assert_says(failure(output=begun, lr=0.5), "lr", "0.0001", "0.5", "output_folder")


def test_resuming_with_other_modules_or_weights(begun, failure, corpus):
    """And what was finished is as it was."""
    same = {"total_steps": 2, "steps_per_epoch": 2}
    before = (begun / "results.json").read_bytes()
    message = failure(output=begun, featurizer="{normalize: True}", **same)
    assert_says(message, begun, "featurizer.normalize False, not True", "output_folder")
    settings = json.loads((begun / "save/settings.json").read_text())
    settings["identity"]["upstream"]["weights"] = "0" * 64
    (begun / "save/settings.json").write_text(json.dumps(settings))
    message = failure(output=begun, **same)
    assert_says(message, begun, "other weights of the upstream", "output_folder")
    assert (begun / "results.json").read_bytes() == before


def test_what_may_change_may_change(begun, corpus, launcher):
    data = {"data_folder": corpus, "labels": "folders", "version": "v0.02"}
    steps = {"total_steps": 4, "steps_per_epoch": 2, "batch_size": 4}
    loaders = {f"{split}_dataloader_opts": "{num_workers: 0}" for split in SPLITS}
    argv = command(KS, begun, upstream="fbank_no_cmvn", **data, **steps, **loaders)
    assert launcher.run(argv) == 0
    assert json.loads((begun / "results.json").read_text())["total_steps"] == 4


def test_debug_leaves_a_run_alone(begun, corpus, launcher):
    kept = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file()}
    data = {"data_folder": corpus, "labels": "folders", "version": "v0.02"}
    argv = command(KS, begun, "--debug", upstream="mel", batch_size=4, **data)
    assert launcher.run(argv) == 0
    assert (begun / "debug/results.json").is_file()
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_an_unknown_metric(tmp_path):
    upstream = load("fbank_no_cmvn")
    checkpointer = AtomicCheckpointer(tmp_path)
    brain = ClassificationBrain(
        labels=["a", "b"],
        modules={
            "featurizer": Featurizer(upstream.num_layers),
            "head": UtteranceClassifier(upstream.output_size, 2),
        },
        hparams={"upstream_model": upstream, "opt_class": torch.optim.Adam},
        run_opts={"device": "cpu", "max_grad_norm": 1.0},
        checkpointer=checkpointer,
    )
    with pytest.raises(ValueError, match="metric 'acuracy'. Train first"):
        brain.on_evaluate_start(max_key="acuracy")
    checkpointer.save_checkpoint(meta={"accuracy": 0.5})
    with pytest.raises(ValueError, match="metric 'acuracy'.*They have.*accuracy"):
        brain.on_evaluate_start(max_key="acuracy")


def test_resuming_with_other_data(begun, corpus, failure, tmp_path):
    """With the same labels, so that all sizes are the same."""
    rows = [
        (f"{label}/{n:08x}_nohash_0.wav", label) for label in LABELS for n in (5, 6)
    ]
    for split in ("train", "valid", "test"):
        lines = [f"{corpus}/{wav},{label}" for wav, label in rows]
        (tmp_path / f"{split}.csv").write_text("\n".join(["wav,label", *lines]))
    tables = {f"{s}_csv": tmp_path / f"{s}.csv" for s in ("train", "valid", "test")}
    message = failure(output=begun, total_steps=2, steps_per_epoch=2, **tables)
    assert_says(message, begun, "data", "output_folder")


@pytest.mark.parametrize(
    "options, words",
    [
        ({}, ["data_folder"]),
        ({"batch_sizes": 4}, ["no key 'batch_sizes'"]),
        ({"upstream": "hubert_bas"}, ["hubert_base"]),
    ],
)
def test_a_mistake_ends_in_its_message_alone(options, words, launcher, tmp_path):
    given = {"upstream": "fbank_no_cmvn", "data_folder": tmp_path, **options}
    _, output = launcher.said(command(KS, tmp_path / "out", **given), hook=True)
    assert "Traceback" not in output
    assert_says(output, *words)
