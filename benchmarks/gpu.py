#!/usr/bin/env python3
"""Speed and equality on a GPU, in under eight minutes.

> python benchmarks/gpu.py --json gpu.json
> python benchmarks/gpu.py --device cpu --size tiny

Four parts, with random weights:

- extraction: a shuffled batch of 2 to 15 s in fp32, bf16 and fp16, against Hugging
  Face's and S3PRL's models where they are installed;
- steps: an update of a pooled and of a BLSTM probe, one learning rate and five;
- plan: hours that ``--plan`` expects, beside those that the run takes;
- families: features of small networks of every class, against the CPU's in fp32.

After each row, the JSON file has all rows so far: a program that is stopped leaves what
it has measured. What fails is an error in its row.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

import torch
from extraction import LENGTHS
from measure import SAMPLE_RATE, machine, measure, print_table, resident, speech

_SMALL = [[32, 10, 5], *[[32, 3, 2]] * 4, *[[32, 2, 2]] * 2]
_TINY = {"hidden_size": 64, "ffn_size": 256, "num_layers": 2, "num_heads": 4}
_LARGE = {"hidden_size": 1024, "ffn_size": 4096, "num_layers": 24, "num_heads": 16}
#: Arguments of our HuBERT by size, and copies of the batch.
SIZES = {
    "tiny": ({**_TINY, "conv_layers": _SMALL}, 1),
    "base": ({}, 4),
    "large": (_LARGE, 4),
}
#: Our names of them to Hugging Face's.
NAMES = {
    "hidden_size": "hidden_size",
    "ffn_size": "intermediate_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
}
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: Largest errors against the CPU in fp32, relative to the norm of a hidden state. Where
#: the tests allow a network more in bf16, it has more in fp16, too.
TOLERANCES = {"fp32": 1e-4, "bf16": 3e-2, "fp16": 7.5e-3}


def synchronize(device):
    """Waits for the work of a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


def timed(function, device, repeats):
    """Returns the median seconds and the largest bytes over those held before."""
    function()  # one-time costs
    seconds = []
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    for _ in range(repeats):
        synchronize(device)
        start = time.perf_counter()
        function()
        synchronize(device)
        seconds.append(time.perf_counter() - start)
    if device != "cpu":
        peak = torch.cuda.max_memory_allocated() - before
    else:
        peak = measure(function, resident())[1]["peak"]
    return statistics.median(seconds), peak


# ---------------------------------------------------------------- extraction
def extraction(options):
    """Yields the contestants of the extraction, by name."""
    generator = torch.Generator().manual_seed(0)
    scale = 0.2 if options.size == "tiny" else 1.0
    wavs = [speech(scale * seconds, generator) for seconds in LENGTHS]
    wavs = wavs * SIZES[options.size][1]
    reference = {}  # our features in fp32

    def ours(precision):
        from s3prl_sb.lobes.upstreams import load

        config = SIZES[options.size][0]
        upstream = load("hubert_base", source=None, config=config, precision=precision)
        upstream.to(options.device)
        row = speed(lambda: upstream.extract(wavs))
        states = upstream.extract(wavs[:2])["hidden_states"]
        reference.setdefault("states", states)
        return {**row, "error": error(states, reference["states"])}

    def hugging_face(precision, alone):
        from transformers import HubertConfig, HubertModel

        ours = SIZES[options.size][0]
        theirs = {NAMES[key]: ours[key] for key in NAMES if key in ours}
        if "conv_layers" in ours:
            theirs["conv_dim"] = [channels for channels, *_ in ours["conv_layers"]]
        model = HubertModel(HubertConfig(**theirs)).eval()
        model.to(options.device, PRECISIONS[precision])

        def run():
            kinds = {"device": options.device, "dtype": model.dtype}
            if alone:
                for wav in wavs:
                    model(wav[None].to(**kinds), output_hidden_states=True)
                return
            batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
            lengths = torch.tensor([len(wav) for wav in wavs])
            mask = torch.arange(batch.shape[1]) < lengths[:, None]
            model(
                batch.to(**kinds),
                attention_mask=mask.long().to(options.device),
                output_hidden_states=True,
            )

        return speed(run)

    def s3prl(alone):
        from peer_families import expert, write

        with tempfile.TemporaryDirectory() as folder:
            upstream = expert("hubert")(write(folder, options.size, "hubert"))
        upstream.eval().to(options.device)

        def run():
            there = [wav.to(options.device) for wav in wavs]
            for batch in [[wav] for wav in there] if alone else [there]:
                upstream(batch)

        return speed(run)

    def speed(function):
        from s3prl_sb.lobes.networks.precision import full_precision

        with torch.no_grad(), full_precision():
            seconds, peak = timed(function, options.device, options.repeats)
        audio = sum(map(len, wavs)) / SAMPLE_RATE
        return {"audio s / s": audio / seconds, "peak GB": peak and peak / 1e9}

    # A CPU has no arithmetic in fp16.
    precisions = list(PRECISIONS)[: 2 if options.device == "cpu" else 3]
    for precision in precisions:
        yield f"ours, {precision}", lambda precision=precision: ours(precision)
    for alone in (True, False):
        how = "one at a time" if alone else "padded batch"
        for precision in precisions:
            yield (
                f"Hugging Face, {how}, {precision}",
                lambda p=precision, alone=alone: hugging_face(p, alone),
            )
        yield f"S3PRL, {how}, fp32", lambda alone=alone: s3prl(alone)


