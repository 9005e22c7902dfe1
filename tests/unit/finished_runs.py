"""Finished runs for tests, with random weights: what a training would leave."""

import json

import soundfile
import torch

from s3prl_sb.brains.checkpointer import AtomicCheckpointer
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.heads.utterance import UtteranceClassifier

HEAD = "!name:s3prl_sb.lobes.heads.utterance.UtteranceClassifier"
HPARAMS = """
upstream: {name}
upstream_model: &model !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: {source}
    config:
        {{hidden_size: 16, ffn_size: 16, num_layers: 2, num_heads: 2,
        position_kernel: 8, position_groups: 2, conv_layers: [[8, 10, 5], [8, 8, 64]]}}
    freeze: True
featurizer: !new:s3prl_sb.lobes.featurizer.Featurizer
    num_layers: !apply:getattr [*model, num_layers]
    layers: all
head: {head}
    input_size: !apply:getattr [*model, output_size]
    hidden_size: 8
eval_pipes:
    - !new:s3prl_sb.dataio.pipes.LoadAudio
        sample_rate: !apply:getattr [*model, sample_rate]
"""
LABELS = ["no", "yes"]


def results(**changes):
    """Content of the results.json of a run."""
    return {
        "version": 2,
        "task": "SUPERB/KS",
        "upstream": "tiny",
        "chosen_by": {"metric": "accuracy", "highest": True},
        "metrics": {"loss": 0.5, "accuracy": 0.9},
        "intervals": {
            "level": 0.95,
            "resamples": 2000,
            "unit": "utterance",
            "units": 40,
            "metrics": {"accuracy": [0.8, 0.96]},
        },
        "seed": 1986,
        "total_steps": 3,
        "best_step": 3,
        "lr": 0.001,
        "device": "cpu",
        "upstream_model": {
            "class": "s3prl_sb.lobes.upstreams.hubert.Hubert",
            "source": None,
            "trained": "frozen",
            "adapter": None,
            "precision": "fp32",
        },
        "training": {"precision": "fp32", "processes": 1, "batch_size": 8},
        "settings": {
            "data_folder": "/corpora/speech_commands",
            "total_steps": 3,
            "steps_per_epoch": 1,
        },
        "defaults": {
            "data_folder": None,
            "total_steps": 200000,
            "steps_per_epoch": 5000,
        },
        "protocol": {
            "followed": False,
            "corpus": "/corpora/speech_commands",
            "differs": ["total_steps 3"],
        },
        "versions": {"s3prl_sb": "0.1.0", "speechbrain": "1.1.2", "torch": "2.11.0"},
        "utterances": {"train": 80, "valid": 20, "test": 40},
        "test": {
            "name": "speech_commands",
            "source": "/corpora/speech_commands",
            "sha256": 64 * "a",
            "utterances": 40,
            "hours": 0.01,
        },
        **changes,
    }


def make_run(folder, name="tiny", source="null", head=HEAD, **changes):
    """Makes a run that classifies with random weights; returns its folder."""
    (folder / "save").mkdir(parents=True)
    text = HPARAMS.format(name=json.dumps(name), source=source, head=head)
    (folder / "hyperparams.yaml").write_text(text)
    (folder / "results.json").write_text(json.dumps(results(**changes)))
    interface = {
        "class": "s3prl_sb.inference.classifier.Classifier",
        "head": {"num_classes": len(LABELS)},
        "hparams": {"labels": LABELS},
    }
    (folder / "save/interface.json").write_text(json.dumps(interface))
    modules = {"featurizer": Featurizer(3)}
    if head == HEAD:
        modules["head"] = UtteranceClassifier(16, len(LABELS), 8)
    for module in modules.values():
        for parameter in module.parameters():
            parameter.data.normal_(std=0.5)
    checkpointer = AtomicCheckpointer(str(folder / "save"), modules)
    checkpointer.save_checkpoint(meta={"accuracy": 0.9})
    return folder


def make_wav(path):
    """Writes half a second of noise; returns its name."""
    generator = torch.Generator().manual_seed(3)
    soundfile.write(path, 0.1 * torch.randn(8000, generator=generator).numpy(), 16000)
    return str(path)
