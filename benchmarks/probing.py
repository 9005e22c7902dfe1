#!/usr/bin/env python3
"""A probing epoch after the first: ours with a feature cache against S3PRL.

> python benchmarks/probing.py --s3prl /path/to/s3prl-env/bin/python

200 utterances of 3 s and a frozen network of HuBERT Base size under SUPERB's
keyword probe: weighted sum of the hidden states, Linear 256, mean over time,
Linear 12; cross-entropy, Adam, batches of 8. Ours is the recipe's own path:
manifest, ``ClassificationBrain.use_cache``, ``Brain.fit``. S3PRL computes all
features again in every epoch, as its downstream runner does. They run in turns,
each in a process of its own; see README.md for S3PRL's environment.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import statistics
import sys
import time

import torch
from keyword_probe import keyword_brain
from measure import (
    SAMPLE_RATE,
    Worker,
    machine,
    main,
    measure,
    middle,
    parse,
    parser,
    print_table,
    serve,
    speech,
)

SECONDS, BATCH_SIZE, NUM_CLASSES = 3.0, 8, 12
FOLDER = os.path.dirname(os.path.abspath(__file__))
PEER = "S3PRL"


def arguments():
    """Command line."""
    options = parser(__doc__, ("tiny", "base", "large"))
    options.add_argument("--utterances", type=int, default=200, help="of an epoch")
    options.add_argument(
        "--batches",
        type=int,
        default=3,
        help="that S3PRL and cache: off run of an epoch in each round; their "
        "time is scaled to the whole epoch",
    )
    options.add_argument(
        "--epochs",
        type=int,
        default=5,
        help="with a cache in each round, after one that does not count",
    )
    options.add_argument(
        "--cache",
        nargs="+",
        default=["off", "frames", "pooled"],
        choices=("off", "frames", "pooled"),
        help="ours, one contestant each",
    )
    return parse(options)


# ------------------------------------------------------ our side, in a worker
loaded = {}


class Epochs:
    """Numbers the epochs for ``Brain.fit``, with the clocks on.

    What passes between two numbers is all that an epoch costs, the loader and
    the ends of the stages included.
    """

    def __init__(self, count):
        self.count, self.costs = count, []

    def __iter__(self):
        for epoch in range(1, self.count + 1):
            cpu, wall = time.process_time(), time.perf_counter()
            yield epoch
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            self.costs.append({"cpu": cpu, "wall": wall})


def prepare(checkpoint, manifest, cache, folder, batches):
    """Builds the Brain of one kind of cache, and fills the cache."""
    import s3prl_sb
    from s3prl_sb.lobes.upstreams.hubert import Hubert

    upstream = Hubert(source=checkpoint)
    brain, dataset = keyword_brain(
        upstream, manifest, folder, cache, batches, BATCH_SIZE
    )
    _, cost = measure(lambda: brain.use_cache({"train": dataset}))
    loaded.update(brain=brain, dataset=dataset)
    found = (os.path.join(place, file) for place, _, files in os.walk(folder)
             for file in files)  # fmt: skip
    cost["bytes"] = sum(map(os.path.getsize, found))
    cost["version"] = f"s3prl_sb {s3prl_sb.__version__}, torch {torch.__version__}"
    return cost


def fit(epochs, skip):
    """Trains on; the cost of each epoch after the first ``skip``."""
    counter = Epochs(skip + epochs)
    loader = {"batch_size": BATCH_SIZE}
    loaded["brain"].fit(counter, loaded["dataset"], train_loader_kwargs=loader)
    return counter.costs[skip:]


# -------------------------------------------------------------- the benchmark
def write_data(folder, utterances):
    """Writes the audio and the manifest."""
    import soundfile

    from s3prl_sb.dataio import manifest

    generator, records = torch.Generator().manual_seed(0), {}
    for i in range(utterances):
        path = os.path.join(folder, f"{i:05d}.wav")
        soundfile.write(path, speech(SECONDS, generator).numpy(), SAMPLE_RATE)
        records[f"{i:05d}"] = {
            "wav": path,
            "duration": SECONDS,
            "label": f"word{i % NUM_CLASSES:02d}",
        }
    manifest.write(records, os.path.join(folder, "train.json"))
    return os.path.join(folder, "train.json"), list(records.values())


def run(args, folder):
    """Runs all contestants; returns the raw numbers."""
    manifest, records = write_data(folder, args.utterances)
    steps = args.utterances // BATCH_SIZE
    batches = min(args.batches, steps)
    some = records[: batches * BATCH_SIZE]
    task = {
        "paths": [record["wav"] for record in some],
        "labels": [int(record["label"][4:]) for record in some],
        "batch_size": BATCH_SIZE,
        "num_classes": NUM_CLASSES,
    }
    raw = {"machine": machine(), "threads": args.threads, "size": args.size,
           "steps": steps, "batches": batches, "cache": {}, "epochs": {}}  # fmt: skip

    def scaled(cost):
        return {clock: cost[clock] * steps / batches for clock in ("cpu", "wall")}

    with contextlib.ExitStack() as stack:

        def worker(*command):
            return stack.enter_context(Worker(list(command), args.threads))

        peer = worker(args.s3prl, os.path.join(FOLDER, "peer_s3prl.py"))
        checkpoint = peer.call("make", folder=folder, size=args.size)
        raw["peer"] = peer.call("load", checkpoint=checkpoint)
        ours = {}
        for cache in args.cache:
            ours[cache] = worker(sys.executable, os.path.abspath(__file__), "--worker")
            place = os.path.join(folder, cache)
            os.mkdir(place)
            raw["cache"][cache] = ours[cache].call(
                "prepare", checkpoint=checkpoint, manifest=manifest, cache=cache,
                folder=place, batches=batches if cache == "off" else steps,
            )  # fmt: skip
        for _ in range(args.repeats):
            costs = raw["epochs"].setdefault(PEER, [])
            costs.append(scaled(peer.call("probe", **task)))
            for cache in args.cache:
                costs = raw["epochs"].setdefault(f"ours, cache: {cache}", [])
                if cache == "off":
                    [cost] = ours[cache].call("fit", epochs=1, skip=0)
                    costs.append(scaled(cost))
                else:
                    costs += ours[cache].call("fit", epochs=args.epochs, skip=1)
    return raw


def report(raw):
    """Prints the table."""
    # One thread: seconds of the processor, which other jobs do not lengthen.
    clock = "cpu" if raw["threads"] == 1 else "wall"

    def median(name):
        return statistics.median(cost[clock] for cost in raw["epochs"][name])

    rows = []
    for name, costs in raw["epochs"].items():
        cache = raw["cache"].get(name.split(": ")[-1], {"bytes": 0})
        cached = cache["bytes"] > 0
        rows.append([
            name + ("" if cached else " *"),
            middle([cost["cpu"] for cost in costs], 3),
            middle([cost["wall"] for cost in costs], 3),
            f"{median(name) / raw['steps'] * 1000:.2f} ms",
            f"{median(PEER) / median(name):,.{1 if not cached else 0}f} ×",
            f"{cache['bytes'] / 1e6:.3g} MB" if cached else "–",
            f"{cache['cpu']:.1f} ({cache['wall']:.1f})" if cached else "–",
        ])  # fmt: skip
    version = next((c["version"] for c in raw["cache"].values()), "")
    print(f"\nHuBERT {raw['size']}, an epoch of {raw['steps']} batches of "
          f"{BATCH_SIZE} x {SECONDS:g} s; {raw['threads']} thread(s), ratios from "
          f"{clock} seconds\n{raw['machine']}; {version}; {raw['peer']}\n")  # fmt: skip
    header = ("contestant", "epoch, CPU s", "epoch, wall s", "a batch", "speed-up",
              "cache", "extraction once, CPU s (wall s)")  # fmt: skip
    print_table(header, rows)
    print(f"\n\\* measured on {raw['batches']} batches and scaled to {raw['steps']}")


if __name__ == "__main__":
    args = arguments()
    if args.worker:
        serve({"prepare": prepare, "fit": fit})
    else:
        main(args, run, report)
