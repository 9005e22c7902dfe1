"""Agreement of linear probes with scikit-learn's logistic regression.

A recipe trains its linear probe with Adam on batches; scikit-learn fits the same model,
soft-max regression, with L-BFGS on the same standardized features. Both have the same
penalty of the squared weights, so that the optimum is unique, and both are measured on
the same test set. What differs is what the noise of the batches leaves.

``phones``: frames of TIMIT each 10 ms, by the recipe TIMIT/phones. ``speakers``: means
over time, by the recipe LibriSpeech/speaker_utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import runpy
import sys
import tempfile
from pathlib import Path

import torch
from sklearn.linear_model import LogisticRegression

from s3prl_sb import resources
from s3prl_sb.dataio.frame_labels import UNKNOWN
from s3prl_sb.lobes.time_alignment import align
from s3prl_sb.startup.experiment import start
from s3prl_sb.storage.files import read_json

RECIPES = {"phones": "TIMIT/phones", "speakers": "LibriSpeech/speaker_utterance"}
METRICS = {"phones": "frame_accuracy", "speakers": "accuracy"}
#: Adam comes close to the optimum with a larger rate and batch than the protocol's:
#: learning rate, updates, and factor of the squared weights.
BUDGET = {"phones": (0.02, 200, 1e-4), "speakers": (0.1, 500, 1e-3)}


def rows(task, examples, upstream, mean, std):
    """Returns the features [rows, size] and the labels of the last hidden state."""
    pieces, labels = [], []
    for example in examples:
        wav = example["sig"][None]
        states, lens = upstream(wav, torch.ones(1))
        if task == "speakers":
            pieces.append(states[-1].mean(1))
            labels.append(torch.tensor([int(example["label_encoded"])]))
            continue
        true = example["frame_labels"]
        stride = upstream.stride / upstream.sample_rate
        counts = torch.tensor([len(true)])
        features = align(states[-1], lens, stride, 0.01, counts)[0]
        pieces.append(features[true != UNKNOWN])
        labels.append(true[true != UNKNOWN])
    x = torch.cat(pieces).numpy()
    if mean is None:
        mean, std = x.mean(0), x.std(0) + 1e-5
    return (x - mean) / std, torch.cat(labels).numpy(), mean, std


class Standardized(torch.nn.Module):
    """Linear layer over standardized features, as scikit-learn gets them."""

    def __init__(self, mean, std, num_classes, mean_over_time):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("std", torch.from_numpy(std))
        self.classifier = torch.nn.Linear(len(mean), num_classes)
        self.mean_over_time = mean_over_time

    @property
    def linear(self):
        """True if the features may be averaged over time before."""
        return self.mean_over_time

    def forward(self, features, lens):
        """Returns logits of frames or, with a mean over time, of utterances."""
        x = (features - self.mean) / self.std
        if self.mean_over_time:
            counts = (lens * x.shape[1]).round().long()
            x = torch.stack([row[:n].mean(0) for row, n in zip(x, counts)])
        return self.classifier(x)


def judged(task, splits, upstream):
    """Returns scikit-learn's test accuracy, and the mean and deviation of features."""
    with torch.no_grad():
        x, y, mean, std = rows(task, splits["train"], upstream, None, None)
        x_test, y_test, *_ = rows(task, splits["test"], upstream, mean, std)
    penalty = 1 / (BUDGET[task][2] * len(y))
    judge = LogisticRegression(C=penalty, max_iter=500).fit(x, y)
    return float(judge.score(x_test, y_test)), len(y), len(y_test), mean, std


def agreement(task, upstream, options, seed, judgement=None):
    """Returns the recipe's test accuracy, and :func:`judged`, once for all seeds."""
    folder = resources.recipes()[RECIPES[task]]
    recipe = runpy.run_path(str(folder / "train.py"), run_name="a_recipe")
    lr, steps, decay = BUDGET[task]
    with tempfile.TemporaryDirectory() as output:
        keys = {
            "upstream": upstream,
            "seed": seed,
            "output_folder": output,
            "cache_folder": f"{output}/cache",
            "cache_dtype": "float32",
            "featurizer": "{layers: last}",
            "batch_size": 64,
            "lr": lr,
            "opt_class": f"{{name: adam, lr: {lr}, weight_decay: {decay}}}",
            "weight_decay_on": "matrices",
            "scheduler": "cosine",
            "total_steps": steps,
            "steps_per_epoch": steps,
            "train_dataloader_opts": "{num_workers: 0}",
        }
        argv = [str(folder / "hparams/train.yaml"), "--noprogressbar"]
        argv += [
            part for key, value in keys.items() for part in (f"--{key}", str(value))
        ]
        argv += options
        hparams, run_opts = start(argv, recipe["prepare"])
        made = "frame_splits" if task == "phones" else "classification_splits"
        splits, labels = recipe[made](hparams)
        model = hparams["upstream_model"]
        judgement = judgement or judged(task, splits, model)
        head = Standardized(*judgement[-2:], len(labels), task == "speakers")
        brain = next(
            made
            for made in recipe.values()
            if getattr(made, "task", 0) == RECIPES[task]
        )
        recipe["train_and_test"](
            brain, hparams, run_opts, splits, {"head": head}, labels=labels
        )
        results = read_json(Path(output, "results.json"), kind=dict)
    return results["metrics"][METRICS[task]], judgement


def main():
    """Prints a table with a row for each upstream and seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task", choices=RECIPES)
    parser.add_argument("upstream", nargs="+", help="names of cards, or their files")
    parser.add_argument("--seeds", type=int, default=5)
    arguments, options = parser.parse_known_args()  # the others are the recipe's keys
    torch.set_num_threads(1)
    print("| upstream | seed | recipe, % | scikit-learn, % | trained on | tested on |")
    print("| --- | --- | --- | --- | --- | --- |")
    for upstream in arguments.upstream:
        judgement = None
        for seed in range(arguments.seeds):
            accuracy, judgement = agreement(
                arguments.task, upstream, options, seed, judgement
            )
            theirs, trained, tested, *_ = judgement
            percents = f"{100 * accuracy:.2f} | {100 * theirs:.2f}"
            row = f"| {upstream} | {seed} | {percents} | {trained} | {tested} |"
            print(row, flush=True)


if __name__ == "__main__":
    sys.exit(main())