def error(states, references):
    """Returns the largest difference of hidden states, relative to their norms."""
    return max(
        ((a.cpu().float() - b.cpu().float()).norm() / b.cpu().float().norm()).item()
        for a, b in zip(states, references, strict=True)
    )


# --------------------------------------------------------------------- steps
def steps(options):
    """Yields the updates of probes, see ``sweep.py``."""
    import sweep

    def step(kind, count):
        data = sweep.dataset(sweep.KINDS[kind][0], 32)
        number = 4 if options.size == "tiny" else 100 if kind == "pooled" else 20
        costs = [
            sweep.fit(kind, sweep.RATES[:count], number, data, options.device)["wall"]
            for _ in range(1 if options.size == "tiny" else options.repeats)
        ]
        alone[kind, count] = 1000 * statistics.median(costs)
        ratio = alone[kind, count] / alone.get((kind, 1), float("nan"))
        return {"ms": alone[kind, count], "of one": ratio}

    alone = {}
    for kind in sweep.KINDS:
        for count in (1, len(sweep.RATES)):
            name = f"{kind}, {count} learning rate(s)"
            yield name, lambda kind=kind, count=count: step(kind, count)


# ---------------------------------------------------------------------- plan
def plan(options):
    """Yields the plan of a keyword probe on pooled features, and its run."""
    with tempfile.TemporaryDirectory() as folder:
        told = {}
        yield "expected", lambda: expected(options, folder, told)
        yield "measured", lambda: measured(options, folder, told)


def expected(options, folder, told):
    """Plans the run, after a plan that has the one-time costs."""
    from s3prl_sb.brains import planning

    write_audio(options, folder)
    for _ in range(2):
        brain, dataset = probe(options, folder)
        told.update(planning.plan(brain, {"train": dataset}))
    audio, updates = told["upstream"], told["updates"]
    return {
        "audio s / s": told["speed"],
        "TFLOP/s": told["speed"] * told["gflop"] / 1000,
        "extraction s": audio / told["speed"],
        "ms an update": 1000 * told["update"],
        "s in all": audio / told["speed"] + updates * told["update"],
    }


def measured(options, folder, told):
    """Runs what was planned."""
    brain, dataset = probe(options, folder)
    start = time.perf_counter()
    brain.use_cache({"train": dataset})
    extracted = time.perf_counter() - start
    brain.fit([1], dataset, train_loader_kwargs={"batch_size": 32})
    synchronize(options.device)
    spent = time.perf_counter() - start
    return {
        "audio s / s": told["upstream"] / extracted,
        "TFLOP/s": told["upstream"] * told["gflop"] / extracted / 1000,
        "extraction s": extracted,
        "ms an update": 1000 * (spent - extracted) / told["updates"],
        "s in all": spent,
    }


def probe(options, folder):
    """Builds the Brain of the run."""
    from keyword_probe import keyword_brain

    from s3prl_sb.lobes.upstreams import load

    upstream = load("hubert_base", source=None, config=SIZES[options.size][0])
    manifest = os.path.join(folder, "train.json")
    number = 20 if options.size == "tiny" else 300
    return keyword_brain(
        upstream, manifest, folder, "pooled", number, 32, options.device
    )


def write_audio(options, folder):
    """Writes recordings of mixed lengths and their manifest."""
    import soundfile

    from s3prl_sb.dataio import manifest

    generator, records = torch.Generator().manual_seed(0), {}
    scale, copies = (0.2, 2) if options.size == "tiny" else (1.0, 16)
    for i, seconds in enumerate(LENGTHS * copies):
        path = os.path.join(folder, f"{i:03d}.wav")
        wav = speech(scale * seconds, generator)
        soundfile.write(path, wav.numpy(), SAMPLE_RATE)
        duration = len(wav) / SAMPLE_RATE
        label = f"word{i % 12:02d}"
        records[f"{i:03d}"] = {"wav": path, "duration": duration, "label": label}
    manifest.write(records, os.path.join(folder, "train.json"))


