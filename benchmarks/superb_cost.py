"""Cost of SUPERB at full protocol: how often the upstream runs, and for how long.

> python benchmarks/superb_cost.py
> python benchmarks/superb_cost.py --disk 8 --gpu 2500
> python benchmarks/superb_cost.py --sg

No corpus is needed. Each recipe's own settings, and the functions that decide about
caches in a run (`brains.planning.parts_of`), are applied to as many utterances as the
corpora have, on a disk that fills up from task to task. Seconds of a CPU are measured
here: an upstream of HuBERT Base's size with random weights, an example through each
head, forward and backward. "Before" has 50 GB for the frames of a set and crops at a
new place each time, and trains the winner of a search again.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import functools
import inspect
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

HOUR, DAY = 3600, 86400
SPLITS = ("train", "valid", "test")
SHARE = 0.02  # of the utterances that the decisions look at
#: Utterances of the three sets, their mean and shortest duration in seconds. Sources:
#: the corpora's papers and S3PRL's protocol. Of Audio SNIPS the duration is estimated
#: from its words, of Libri2Mix (max) from LibriSpeech's.
LIBRISPEECH = {"sets": (28539, 2703, 2620), "seconds": (12.7, 7.2, 7.4), "least": 1.3}
TASKS = {
    "PR": LIBRISPEECH,
    "KS": {"sets": (51094, 6798, 3081), "seconds": (1.0, 1.0, 1.0), "least": 0.9},
    "IC": {"sets": (23132, 3118, 3793), "seconds": (2.3, 2.2, 2.3), "least": 0.7},
    "SID": {"sets": (138361, 6904, 8251), "seconds": (8.2, 8.2, 8.3), "least": 4.0},
    "ER": {"sets": (3556, 890, 1085), "seconds": (4.5, 4.5, 4.5), "least": 0.6},
    "ASR": LIBRISPEECH,
    "SF": {"sets": (104672, 2800, 2800), "seconds": (2.8, 2.8, 2.8), "least": 0.8},
    "ASV": {"sets": (143842, 4800, 4715), "seconds": (8.2, 8.2, 8.3), "least": 4.0},
    "SD": {"sets": (13901, 3014, 3002), "seconds": (15.0, 13.0, 13.0), "least": 3.0},
}
#: Of the tasks of SUPERB-SG. Libri2Mix (min) is estimated, and what is left of Common
#: Voice and SBCSAE: the mean of the four corpora, each of which is a run.
SUPERB_SG = {
    "ST": {
        "sets": (289430, 15531, 15531),
        "seconds": (5.4, 6.2, 5.8),
        "least": 1.0,
        "classes": 90,
    },
    "OOD-ASR": {
        "sets": (20000, 6000, 6000),
        "seconds": (4.5, 4.5, 4.5),
        "least": 1.0,
        "runs": 4,
    },
    "VC": {"sets": (60, 10, 100), "seconds": (4.0, 4.0, 4.0), "least": 1.5},
    "SS": {
        "sets": (13900, 1000, 3000),
        "seconds": (10.5, 5.5, 5.5),
        "least": 3.0,
        "classes": 514,
    },
    "SE": {
        "sets": (10802, 770, 824),
        "seconds": (2.9, 2.9, 2.5),
        "least": 1.0,
        "classes": 257,
    },
}
FACTS = {**TASKS, **SUPERB_SG}
BEFORE = {"cache_budget": 50, "crops": None}
#: HuBERT Base's hidden states, from layers that take little memory.
THIN = """
base: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
    source: null
    config: {ffn_size: 8, num_heads: 1, conv_layers: CONVOLUTIONS}
"""
CONVOLUTIONS = "[[8, 10, 5], [8, 8, 4], [8, 4, 4], [8, 4, 4]]"


class Filling:
    """A disk that takes up what the tasks keep; see ``cache_budget.Disk``."""

    def __init__(self, size):
        self.size, self.used, self.folder = size, 0, Path("/no/such/folder")

    def free(self):
        """Returns the free bytes."""
        return self.size - self.used

    def caches(self):
        """Returns the bytes of all caches."""
        return self.used


def records(task, split, share):
    """Records of a set: durations from the shortest on, exponentially distributed."""
    facts = FACTS[task]
    count = max(1, round(share * facts["sets"][split]))
    least = facts["least"]
    spread = facts["seconds"][split] - least
    whole = {"start": None, "stop": None}
    quantiles = [spread * -math.log(1 - (i + 0.5) / count) for i in range(count)]
    return {
        f"{split}-{i}": {**whole, "wav": f"{i}.wav", "duration": least + quantile}
        for i, quantile in enumerate(quantiles)
    }


@functools.lru_cache(maxsize=None)
def recipe(task, folder):
    """The settings, modules and pipes of a task's recipe."""
    from s3prl_sb import resources
    from s3prl_sb.benchmark import keys
    from s3prl_sb.startup.configuration import load_recipe

    card = Path(folder) / "thin.yaml"
    card.write_text(THIN.replace("CONVOLUTIONS", CONVOLUTIONS))
    file = resources.recipe_files()[keys.recipe(task)]
    return load_recipe(
        file, f"upstream: {card}\ndata_folder: {folder}\noutput_folder: {folder}/out\n"
    )


