#!/usr/bin/env python3
"""ABX errors of one hidden state: ours against zerospeech-libriabx2.

> python benchmarks/abx.py --libriabx2 /path/to/its/env/bin/python

Both read the same features, a file for each utterance, and the same .item file, and
compare triphones within and across speakers by the angle. Features and items are made
up, in the sizes of 20 ms frames of a Base network; no cell is above the limits, so that
nothing is drawn by chance. Contestants run in turns, each in a process of its own.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import random
import statistics
import sys

from measure import Worker, machine, main, measure, middle, parser, print_table, serve

STRIDE = 0.02  # seconds
ITEMS = "made-up.item"
SIZES = {  # utterances, speakers, phones, contexts, items of an utterance, dimensions
    "base": (12, 4, 5, 4, 40, 768),
    "small": (24, 4, 5, 3, 12, 32),
}


# ------------------------------------------------------------------ a made-up corpus
def make(folder, size):
    """Writes <utterance>.npy of [frames, dimensions], and an .item file."""
    import numpy

    utterances, speakers, phones, contexts, items, dimensions = SIZES[size]
    draw, noise = random.Random(0), numpy.random.default_rng(0)
    centres = noise.standard_normal((phones, dimensions), dtype="float32")
    rows = ["#file onset offset #phone prev-phone next-phone speaker"]
    for number in range(utterances):
        name, start = f"u{number:03d}", 0.1
        said = []
        for _ in range(items):
            stop = start + draw.uniform(0.15, 0.35)  # a triphone of read speech
            phone, context = draw.randrange(phones), draw.randrange(contexts)
            said.append((start, stop, phone))
            rows.append(
                f"{name} {start:.3f} {stop:.3f} p{phone} c{context} d{context} "
                f"s{number % speakers}"
            )
            start = stop
        frames = round(start / STRIDE) + 5
        features = noise.standard_normal((frames, dimensions), dtype="float32")
        for start, stop, phone in said:
            features[round(start / STRIDE) : round(stop / STRIDE)] += (
                0.15 * centres[phone]
            )
        numpy.save(os.path.join(folder, f"{name}.npy"), features)
    with open(os.path.join(folder, ITEMS), "w") as file:
        file.write("\n".join([*rows, ""]))


# ------------------------------------------------------------------- contestants
class Files:
    """Features in files, with the interface of HiddenStates."""

    name, layers, stride_seconds = "made up", [0], STRIDE

    def __init__(self, folder):
        self.folder = folder

    def __getitem__(self, utterance):
        import numpy
        import torch

        features = numpy.load(os.path.join(self.folder, f"{utterance}.npy"))
        return torch.from_numpy(features)[:, None]


def ours(folder):
    """The errors by this package."""
    from s3prl_sb.analysis import abx
    from s3prl_sb.analysis.items import read_items

    names = [n.removesuffix(".npy") for n in os.listdir(folder) if n.endswith(".npy")]
    records = {name: {"wav": f"{name}.wav"} for name in sorted(names)}
    items = read_items(os.path.join(folder, ITEMS), records)
    limits = {"most_items": 1000, "most_speakers": 1000}
    (errors,) = abx.errors(Files(folder), items, progressbar=False, **limits)
    return [errors["within"], errors["across"]]


def theirs(folder):
    """The errors by zerospeech-libriabx2."""
    from zrc_abx2.eval_ABX import EvalABX, EvalArgs

    results = EvalABX().eval_abx(
        EvalArgs(
            path_data=folder,
            path_item_file=os.path.join(folder, ITEMS),
            feature_size=STRIDE,
            context_mode="within",
            max_size_group=1000,
            max_x_across=1000,
        )
    )
    scores = {result["abx-s-condition"]: result["score"] for result in results}
    return [scores["within"], scores["across"]]


SIDES = {"ours": ours, "theirs": theirs}


def score(folder, small, side):
    """Errors and cost of one contestant; its imports do not count."""
    SIDES[side](small)
    values, cost = measure(lambda: SIDES[side](folder))
    return {"values": values, "cost": cost}


# ----------------------------------------------------------------- the benchmark
def run(args, folder):
    """Runs both contestants in turns; returns the raw numbers."""
    folders = {}
    for name, size in (("folder", args.size), ("small", "small")):
        folders[name] = os.path.join(folder, name)
        os.mkdir(folders[name])
        make(folders[name], size)
    raw = {"machine": machine(), "threads": args.threads, "size": args.size}
    raw.update(ours=[], theirs=[])
    script = os.path.abspath(__file__)
    with contextlib.ExitStack() as stack:
        workers = {
            side: stack.enter_context(
                Worker([python, script, "--worker"], args.threads)
            )
            for side, python in (("theirs", args.libriabx2), ("ours", sys.executable))
        }
        for _ in range(args.repeats):
            for side, worker in workers.items():
                raw[side].append(worker.call("score", side=side, **folders))
    return raw


def report(raw):
    """Prints the table."""
    utterances, _, _, _, items, dimensions = SIZES[raw["size"]]
    print(
        f"\n{utterances * items:,} triphones of {utterances} utterances, {dimensions} "
        f"dimensions; {raw['threads']} thread(s)\n{raw['machine']}\n"
    )
    rows = []
    for side, name in (("ours", "ours"), ("theirs", "zerospeech-libriabx2")):
        cpu, wall = ([one["cost"][c] for one in raw[side]] for c in ("cpu", "wall"))
        errors = " and ".join(f"{100 * v:.4f} %" for v in raw[side][0]["values"])
        rows.append([name, middle(cpu), middle(wall), errors])
    print_table(("", "CPU, s", "wall, s", "within and across"), rows)
    one, other = (
        statistics.median(r["cost"]["cpu"] for r in raw[side])
        for side in ("theirs", "ours")
    )
    print(f"\nOurs is {one / other:.2g} times as fast by CPU time.")


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument(
        "--libriabx2", default=sys.executable, help="the Python of its environment"
    )
    args = options.parse_args()
    if args.worker:
        serve({"score": score})
    else:
        main(args, run, report)
