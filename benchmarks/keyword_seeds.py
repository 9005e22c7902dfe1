"""Keyword spotting over several seeds, both programs whole: the test accuracy.

S3PRL's ``run_downstream.py`` and ``s3prl-sb run SUPERB/KS`` train the same probe
on the same corpus with the same features, updates, batch size and evaluations.
Each draws its own batches and first weights, so what agrees is the mean over
seeds, not one number. What is compared is each program's own protocol: what it
validates on, how it chooses, what it tests. It prints a Markdown table.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import functools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONFIG = "s3prl/downstream/speech_commands/config.yaml"


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--s3prl", help="the Python of S3PRL's environment")
    parser.add_argument("--checkout", help="a clone of S3PRL's repository, 0.4.18")
    parser.add_argument("--data", help="Speech Commands; default: a toy, made here")
    parser.add_argument("--upstream", default="fbank_no_cmvn", help="a name of both")
    parser.add_argument("--seeds", type=int, default=6, help="how many")
    parser.add_argument("--lr", nargs="+", default=["1e-4", "1e-2"])
    parser.add_argument("--updates", type=int, default=1000)
    parser.add_argument("--every", type=int, default=50, help="updates a validation")
    parser.add_argument("--only", choices=("s3prl", "ours"), help="one of the two")
    parser.add_argument("--json", help="file for the raw numbers")
    arguments = parser.parse_args()
    if arguments.only != "ours" and not (arguments.s3prl and arguments.checkout):
        parser.error("--s3prl and --checkout are required: see README.md")
    return arguments


def call(command, log):
    """Runs it; an error with the end of its log where it fails."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    with open(log, "w") as file:
        code = subprocess.call(
            command, stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    if code:
        sys.exit(f"{log}:\n{log.read_text()[-2000:]}")


def s3prl(arguments, data, folder, lr, seed):
    """Returns S3PRL's test accuracy at the checkpoint with the best dev accuracy."""
    rows = {
        "runner.total_steps": arguments.updates,
        "runner.log_step": arguments.updates,
        "runner.save_step": arguments.updates,
        "runner.eval_step": arguments.every,
        "optimizer.lr": lr,
        "downstream_expert.datarc.num_workers": 0,
        "downstream_expert.datarc.speech_commands_root": data / "speech_commands_v0.01",
        "downstream_expert.datarc.speech_commands_test_root": data
        / "speech_commands_test_set_v0.01",
    }
    checkout = Path(arguments.checkout)
    command = [arguments.s3prl, HERE / "peer_program.py", checkout, "-m", "train"]
    command += ["-d", "speech_commands", "-c", checkout / CONFIG]
    command += ["-u", arguments.upstream, "-p", folder, "--device", "cpu"]
    command += ["--seed", str(seed)]
    command += ["-o", ",,".join(f"config.{key}={value}" for key, value in rows.items())]
    call(list(map(str, command)), folder.with_suffix(".log"))
    text = (folder / "log.log").read_text()
    best = re.findall(r"New best on dev at step (\d+)", text)[-1]
    return float(re.search(rf"test at step {best}: (\S+)", text)[1])


def ours(arguments, data, folder, lr, seed, choose_by="auto"):
    """The test accuracy of this project's run."""
    command = [sys.executable, "-m", "s3prl_sb.cli", "run", "SUPERB/KS"]
    command += ["--upstream", arguments.upstream, "--data_folder", data]
    command += ["--output_folder", folder, "--cache_folder", folder.parent / "cache"]
    command += ["--total_steps", arguments.updates, "--lr", lr, "--seed", seed]
    command += ["--steps_per_epoch", arguments.every, "--choose_by", choose_by]
    call(list(map(str, command)), folder.with_suffix(".log"))
    results = json.loads((folder / "results.json").read_text())
    return results["metrics"]["accuracy"]


def main():
    """Runs all, prints the table."""
    arguments, found = parse(), {}
    by_accuracy = functools.partial(ours, choose_by="accuracy")
    programs = {"S3PRL": s3prl, "ours": ours, "ours, by accuracy": by_accuracy}
    for name in list(programs):
        if not name.lower().startswith(arguments.only or ""):
            del programs[name]
    with tempfile.TemporaryDirectory(prefix="keyword-seeds-") as folder:
        folder = Path(folder)
        data = Path(arguments.data or folder / "toy").resolve()
        if not arguments.data:
            toy = [sys.executable, "-m", "s3prl_sb.cli", "toy", "speech_commands"]
            call([*toy, str(data)], folder / "toy.log")
        print("| program | learning rate | test accuracy, a seed each | mean | sd |")
        print("| --- | --- | --- | --- | --- |")
        for lr in arguments.lr:
            for number, (name, run) in enumerate(programs.items()):
                scores = [
                    run(arguments, data, folder / f"{number}-{lr}-{seed}", lr, seed)
                    for seed in range(1, arguments.seeds + 1)
                ]
                found[f"{name} {lr}"] = scores
                row = " ".join(f"{score:.3f}" for score in scores)
                mean = statistics.fmean(scores)
                spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
                print(f"| {name} | {lr} | {row} | {mean:.3f} | {spread:.3f} |")
                sys.stdout.flush()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
