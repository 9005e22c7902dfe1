#!/usr/bin/env python3
"""A step of pre-training: ours against other programs', on a CPU.

> python benchmarks/pretraining.py --s3prl /path/to/s3prl-env/bin/python

Four utterances of 2 to 15 s, 30.1 s together, through a whole step: features, forward,
backward, clipping, update. TERA base against S3PRL 0.4.18's own pre-training, wav2vec
2.0 base against transformers' model, HuBERT base against torchaudio's; see README.md
for the environment and for what the columns mean.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import statistics
import sys

import torch
from measure import (
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
from step_clock import PARTS, StepClock, step

#: Seconds of the utterances: in the order of a shuffled list; and as many alike, as
#: programs that sort their data by length batch them.
LENGTHS = {"unequal": (7.9, 2.0, 15.0, 5.2), "equal": (7.525,) * 4}
FOLDER = os.path.dirname(os.path.abspath(__file__))
PEERS = {"tera": "S3PRL", "wav2vec2": "transformers", "hubert": "torchaudio"}
UNITS = 500
SMALL = {
    "hidden_size": 64,
    "ffn_size": 128,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[32, 10, 5], *[[32, 3, 2]] * 4, *[[32, 2, 2]] * 2],
}
SMALL_FEATURES = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}


def arguments():
    """Command line."""
    options = parser(__doc__)
    options.add_argument(
        "--objective", nargs="+", default=list(PEERS), choices=list(PEERS)
    )
    options.add_argument(
        "--lengths",
        nargs="+",
        default=["unequal"],
        choices=list(LENGTHS),
        help="of the utterances of a batch",
    )
    return parse(options)


# ------------------------------------------------------ our side, in a worker
loaded = {}


def tera(size):
    """Our TERA, time and frequency altered."""
    from s3prl_sb.lobes.pretext.alterations import FrequencyMask, TimeMask
    from s3prl_sb.lobes.upstreams.mockingjay import Tera
    from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction

    config = {"transformer": SMALL_FEATURES} if size == "tiny" else {}
    network = Tera(config=config, freeze=False)
    return MaskedReconstruction(network, [TimeMask(0.15, 7), FrequencyMask(0.2)])


def wav2vec2(size):
    """Our wav2vec 2.0."""
    from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
    from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

    config = SMALL if size == "tiny" else {}
    return Wav2Vec2Objective(Wav2Vec2(config=config, freeze=False))


def hubert(size):
    """Our HuBERT, with the units of 20 ms frames."""
    from s3prl_sb.lobes.upstreams.hubert import Hubert
    from s3prl_sb.objectives.masked_prediction import HubertObjective

    objective = HubertObjective(Hubert(config=SMALL if size == "tiny" else {},
                                       freeze=False))  # fmt: skip
    objective.prepare_codes(classes=UNITS, stride=objective.network.stride)
    return objective


def load(objective, size):
    """Builds objective and optimizer, and runs a step on short audio; the version."""
    import s3prl_sb

    torch.manual_seed(0)
    built = {"tera": tera, "wav2vec2": wav2vec2, "hubert": hubert}[objective](size)
    clock = StepClock()
    built.network.local = clock.watched(built.network.local)
    optimizer = torch.optim.AdamW(built.parameters(), 5e-4, weight_decay=0.01)
    loaded.update(objective=built.train(), optimizer=optimizer, clock=clock, steps=0)
    _step([0.1 * torch.randn(32000), 0.1 * torch.randn(24000)])
    loaded["baseline"] = resident()
    return f"s3prl_sb {s3prl_sb.__version__}, torch {torch.__version__}"


def run_step(wavs):
    """A step on a batch."""
    wavs = torch.load(wavs)
    result, cost = measure(lambda: _step(wavs), loaded["baseline"])
    return {**cost, **result}


def _step(wavs):
    from s3prl_sb.lobes.pretext.draws import Draws

    objective = loaded["objective"]
    loaded["steps"] += 1
    draws = Draws(0, [loaded["steps"]] * len(wavs), list(range(len(wavs))))

    def loss():
        codes = None
        if objective.needs_codes:
            counts = [len(wav) // objective.network.stride for wav in wavs]
            codes = [torch.randint(UNITS, (count,)) for count in counts]
        outcome = objective(wavs, draws, codes)
        return outcome.loss / outcome.count

    parameters = list(objective.parameters())
    return step(loss, parameters, loaded["optimizer"], loaded["clock"], 5.0)


# -------------------------------------------------------------- the benchmark
def run(args, folder):
    """Runs all objectives, one after the other; returns the raw numbers."""
    generator = torch.Generator().manual_seed(0)
    for name in args.lengths:
        wavs = [speech(seconds, generator) for seconds in LENGTHS[name]]
        torch.save(wavs, os.path.join(folder, f"{name}.pt"))
    raw = {"machine": machine(), "threads": args.threads, "size": args.size}
    raw["runs"] = {}
    for objective in args.objective:
        print(f"{objective} …", file=sys.stderr, flush=True)
        raw["runs"][objective] = run_objective(args, folder, objective)
    return raw


def run_objective(args, folder, objective):
    """Runs both contestants in turns; returns their costs."""
    with contextlib.ExitStack() as stack:

        def worker(*command):
            return stack.enter_context(Worker(list(command), args.threads))

        peer = worker(args.s3prl, os.path.join(FOLDER, "peer_pretraining.py"))
        ours = worker(sys.executable, os.path.abspath(__file__), "--worker")
        about = {"objective": objective, "size": args.size}
        raw = {"versions": [w.call("load", **about) for w in (peer, ours)]}
        raw["costs"] = {name: {"peer": [], "ours": []} for name in args.lengths}
        for _ in range(args.repeats):
            for name, costs in raw["costs"].items():
                wavs = os.path.join(folder, f"{name}.pt")
                costs["peer"].append(peer.call("run", wavs=wavs))
                costs["ours"].append(ours.call("run", wavs=wavs))
    return raw


def report(raw):
    """Prints the table of times and memory, and that of the parts of a step."""
    # One thread: seconds of the processor, which other jobs do not lengthen.
    clock = "cpu" if raw["threads"] == 1 else "wall"
    batch = LENGTHS["unequal"]
    print(f"\nA step, {raw['size']}, {len(batch)} utterances, {sum(batch):.1f} s "
          f"of audio; {raw['threads']} thread(s), ratios from {clock} seconds, medians"
          f"\n{raw['machine']}")  # fmt: skip
    rows, parts = [], []
    for objective, family in raw["runs"].items():
        print(f"{objective}: {'; '.join(family['versions'])}")
        for lengths, contestants in family["costs"].items():
            peer = contestants["peer"]
            for who, costs in contestants.items():
                name = PEERS[objective] if who == "peer" else "ours"
                seconds, peak = _median(costs, clock), _median(costs, "peak")
                rows.append([
                    objective,
                    lengths,
                    name,
                    middle([cost["cpu"] for cost in costs]),
                    middle([cost["wall"] for cost in costs]),
                    f"{sum(LENGTHS[lengths]) / seconds:.2f}",
                    f"{_median(peer, clock) / seconds:.2f} ×",
                    f"{peak / 1e9:.2f} GB" if peak else "–",
                    f"{peak / _median(peer, 'peak'):.2f} ×" if peak else "–",
                ])  # fmt: skip
                seconds = [
                    statistics.median(cost["parts"][part] for cost in costs)
                    for part in PARTS
                ]
                parts.append([objective, lengths, name, *(f"{s:.2f}" for s in seconds)])
    header = ("objective", "lengths", "contestant", "CPU s", "wall s", "audio s / s",
              "speed-up", "peak over weights", "of the peer's")  # fmt: skip
    print()
    print_table(header, rows)
    print("\nCPU seconds of the parts of a step:\n")
    print_table(("objective", "lengths", "contestant", *PARTS), parts)


def _median(costs, key):
    """Returns the median over rounds; None if the system cannot measure it."""
    values = [cost[key] for cost in costs]
    return None if None in values else statistics.median(values)


if __name__ == "__main__":
    args = arguments()
    if args.worker:
        serve({"load": load, "run": run_step})
    else:
        main(args, run, report)
