"""Folders of runs that nobody has trained: results, logs, predictions, measures."""

import json
import math
import random

from s3prl_sb.metrics.measures import Measures, intervals_of

LABELS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def write_run(folder, task="SUPERB/KS", upstream="fbank", seed=1986, **more):
    """Writes a finished run of KS, of 200 utterances; returns its results.

    ``more`` replaces parts of its results.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draws = random.Random(f"{folder.name}{task}{upstream}{seed}")
    rows = []
    for i in range(200):
        label = LABELS[i % len(LABELS)]
        guess = label if draws.random() < 0.8 else draws.choice(LABELS)
        rows.append((f"utterance-{i:03}", label, guess))
    right = [float(label == guess) for _, label, guess in rows]
    accuracy = sum(right) / len(right)
    measures = Measures.build(
        "utterance",
        [row[0] for row in rows],
        {"accuracy": {"kind": "mean", "values": right}},
    )
    measures.write(folder)
    results = {
        "version": 2,
        "task": task,
        "upstream": upstream,
        "chosen_by": {"metric": "accuracy", "highest": True},
        "metrics": {"accuracy": accuracy, "loss": 0.5},
        "valid": {"accuracy": 0.75, "loss": 0.6},
        "intervals": intervals_of(measures),
        "seed": seed,
        "total_steps": 2000,
        "best_step": 1500,
        "stopped": None,
        "lr": 0.001,
        "seconds": 84.0,
        "peak_memory_gb": 0.99,
        "device": "cpu",
        "upstream_model": {"class": "s3prl_sb.Kaldi", "trained": "frozen"},
        "training": {"precision": "fp32", "processes": 1, "batch_size": 32},
        "settings": {"upstream": upstream, "data_folder": "/data/KS"},
        "defaults": {"upstream": "hubert_base", "data_folder": None},
        "protocol": {"followed": True, "differs": [], "settings": {}},
        "versions": {"s3prl_sb": "0.1.0", "torch": "2.11.0"},
        "utterances": {"train": 800, "valid": 200, "test": 200},
        "test": {"name": "KS", "source": "/data/KS", "sha256": "ab" * 32},
        "layers": list(range(13)),
        "layer_weights": [(i + 1) / 91 for i in range(13)],
        "identity": {"upstream": "cd" * 32, "data": {"test": "ef" * 16}},
        **more,
    }
    (folder / "results.json").write_text(json.dumps(results))
    lines = ["id,label,prediction,score"]
    lines += [f'"{a}","{b}","{c}",{draws.random():.6f}' for a, b, c in rows]
    (folder / "predictions.csv").write_text("\n".join(lines) + "\n")
    log = [
        f"epoch: {i}, steps: {250 * i} - train loss: {2 * math.exp(-i / 9):.4g} - "
        f"valid loss: {2.1 * math.exp(-i / 9):.4g}, valid accuracy: {50 + i:.2f} %"
        for i in range(1, 41)
    ]
    log.append(f"best step: 1500 - test loss: 0.5, test accuracy: {100 * accuracy} %")
    (folder / "train_log.txt").write_text("\n".join(log) + "\n")
    return results


def write_benchmark(output, upstreams=("fbank", "hubert_base"), seeds=(1, 2)):
    """Writes the output of a benchmark of KS and SID, of which all but the last run of
    SID has ended; returns its table."""
    rows = []
    for upstream in upstreams:
        cells = {}
        for task in ("KS", "SID"):
            runs = []
            for seed in seeds:
                folder = output / upstream / task / f"{seed}-0a1b2c3d"
                is_last = (upstream, task, seed) == (upstreams[-1], "SID", seeds[-1])
                runs.append({"seed": seed, "folder": str(folder), "state": "missing"})
                if is_last:
                    continue
                found = write_run(folder, f"SUPERB/{task}", upstream, seed)
                metrics = {"accuracy": found["metrics"]["accuracy"]}
                runs[-1].update(state="done", metrics=metrics, s3prl_sb="0.1.0")
            done = [run for run in runs if run["state"] == "done"]
            values = [100 * run["metrics"]["accuracy"] for run in done]
            mean = sum(values) / len(values)
            spread = max(values) - min(values) if len(values) > 1 else None
            summary = {"mean": mean, "spread": spread, "seeds": len(values)}
            cells[task] = {
                "state": "done" if len(done) == len(runs) else "missing",
                "runs": runs,
                "metrics": {"accuracy": summary},
                "noisy": [],
                "lr": [0.001],
                "not_comparable": [],
            }
        about = {"upstream": upstream, "setting": "", "series": "", "amount": None}
        published = {"accuracy": {"value": 96.3, "source": "x", "remark": None}}
        published["accuracy"]["verified"] = True
        rows.append(
            {
                "upstream": upstream,
                "version": "",
                "lr_searched": True,
                "cells": cells,
                "about": about,
                "without": {},
                "published": {"KS": published},
            }
        )
    metric = {"accuracy": {"title": "Acc", "unit": "%", "higher": True}}
    table = {
        "tasks": ["KS", "SID"],
        "metrics": {"KS": metric, "SID": metric},
        "rows": rows,
        "rankings": [],
        "others": {},
    }
    output.mkdir(parents=True, exist_ok=True)
    (output / "table.json").write_text(json.dumps(table))
    return table
