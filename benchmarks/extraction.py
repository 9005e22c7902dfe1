#!/usr/bin/env python3
"""Features of a batch of mixed lengths: ours against S3PRL 0.4.18, on a CPU.

> python benchmarks/extraction.py --s3prl /path/to/s3prl-env/bin/python

Eight utterances of 2 to 15 s, 60.8 s together, through HuBERT of Base size
with random weights, all hidden states kept. Both load the same checkpoint, in
S3PRL's format, made on the fly. They run in turns, each in a process of its
own; see README.md for S3PRL's environment and for what the columns mean.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import statistics
import sys

import torch
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
    resident,
    serve,
    speech,
)

#: Seconds; in an order as a shuffled loader gives it.
LENGTHS = (7.9, 2.0, 15.0, 5.2, 11.2, 3.7, 9.3, 6.5)
FOLDER = os.path.dirname(os.path.abspath(__file__))
PADDED, ALONE = "S3PRL, padded batch", "S3PRL, one at a time"


def arguments():
    """Command line."""
    options = parser(__doc__)
    options.add_argument(
        "--precision",
        nargs="+",
        default=["fp32", "bf16"],
        choices=("fp32", "bf16", "fp16"),
        help="of ours, one contestant each; S3PRL runs in fp32",
    )
    return parse(options)


# ------------------------------------------------------ our side, in a worker
loaded = {}


def load(checkpoint, precision):
    """Loads the checkpoint; returns the versions and the useful FLOPs."""
    import s3prl_sb
    from s3prl_sb.lobes.upstreams.hubert import Hubert

    upstream = Hubert(source=checkpoint, precision=precision)
    upstream.extract([torch.randn(16000)])  # one-time costs of the libraries
    loaded.update(upstream=upstream, baseline=resident())
    samples = [round(seconds * SAMPLE_RATE) for seconds in LENGTHS]
    return {
        "version": f"s3prl_sb {s3prl_sb.__version__}, torch {torch.__version__}",
        "flops": sum(map(flops, samples)),
        "frames": sum(map(upstream.frames, samples)),
        "shape": [upstream.config.hidden_size, upstream.config.ffn_size],
    }


def extract(wavs, compare=None):
    """Hidden states of the batch; against saved ones also the error."""
    wavs = torch.load(wavs)
    features, cost = measure(
        lambda: loaded["upstream"].extract(wavs), loaded["baseline"]
    )
    if compare:
        states = features["hidden_states"]
        states = [[layer[i] for layer in states] for i in range(len(wavs))]
        cost["error"] = error(states, torch.load(compare))
    return cost


def error(states, references):
    """Largest difference relative to the largest value of the hidden state;
    [utterance][layer][frames, size] each, the references of true length."""
    return max(
        ((a[: len(b)].float() - b).abs().max() / b.abs().max()).item()
        for ours, theirs in zip(states, references, strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def flops(samples):
    """Operations that the features of one utterance take; all true frames."""
    config = loaded["upstream"].config
    total, channels, frames = 0, 1, samples
    for out, kernel, stride in config.conv_layers:
        frames = (frames - kernel) // stride + 1
        total += frames * out * channels * kernel
        channels = out
    size = config.hidden_size
    total += frames * size * channels
    total += frames * size * (size // config.position_groups) * config.position_kernel
    linear = 4 * size**2 + 2 * size * config.ffn_size
    total += config.num_layers * frames * (linear + 2 * frames * size)
    return 2 * total


def gemm(frames, shape, precision, times=6):
    """Operations a second of the feed-forward's first product, some times."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}.get(precision, torch.half)
    x, weight = torch.randn(frames, shape[0]), torch.randn(shape[1], shape[0])
    x, weight = x.to(dtype), weight.to(dtype)
    with torch.no_grad():
        torch.nn.functional.linear(x, weight)
        costs = [
            measure(lambda: torch.nn.functional.linear(x, weight))[1]
            for _ in range(times)
        ]
    work = 2 * frames * shape[0] * shape[1]
    return [{clock: work / c[clock] for clock in ("cpu", "wall")} for c in costs]


