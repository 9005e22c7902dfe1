"""Agreement of linear probes with scikit-learn's logistic regression.

A recipe trains its linear probe with Adam on batches; scikit-learn fits the same model,
soft-max regression, with L-BFGS on the same standardized features. Both minimize the
mean cross-entropy plus the same penalty of the squared weights: the problem is convex,
so there is one optimum, and the table has the objective of both beside their accuracy
on the same test set. An objective above scikit-learn's says that the recipe has not
been trained to the end. Then a difference of the accuracies says nothing.

``phones``: frames of TIMIT each 10 ms, by the recipe TIMIT/phones. ``speakers``: means
over time, by the recipe LibriSpeech/speaker_utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import runpy
import sys
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from s3prl_sb import resources
from s3prl_sb.dataio.frame_labels import UNKNOWN
from s3prl_sb.lobes.time_alignment import align
from s3prl_sb.startup.experiment import start
from s3prl_sb.storage.files import read_json

RECIPES = {"phones": "TIMIT/phones", "speakers": "LibriSpeech/speaker_utterance"}
METRICS = {"phones": "frame_accuracy", "speakers": "accuracy"}
#: Adam reaches the optimum with a larger rate than the protocol's that falls to 0:
#: learning rate, updates, utterances in a batch.
BUDGET = {"phones": (0.02, 2000, 8), "speakers": (0.1, 500, 64)}
PENALTY = 1e-3  # factor of half the squared weights
ITERATIONS, TOLERANCE = 2000, 1e-5  # of L-BFGS


class Rows(NamedTuple):
    """Standardized features [rows, size], labels [rows], utterance numbers [rows]."""

    x: torch.Tensor
    y: torch.Tensor
    utterances: torch.Tensor


class Judgement(NamedTuple):
    """Data of both programs, their mean and deviation, and scikit-learn's layer."""

    train: Rows
    test: Rows
    mean: torch.Tensor
    std: torch.Tensor
    layer: torch.nn.Linear


def rows(task, examples, upstream):
    """Returns the last hidden state of frames, or its mean, with their labels."""
    pieces, labels, utterances = [], [], []
    for number, example in enumerate(examples):
        states, lens = upstream(example["sig"][None], torch.ones(1))
        if task == "speakers":
            features = states[-1].mean(1)
            true = torch.tensor([int(example["label_encoded"])])
        else:
            true = example["frame_labels"]
            stride = upstream.stride / upstream.sample_rate
            counts = torch.tensor([len(true)])
            features = align(states[-1], lens, stride, 0.01, counts)[0]
            features, true = features[true != UNKNOWN], true[true != UNKNOWN]
        pieces.append(features)
        labels.append(true)
        utterances.append(torch.full((len(true),), number))
    return Rows(torch.cat(pieces), torch.cat(labels), torch.cat(utterances))


class Standardized(torch.nn.Module):
    """Linear layer over standardized features, as scikit-learn gets them."""

    def __init__(self, mean, std, num_classes, mean_over_time):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
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
    """Returns scikit-learn's solution, and the data that it is a solution of."""
    with torch.no_grad():
        train, test = (rows(task, splits[s], upstream) for s in ("train", "test"))
    mean, std = train.x.mean(0), train.x.std(0, correction=0) + 1e-5
    train, test = (each._replace(x=(each.x - mean) / std) for each in (train, test))
    judge = LogisticRegression(
        C=1 / (PENALTY * len(train.y)), max_iter=ITERATIONS, tol=TOLERANCE
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        judge.fit(train.x.double().numpy(), train.y.numpy())
    layer = torch.nn.Linear(len(mean), len(judge.classes_))
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(judge.coef_))
        layer.bias.copy_(torch.from_numpy(judge.intercept_))
    return Judgement(train, test, mean, std, layer)


def objective(layer, train):
    """Returns the penalized loss of a linear layer on the training set."""
    loss = F.cross_entropy(layer(train.x), train.y)
    return float(loss + PENALTY / 2 * layer.weight.square().sum())


def trained(task, upstream, options, seed, judgement=None):
    """Returns the recipe's layer, its test accuracy, and :func:`judged`, once for all
    seeds."""
    folder = resources.recipes()[RECIPES[task]]
    recipe = runpy.run_path(str(folder / "train.py"), run_name="a_recipe")
    lr, steps, batch = BUDGET[task]
    with tempfile.TemporaryDirectory() as output:
        keys = {
            "upstream": upstream,
            "seed": seed,
            "output_folder": output,
            "cache_folder": f"{output}/cache",
            "cache_dtype": "float32",
            "featurizer": "{layers: last}",
            "batch_size": batch,
            "lr": lr,
            "opt_class": f"{{name: adam, lr: {lr}, weight_decay: {PENALTY}}}",
            "weight_decay_on": "matrices",
            "scheduler": "cosine",
            "total_steps": steps,
            "steps_per_epoch": steps,  # one validation, so that none is chosen
            "ckpt_interval_steps": steps,
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
        judgement = judgement or judged(task, splits, hparams["upstream_model"])
        by_time = task == "speakers"
        head = Standardized(judgement.mean, judgement.std, len(labels), by_time)
        classes = (made for made in recipe.values() if isinstance(made, type))
        brain_class = next(
            each for each in classes if getattr(each, "task", "") == RECIPES[task]
        )
        brain = recipe["train_and_test"](
            brain_class, hparams, run_opts, splits, {"head": head}, labels=labels
        )
        results = read_json(Path(output, "results.json"), kind=dict)
    return (
        brain.modules["head"].classifier,
        results["metrics"][METRICS[task]],
        judgement,
    )


def standard_error(right, utterances):
    """Returns the standard error of an accuracy, whose rows of an utterance are not
    independent."""
    deviations = numpy.bincount(utterances, weights=right - right.mean())
    return float(numpy.sqrt((deviations**2).sum()) / len(right))


def main():
    """Prints a table with a row for each upstream and seed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("task", choices=RECIPES)
    parser.add_argument("upstream", nargs="+", help="names of cards, or their files")
    parser.add_argument("--seeds", type=int, default=5)
    arguments, options = parser.parse_known_args()  # the others are the recipe's keys
    torch.set_num_threads(1)
    print("| upstream | seed | test, recipe | scikit-learn | same predictions ", end="")
    print("| objective, recipe | scikit-learn |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for upstream in arguments.upstream:
        judgement, accuracies = None, []
        for seed in range(arguments.seeds):
            layer, accuracy, judgement = trained(
                arguments.task, upstream, options, seed, judgement
            )
            accuracies.append(100 * accuracy)
            with torch.no_grad():
                ours, theirs = (
                    each(judgement.test.x).argmax(1)
                    for each in (layer, judgement.layer)
                )
                found, least = (
                    objective(each, judgement.train)
                    for each in (layer, judgement.layer)
                )
            right = (theirs == judgement.test.y).double().numpy()
            same = 100 * (ours == theirs).double().mean()
            row = f"| {upstream} | {seed} | {accuracies[-1]:.2f} % "
            row += f"| {100 * right.mean():.2f} % | {same:.1f} % "
            print(f"{row}| {found:.5f} | {least:.5f} |", flush=True)
        error = 100 * standard_error(right, judgement.test.utterances.numpy())
        mean, deviation = numpy.mean(accuracies), numpy.std(accuracies)
        print(
            f"| {upstream} | mean | {mean:.2f} ± {deviation:.2f} % "
            f"| {100 * right.mean():.2f} ± {error:.2f} % | | | |"
        )
        counts = len(judgement.train.y), len(judgement.test.y)
        print("Trained on {:,} rows, tested on {:,}".format(*counts), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
