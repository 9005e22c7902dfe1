#!/usr/bin/env python3
"""Intervals of the runs of a folder: ours against scipy.stats.bootstrap.

> python benchmarks/intervals.py out

Every interval of every results.json below the folder is computed again from the files
of the run that hold its predictions (predictions.csv, RTTM files, probabilities), and
not from measures.json. The test set of each draw is spelled out, an utterance that is
drawn twice standing there twice, and measured by other code: scikit-learn's ROC curves
and F1, jiwer, pyannote.metrics. The draws are scipy's, by the seed of ours, so limits
should be equal, but for a rounding: RTTM files have milliseconds. Knows SUPERB's ten
tasks, and tells what it cannot check, such as probes of single layers, which leave no
predictions; and which metrics have no interval. Exits with 1 if a value or a limit
differs, or if something was not checked. Needs jiwer and pyannote.metrics.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import functools
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from scipy import stats
from tests_of_runs import test_of


def drawn(units, metric, resamples, seed):
    """The metric of all rows, and scipy's draws of it."""
    if isinstance(units[0], str):
        units = [(unit, unit) for unit in units]
    every = sorted({unit for pair in units for unit in pair})
    if len(every) == len(units):  # each row is one, in the order of the file
        every = [unit for unit, _ in units]
    numbers = {unit: number for number, unit in enumerate(every)}
    one, other = np.array([[numbers[unit] for unit in pair] for pair in units]).T

    def statistic(chosen):
        counts = np.bincount(chosen, minlength=len(every))
        times = np.where(one == other, counts[one], counts[one] * counts[other])
        return float(metric(np.repeat(np.arange(len(units)), times)))

    found = stats.bootstrap(
        (np.arange(len(every)),),
        statistic,
        vectorized=False,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return metric(np.arange(len(units))), found.bootstrap_distribution


def parts_of(folder, results):
    """The folders of a test: its own, or those of its folds."""
    folds = {str(each["fold"]): each["folder"] for each in results.get("folds") or ()}
    return [folder / folds[name] for name in sorted(folds)] or [folder]


def check(path):
    """Yields metric, value, limits of ours, limits of scipy's or None."""
    folder, results = path.parent, json.loads(path.read_text())
    ours = results.get("intervals") or {}
    folders = parts_of(folder, results)
    if not ours.get("metrics"):
        return
    try:
        tests = [test_of(each, results["task"]) for each in folders]
    except (KeyError, FileNotFoundError):  # of a task with other files
        tests = [((), {})]
    for name, limits in ours["metrics"].items():
        value = results["metrics"][name]
        if any(name not in metrics for _, metrics in tests):
            yield name, value, limits, None, None
            continue
        seeds = [0] if len(tests) == 1 else [[0, n] for n in range(len(tests))]
        draws = [
            drawn(units, metrics[name], ours["resamples"], seed)
            for (units, metrics), seed in zip(tests, seeds)
        ]
        own, values = (np.mean(each, 0) for each in zip(*draws))
        tail = 50 * (1 - ours["level"])
        yield name, value, limits, own, np.nanpercentile(values, [tail, 100 - tail])


def main():
    """Prints a row for each interval."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of runs, or a benchmark")
    parser.add_argument("--tolerance", type=float, default=5e-5, help="default: 5e-5")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # draws without a value
    paths = sorted(p for f in arguments.folders for p in f.rglob("results.json"))
    compared, unknown, different = 0, [], 0
    for folder in arguments.folders:
        probed = sorted(each.parent for each in folder.rglob("layers.json"))
        unknown += [f"{each}: probes of single layers" for each in probed]
    print("| run | metric | value | ours | scipy's | largest difference |")
    print("| --- | --- | ---: | --- | --- | ---: |")
    text = functools.partial(np.array2string, precision=5, separator=", ")
    for path in paths:
        for name, value, limits, own, other in check(path):
            run, limits = path.parent, np.array(limits)
            if other is None:
                unknown.append(f"{run}: {name}")
                continue
            apart = max(abs(value - own), *np.abs(limits - other))
            compared += 1
            different += not apart <= arguments.tolerance
            cells = f"{value:.5f}", text(limits), text(other), f"{apart:.1e}"
            print(f"| {run} | {name} | {' | '.join(cells)} |", flush=True)
    print(f"\n{compared} intervals, of which {different} differ")
    for path in paths:
        results = json.loads(path.read_text())
        there = (results.get("intervals") or {}).get("metrics") or {}
        if without := [name for name in results["metrics"] if name not in there]:
            print(f"without an interval: {path.parent}: {', '.join(without)}")
    for each in unknown:
        print(f"not checked: {each}")
    sys.exit(bool(different or unknown or not compared))


if __name__ == "__main__":
    main()
