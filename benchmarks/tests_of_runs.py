"""Tests of finished runs of SUPERB's ten tasks, read from the files that hold their
predictions, with metrics by other code than ours.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import itertools
import json
import re
from collections import defaultdict

import jiwer
import numpy as np
from sklearn.metrics import f1_score, roc_curve

BETA = 1 / 100 * (1 / 0.0008 - 1)  # weight of false alarms in QUESST 2014
DEFAULT = -10  # score of pairs that were not searched, as SUPERB has it


def test_of(folder, task):
    """Returns units, and functions of drawn rows by metric.

    Units are a name, or a pair of names, for each row.
    """
    makers = {
        "SUPERB/ASV": trials,
        "SUPERB/SD": recordings,
        "SUPERB/QbE": queries,
        "SUPERB/SF": slots,
        "SUPERB/SID": speakers,
    }
    return makers.get(task, utterances)(folder)


def table(folder, name="predictions.csv"):
    """The columns of a CSV file."""
    with open(folder / name, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([row[key] for row in rows]) for key in rows[0]}


def ratio(above, below):
    """The ratio of sums, NaN without a denominator."""
    above, below = np.array(above, float), np.array(below, float)
    return lambda rows: above[rows].sum() / (below[rows].sum() or np.nan)


def utterances(folder):
    """Labels, values of several slots, or texts."""
    columns = table(folder)
    if "reference" in columns:
        return columns["id"], texts(columns["reference"], columns["prediction"])
    pairs = {
        name[: -len("label")]: (columns[name], columns[f"{name[:-5]}prediction"])
        for name in columns
        if name.endswith("label")
    }
    if "" in pairs:
        return columns["id"], labels(*pairs[""])
    right = {name: true == found for name, (true, found) in pairs.items()}
    every = np.all(list(right.values()), 0)
    metrics = {f"accuracy_{name[:-1]}": mean(each) for name, each in right.items()}
    return columns["id"], {"accuracy": mean(every), **metrics}


def mean(values):
    """The mean of values that are not NaN."""
    values = np.array(values, float)
    return lambda rows: np.nanmean(values[rows])


def labels(true, found):
    """The metrics of one label per utterance."""

    def balanced(rows):
        classes, right = true[rows], (true == found)[rows]
        return np.mean([right[classes == each].mean() for each in set(classes)])

    def macro_f1(rows):
        return f1_score(true[rows], found[rows], average="macro", zero_division=0)

    return {
        "accuracy": mean(true == found),
        "balanced_accuracy": balanced,
        "macro_f1": macro_f1,
    }


def texts(true, found):
    """Error rates of words, or of phones, and of characters."""
    words = errors(jiwer.process_words, true, found)
    return {
        "wer": words,
        "per": words,
        "cer": errors(jiwer.process_characters, true, found),
    }


def errors(process, true, found):
    """The errors over the tokens, both counted by jiwer."""
    counts = [process(*map(str, pair)) for pair in zip(true, found)]
    above = [each.substitutions + each.deletions + each.insertions for each in counts]
    return ratio(above, [c.substitutions + c.deletions + c.hits for c in counts])


def speakers(folder):
    """Labels that are speakers, which are drawn with all their utterances."""
    columns = table(folder)
    true, found = columns["label"], columns["prediction"]
    right = true == found
    shares = {who: 1 / np.sum(true == who) for who in set(true)}

    def balanced(rows):  # a speaker who is drawn twice counts twice
        return np.average(right[rows], weights=[shares[who] for who in true[rows]])

    names, numbers = np.unique([true, found], return_inverse=True)
    confusions = np.zeros((len(names), len(names)))
    np.add.at(confusions, tuple(numbers.reshape(2, -1)), 1)
    size, hits = confusions.sum(1), confusions.diagonal()
    others = confusions - np.diag(hits)

    usual = others.sum(0)
    below = np.maximum(size + hits + usual, 1)

    def macro_f1(rows):  # of each drawn speaker, linear in how often others are drawn
        drawn = np.bincount(numbers.reshape(2, -1)[0][rows], minlength=len(names))
        times = np.divide(drawn, size, out=np.zeros(len(names)), where=size > 0)
        alarms = times @ others
        weights = np.where(size > 0, times, alarms / np.maximum(usual, 1))
        scores = 2 * hits / below * (1 - (alarms - usual) / below)
        return np.average(scores, weights=weights)

    return true, {
        "accuracy": mean(right),
        "balanced_accuracy": balanced,
        "macro_f1": macro_f1,
    }


def trials(folder):
    """Pairs of utterances; VoxCeleb's ids begin with the speaker."""
    columns = table(folder)
    true, score = columns["label"].astype(int), columns["score"].astype(float)
    wrong = (columns["prediction"] != columns["label"]).astype(float)

    def rates(rows):
        if not len(rows):  # no trial of the drawn speakers
            return np.full((2, 1), np.nan)
        accepted, hits, _ = roc_curve(true[rows], score[rows], drop_intermediate=False)
        return accepted, 1 - hits

    def eer(rows):
        accepted, missed = rates(rows)
        if np.isnan(accepted + missed).any():
            return np.nan
        n = np.argmax(missed <= accepted)  # the lines cross before here
        apart = (missed - accepted)[[n - 1, n]]
        share = apart[0] / (apart[0] - apart[1])
        return accepted[n - 1] + share * (accepted[n] - accepted[n - 1])

    def min_dcf(rows):
        accepted, missed = rates(rows)
        return (0.01 * missed + 0.99 * accepted).min() / 0.01

    return [
        [name.split("--")[0] for name in pair]
        for pair in zip(columns["id1"], columns["id2"])
    ], {
        "eer": eer,
        "min_dcf": min_dcf,
        "false_acceptance": mean(np.where(true == 0, wrong, np.nan)),
        "false_rejection": mean(np.where(true == 1, wrong, np.nan)),
    }