def brain_of(task, folder, changes):
    """A stand-in for the Brain of a run, with all that the decisions look at."""
    hparams = dict(recipe(task, folder))
    hparams |= {key: value for key, value in changes.items() if key in hparams}
    head = hparams["head"]
    names = {"num_classes"} & set(inspect.signature(head).parameters)
    return SimpleNamespace(
        task=task,
        hparams=SimpleNamespace(**hparams),
        upstream=hparams["upstream_model"],
        raw_modules={
            "featurizer": hparams["featurizer"],
            "head": head(**dict.fromkeys(names, FACTS[task].get("classes", 32))),
        },
        device="cpu",
    )


def plan(task, folder, disk, changes, share=SHARE):
    """Returns the plan of a run at full protocol, as ``planning.plan`` makes it.

    The decision is that for a share of the utterances, updates, room and disk.
    """
    from s3prl_sb.brains import caching, course, planning
    from s3prl_sb.dataio.splits import make_splits

    if changes is BEFORE:
        caching.LEAST = math.inf  # sets were cached in whole
    if "cache_budget" in changes:
        changes = {**changes, "cache_budget": share * changes["cache_budget"]}
    brain = brain_of(task, folder, changes)
    brain.hparams.total_steps = round(share * brain.hparams.total_steps)
    made = {name: records(task, i, share) for i, name in enumerate(SPLITS)}
    hparams = {"train_pipes": [], "eval_pipes": [], **vars(brain.hparams)}
    parts = [
        whole(part, share / FACTS[task].get("runs", 1))
        for name, dataset in make_splits(hparams, made, [], ["id"]).items()
        for part in planning.parts_of(brain, name, dataset, disk)
    ]
    runs = FACTS[task].get("runs", 1)
    updates = round(runs * course.planned(brain)[0] / share)
    return {"task": task, "parts": parts, "updates": updates}


def whole(part, share):
    """The work on a set, from that on a share of its utterances and runs."""
    scaled = {k: getattr(part, k) / share for k in ("utterances", "seconds", "bytes")}
    return {**part._asdict(), **scaled}


def plans(disk, changes, folder, share=SHARE, tasks=tuple(TASKS)):
    """Returns the plans of tasks, which fill a disk one after the other."""
    disk, made, kept = Filling(disk * share), {}, set()
    for task in tasks:
        made[task] = plan(task, folder, disk, changes, share)
        for part in made[task]["parts"]:
            if part["features"] not in kept:
                disk.used += share * part["bytes"]
                kept.add(part["features"])
    return made


def once(made):
    """Returns the tasks whose training runs the upstream once at most."""
    return [task for task in made if "off" not in kinds(made[task])]


def kinds(plan):
    """Returns the kinds of cache of the training set, two if it is cached in part."""
    return [part["cache"] for part in plan["parts"] if part["split"] == "train"]


def costs(made, units, seeds=1, rates=None):
    """Sums of a benchmark, from ``superb.costs.gather``."""
    from s3prl_sb.benchmark.costs import gather

    folders, table, runs = [], {}, []
    for task, each in made.items():
        sums = {"once": sum(heard(part) for part in each["parts"])}
        speeds = {"speed": units["upstream"], "update": units[task]}
        table[task] = {**each, **sums, **speeds}
        for seed in range(seeds):
            folders.append(task)
            searched = rates if seed == 0 else None
            runs.append(SimpleNamespace(task=task, title="", rates=searched))
    return {row["task"]: row for row in gather(folders, table, runs)}


def heard(part):
    """Seconds of a set's audio."""
    return part["seconds"]


# ------------------------------------------------------------------------ unit costs
def upstream_speed(seconds):
    """Seconds of audio that HuBERT Base encodes in a second, one utterance a time."""
    import torch

    from s3prl_sb.lobes.upstreams.hubert import Hubert

    upstream = Hubert(source=None)
    upstream(torch.randn(1, 16000))
    wav = torch.randn(1, round(16000 * seconds))
    start = time.process_time()
    upstream(wav)
    return seconds / (time.process_time() - start)


def update_seconds(task, folder):
    """CPU seconds of an update on cached features, without the loss."""
    import torch

    brain = brain_of(task, folder, {})
    featurizer, head = brain.raw_modules.values()
    frames = 1
    if not once_pooled(brain):
        seconds = FACTS[task]["seconds"][0]
        frames = round(50 * min(seconds, brain.hparams.crop_seconds or seconds))
    states = torch.randn(2, frames, brain.upstream.num_layers, 768)
    texts = {"prefix": torch.ones(2, 60, dtype=torch.long)}  # tokens of a translation
    texts = texts if "prefix" in inspect.signature(head.forward).parameters else {}
    modules = torch.nn.ModuleList([featurizer, head])
    optimizer = torch.optim.Adam(modules.parameters())

    def update():
        result = head(featurizer(states), torch.ones(2), **texts)
        first = result[0] if isinstance(result, tuple) else result
        first.float().square().mean().backward()
        optimizer.step()

    update()
    start = time.process_time()
    update()
    spent = (time.process_time() - start) / len(states)
    batch, limit = brain.hparams.batch_size, brain.hparams.batch_seconds
    batch = limit / FACTS[task]["seconds"][0] if limit else batch
    return spent * batch * (brain.hparams.grad_accumulation_factor or 1)


