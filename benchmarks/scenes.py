#!/usr/bin/env python3
"""Universal recognition: one trunk for three heads against three trunks.

> python benchmarks/scenes.py --speech LibriSpeech --sounds ESC-10 --folder results
> python benchmarks/scenes.py --overfit

Mixes scenes of speech and sounds, whose speakers and recordings are disjoint between
the sets, and trains Scenes/recognition with a shared trunk (`train`) and with a trunk
for each head (`separate`), over each upstream and seed. Prints the measures of the test
set, means over seeds with standard deviations; the differences between both; and what
sounds cost speech, and speech sounds, between matched scenes. Intervals are percentiles
of a bootstrap over scenes, of counts that are summed over the seeds. A finished run is
not repeated; an interrupted one is resumed.

With --overfit, trains on ten toy scenes, and prints whether it knows them: DER and
tcpWER below 3 %, event F1 above 97 %.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

from measure import print_table

from s3prl_sb.corpora.toys.scenes import scenes
from s3prl_sb.dataio import manifest
from s3prl_sb.metrics.bootstrap import paired_interval
from s3prl_sb.metrics.cross_effects import cross_effects

MEASURES = (
    *("der", "cpwer", "tcpwer", "segment_f1", "onset_f1", "event_f1"),
    *("psds1", "psds2", "timeline_f1", "mean_score"),
)
VARIANTS = ("train", "separate")
#: Random weights of HuBERT's architecture, small enough for two cores.
RANDOM = "hubert_small_random"
SIZES = ("projection_size", "hidden_size", "word_size")


def arguments():
    """Command line."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--speech", default="toy", help="see s3prl-sb mix")
    options.add_argument("--sounds", default="toy", help="see s3prl-sb mix")
    options.add_argument("--folder", default="results/scenes", help="of all runs")
    options.add_argument("--upstream", nargs="+", default=["fbank", RANDOM])
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--scenes", type=int, nargs=3, default=[80, 20, 30])
    options.add_argument("--seconds", type=float, default=10.0, help="of a scene")
    options.add_argument("--speakers", type=int, default=2, help="of a scene, at most")
    options.add_argument("--size", type=int, default=128, help="of trunk and heads")
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--batch", type=int, default=8, help="scenes an update")
    options.add_argument("--lr", type=float, default=0.003)
    options.add_argument("--overfit", action="store_true", help="ten toy scenes")
    return options.parse_args()


def program(*argv):
    """Runs s3prl-sb with this Python."""
    command = [sys.executable, "-m", "s3prl_sb.cli", *map(str, argv)]
    subprocess.run(command, check=True)


def mixed(options):
    """Mixes the scenes; gives their folder."""
    folder = Path(options.folder) / "scenes"
    counts = zip(("--train", "--valid", "--test"), options.scenes)
    program(
        *("mix", folder, "--speech", options.speech, "--sounds", options.sounds),
        *(part for pair in counts for part in pair),
        *("--seconds", options.seconds, options.seconds),
        *("--speakers", 1, options.speakers),
    )
    return folder