def queries(folder):
    """Scores of queries and documents; those without a score were not searched."""
    columns = table(folder)
    every = json.loads((folder / "save/trials.json").read_text())
    documents, held = every["documents"], every["test"]
    names = list(dict.fromkeys([*columns["query"], *held]))
    place = {name: row for row, name in enumerate(names)}
    column = {name: row for row, name in enumerate(documents)}
    scores = np.full((len(names), len(documents)), float(DEFAULT))
    searched = np.zeros(scores.shape, bool)
    where = (
        [place[each] for each in columns["query"]],
        [column[each] for each in columns["document"]],
    )
    scores[where], searched[where] = columns["score"].astype(float), True
    true = np.array([[d in held.get(name, ()) for d in documents] for name in names])
    chosen = json.loads((folder / "results.json").read_text())["valid"]

    def values(true, scores, threshold):
        hits = (true & (scores >= threshold)).sum(1) / true.sum(1)
        return hits - BETA * (~true & (scores >= threshold)).sum(1) / (~true).sum(1)

    def best(rows, columns):
        mine, those = scores[np.ix_(rows, columns)], true[np.ix_(rows, columns)]
        mine, those = mine[those.any(1)], those[those.any(1)]
        if not len(mine):
            return np.nan
        weights = np.where(
            those, 1 / those.sum(1)[:, None], -BETA / (~those).sum(1)[:, None]
        )
        order = np.argsort(-mine, axis=None)
        last = np.append(np.diff(mine.ravel()[order]) != 0, True)
        reached = np.cumsum(weights.ravel()[order])[last] / len(mine)
        return max(0.0, reached.max())

    inside = np.flatnonzero(searched.any(0))
    asked = searched.any(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            "mtwv": lambda rows: best(rows, np.arange(len(documents))),
            "mtwv_searched": lambda rows: best(rows[asked[rows]], inside),
            "atwv": mean(values(true, scores, np.nextafter(2.0, 3))),
            "twv": mean(values(true, scores, chosen.get("threshold", np.inf))),
        }
    return names, metrics


def slots(folder):
    """Texts with slots."""
    columns = table(folder)
    true, found = columns["reference"], columns["prediction"]
    pairs = [(slots_of(t, True), slots_of(f)) for t, f in zip(true, found)]
    types = [(set(t), set(f)) for t, f in pairs]
    f1 = [2 * len(t & f) / (len(t) + len(f)) if t or f else 1.0 for t, f in types]
    without = [
        [re.sub(r"\b[BE]-\S+ ?", "", text).strip() for text in each]
        for each in (true, found)
    ]
    metrics = {"slot_type_f1": mean(f1), "wer": errors(jiwer.process_words, *without)}
    for name, process in (
        ("cer", jiwer.process_characters),
        ("wer", jiwer.process_words),
    ):
        counts = [closest(process, *pair) for pair in pairs]
        metrics[f"slot_value_{name}"] = ratio(*zip(*counts))
    for name in ("full", "part"):
        counts = [edit_counts(*pair, name == "full") for pair in pairs]
        metrics[f"slot_edit_f1_{name}"] = ratio(*zip(*counts))
    return columns["id"], metrics


