"""Both programs in step: the same features, first weights and batches, N updates.

S3PRL's runner trains a task on a toy corpus, and says what its batches were; the
recipe of the task then makes the same updates, with its own parser, pipes,
upstream, head, loss, clipping and optimizer. Query by example trains nothing: both
search the same documents. Printed is how far losses, or scores, are
apart. It takes two minutes a task on a CPU; heads of ASR, SF and ASV are small.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import os
import runpy
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
TASKS = ("SID", "IC", "ER", "PR", "ASR", "SF", "SD", "ASV", "QbE")
CORPORA = {
    "SID": "voxceleb1",
    "ASV": "voxceleb1",
    "IC": "fluent_speech_commands",
    "ER": "iemocap",
    "PR": "librispeech",
    "ASR": "librispeech",
    "SF": "audio_snips",
    "SD": "libri2mix",
    "QbE": "quesst14/quesst14Database",
}
CROPS = ["--crop_seconds", "1000"]  # longer than any utterance
BLSTM = "{projection_size: 64, hidden_size: 64, dropout: 0.0}"
OPTIONS = {
    "SID": CROPS,
    "ASV": [*CROPS, "--valid_speakers", "0", "--embedding_size", "64"]
    + ["--head", "{hidden_size: 64, pooled_size: 128}"],
    "ER": ["--fold", "1"],
    "ASR": ["--spec_augment", "null", "--head", BLSTM],
    "SF": ["--spec_augment", "null", "--head", BLSTM],
}


# -------------------------------------------------- our side, in its own process
def replay(task, path):
    """The recipe's run, but for the batches: those of S3PRL's."""
    import torch

    found = torch.load(path)
    from s3prl_sb.brains import running
    from s3prl_sb.dataio.silence import TrimSilence

    TrimSilence.trim = lambda self, sig: sig

    def replayed(brain_class, hparams, run_opts, splits, modules, **kwargs):
        modules = {"featurizer": hparams["featurizer"], **modules}
        if task in ("SID", "SF"):  # as many outputs as S3PRL's
            modules["head"] = hparams["head"](num_classes=len(found["classes"]))
        brain = brain_class(
            modules=modules, hparams=hparams, run_opts=run_opts, **kwargs
        )
        load(brain, found, outputs(task, brain, kwargs))
        found["ours"] = steps(brain, found, splits, task)
        torch.save(found, path)

    running.train_and_test = replayed
    recipe = ROOT / "recipes/SUPERB" / task
    sys.argv = [str(recipe / "train.py"), str(recipe / "hparams/train.yaml")]
    sys.argv += os.environ["LOCKSTEP_OPTIONS"].split("\n")
    runpy.run_path(sys.argv[0], run_name="__main__")


def outputs(task, brain, kwargs):
    """Names of our outputs, in our order; None where S3PRL's is the same."""
    if task == "IC":
        slots = brain.slots.items()
        return [f"{slot} {value}" for slot, values in slots for value in values]
    if task == "SF":
        return brain.tokenizer.tokens
    return kwargs.get("labels")


def load(brain, found, names):
    """S3PRL's first weights; its rows of the last layer in our order."""
    sys.path.append(str(ROOT / "tests/parity/downstream"))
    from peer_values import ours

    theirs = found["classes"]
    if names and theirs:
        order = [theirs.index(name) for name in names]
        order += [i for i in range(len(theirs)) if i not in set(order)]
    for name, value in found["weights"].items():
        name, value = ours(name, value)
        if names and theirs and name.startswith("classifier."):
            value = value[order]
        name = name if name.startswith("loss.") else f"head.{name}"
        parameter = brain.modules.get_parameter(name)
        parameter.data.copy_(value)


def steps(brain, found, splits, task):
    """The loss of each batch."""
    import speechbrain as sb
    from speechbrain.dataio.batch import PaddedBatch

    brain.init_optimizers()
    brain.modules.train()
    place, losses = {}, []
    # Which turns of ER train depends, in S3PRL, on the order of its file system.
    for dataset in (splits["valid"], splits["train"]):
        for index, name in enumerate(dataset.data_ids):
            parts = Path(dataset.data[name]["wav"]).with_suffix("").parts
            key = "-".join(parts[-3:]) if task in ("SID", "ASV") else parts[-1]
            place[name if task == "SD" else key] = dataset, index
    brain.start_stage(sb.Stage.TRAIN)
    for number, names in enumerate(found["batches"], 1):
        if task == "SD":
            names = [f"{recording}-{start // 2000:04d}" for recording, start in names]
        chosen = [place[name] for name in names]
        batch = PaddedBatch([dataset[index] for dataset, index in chosen])
        predictions = brain.compute_forward(batch, sb.Stage.TRAIN)
        loss = brain.compute_objectives(predictions, batch, sb.Stage.TRAIN)
        losses.append(loss.item())
        (loss / found["accumulate"]).backward()
        if number % found["accumulate"] == 0:
            brain.optimizers_step()
    return losses


