#!/usr/bin/env python3
"""Five learning rates trained together against one alone.

> python benchmarks/sweep.py

A probe of SUPERB on cached features of a network of HuBERT Base size, all in
memory: 13 hidden states of 768. Pooled: linear layers, batches of 32, 12
classes. Frames: a BLSTM over 100 frames, batches of 8. Both sides are the path of
a recipe, ``Brain.fit`` with loader, clipping and Adam, in one process, in turns;
what is printed is the middle of the rounds.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import contextlib
import functools
import logging
import os
import statistics
import sys
import tempfile
import time

import torch
from measure import machine, print_table

LAYERS, SIZE, CLASSES = 13, 768, 12
RATES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
KINDS = {"pooled": (1, 32), "frames": (100, 8)}  # frames, batch size


class Frozen:
    """Stands for the upstream, whose features are there."""

    freeze = True

    def to(self, device):
        return self


class Recurrent(torch.nn.Module):
    """A BLSTM, and a linear layer over the mean of its outputs."""

    def __init__(self, hidden_size=256):
        super().__init__()
        self.lstm = torch.nn.LSTM(
            SIZE, hidden_size, batch_first=True, bidirectional=True
        )
        self.linear = torch.nn.Linear(2 * hidden_size, CLASSES)

    def forward(self, features, lens):
        return self.linear(self.lstm(features)[0].mean(1))


def dataset(frames, utterances):
    """Random features with a label each."""
    from s3prl_sb.dataio.dataset import ManifestDataset

    records = {f"{i:04d}": {"label_encoded": i % CLASSES} for i in range(utterances)}
    generator = torch.Generator().manual_seed(0)
    features = {
        name: torch.randn(frames, LAYERS, SIZE, generator=generator).half()
        for name in records
    }
    data = ManifestDataset(records, [], ["id", "label_encoded"])
    data.add_dynamic_item(lambda name, draw: features[name], ["id", "draw"], "feats")
    data.set_output_keys(["id", "label_encoded", "feats"])
    return data


def fit(kind, rates, steps, data, device):
    """Trains several learning rates together; returns the seconds per step."""
    from speechbrain.utils.epoch_loop import EpochCounter

    from s3prl_sb.brains.classification import ClassificationBrain
    from s3prl_sb.brains.sweep import Sweep
    from s3prl_sb.lobes.featurizer import Featurizer
    from s3prl_sb.lobes.heads.utterance import UtteranceClassifier

    pooled = kind == "pooled"
    batch_size = KINDS[kind][1]

    def brain(rate):
        torch.manual_seed(0)
        head = UtteranceClassifier(SIZE, CLASSES) if pooled else Recurrent()
        return ClassificationBrain(
            modules={"featurizer": Featurizer(LAYERS), "head": head},
            hparams={
                **hparams,
                "opt_class": functools.partial(torch.optim.Adam, lr=rate),
            },
            run_opts={"device": device, "noprogressbar": True},
            labels=[str(label) for label in range(CLASSES)],
        )

    with tempfile.TemporaryDirectory() as folder:
        hparams = {
            "upstream_model": Frozen(),
            "upstream_name": "none",
            "seed": 0,
            "opt_class": torch.optim.Adam,
            "total_steps": steps,
            "steps_per_epoch": steps,
            "batch_size": batch_size,
            "output_folder": folder,
            "epoch_counter": EpochCounter(1),
        }
        trained = brain(rates[0])
        if len(rates) > 1:
            copies = [trained, *map(brain, rates[1:])]
            run_opts = {"device": device, "noprogressbar": True}
            trained = Sweep(copies, rates, hparams, run_opts)
        loader = {"batch_size": batch_size}
        trained.fit([1], data, train_loader_kwargs=loader)  # warm
        if device != "cpu":
            torch.cuda.synchronize()
        cpu, wall = time.process_time(), time.perf_counter()
        trained.fit([2], data, train_loader_kwargs=loader)
        if device != "cpu":
            torch.cuda.synchronize()
        wall = time.perf_counter() - wall
        cpu = time.process_time() - cpu
    return {"cpu": cpu / steps, "wall": wall / steps}


def main():
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--steps", type=int, default=200, help="in each round")
    options.add_argument("--repeats", type=int, default=5, help="rounds")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--device", default="cpu")
    options.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    args = options.parse_args()
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    torch.set_num_threads(args.threads)
    logging.disable(logging.INFO)
    clock = "cpu" if args.threads == 1 and args.device == "cpu" else "wall"
    rows = []
    for kind in args.kind:
        steps = args.steps if kind == "pooled" else max(2, args.steps // 10)
        data = dataset(KINDS[kind][0], 256 if kind == "pooled" else 32)
        costs = {1: [], len(RATES): []}
        for _ in range(args.repeats):
            for count, found in costs.items():
                with contextlib.redirect_stdout(None):
                    cost = fit(kind, RATES[:count], steps, data, args.device)
                found.append(cost[clock])
        one, five = (statistics.median(found) for found in costs.values())
        ratio = statistics.median(b / a for a, b in zip(*costs.values()))
        rows.append([kind, f"{one * 1e3:.2f} ms", f"{five * 1e3:.2f} ms",
                     f"{ratio:.2f} ×"])  # fmt: skip
    print(f"\n{machine()}; torch {torch.__version__}; {args.device}, {args.threads} "
          f"thread(s), {clock} seconds a step\n")  # fmt: skip
    print_table(("features", "one learning rate", f"{len(RATES)} together", "ratio"),
                rows)  # fmt: skip


if __name__ == "__main__":
    main()
