#!/usr/bin/env python3
"""Features of a batch of mixed lengths: ours against S3PRL 0.4.18, on a CPU; of HuBERT
also against Hugging Face's transformers and torchaudio; of models of sound against
SpeechBrain and timm.

> python benchmarks/extraction.py --s3prl /path/to/s3prl-env/bin/python

Eight utterances of 2 to 15 s, 60.8 s together, through HuBERT of Base size, or
other families and sizes, with random weights, all hidden states kept. S3PRL, or the
library that has a family in its place, and ours load the same checkpoint, made on the
fly. All run in turns, each in a process of its own; see README.md for S3PRL's
environment and for what the columns mean.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import importlib
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
#: Families that other libraries have, too.
ELSEWHERE = {"hubert": {"Hugging Face": "hugging_face", "torchaudio": "torchaudio"}}
#: Families that S3PRL lacks: the library in its place, which runs in all precisions.
INSTEAD = {"beats": "SpeechBrain", "atst_frame": "timm"}
#: Names to our module and class of them.
FAMILIES = {
    "wav2vec2": ("wav2vec2", "Wav2Vec2"),
    "hubert": ("hubert", "Hubert"),
    "wavlm": ("wavlm", "WavLM"),
    "unispeech_sat": ("unispeech_sat", "UniSpeechSat"),
    "data2vec": ("data2vec", "Data2VecAudio"),
    "wav2vec2_conformer_relpos": ("wav2vec2", "Wav2Vec2"),
    "wav2vec2_conformer_rope": ("wav2vec2", "Wav2Vec2"),
    "distilhubert": ("distilhubert", "DistilHubert"),
    "multires_hubert": ("multires_hubert", "MultiresHubert"),
    "mockingjay": ("mockingjay", "Mockingjay"),
    "beats": ("beats", "Beats"),
    "atst_frame": ("atst", "Atst"),
}
#: Options of ours that make it keep as much as the others do.
KEEPING = {"beats": {"bands": "concat"}}
#: Those whose operations :func:`flops` counts.
COUNTED = ("wav2vec2", "hubert", "unispeech_sat")
HOW = {"padded batch": False, "one at a time": True}  #: names to ``alone``


def arguments():
    """Command line."""
    options = parser(__doc__, ("tiny", "base", "large"))
    options.add_argument(
        "--utterances",
        type=int,
        default=len(LENGTHS),
        choices=range(2, len(LENGTHS) + 1),
        help="the first ones of the eight",
    )
    options.add_argument(
        "--precision",
        nargs="+",
        default=["fp32", "bf16"],
        choices=("fp32", "bf16", "fp16"),
        help="of ours, one contestant each; S3PRL runs in fp32 alone",
    )
    options.add_argument(
        "--family",
        nargs="+",
        default=["hubert"],
        choices=[*FAMILIES, "all"],
        help="of several, a compact table",
    )
    args = parse(options)
    if "all" in args.family:
        args.family = list(FAMILIES)
    return args


# ------------------------------------------------------ our side, in a worker
loaded = {}


def load(checkpoint, precision, family, lengths):
    """Loads the checkpoint; returns the versions and, where they are known, the
    useful FLOPs."""
    import s3prl_sb

    module, name = FAMILIES[family]
    module = importlib.import_module(f"s3prl_sb.lobes.upstreams.{module}")
    options = {"precision": precision, **KEEPING.get(family, {})}
    upstream = getattr(module, name)(source=checkpoint, **options)
    upstream.extract([torch.randn(16000)])  # one-time costs of the libraries
    loaded.update(upstream=upstream, baseline=resident())
    samples = [round(seconds * SAMPLE_RATE) for seconds in lengths]
    facts = {
        "version": f"s3prl_sb {s3prl_sb.__version__}, torch {torch.__version__}",
        "frames": sum(map(upstream.frames, samples)),
        "flops": None,
    }
    if family in COUNTED:
        facts["flops"] = sum(map(flops, samples))
        facts["shape"] = [upstream.config.hidden_size, upstream.config.ffn_size]
    return facts


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
    """Runs all families, one after the other; returns the raw numbers."""
    generator = torch.Generator().manual_seed(0)
    wavs = os.path.join(folder, "wavs.pt")
    lengths = LENGTHS[: args.utterances]
    torch.save([speech(seconds, generator) for seconds in lengths], wavs)
    raw = {"machine": machine(), "threads": args.threads, "size": args.size,
           "lengths": lengths}  # fmt: skip
    raw["families"] = {}
    for family in args.family:
        if len(args.family) > 1:
            print(f"{family} …", file=sys.stderr, flush=True)
        raw["families"][family] = run_family(args, folder, wavs, lengths, family)
    return raw


def run_family(args, folder, wavs, lengths, family):
    """Runs all contestants in turns; returns the raw numbers."""
    raw = {"runs": {}, "gemm": {}, "error": {}, "peer": INSTEAD.get(family, "S3PRL")}
    padded, alone = (os.path.join(folder, f"{name}.pt") for name in HOW)
    with contextlib.ExitStack() as stack:

        def worker(*command):
            return stack.enter_context(Worker(list(command), args.threads))

        runs = contestants(args, folder, lengths, family, raw, worker)
        # What the last round does once its clock has stopped: it saves the features,
        # or compares them, except those of other weights.
        last = {padded_of(raw): {"save": padded}, alone_of(raw): {"save": alone}}
        others = tuple(ELSEWHERE.get(family, ()))
        for name in runs:
            last.setdefault(name, {} if name.startswith(others) else {"compare": alone})
        # A number of the detailed table alone, which several families do not get.
        gemms = args.precision if raw["flops"] and len(args.family) == 1 else ()
        for i in range(args.repeats):
            for name, (contestant, options) in runs.items():
                more = last[name] if i == args.repeats - 1 else {}
                cost = contestant.call("extract", wavs=wavs, **options, **more)
                raw["runs"].setdefault(name, []).append(cost)
                if "error" in cost:
                    raw["error"][name] = cost.pop("error")
                # After each of them: it is to meet the machine as they do.
                for precision in gemms:
                    shape = {"frames": raw["frames"], "shape": raw["shape"]}
                    ours = runs[f"ours, {args.precision[-1]}"][0]
                    speeds = ours.call("gemm", precision=precision, **shape)
                    raw["gemm"].setdefault(precision, []).extend(speeds)
        raw["error"][padded_of(raw)] = error(torch.load(padded), torch.load(alone))
        raw["error"][alone_of(raw)] = 0.0
    return raw


def contestants(args, folder, lengths, family, raw, worker):
    """Starts all workers; returns the names of contestants to worker and options."""
    script = "peer_sounds.py" if family in INSTEAD else "peer_s3prl.py"
    peer = worker(args.s3prl, os.path.join(FOLDER, script))
    checkpoint = peer.call("make", folder=folder, size=args.size, family=family)
    raw["versions"] = peer.call("load", checkpoint=checkpoint, family=family)
    runs = {f"{raw['peer']}, {how}": (peer, {"alone": a}) for how, a in HOW.items()}
    about = {"checkpoint": checkpoint, "family": family}
    for precision in args.precision:
        ours = worker(sys.executable, os.path.abspath(__file__), "--worker")
        raw.update(ours.call("load", precision=precision, lengths=lengths, **about))
        runs[f"ours, {precision}"] = ours, {}
    for precision in args.precision if family in INSTEAD else ():
        if precision != "fp32":
            other = worker(args.s3prl, os.path.join(FOLDER, script))
            other.call("load", precision=precision, **about)
            for how, is_alone in HOW.items():
                name = f"{raw['peer']}, {how}, {precision}"
                runs[name] = other, {"alone": is_alone}
    os.remove(checkpoint)
    for name, library in ELSEWHERE.get(family, {}).items():
        other = worker(args.s3prl, os.path.join(FOLDER, "peer_models.py"))
        version = other.call("load", library=library, size=args.size)
        raw["versions"] += f"; {version}"
        for how, is_alone in HOW.items():
            runs[f"{name}, {how}"] = other, {"alone": is_alone}
    return runs


def padded_of(raw):
    """Name of the contestant that runs the padded batch of S3PRL, or in its place."""
    return f"{raw['peer']}, padded batch"


def alone_of(raw):
    """Name of the one that runs each utterance alone."""
    return f"{raw['peer']}, one at a time"


def report(raw):
    """Prints one table: the detailed one of one family, the compact one of more."""
    families = list(raw["families"].items())
    name, first = families[0]
    # One thread: seconds of the processor, which other jobs do not lengthen.
    clock = "cpu" if raw["threads"] == 1 else "wall"
    title = name if len(families) == 1 else f"{len(families)} families"
    lengths = raw["lengths"]
    title += (
        f", {raw['size']}, {len(lengths)} utterances, {sum(lengths):.1f} s of audio"
    )
    if len(families) == 1 and first["flops"]:
        title += f", {first['flops'] / 1e9:.0f} useful GFLOP"
    rounds = len(first["runs"][padded_of(first)])
    print(f"\n{title}; {raw['threads']} thread(s), ratios from {clock} seconds, "
          f"medians of {rounds} round(s)\n{raw['machine']}; {first['version']}; "
          f"{first['versions']}")  # fmt: skip
    if len(families) == 1:
        detailed(first, clock, sum(lengths))
    else:
        compact(families, clock)


def median(family, name, key):
    """Returns the median over rounds; None if the system cannot measure it."""
    values = [cost[key] for cost in family["runs"][name]]
    return None if None in values else statistics.median(values)


def memory(family, name):
    """Cells: the peak, and its ratio to the padded batch's."""
    peak = median(family, name, "peak")
    if not peak:
        return "–", "–"
    return (
        f"{peak / 1e9:.2f} GB",
        f"{peak / median(family, padded_of(family), 'peak'):.2f} ×",
    )


