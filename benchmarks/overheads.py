#!/usr/bin/env python3
"""Costs around the networks: start-up, the table of upstreams, the weighted sum of
cached frames, a step on pooled features.

> python benchmarks/overheads.py --before OTHER_CHECKOUT

Each is measured beside its floor: ``import speechbrain``, a bare sum over layers, a
bare loop of torch over tensors in memory. With ``--before``, an earlier checkout runs
in turns with this one. CPU seconds of one thread, medians.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
import torch.nn.functional as F
from keyword_probe import keyword_brain
from measure import SAMPLE_RATE, Worker, machine, print_table, serve

FILE = os.path.abspath(__file__)
HERE = os.path.dirname(os.path.dirname(FILE))
LAYERS, SIZE, CLASSES, BATCH, UTTERANCES, STEPS = 13, 768, 12, 32, 320, 200
FRAMES = (16, 250)  # utterances, frames of each
loaded = {}


# ------------------------------------------------------------ in the workers
def cpu(function, repeats):
    """The median CPU seconds of a function."""
    costs = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        costs.append(time.process_time() - start)
    return statistics.median(costs)


def weighted_sum(dtype, bare, repeats=7):
    """Seconds of the sum over layers of cached frames, forward and backward."""
    from s3prl_sb.lobes.featurizer import Featurizer

    featurizer = Featurizer(LAYERS)
    states = torch.randn(*FRAMES, LAYERS, SIZE).to(getattr(torch, dtype))
    grad = torch.randn(*FRAMES, SIZE)
    layers = [states[:, :, i].contiguous() for i in range(LAYERS)]

    def bare_sum(_):
        total = 0.0
        for weight, layer in zip(featurizer.weights, layers):
            total = total + weight * layer.float()
        return total

    function = bare_sum if bare else featurizer
    return cpu(lambda: function(states).backward(grad), repeats)


def prepare(folder):
    """Builds the Brain of a keyword probe on pooled features."""
    from s3prl_sb.lobes.upstreams import load

    upstream = load("hubert_base", source=None)
    manifest = os.path.join(folder, "train.json")
    brain, dataset = keyword_brain(upstream, manifest, folder, "pooled", STEPS, BATCH)
    brain.use_cache({"train": dataset})
    loaded.update(brain=brain, dataset=dataset)
    brain.fit([1], dataset, train_loader_kwargs={"batch_size": BATCH})  # warm


def step():
    """Seconds of a step of the Brain, all that an epoch costs included."""
    brain, dataset = loaded["brain"], loaded["dataset"]
    loader = {"batch_size": BATCH}
    return cpu(lambda: brain.fit([1], dataset, train_loader_kwargs=loader), 1) / STEPS


def bare_step(steps=STEPS):
    """Seconds of a step of a loop over tensors in memory."""
    states = torch.randn(UTTERANCES, 1, LAYERS, SIZE)
    labels = torch.randint(CLASSES, (UTTERANCES,))
    first, second = torch.nn.Linear(SIZE, 256), torch.nn.Linear(256, CLASSES)
    scalars = torch.nn.Parameter(torch.zeros(LAYERS))
    weights = [scalars, *first.parameters(), *second.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-4)

    def run():
        for _ in range(steps):
            rows = torch.randint(UTTERANCES, (BATCH,))
            shares = scalars.softmax(0)
            features = torch.tensordot(shares, states[rows], dims=([0], [2]))
            logits = second(first(features).mean(1))
            F.cross_entropy(logits, labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return cpu(run, 1) / steps


# -------------------------------------------------------------- the benchmark
def write_data(folder):
    """Writes short noises, a manifest, and tables for the recipe."""
    import soundfile

    from s3prl_sb.dataio import manifest

    records = {}
    for i in range(UTTERANCES):
        path = os.path.join(folder, f"{i:05d}.wav")
        soundfile.write(path, torch.randn(4000).mul(0.1).numpy(), SAMPLE_RATE)
        label = f"word{i % CLASSES:02d}"
        records[f"{i:05d}"] = {"wav": path, "duration": 0.25, "label": label}
    manifest.write(records, os.path.join(folder, "train.json"))
    with open(os.path.join(folder, "few.csv"), "w", encoding="utf-8") as file:
        rows = [f"{r['wav']},{r['label']}" for r in list(records.values())[:24]]
        print("wav,label", *rows, sep="\n", file=file)


def program(command, checkout):
    """User seconds of a program and its children."""
    env = dict(os.environ, PYTHONPATH=checkout, OMP_NUM_THREADS="1")
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(
        [sys.executable, *command],
        env=env, check=True, cwd=checkout, capture_output=True,
    )  # fmt: skip
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def ten_steps(folder, number):
    """The command of a run of ten steps of keyword spotting on filter banks."""
    table, recipe = os.path.join(folder, "few.csv"), "recipes/SUPERB/KS"
    keys = {
        **{f"{split}_csv": table for split in ("train", "valid", "test")},
        "upstream": "fbank", "labels": "folders", "total_steps": 10,
        "steps_per_epoch": 10, "batch_size": 4, "device": "cpu",
        "cache_folder": os.path.join(folder, "fbank"),
        "output_folder": os.path.join(folder, f"run{number}"),
    }  # fmt: skip
    options = [str(part) for key, value in keys.items() for part in (f"--{key}", value)]
    return [f"{recipe}/train.py", f"{recipe}/hparams/train.yaml", *options]


def run(args, folder):
    """Measures all in turns; returns seconds by measurement and contestant."""
    write_data(folder)
    places = {"now": HERE, **({"before": args.before} if args.before else {})}
    raw = {}

    def add(what, who, seconds):
        raw.setdefault(what, {}).setdefault(who, []).append(seconds)

    table = ["-m", "s3prl_sb.cli", "upstreams", "--markdown"]
    for turn in range(args.repeats + 1):  # the first fills the caches
        for who, place in places.items():
            start = program(ten_steps(folder, f"{who}{turn}"), place)
            if turn:
                add("start of a 10-step run, s", who, start)
                add("upstreams --markdown, s", who, program(table, place))
        if turn:
            floor = program(["-c", "import speechbrain"], HERE)
            add("start of a 10-step run, s", "floor", floor)
    with contextlib.ExitStack() as stack:
        workers = {}
        for who, place in places.items():
            os.environ["PYTHONPATH"] = place
            workers[who] = stack.enter_context(
                Worker([sys.executable, FILE, "--worker"], 1)
            )
            workers[who].call("prepare", folder=folder)
        for _ in range(args.repeats):
            for who, worker in [*workers.items(), ("floor", workers["now"])]:
                bare = who == "floor"
                for dtype in ("float16", "float32"):
                    cost = worker.call("weighted_sum", dtype=dtype, bare=bare)
                    add(f"weighted sum of {dtype} frames, ms", who, 1000 * cost)
                cost = worker.call("bare_step" if bare else "step")
                add("step on pooled features, ms", who, 1000 * cost)
    return raw


def report(raw):
    """Prints the table."""
    rows = []
    for what, costs in raw.items():
        middle = {who: statistics.median(values) for who, values in costs.items()}
        floor = middle.get("floor")

        def cell(who, middle=middle, floor=floor):
            if who not in middle:
                return "–"
            ratio = (
                f" ({middle[who] / floor:.2f} ×)" if floor and who != "floor" else ""
            )
            return f"{middle[who]:.3g}{ratio}"

        rows.append([what, cell("floor"), cell("before"), cell("now")])
    print(f"\n{machine()}; torch {torch.__version__}\n")
    print_table(["CPU time of one thread", "floor", "before", "now"], rows)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--before", help="an earlier checkout")
    options.add_argument("--repeats", type=int, default=5, help="rounds, in turns")
    options.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.worker:
        serve({f.__name__: f for f in (prepare, step, bare_step, weighted_sum)})
    else:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as place:
            report(run(arguments, place))
