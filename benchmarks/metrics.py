#!/usr/bin/env python3
"""Metrics of whole test sets: ours against the libraries that others use.

> python benchmarks/metrics.py --s3prl /path/to/s3prl-env/bin/python

EER and minDCF against S3PRL's own functions (scikit-learn and SciPy), the diarization
error rate against pyannote.metrics, word and character error rates against jiwer.
The sets are made up, in the size of the real ones. Contestants run in turns, each in a
process of its own; without --s3prl that one is left out. Needs pyannote.metrics and
jiwer in this environment, scikit-learn and SciPy in S3PRL's.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import os
import random
import statistics
import sys

from measure import Worker, machine, main, measure, middle, parser, print_table, serve

#: The sets, and who measures them besides us.
SETS = {
    "trials": ("EER, minDCF: 37,720 trials, VoxCeleb1's test", "S3PRL"),
    "mixtures": ("DER: 3,000 mixtures of 12 s, Libri2Mix' test", "pyannote.metrics"),
    "meetings": ("DER: 16 meetings of half an hour, AMI's test", "pyannote.metrics"),
    "texts": ("WER, CER: 2,620 texts, LibriSpeech's test-clean", "jiwer"),
}
S3PRL = "S3PRL"


# ------------------------------------------------------------------ made-up sets
def trials():
    """Scores and labels, one in two of the same speaker."""
    draw = random.Random(0)
    labels = [i % 2 for i in range(37720)]
    return [draw.gauss(2.8 * label, 1) for label in labels], labels


def recordings(count, speakers, turns, seconds):
    """True segments, and those of a system that is a little off, by recording."""
    draw, true, found = random.Random(0), {}, {}
    for number in range(count):
        name = f"{number:04d}"
        true[name], found[name] = [], []
        for speaker in range(speakers):
            edges = sorted(draw.sample(range(seconds * 100), 2 * turns))
            before = {}  # nobody speaks twice at once
            for start, end in zip(edges[::2], edges[1::2]):
                start, end = start / 100, end / 100
                true[name].append((start, end, f"speaker{speaker}"))
                who = f"{'extra' if draw.random() < 0.1 else 'cluster'}{speaker}"
                start = max(start + draw.gauss(0, 0.05), before.get(who, 0.0))
                end = end + draw.gauss(0, 0.05)
                if draw.random() < 0.95 and start < end:
                    found[name].append((start, end, who))
                    before[who] = end
    return found, true


def texts():
    """Hypotheses with one error in twelve words, and references, by utterance."""
    draw = random.Random(0)
    letters = "etaoinshrdlucmwfygpbvkxjqz"
    words = [
        "".join(draw.choices(letters, range(26, 0, -1), k=draw.randint(1, 9)))
        for _ in range(8000)
    ]
    found, true = {}, {}
    for number in range(2620):
        said = draw.choices(words, k=draw.randint(4, 36))
        heard = []
        for word in said:
            kind = draw.randrange(36)
            heard += {0: [], 1: [draw.choice(words)], 2: [word, "a"]}.get(kind, [word])
        true[f"{number:04d}"], found[f"{number:04d}"] = " ".join(said), " ".join(heard)
    return found, true


MAKE = {
    "trials": trials,
    "mixtures": lambda: recordings(3000, speakers=2, turns=2, seconds=12),
    "meetings": lambda: recordings(16, speakers=4, turns=200, seconds=1800),
    "texts": texts,
}


# ------------------------------------------------------------------- contestants
def ours(name, found, true):
    """The functions of this package."""
    if name == "trials":
        import torch

        from s3prl_sb.metrics.verification import (
            equal_error_rate,
            minimum_detection_cost,
        )

        # Lists, as S3PRL's functions get them.
        both = torch.tensor(found), torch.tensor(true)
        return [equal_error_rate(*both)[0], minimum_detection_cost(*both)[0]]
    if name == "texts":
        from s3prl_sb.metrics.transcription import cer, wer

        return [wer(found, true).rate, cer(found, true).rate]
    from s3prl_sb.metrics.diarization import corpus_errors

    return [corpus_errors(found, true).rate]


def theirs(name, found, true):
    """Computes the metrics with S3PRL, pyannote.metrics and jiwer."""
    if name == "trials":
        from s3prl.metric.common import compute_eer, compute_minDCF

        return [
            float(compute(true, found)[0]) for compute in (compute_eer, compute_minDCF)
        ]
    if name == "texts":
        import jiwer

        both = list(true.values()), [found[key] for key in true]
        return [jiwer.wer(*both), jiwer.cer(*both)]
    import warnings

    from pyannote.core import Annotation, Segment
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(segments):
        made = Annotation()
        for track, (start, end, speaker) in enumerate(segments):
            made[Segment(start, end), track] = speaker
        return made

    metric = DiarizationErrorRate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that regions are approximated
        for key in true:
            metric(annotation(true[key]), annotation(found[key]))
    return [abs(metric)]


made = {}


def score(name, side):
    """Values and cost of one contestant; its imports and data do not count."""
    if name not in made:
        # S3PRL's module imports it for error rates, which are not measured here.
        with contextlib.suppress(ImportError):
            __import__("editdistance")
        if "editdistance" not in sys.modules:
            sys.modules["editdistance"] = type(sys)("editdistance")
        made[name] = MAKE[name]()
        compute = {"ours": ours, "theirs": theirs}[side]
        few = {
            "trials": ([1.0, 0.0], [1, 0]),
            "texts": ({"a": "a"}, {"a": "a"}),
        }.get(name, ({"a": [(0.0, 1.0, "x")]}, {"a": [(0.0, 1.0, "x")]}))
        compute(name, *few)  # imports
    compute = {"ours": ours, "theirs": theirs}[side]
    values, cost = measure(lambda: compute(name, *made[name]))
    return {"values": values, "cost": cost}


# ----------------------------------------------------------------- the benchmark
def run(args, folder):
    """Runs all contestants; returns the raw numbers."""
    raw = {"machine": machine(), "threads": args.threads, "sets": {}}
    script = os.path.abspath(__file__)
    with contextlib.ExitStack() as stack:

        def worker(python):
            return stack.enter_context(
                Worker([python, script, "--worker"], args.threads)
            )

        us, libraries = worker(sys.executable), worker(sys.executable)
        peer = worker(args.s3prl) if args.s3prl else None
        for name, (_, who) in SETS.items():
            other = peer if who == S3PRL else libraries
            if other is None:
                continue
            rounds = raw["sets"][name] = {"ours": [], "theirs": []}
            for _ in range(args.repeats):
                rounds["theirs"].append(other.call("score", name=name, side="theirs"))
                rounds["ours"].append(us.call("score", name=name, side="ours"))
    return raw


def report(raw):
    """Prints the table."""
    rows = []
    for name, rounds in raw["sets"].items():
        what, who = SETS[name]
        seconds = {
            side: [one["cost"]["cpu"] for one in found]
            for side, found in rounds.items()
        }
        values = {side: found[0]["values"] for side, found in rounds.items()}
        ratio = statistics.median(seconds["theirs"]) / statistics.median(
            seconds["ours"]
        )
        apart = max(abs(a - b) for a, b in zip(values["ours"], values["theirs"]))
        rows.append([
            what,
            middle(seconds["ours"], 3),
            f"{who}: {middle(seconds['theirs'], 3)}",
            f"{ratio:.2g} ×" if ratio < 100 else f"{ratio:.0f} ×",
            ", ".join(f"{value:.4f}" for value in values["ours"]),
            f"{apart:.0e}" if apart else "0",
        ])  # fmt: skip
    print(f"\n{raw['threads']} thread(s), CPU seconds\n{raw['machine']}\n")
    header = ("metrics of", "ours, s", "theirs, s", "speed-up", "values", "differ by")
    print_table(header, rows)


if __name__ == "__main__":
    args = parser(__doc__).parse_args()
    if args.worker:
        serve({"score": score})
    else:
        main(args, run, report)