def slots_of(text, is_true=False):
    """The values of each slot, without marks within those that were predicted."""
    values = defaultdict(list)
    for slot, value in re.findall(r"B-(\S+) (.+?) E-\1", " ".join(text.split())):
        if not is_true:
            value = re.sub(r" E-\S+", "", re.sub(r"B-\S+ ", "", value))
        values[slot].append(value)
    return values


def closest(process, true, found):
    """Errors and tokens of true values, each beside the most similar predicted one."""
    wrong = tokens = 0
    for slot, value in ((s, v) for s, values in true.items() for v in values):
        size = len(value if process is jiwer.process_characters else value.split())
        counts = [process(value, each) for each in found.get(slot, ())]
        each = [c.substitutions + c.deletions + c.insertions for c in counts]
        wrong += min([n for n in each if n < 100 * size], default=size)
        tokens += size
    return wrong, tokens


def edit_counts(true, found, full):
    """2 TP, and 2 TP + FP + FN, of slot values."""
    right = wrong = 0
    for slot, value in ((s, v) for s, values in true.items() for v in values):
        is_right = value in found.get(slot, ())
        right += is_right
        wrong += 0 if is_right else 2 if slot in found else 1
    if full:
        wrong += sum(len(v) for s, v in found.items() if s not in true)
    return 2 * right, 2 * right + wrong


def recordings(folder):
    """Segments of speakers, and the frames of two."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    sides = [defaultdict(Annotation), defaultdict(Annotation)]
    for side, name in zip(sides, ("ref.rttm", "hyp.rttm")):
        for n, line in enumerate((folder / name).read_text().splitlines()):
            _, recording, _, start, length, *_, who, _, _ = line.split()
            end = round(float(start) + float(length), 3)
            side[recording][Segment(float(start), end), n] = who
    metrics, parts, scored = {}, {}, {}
    for line in (folder / "ref.uem").read_text().splitlines():
        recording, _, start, end = line.split()
        scored[recording] = Timeline([Segment(float(start), float(end))])
    names = table(folder)["id"]
    for suffix, collar in (("", 0.0), ("_collar", 0.5)):
        measure = DiarizationErrorRate(collar=collar)
        parts = [
            measure.compute_components(sides[0][n], sides[1][n], uem=scored[n])
            for n in names
        ]
        kinds = {
            "_miss": ["missed detection"],
            "_false_alarm": ["false alarm"],
            "_confusion": ["confusion"],
            "": ["missed detection", "false alarm", "confusion"],
        }
        total = [part["total"] for part in parts]
        for kind, terms in kinds.items():
            wrong = [sum(part[term] for term in terms) for part in parts]
            metrics[f"der{kind}{suffix}"] = ratio(wrong, total)
    metrics["frame_accuracy"] = frames(folder, names, sides[0])
    return names, metrics


def frames(folder, names, true):
    """Frames whose decision at 0.5 is right, speakers in the order of least loss."""
    from safetensors import safe_open

    right, total = [], []
    with safe_open(folder / "probabilities.safetensors", "np") as file:
        shift = json.loads(file.metadata()["s3prl_sb"])["frame_shift"]
        for name in names:
            found = file.get_tensor(name).astype(float)
            labels = np.zeros(found.shape)
            for column, who in enumerate(sorted(true[name].labels())):
                for segment in true[name].label_timeline(who):
                    # Milliseconds first: half a frame is a tie
                    times = (round(1000 * time) for time in segment)
                    first, last = (round(t / round(1000 * shift, 6)) for t in times)
                    labels[first:last, column] = 1
            orders = [labels[:, o] for o in itertools.permutations(range(len(found.T)))]
            found = found.clip(1e-12, 1 - 1e-12)
            losses = [
                -(o * np.log(found) + (1 - o) * np.log(1 - found)) for o in orders
            ]
            chosen = orders[np.argmin([loss.sum() for loss in losses])]
            right.append(((found > 0.5) == (chosen > 0.5)).sum())
            total.append(found.size)
    return ratio(right, total)