# ------------------------------------------------------------------ the table
def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--s3prl", help="the Python of S3PRL's environment")
    parser.add_argument("--checkout", help="a clone of S3PRL's repository, 0.4.18")
    parser.add_argument("--corpora", help="toys of all corpora; default: made here")
    parser.add_argument("--task", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--updates", type=int, default=10)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.worker and not (arguments.s3prl and arguments.checkout):
        parser.error("--s3prl and --checkout are required: see README.md")
    return arguments


def call(command, log, **environment):
    """Runs it; an error with the end of its log where it fails."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ, **environment}
    with open(log, "w") as file:
        code = subprocess.call(
            list(map(str, command)),
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if code:
        sys.exit(f"{log}:\n{Path(log).read_text()[-2000:]}")


def compare(task, arguments, corpora, folder):
    """A row of the table."""
    import torch

    path = folder / f"{task}.pt"
    command = [arguments.s3prl, HERE / "peer_lockstep.py", arguments.checkout]
    call([*command, corpora, task, arguments.updates, path], folder / "s3prl.log")
    options = ["--upstream", "fbank_no_cmvn", "--cache", "off", "--seed", "1"]
    options += ["--data_folder", str(corpora / CORPORA[task])]
    options += ["--output_folder", str(folder / "ours" / task), *OPTIONS.get(task, [])]
    command = [sys.executable, __file__, "--worker", task, path]
    call(command, folder / "ours.log", LOCKSTEP_OPTIONS="\n".join(options))
    found = torch.load(path)
    theirs, mine = torch.tensor(found["losses"]), torch.tensor(found["ours"])
    apart = ((mine - theirs).abs() / theirs.abs()).tolist()
    losses = f"{theirs[0]:.4f} | {theirs[-1]:.4f} | {mine[-1]:.4f}"
    print(f"| {task} | {len(apart)} | {losses} | {apart[0]:.1e} | {max(apart):.1e} |")
    sys.stdout.flush()


def scores_of(path):
    """{(query, document): score} of a list of detections."""
    return {
        (query.get("termid"), document.get("file")): float(document.get("score"))
        for query in xml.parse(path).getroot()
        for document in query
    }


def search(arguments, corpora, folder):
    """A row of the table: query by example, which trains nothing."""
    command = [arguments.s3prl, HERE / "peer_lockstep.py", arguments.checkout]
    call([*command, corpora, "QbE", 0, folder / "QbE.pt"], folder / "s3prl.log")
    command = [sys.executable, "-m", "s3prl_sb.cli", "run", "SUPERB/QbE"]
    command += ["--upstream", "fbank_no_cmvn", "--cache_dtype", "float32"]
    command += ["--data_folder", corpora / CORPORA["QbE"]]
    command += ["--cache_folder", folder / "cache"]
    call([*command, "--output_folder", folder / "QbE"], folder / "ours.log")
    name = "benchmark.stdlist.xml"
    theirs = scores_of(folder / "s3prl/QbE" / name)
    mine = scores_of(folder / "QbE/stdlist/test" / name)
    assert mine.keys() == theirs.keys()
    apart = max(abs(mine[pair] - theirs[pair]) for pair in theirs)
    print(f"| QbE, scores | {len(theirs)} | – | – | – | – | {apart:.1e} |")


def main():
    """Prints the table."""
    arguments = parse()
    if arguments.worker:
        return replay(*arguments.worker)
    with tempfile.TemporaryDirectory(prefix="lockstep-") as folder:
        folder = Path(folder)
        corpora = Path(arguments.corpora or folder / "toys").resolve()
        if not arguments.corpora:
            script = ROOT / "tests/parity/downstream/toys.py"
            call([sys.executable, script, corpora], folder / "toys.log")
        print("| task | batches | first loss | S3PRL's last | our last", end="")
        print(" | first apart | most apart |\n" + "| --- " * 7 + "|")
        for task in arguments.task:
            if task == "QbE":
                search(arguments, corpora, folder)
            else:
                compare(task, arguments, corpora, folder)


if __name__ == "__main__":
    main()