# -------------------------------------------------------------- the benchmark
def run(args, folder):
    """Runs all contestants; returns the raw numbers."""
    generator = torch.Generator().manual_seed(0)
    wavs, alone = os.path.join(folder, "wavs.pt"), os.path.join(folder, "alone.pt")
    torch.save([speech(seconds, generator) for seconds in LENGTHS], wavs)
    raw = {"machine": machine(), "threads": args.threads, "size": args.size,
           "runs": {PADDED: [], ALONE: []}, "gemm": {}, "error": {}}  # fmt: skip
    with contextlib.ExitStack() as stack:

        def worker(*command):
            return stack.enter_context(Worker(list(command), args.threads))

        peer = worker(args.s3prl, os.path.join(FOLDER, "peer_s3prl.py"))
        checkpoint = peer.call("make", folder=folder, size=args.size)
        raw["peer"] = peer.call("load", checkpoint=checkpoint)
        runs = {
            PADDED: lambda **more: peer.call("extract", wavs=wavs, alone=False, **more),
            ALONE: lambda **more: peer.call("extract", wavs=wavs, alone=True, **more),
        }
        for precision in args.precision:
            ours = worker(sys.executable, os.path.abspath(__file__), "--worker")
            raw.update(ours.call("load", checkpoint=checkpoint, precision=precision))
            runs[f"ours, {precision}"] = lambda ours=ours, **more: ours.call(
                "extract", wavs=wavs, **more
            )
        for _ in range(args.repeats):
            for name, contestant in runs.items():
                raw["runs"].setdefault(name, []).append(contestant())
                # After each of them: it is to meet the machine as they do.
                for precision in args.precision:
                    shape = {"frames": raw["frames"], "shape": raw["shape"]}
                    speeds = ours.call("gemm", precision=precision, **shape)
                    raw["gemm"].setdefault(precision, []).extend(speeds)
        padded = os.path.join(folder, "padded.pt")
        runs[ALONE](save=alone)
        runs[PADDED](save=padded)
        raw["error"][PADDED] = error(torch.load(padded), torch.load(alone))
        for name in list(runs)[2:]:
            raw["error"][name] = runs[name](compare=alone)["error"]
    return raw


def report(raw):
    """Prints the table."""
    # One thread: seconds of the processor, which other jobs do not lengthen.
    clock = "cpu" if raw["threads"] == 1 else "wall"
    audio = sum(LENGTHS)

    def median(name, key):
        values = [cost[key] for cost in raw["runs"][name]]
        return None if None in values else statistics.median(values)

    speeds = {
        precision: statistics.median(s[clock] for s in speeds)
        for precision, speeds in raw["gemm"].items()
    }
    rows = []
    for name, costs in raw["runs"].items():
        seconds, peak = median(name, clock), median(name, "peak")
        speed = speeds.get(name.split(", ")[1] if "ours" in name else "fp32")
        useful = raw["flops"] / seconds
        rows.append([
            name,
            middle([cost["cpu"] for cost in costs]),
            middle([cost["wall"] for cost in costs]),
            f"{audio / seconds:.2f}",
            f"{median(PADDED, clock) / seconds:.2f} ×",
            f"{useful / 1e9:.1f}",
            f"{useful / speed:.0%}" if speed else "–",
            f"{peak / 1e9:.2f} GB" if peak else "–",
            f"{peak / median(PADDED, 'peak'):.2f} ×" if peak else "–",
            f"{raw['error'].get(name, 0):.1e}",
        ])  # fmt: skip
    print(f"\nHuBERT {raw['size']}, {len(LENGTHS)} utterances, {audio:.1f} s of audio, "
          f"{raw['flops'] / 1e9:.0f} useful GFLOP; {raw['threads']} thread(s), ratios "
          f"from {clock} seconds, medians of {len(costs)} rounds\n"
          f"{raw['machine']}; {raw['version']}; {raw['peer']}")  # fmt: skip
    for precision, costs in raw["gemm"].items():
        shape = " x ".join(map(str, (raw["frames"], *raw["shape"])))
        speed = middle([cost[clock] / 1e9 for cost in costs], 0)
        print(f"Matrix product {shape}, {precision}: {speed} GFLOP/s")
    header = ("contestant", "CPU s", "wall s", "audio s / s", "speed-up", "GFLOP/s",
              "of the matrix product", "peak over weights", "of S3PRL's",
              "error against S3PRL alone")  # fmt: skip
    print()
    print_table(header, rows)


if __name__ == "__main__":
    args = arguments()
    if args.worker:
        serve({"load": load, "extract": extract, "gemm": gemm})
    else:
        main(args, run, report)