# ------------------------------------------------------------------ families
def families(options):
    """Yields a small network of each class of upstreams, as the tests build them."""
    from s3prl_sb.lobes.cards.finding import matching, notes, published

    for file in published():
        about = notes(file, "_test")
        for name, kind in about.get("kinds", {}).items():
            small = {}
            for changes in matching(about.get("shrunk", {}), name):
                small = merged(small, changes)
            half = (kind or {}).get("half", TOLERANCES["bf16"])
            yield (
                name,
                lambda name=name, small=small, half=half: equality(
                    options, name, small, half
                ),
            )


def merged(base, changes):
    """Returns nested dicts, the second over the first."""
    result = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def equality(options, name, small, half):
    """Compares the features of a ragged batch with the CPU's in fp32."""
    from s3prl_sb.lobes.networks.precision import full_precision
    from s3prl_sb.lobes.upstreams import load

    generator, row = torch.Generator().manual_seed(0), {}
    reference = load(name, **small)
    values = [reference.input_size] * (reference.input_size > 1)
    seconds = [1.0, 0.31, 1.0, 2.13]
    wavs = [
        0.1 * torch.randn(int(s * reference.sample_rate), *values, generator=generator)
        for s in seconds
    ]
    with full_precision():
        states = reference.extract(wavs)["hidden_states"]
        for precision, tolerance in TOLERANCES.items():
            upstream = load(name, **small, precision=precision)
            upstream.load_state_dict(reference.state_dict())
            upstream.to(options.device)
            row[precision] = error(upstream.extract(wavs)["hidden_states"], states)
            if precision != "fp32":
                tolerance *= half / TOLERANCES["bf16"]
            # Not above it: NaN is not equal, either.
            if not row[precision] <= tolerance:
                row.setdefault("problem", f"{precision} is over {tolerance:.0e}")
    return row


PARTS = {f.__name__: f for f in (extraction, steps, plan, families)}


# -------------------------------------------------------------- the benchmark
def run(options, clock=time.monotonic):
    """Runs the parts; returns the rows of each, and writes them after each row.

    Arguments
    ---------
    options : argparse.Namespace
        Command line.
    clock : callable
        Returns seconds.

    Returns
    -------
    dict
        Part to rows: ``what``, ``spent`` and the numbers, or ``problem``.
    """
    start, results = clock(), {part: [] for part in options.parts}
    about = {"machine": name_of(options.device), "torch": torch.__version__}

    def add(part, what, function):
        began = clock()
        if began - start > 60 * options.minutes:
            row = {"problem": "no time left"}
        else:
            try:
                row = function()
            except Exception as problem:  # the other rows are worth as much
                row = {"problem": f"{type(problem).__name__}: {problem}"}
        row = {"what": what, **row, "spent": clock() - began}
        results[part].append(row)
        print(f"[{clock() - start:5.0f} s] {part}, {text(row)}", flush=True)
        if options.json:
            with open(f"{options.json}.part", "w", encoding="utf-8") as file:
                json.dump({**about, **results}, file, indent=1)
            os.replace(f"{options.json}.part", options.json)

    for part in options.parts:
        try:
            for what, function in PARTS[part](options):
                add(part, what, function)
        except Exception as problem:  # such as a module that is missing

            def fail(problem=problem):
                raise problem

            add(part, "all", fail)
    return results


def text(row):
    """Returns a row as a line."""
    cells = (f"{key} {number(value)}" for key, value in row.items() if key != "what")
    return f"{row['what']}: " + ", ".join(cells)


def number(value):
    """Returns a value as text, in three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def name_of(device):
    """Returns the processor in words."""
    return machine() if device == "cpu" else torch.cuda.get_device_name(device)


def report(results):
    """Prints a table for each part."""
    for part, rows in results.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[number(row.get(key, "–")) for key in columns] for row in rows]
        print(f"\n{part}\n")
        print_table(["" if key == "what" else key for key in columns], cells)


def parse(words=None):
    """Returns the command line."""
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--device", default="cuda")
    options.add_argument("--size", default="base", choices=SIZES)
    options.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--minutes", type=float, default=7, help="for new rows")
    options.add_argument("--json", help="file for the rows, written after each")
    return options.parse_args(words)


def main():
    """Measures and prints."""
    import logging

    options = parse()
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if options.device == "cpu":
        torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    report(run(options))
    print(f"\n{name_of(options.device)}; torch {torch.__version__}")


if __name__ == "__main__":
    main()