def error_of(family, name):
    """Cell: the error against the peer's features, of the same weights."""
    error = family["error"].get(name)
    return "–" if error is None else f"{error:.1e}"


def compact(families, clock):
    """Prints a row for each family and contestant."""
    rows = []
    for family, raw in families:
        for name, costs in raw["runs"].items():
            seconds = median(raw, name, clock)
            rows.append([
                family,
                name,
                middle([cost[clock] for cost in costs]),
                f"{median(raw, padded_of(raw), clock) / seconds:.2f} ×",
                f"{median(raw, alone_of(raw), clock) / seconds:.2f} ×",
                *memory(raw, name),
                error_of(raw, name),
            ])  # fmt: skip
    header = ("family", "contestant", f"{clock} s", "speed-up over the padded batch",
              "over one at a time", "peak over weights", "of the peer's",
              "error against the peer alone")  # fmt: skip
    print()
    print_table(header, rows)


def detailed(raw, clock, audio):
    """Prints a row for each contestant, with the speed of the matrix product."""
    speeds = {
        precision: statistics.median(s[clock] for s in speeds)
        for precision, speeds in raw["gemm"].items()
    }
    for precision, costs in raw["gemm"].items():
        shape = " x ".join(map(str, (raw["frames"], *raw["shape"])))
        speed = middle([cost[clock] / 1e9 for cost in costs], 0)
        print(f"Matrix product {shape}, {precision}: {speed} GFLOP/s")
    rows = []
    for name, costs in raw["runs"].items():
        seconds = median(raw, name, clock)
        speed = speeds.get(name.split(", ")[1] if "ours" in name else "fp32")
        useful = raw["flops"] and raw["flops"] / seconds
        rows.append([
            name,
            middle([cost["cpu"] for cost in costs]),
            middle([cost["wall"] for cost in costs]),
            f"{audio / seconds:.2f}",
            f"{median(raw, padded_of(raw), clock) / seconds:.2f} ×",
            f"{useful / 1e9:.1f}" if useful else "–",
            f"{useful / speed:.0%}" if speed else "–",
            *memory(raw, name),
            error_of(raw, name),
        ])  # fmt: skip
    header = ("contestant", "CPU s", "wall s", "audio s / s", "speed-up", "GFLOP/s",
              "of the matrix product", "peak over weights", "of the peer's",
              "error against the peer alone")  # fmt: skip
    print()
    print_table(header, rows)


if __name__ == "__main__":
    args = arguments()
    if args.worker:
        serve({"load": load, "extract": extract, "gemm": gemm})
    else:
        main(args, run, report)