def train(options, data, output, variant="train", **keys):
    """Trains one recognizer, unless it is finished; gives its folder."""
    if (output / "results.json").is_file():
        return output
    sizes = ", ".join(f"{name}: {options.size}" for name in SIZES)
    keys = {
        "data_folder": data,
        "output_folder": output,
        "cache_folder": Path(options.folder) / "cache",
        "num_speakers": options.speakers,
        "total_steps": options.steps,
        "steps_per_epoch": max(1, options.steps // 4),
        "batch_size": options.batch,
        "lr": options.lr,
        "scheduler": "linear",
        "warmup_steps": 0.1,
        "head": f"{{{sizes}, num_layers: 1}}",
        **keys,
    }
    name = "Scenes/recognition" + ("" if variant == "train" else f"/{variant}")
    program("run", name, *(p for k, v in keys.items() for p in (f"--{k}", v)))
    return output


def results(run):
    """Measures of the test set of a run."""
    return json.loads((run / "results.json").read_text())["metrics"]


def summed(runs):
    """Counts of the scenes, summed over runs: {measure: {scene: (num, den)}}."""
    total = {}
    for run in runs:
        for measure, each in json.loads((run / "counts.json").read_text()).items():
            sums = total.setdefault(measure, {})
            for name, (top, bottom) in each.items():
                before = sums.get(name, (0.0, 0.0))
                sums[name] = before[0] + top, before[1] + bottom
    return total


def percent(values):
    """Mean and standard deviation in percent."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{100 * statistics.mean(values):.1f} ± {100 * spread:.1f}"


def interval(values):
    """A difference with its interval, in points of percent."""
    value, low, high = (100 * each for each in values)
    return f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"


def levels(low, high):
    """A band of levels in words, dB."""
    if low is None:
        return f"below {high:g} dB"
    return f"from {low:g} dB" if high is None else f"{low:g} to {high:g} dB"


def joint_against_separate(both, records):
    """Differences of measures, joint minus separate, on the scenes with both kinds."""
    main = [n for n, r in records.items() if r.get("twin") in (None, "both")]
    row = []
    for measure in ("der", "tcpwer", "segment_f1", "event_f1"):
        joint, separate = ([counts[measure][n] for n in main] for counts in both)
        tops, bottoms = zip(*separate)
        others, ends = zip(*joint)
        row.append(interval(paired_interval(tops, others, bottoms, ends)))
    return row


def experiment(options):
    """Trains everything, and prints the tables."""
    data, folder = mixed(options), Path(options.folder) / "runs"
    done = {}
    for seed in range(options.seeds):
        for upstream in options.upstream:
            for variant in VARIANTS:
                output = folder / f"{Path(upstream).stem}-{variant}-{seed}"
                keys = {"upstream": upstream, "seed": seed}
                run = train(options, data, output, variant, **keys)
                done.setdefault((upstream, variant), []).append(run)
    rows = [
        [
            Path(upstream).stem,
            variant,
            *(percent([results(r)[m] for r in runs]) for m in MEASURES),
        ]
        for (upstream, variant), runs in done.items()
    ]
    print_table(["upstream", "trunks", *MEASURES], rows)
    records = manifest.read(data / "test.json")
    counts = {key: summed(runs) for key, runs in done.items()}
    print("\nShared minus separate, points of percent; F1 over all labels together")
    rows = [
        [
            Path(name).stem,
            *joint_against_separate([counts[name, v] for v in VARIANTS], records),
        ]
        for name in options.upstream
    ]
    print_table(["upstream", "der", "tcpwer", "segment_f1", "event_f1"], rows)
    print("\nWhat sounds cost speech, and speech sounds, points of percent")
    rows = []
    for (upstream, variant), each in counts.items():
        for measure, effect in cross_effects(records, each).items():
            for part in (effect, *effect["by_snr"]):
                band = "all" if part is effect else levels(part["from"], part["to"])
                change = interval(part["difference"])
                rows.append([Path(upstream).stem, variant, measure, band, change])
    print_table(
        ["upstream", "trunks", "measure", "speech above sounds", "change"], rows
    )


def overfit(options):
    """Trains on ten toy scenes, and prints whether it knows them."""
    folder = Path(options.folder) / "overfit"
    data = folder / "scenes"
    if not (data / "test.json").is_file():
        scenes(data, train=10, valid=2, test=2, seconds=5.0)
        for split in ("valid", "test"):
            shutil.copy(data / "train.json", data / f"{split}.json")
    keys = {"upstream": options.upstream[0], "batch_size": 5, "seed": 0}
    found = results(train(options, data, folder / "run", **keys))
    goals = {"der": ("<", 0.03), "tcpwer": ("<", 0.03), "event_f1": (">", 0.97)}
    rows = []
    for measure, (sign, goal) in goals.items():
        value = found[measure]
        is_met = value < goal if sign == "<" else value > goal
        cells = [f"{100 * value:.1f} %", f"{sign} {100 * goal:.0f} %"]
        rows.append([measure, *cells, "yes" if is_met else "no"])
    print_table(["measure", "ten scenes", "goal", "met"], rows)


if __name__ == "__main__":
    given = arguments()
    (overfit if given.overfit else experiment)(given)
