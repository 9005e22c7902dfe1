"""Linear probes of an upstream: phones of frames, words and speakers of utterances.

Each hidden state is probed by itself with scikit-learn: frames by linear discriminant
analysis, means over time by logistic regression, on standardized features. Words are
learned from five examples each, ten times from others; speakers by cross-validation. A
probe takes seconds, so that networks can be compared over several seeds.

Authors
 * The s3prl_sb developers, 2026
"""

import tempfile
from pathlib import Path

import numpy
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.dataio.phones import FOLDED
from s3prl_sb.storage.files import read_json

SHOTS, DRAWS = 5, 10  # examples of a word, and how often they are drawn
TASKS = ("phones", "words", "speakers")
CORPORA = {
    "phones": "TIMIT",
    "words": "speech_commands_v0.02",
    "speakers": "VoxCeleb1",
}


def probe(upstream, task, data):
    """Returns the test accuracy of each hidden state, in percent.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    task : str
        One of :data:`TASKS`.
    data : pathlib.Path
        Folder with the corpora of :data:`CORPORA`.

    Returns
    -------
    list of float
    """
    corpus = data / CORPORA[task]
    if task == "phones":
        train, test = (timit(upstream, corpus / part) for part in ("TRAIN", "TEST"))
        judge = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01)
    else:
        train, test = (utterances(upstream, *part) for part in splits(task, corpus))
        judge = LogisticRegression(max_iter=300)
    judge = make_pipeline(StandardScaler(), judge)
    scores = []
    for (x, labels), (x_test, test_labels) in zip(train, test):
        if task == "phones":
            score = judge.fit(x, labels).score(x_test, test_labels)
        elif task == "words":
            fits = (judge.fit(*few(x, labels, draw)) for draw in range(DRAWS))
            score = numpy.mean([fit.score(x_test, test_labels) for fit in fits])
        else:  # the test set is small: every utterance is tested once
            x, labels = numpy.concatenate([x, x_test]), labels + test_labels
            folds = StratifiedKFold(3, shuffle=True, random_state=0)
            score = cross_val_score(judge, x, labels, cv=folds).mean()
        scores.append(100 * float(score))
    return scores


def few(x, labels, draw):
    """Returns a few random examples of each class."""
    order = numpy.random.default_rng(draw).permutation(len(labels))
    chosen = {}
    for index in order:
        chosen.setdefault(labels[index], []).append(index)
    rows = [index for rows in chosen.values() for index in rows[:SHOTS]]
    return x[rows], [labels[row] for row in rows]


def timit(upstream, folder):
    """Returns frames [frames, size] and their phones for each hidden state."""
    rate = upstream.sample_rate
    pieces, labels = [], []
    for path in sorted(folder.rglob("*.WAV")):
        states = upstream.extract([str(path)])["hidden_states"]
        phones, ends = [], []
        for line in path.with_suffix(".PHN").read_text().splitlines():
            _, end, phone = line.split()
            ends.append(int(end) * rate / 16000)
            phones.append(FOLDED.get(phone, phone))
        centres = (numpy.arange(states[0].shape[1]) + 0.5) * upstream.stride
        at = numpy.searchsorted(ends, centres, side="right")
        kept = [i for i, n in enumerate(at) if n < len(ends) and phones[n]]
        labels += [phones[at[i]] for i in kept]
        pieces.append([state[0, kept].float().numpy() for state in states])
    return [(numpy.concatenate(layer), labels) for layer in zip(*pieces)]


def splits(task, corpus):
    """Returns the recordings and labels of the training and of the test set."""
    with tempfile.TemporaryDirectory() as folder:
        if task == "words":
            prepare_speech_commands(corpus, folder, labels="folders")
        else:
            prepare_voxceleb1_sid(corpus, folder)
        for parts in (["train"], ["valid", "test"]):
            records = [
                record
                for part in parts
                for record in read_json(
                    Path(folder, f"{part}.json"), kind=dict
                ).values()
            ]
            yield [r["wav"] for r in records], [r["label"] for r in records]


def utterances(upstream, paths, labels):
    """Returns means over time [utterances, size] and labels for each hidden state."""
    pooled = []
    for path in paths:
        states = upstream.extract([path])["hidden_states"]
        pooled.append([state[0].float().mean(0).numpy() for state in states])
    return [(numpy.stack(layer), labels) for layer in zip(*pooled)]


def main():
    """Prints the accuracies of the upstreams that are named."""
    import argparse

    from s3prl_sb.lobes.upstreams import load

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("upstream", nargs="+", help="names of cards, or their files")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in arguments.upstream:
        for task in arguments.tasks:
            scores = probe(load(name), task, arguments.data)
            print(f"{name:30} {task:10}", *(f"{score:5.1f}" for score in scores))


if __name__ == "__main__":
    main()