def once_pooled(brain):
    """Returns whether a recipe averages before the head."""
    from s3prl_sb.startup.preconditions import can_pool

    return can_pool("auto", *brain.raw_modules.values())


# ------------------------------------------------------------------------------ table
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--disk", type=float, default=2, help="free disk, TB")
    parser.add_argument("--gpu", type=float, help="audio seconds a second, for a GPU")
    parser.add_argument("--rates", type=int, default=5, help="of the search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sg", action="store_true", help="of SUPERB-SG instead")
    parser.add_argument("--json", help="file for the raw numbers")
    arguments = parser.parse_args()
    tasks, disk = tuple(SUPERB_SG if arguments.sg else TASKS), arguments.disk * 1e12
    with tempfile.TemporaryDirectory() as folder:
        versions = {  # the former way last, as it changes the package
            "now": plans(disk, {}, folder, tasks=tasks),
            "int8": plans(disk, {"cache_dtype": "int8"}, folder, tasks=tasks),
        }
        before = plans(disk, BEFORE, folder, tasks=tasks)
        versions = {"before": before, **versions}
        units = {task: update_seconds(task, folder) for task in tasks}
    speeds = {n: upstream_speed(n) for n in (1, 3, 8, 15)}
    units["upstream"] = speeds[8]
    show(versions, units, speeds, arguments)
    if arguments.json:
        raw = {"plans": versions, "units": units, "speeds": speeds}
        Path(arguments.json).write_text(json.dumps(raw, indent=2))


def show(versions, units, speeds, arguments):
    """Prints the unit costs, the decisions, and the days."""
    import measure

    rate = arguments.gpu or units["upstream"]
    print(f"{measure.machine()}; audio seconds a CPU second, by length:")
    print(", ".join(f"{n} s: {speed:.2f}" for n, speed in speeds.items()) + "\n")
    rates = list(range(arguments.rates))
    ways = {"run": {}, "search": {"rates": rates}}
    ways["seeds"] = {"rates": rates, "seeds": arguments.seeds}
    sums = {
        (version, way): costs(made, units, **options)
        for version, made in versions.items()
        for way, options in ways.items()
    }
    for task, row in sums["before", "search"].items():  # it was trained once more
        again = sums["before", "run"][task]["upstream"] - cached(versions, task)
        for way in ("search", "seeds"):
            sums["before", way][task]["upstream"] += again
    header = ["task", "audio, h", "cache before", "now", "fp16, GB", "int8, GB"]
    days = [(version, way) for version in ("before", "now") for way in ways]
    header += [f"{version}: {way}" for version, way in days] + ["head, days"]
    rows = []
    tasks = list(versions["now"])
    for task in tasks:
        parts = {name: made[task]["parts"] for name, made in versions.items()}
        line = [task, f"{sum(map(heard, parts['before'])) / HOUR:.0f}"]
        line += ["/".join(kinds(versions[name][task])) for name in ("before", "now")]
        line += [f"{gigabytes(parts[name])}" for name in ("now", "int8")]
        line += [f"{sums[key][task]['upstream'] / rate / DAY:.2f}" for key in days]
        updates = versions["now"][task]["updates"]
        rows.append([*line, f"{updates * units[task] / DAY:.1f}"])
    total = [sum(sums[key][task]["upstream"] for task in tasks) for key in days]
    line = [f"{seconds / rate / DAY:.1f}" for seconds in total]
    audio = sum(float(row[1]) for row in rows)
    rows.append(["all", f"{audio:.0f}", "", "", "", "", *line, ""])
    measure.print_table(header, rows)
    unit = "days of a CPU core" if not arguments.gpu else "days of the GPU"
    shared = "" if arguments.sg else "; PR's features serve ASR too, and count once"
    print(f"\nUpstream work in {unit}{shared}.")
    more = 0 if arguments.sg else 1  # QbE, which trains nothing
    for name, made in versions.items():
        done = once(made)
        work = sum(sums[name, "run"][task]["upstream"] for task in done)
        everything = sum(row["upstream"] for row in sums[name, "run"].values())
        audio = sum(
            heard(part) for t in done for part in versions["before"][t]["parts"]
        )
        print(
            f"{name}: {len(done) + more} of {len(tasks) + more} tasks run the upstream "
            f"once{', QbE counted' * more}; "
            f"these encode {work / audio:.2f} times their audio: {', '.join(done)}. "
            f"All encode for {everything / rate / DAY:.1f} days."
        )


def cached(versions, task):
    """Seconds of audio whose features a run of the former version kept."""
    parts = versions["before"][task]["parts"]
    return sum(part["seconds"] for part in parts if part["cache"] != "off")


def gigabytes(parts):
    """Size of all caches of a task."""
    return round(sum(part["bytes"] for part in parts) / 1e9)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
