"""Pre-training at a small size: does each objective beat its random network?

Every objective pre-trains a small network on LibriSpeech and stops by its held-out
loss. Then each hidden state is probed (``linear_probes.py``) beside that of the same
network with the random weights that the training began with, over several seeds. It
prints a Markdown table and draws the held-out losses, ``gain.png``; what has been done
already is not done again.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from linear_probes import TASKS, probe
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
OPTIONS = HERE / "pretraining_gain.yaml"


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    known = yaml.safe_load(OPTIONS.read_text())
    known = {name: keys for name, keys in known.items() if name[0] != "_"}
    parser.add_argument("--data", type=Path, required=True, help="see linear_probes.py")
    parser.add_argument("--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--objectives", nargs="+", choices=list(known), default=None)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    arguments = parser.parse_args()
    arguments.objectives = arguments.objectives or list(known)
    arguments.options = known
    return arguments


def run(arguments, objective, seed):
    """Pre-trains, probes, and returns the facts of one run."""
    folder = arguments.output / objective / str(seed)
    facts = folder / "gain.json"
    if facts.is_file():
        return json.loads(facts.read_text())
    options = {
        "train_data": str(arguments.data / "LibriSpeech" / "train-clean-100"),
        **arguments.options[objective],
        "seed": seed,
        "output_folder": str(folder),
    }
    command = [sys.executable, "-m", "s3prl_sb.cli", "run", f"pretraining/{objective}"]
    for key, value in options.items():
        text = value if isinstance(value, str) else json.dumps(value)
        text = text.replace("OUTPUT", str(arguments.output)).replace("SEED", str(seed))
        command += [f"--{key}", text]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started, log = time.monotonic(), folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        code = subprocess.call(command, stdout=file, stderr=file, env=environment)
    if code:
        sys.exit(f"{' '.join(command)}\n{log.read_text()[-3000:]}")
    seconds = time.monotonic() - started
    scored = [sys.executable, __file__, "--probe", str(folder), str(arguments.data)]
    scores = json.loads(subprocess.check_output(scored, env=environment))
    results = json.loads((folder / "results.json").read_text())
    row = {
        "objective": objective,
        "seed": seed,
        "minutes": seconds / 60,
        "best_step": results["best_step"],
        "scores": scores,
    }
    facts.write_text(json.dumps(row, indent=1))
    return row


def probed(folder, data):
    """Returns the accuracies of a run's network and of its random twin."""
    from s3prl_sb.lobes.upstreams import load

    torch.set_num_threads(1)
    network = load(str(folder / "card.yaml"))
    config = network.config
    if dataclasses.is_dataclass(config):
        config = dataclasses.asdict(config)
    seed = json.loads((folder / "results.json").read_text())["seed"]
    twin = type(network)(config=config, seed=seed)
    networks = {"trained": network, "random": twin}
    return {
        task: {name: probe(each, task, data) for name, each in networks.items()}
        for task in TASKS
    }


def table(rows):
    """Returns the Markdown table: means over the hidden states and the seeds."""
    words = {"phones": "phones of frames", "words": "words", "speakers": "speakers"}
    lines = [
        "| objective | best step | minutes | "
        + " | ".join(f"{words[task]}: random → trained | gain" for task in TASKS)
        + " |",
        "| --- | --- | --- | " + " | ".join("--- | ---" for _ in TASKS) + " |",
    ]
    for objective in dict.fromkeys(row["objective"] for row in rows):
        mine = [row for row in rows if row["objective"] == objective]
        steps = ", ".join(str(row["best_step"]) for row in mine)
        cells = [
            objective,
            steps,
            f"{statistics.mean(row['minutes'] for row in mine):.1f}",
        ]
        for task in TASKS:
            means = {
                name: [statistics.mean(row["scores"][task][name]) for row in mine]
                for name in ("random", "trained")
            }
            gains = [b - a for a, b in zip(means["random"], means["trained"])]
            spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
            random, trained = (statistics.mean(means[name]) for name in means)
            cells.append(f"{random:.1f} → {trained:.1f}")
            cells.append(f"{statistics.mean(gains):+.1f} ± {spread:.1f}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curves(output, rows):
    """Draws the held-out loss of each run over that of guessing, where it has one."""
    objectives = list(dict.fromkeys(row["objective"] for row in rows))
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        number = objectives.index(row["objective"])
        results = output / row["objective"] / str(row["seed"]) / "results.json"
        history = json.loads(results.read_text())["history"]
        if "chance" not in history[0]["valid"]:  # of DistilHuBERT
            continue
        axes.plot(
            [each["step"] for each in history],
            [each["valid"]["loss"] / each["valid"]["chance"] for each in history],
            color=f"C{number % 10}",
            linestyle="--" if number >= 10 else "-",
            label=row["objective"] if row["seed"] == rows[0]["seed"] else None,
        )
    axes.axhline(1, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="updates", ylabel="held-out loss / loss of guessing")
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(output / "gain.png", dpi=120)


def main():
    """Runs what is missing, prints the table and draws the curves."""
    if sys.argv[1:2] == ["--probe"]:
        print(json.dumps(probed(Path(sys.argv[2]), Path(sys.argv[3]))))
        return
    arguments = parse()
    rows = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        # In this order: the teacher of DistilHuBERT is the run of HuBERT.
        jobs = [
            pool.submit(run, arguments, objective, seed)
            for objective in arguments.objectives
            for seed in arguments.seeds
        ]
        for job in jobs:
            rows.append(job.result())
            if rows[-1]["seed"] == arguments.seeds[-1]:
                print(table(rows), end="\n\n", flush=True)
    curves(arguments.output, rows)


if __name__ == "__main__":
    main()
