"""Values of one key of a recipe, compared over seeds: what a changed default costs.

> python benchmarks/key_over_seeds.py SUPERB/SID crops null 4 1 --seeds 8 \
>     --train_csv train.csv --valid_csv valid.csv --test_csv test.csv --lr 0.01

Every value is trained with the same seeds, and so with the same first weights. The
table has the mean and the standard deviation of the test metrics, and of the
differences to the first value, seed by seed, the mean with its standard error. Other
options are keys of the recipe.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path


def parse():
    """The command line, and the keys of the recipe."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("recipe", help="such as SUPERB/SID")
    parser.add_argument("key", help="key of the recipe")
    parser.add_argument("values", nargs="+", help="the first one is the reference")
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--cache_folder", help="default: a temporary one")
    parser.add_argument("--json", help="file for the raw numbers")
    return parser.parse_known_args()


def score(arguments, others, value, seed, folder):
    """Returns the test metrics of a run."""
    output = folder / f"{value}-{seed}".replace("/", "-")
    command = [sys.executable, "-m", "s3prl_sb.cli", "run", arguments.recipe]
    command += ["--output_folder", output, f"--{arguments.key}", value]
    command += ["--cache_folder", arguments.cache_folder or folder / "cache"]
    command += ["--seed", seed, "--noprogressbar", *others]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    log = output.with_suffix(".log")
    with open(log, "w") as file:
        code = subprocess.call(
            list(map(str, command)),
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if code:
        sys.exit(f"{log}:\n{log.read_text()[-2000:]}")
    metrics = json.loads((output / "results.json").read_text())["metrics"]
    return {name: v for name, v in metrics.items() if isinstance(v, (int, float))}


def mean(values, spread=lambda values: statistics.stdev(values)):
    """The mean and a spread, as text."""
    if len(values) < 2:
        return f"{values[0]:.4f}"
    return f"{statistics.fmean(values):.4f} ± {spread(values):.4f}"


def main():
    """Runs all, prints the table."""
    arguments, others = parse()
    found = {}
    with tempfile.TemporaryDirectory(prefix="key-over-seeds-") as folder:
        for seed in range(1, arguments.seeds + 1):
            for value in arguments.values:
                scores = score(arguments, others, value, seed, Path(folder))
                for name, number in scores.items():
                    found.setdefault(name, {}).setdefault(value, []).append(number)
    print(f"| metric | {arguments.key} | mean ± sd | difference ± standard error |")
    print("| --- | --- | --- | --- |")
    for name, by_value in found.items():
        first = by_value[arguments.values[0]]
        for value, numbers in by_value.items():
            apart = [b - a for a, b in zip(first, numbers)]
            error = mean(apart, lambda d: statistics.stdev(d) / len(d) ** 0.5)
            print(f"| {name} | {value} | {mean(numbers)} | {error} |")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
