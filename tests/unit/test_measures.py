"""Tests of measures by item: every kind against SciPy's bootstrap of an independent
metric, files, folds, and hostile values.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats

from s3prl_sb.metrics import (
    bootstrap,
    classification,
    correlation,
    measure_tables,
    multi_label,
    retrieval,
    verification,
    weighted_labels,
    weighted_sums,
)
from s3prl_sb.metrics.measures import Measures, combined, intervals_of
from s3prl_sb.metrics.psds import psds
from s3prl_sb.metrics.psds_counts import counts_of
from s3prl_sb.metrics.resampled import KINDS
from s3prl_sb.metrics.same_items import OtherTestSet
from s3prl_sb.metrics.weighted_labels import places
from s3prl_sb.storage.files import FileError, write_json

ITEMS, DRAWS, SEED = 24, 60, 5


def of(metric, *arrays):
    """Returns a metric of torch tensors as a function of rows."""
    tensors = [torch.from_numpy(np.asarray(each)) for each in arrays]
    return lambda rows: metric(*(each[torch.from_numpy(rows)] for each in tensors))


def macro(above, below, present):
    def metric(rows):
        a, b, p = (each[rows].sum(0) for each in (above, below, present))
        values = [x / y if y else 0.0 for x, y, z in zip(a, b, p) if z]
        return np.mean(values) if values else np.nan

    return metric


def by_group(above, below, groups):
    def metric(rows):
        values = []
        for group in set(groups[rows].tolist()):
            mine = rows[groups[rows] == group]
            values.append(above[mine].sum() / below[mine].sum())
        return np.mean(values)

    return metric


def f1_of_parts(predictions, targets):
    """Returns the macro F1 of classes that a draw may hold in part, linear in the false
    alarms of each."""

    def alarms_of(each, rows):
        return ((predictions == each) & (targets != each))[rows].sum()

    def metric(rows):
        found, true, scores, weights = predictions[rows], targets[rows], [], []
        for each in range(10):
            own, count = true == each, (targets == each).sum()
            alarms, usual = alarms_of(each, rows), alarms_of(each, slice(None))
            if own.any():
                weights.append(own.sum() / count)
                hits = (own & (found == each)).sum() / weights[-1]
                below = hits + count + usual
                scores.append(2 * hits / below * (1 - (alarms - usual) / below))
            elif not count and usual:
                scores, weights = [*scores, 0.0], [*weights, alarms / usual]
        return np.average(scores, weights=weights)

    return metric


def detected(count, seconds=12.0, seed=3):
    """Returns arguments of psds: recordings of three sounds, which confuse them."""
    draw = np.random.default_rng(seed)
    labels, step = ["cat", "dog", "rain"], 0.5
    scores, events = {}, {}
    for name in names(count):
        starts = draw.uniform(0, seconds - 1, draw.integers(0, 4))
        events[name] = [
            (str(draw.choice(labels)), float(a), float(min(a + d, seconds)))
            for a, d in zip(starts, draw.exponential(2.0, len(starts)) + 0.3)
        ]
        times = np.arange(0, seconds, step)
        scores[name] = draw.normal(size=(len(times), 3))
        for label, start, stop in events[name]:
            inside = (times >= start) & (times < stop)
            scores[name][inside, labels.index(label)] += 2
            scores[name][inside, 0] += 1
    return scores, events, dict.fromkeys(events, seconds), step, labels


def psds_of(arguments, **scenario):
    """Returns the PSDS of rows: that of recordings, of which some are there twice."""
    scores, events, durations, step, labels = arguments
    every = list(scores)

    def metric(rows):
        sides = (scores, events, durations)
        drawn = [
            {f"{n} {every[row]}": side[every[row]] for n, row in enumerate(rows)}
            for side in sides
        ]
        return psds(*drawn, step, labels, **scenario).value

    return metric


#: Costs of cross-triggers and of differences, and false positives of a short test.
SCENARIO = {"dtc": 0.3, "gtc": 0.3, "cttc": 0.3, "alpha_ct": 0.5, "alpha_st": 0.5}
SCENARIO["e_max"] = 3000.0


def sacre(matches, ngrams, predicted, reference):
    bleu = pytest.importorskip("sacrebleu.metrics").BLEU

    def metric(rows):
        sums = [each[rows].sum(0) for each in (matches, ngrams, predicted, reference)]
        counts = [list(map(int, each)) for each in sums[:2]]
        return bleu.compute_bleu(
            *counts, int(sums[2]), int(sums[3]), smooth_method="exp"
        ).score

    return metric


def both_needed(metric, targets):
    """Returns a metric that is NaN in draws without targets or without others."""
    return lambda rows: (
        metric(rows) if 0 < targets[rows].sum() < len(rows) else math.nan
    )


def detected_values(detected, true):
    """Returns the term-weighted value of each query, with beta 2."""
    hits = (detected & true).sum(1).double() / true.sum(1)
    alarms = (detected & ~true).sum(1).double() / (~true).sum(1)
    return (hits - 2 * alarms).numpy()


def of_systems(metric, x, y, systems):
    """Returns a metric of the means of systems, as a function of rows."""

    def means(rows):
        names = sorted(set(systems[rows].tolist()))
        sides = [[s[rows][systems[rows] == n].mean() for n in names] for s in (x, y)]
        return metric(*map(torch.tensor, sides))

    return means


@pytest.fixture(scope="module")
def cases():
    """For each kind: arrays of a metric, and the metric of rows by other means."""
    draw = np.random.default_rng(0)
    words, gaps = draw.integers(0, 9, ITEMS), draw.normal(size=ITEMS)
    errors = draw.binomial(words, 0.4)
    gaps[[3, 8]] = np.nan
    parts = draw.integers(0, 3, (ITEMS, 4))
    right = draw.binomial(parts, 0.6)
    present = parts * (draw.random(parts.shape) < 0.7)
    groups, classes = draw.integers(0, 3, (2, ITEMS))
    scores = draw.normal(size=ITEMS).round(1)  # with ties
    targets = (scores + draw.normal(size=ITEMS) > 0.3).astype(int)
    labels = draw.random((ITEMS, 3)) < 0.3
    confidences = (labels + draw.normal(size=labels.shape)).round(1)
    x, y = draw.normal(size=ITEMS).round(1), scores
    ngrams = np.maximum(words[:, None] - np.arange(4), 0)
    matches = draw.binomial(ngrams, 0.3)
    true = torch.from_numpy(draw.random((ITEMS, 9)) < 0.3)
    true[5] = False
    tables = torch.from_numpy(draw.normal(size=true.shape).round(1)) + 2 * true, true
    thresholds = tables[0].unique()[:, None, None]
    curves = np.stack([detected_values(tables[0] >= t, tables[1]) for t in thresholds])
    scored = {"scores": scores, "targets": targets}
    multi = {"scores": confidences, "targets": labels}
    eer = of(lambda s, t: verification.equal_error_rate(s, t)[0], scores, targets)
    cost = of(
        lambda s, t: verification.minimum_detection_cost(s, t, p_target=0.2)[0],
        scores,
        targets,
    )

    def value(scores, true):
        if not true.any():
            return math.nan
        return retrieval.maximum_term_weighted_value(scores, true, 2.0)[0]

    half = {"predictions": classes, "targets": groups}
    fraction = {"numerators": errors, "denominators": words}
    table = {"numerators": right, "denominators": parts}
    counts = dict(zip(("matches", "ngrams"), (matches, ngrams)))
    return {
        "mean": ({"values": gaps}, lambda rows: np.nanmean(gaps[rows])),
        "ratio": (fraction, lambda rows: errors[rows].sum() / words[rows].sum()),
        "macro_ratio": (table | {"present": present}, macro(right, parts, present)),
        "group_ratio": (
            {"numerators": errors, "denominators": words + 1, "groups": groups},
            by_group(errors, words + 1, groups),
        ),
        "macro_f1": (half, of(classification.macro_f1, classes, groups)),
        "drawn_macro_f1": (half, f1_of_parts(classes, groups)),
        "pearson": ({"x": x, "y": y}, of(correlation.pearson, x, y)),
        "spearman": ({"x": x, "y": y}, of(correlation.spearman, x, y)),
        "group_mse": (
            {"x": x, "y": y, "groups": groups},
            of_systems(correlation.mean_squared_error, x, y, groups),
        ),
        "bleu": (
            {**counts, "predicted": words, "reference": words + 1},
            sacre(matches, ngrams, words, words + 1),
        ),
        "eer": (scored, both_needed(eer, targets)),
        "min_dcf": (
            {**scored, "parameters": {"p_target": 0.2}},
            both_needed(cost, targets),
        ),
        "mtwv": ({"values": curves.T}, of(value, *tables)),
        "detection_value": (
            {**retrieval.detection_counts(*tables, 2.0), "parameters": {"beta": 2.0}},
            of(value, *tables),
        ),
        "detection_score": (
            counts_of(*detected(ITEMS), **SCENARIO, points=10**5),
            psds_of(detected(ITEMS), **SCENARIO),
        ),
        "average_precision": (
            multi,
            of(multi_label.mean_average_precision, confidences, labels),
        ),
        "auc": (multi, of(multi_label.mean_area_under_roc, confidences, labels)),
        "d_prime": (multi, of(multi_label.d_prime, confidences, labels)),
    }


def scipy_interval(metric, units, rows_of, **options):
    """Returns SciPy's percentile interval of a metric of rows, of the same draws."""
    result = stats.bootstrap(
        (np.arange(units),),
        lambda drawn: metric(rows_of(drawn)),
        vectorized=False,
        method="percentile",
        n_resamples=DRAWS,
        rng=np.random.default_rng(SEED),
        **options,
    )
    values = result.bootstrap_distribution
    return np.nanquantile(values, [0.025, 0.975]), result


def names(count, prefix="i"):
    return [f"{prefix}{number}" for number in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_interval_of_scipy(cases, kind):
    arrays, metric = cases[kind]
    measures = Measures.build(
        "utterance", names(ITEMS), {"m": {"kind": kind, **arrays}}
    )
    every = np.arange(ITEMS)
    assert measures.value("m") == pytest.approx(metric(every), rel=1e-9, abs=1e-9)
    expected, result = scipy_interval(metric, ITEMS, lambda drawn: drawn)
    mine = measures.interval("m", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert mine.low < mine.high
    if not np.isnan(result.bootstrap_distribution).any():
        assert mine[1:] == pytest.approx(result.confidence_interval[:], abs=1e-9)


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_correlations_of_systems(kind):
    """Systems are fewer than utterances, and a draw may lack one."""
    x, y = np.random.default_rng(6).normal(size=(2, ITEMS))
    systems = np.arange(ITEMS) // 4 % 5
    truth = np.array([0.25, 0.5, 0.5, 0.75, 0.0])[systems]
    for side in (y, truth):
        arrays = {"x": x, "y": side, "groups": systems}
        metrics = {"m": {"kind": kind, **arrays}}
        measures = Measures.build("utterance", names(ITEMS), metrics)
        metric = of_systems(getattr(correlation, kind), x, side, systems)
        expected, _ = scipy_interval(metric, ITEMS, lambda drawn: drawn)
        mine = measures.interval("m", resamples=DRAWS, seed=SEED)
        assert mine == pytest.approx((metric(np.arange(ITEMS)), *expected), abs=1e-9)


def test_a_mean_of_metrics_has_the_interval_of_scipy(cases):
    (fraction, rate), (gaps, mean) = cases["ratio"], cases["mean"]
    metrics = {
        "score": {"kind": "mean_of", "terms": ["wer", "m"], "complement": ["wer"]},
        "wer": {"kind": "ratio", **fraction},
        "m": {"kind": "mean", **gaps},
    }
    metrics["score"]["parameters"] = {"least": 0}
    measures = Measures.build("utterance", names(ITEMS), metrics)

    def metric(rows):
        return (max(1 - rate(rows), 0) + max(mean(rows), 0)) / 2

    expected, _ = scipy_interval(metric, ITEMS, lambda drawn: drawn)
    mine = measures.interval("score", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(expected, rel=1e-9)
    assert measures.by_item("score")[0][0] == pytest.approx(metric(np.array([0])))
    assert measures.without(["wer"]).names == ["m"]
    for wrong in ({"terms": []}, {"terms": ["m"], "complement": ["wer"]}):
        with pytest.raises(ValueError, match="'score': 'terms' are names"):
            wrong = metrics | {"score": {"kind": "mean_of", **wrong}}
            Measures.build("utterance", names(ITEMS), wrong)


@pytest.mark.parametrize("kind", ["ratio", "macro_f1", "eer", "spearman"])
def test_drawn_speakers_bring_all_their_utterances(cases, kind):
    arrays, metric = cases[kind]
    numbers = np.arange(ITEMS) % 7
    speakers = [f"s{number}" for number in numbers]
    measures = Measures.build(
        "speaker", names(ITEMS), {"m": {"kind": kind, **arrays}}, units=speakers
    )

    def rows(drawn):
        return np.concatenate([np.flatnonzero(numbers == each) for each in drawn])

    expected, _ = scipy_interval(metric, 7, rows)
    mine = measures.interval("m", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_speaker_that_is_drawn_twice_is_two_speakers():
    draw = np.random.default_rng(1)
    pairs = draw.integers(0, 8, (150, 2))
    pairs[:60, 1] = pairs[:60, 0]
    targets = (pairs[:, 0] == pairs[:, 1]).astype(int)
    scores = (draw.normal(size=150) + 2 * targets).round(1)
    units = [[f"s{a}", f"s{b}"] for a, b in pairs]
    metrics = {"eer": {"kind": "eer", "scores": scores, "targets": targets}}
    measures = Measures.build("speaker", names(150), metrics, units=units)

    def rows(drawn):
        """Trials within each drawn speaker, and between any two of them."""
        return np.array(
            [
                trial
                for i, one in enumerate(drawn)
                for j, other in enumerate(drawn)
                for trial in np.flatnonzero((pairs == [one, other]).all(1))
                if (i == j) == (one == other)
            ]
        )

    metric = of(lambda s, t: verification.equal_error_rate(s, t)[0], scores, targets)
    expected, _ = scipy_interval(metric, 8, rows)
    mine = measures.interval("eer", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_speakers_that_are_drawn_and_predicted(seed):
    """One that is drawn twice is two classes with items and false alarms of their own,
    and one that is not drawn is no class; scores are linear in the false alarms."""
    draw = np.random.default_rng(seed)
    true = np.repeat(np.arange(7), draw.integers(1, 7, 7))
    found = np.where(draw.random(len(true)) < 0.6, true, draw.integers(0, 9, len(true)))
    arrays = {"predictions": found, "targets": true}
    metrics = {"m": {"kind": "drawn_macro_f1", **arrays}}
    units = [f"s{number}" for number in true]
    measures = Measures.build("speaker", names(len(true)), metrics, units=units)

    def metric(drawn):
        scores = []
        for speaker in drawn:
            own = found[true == speaker]
            others = [found[true == other] for other in drawn if other != speaker]
            hits = (own == speaker).sum()
            alarms = sum((each == speaker).sum() for each in others)
            usual = (found[true != speaker] == speaker).sum()
            below = len(own) + hits + usual
            scores.append(2 * hits / below * (1 - (alarms - usual) / below))
        taken = np.concatenate([found[true == each] for each in drawn])
        nobody = [(taken == n).sum() / max((found == n).sum(), 1) for n in (7, 8)]
        return sum(scores) / (len(drawn) + sum(nobody))

    expected, _ = scipy_interval(metric, 7, lambda drawn: drawn)
    mine = measures.interval("m", resamples=DRAWS, seed=SEED)
    value = of(classification.macro_f1, found, true)(np.arange(len(true)))
    assert mine == pytest.approx((value, *expected), rel=1e-9)
    assert mine.low < mine.value < mine.high


def test_the_macro_f1_of_many_speakers_is_amid_its_draws():
    """A speaker has few false alarms, and a score that is convex in their number."""
    draw = np.random.default_rng(0)
    true = np.repeat(np.arange(1500), 4)
    others = draw.integers(0, 1500, len(true))
    found = np.where(draw.random(len(true)) < 0.8, true, others)
    arrays = {"predictions": found, "targets": true}
    metrics = {"m": {"kind": "drawn_macro_f1", **arrays}}
    units = [f"s{number}" for number in true]
    measures = Measures.build("speaker", names(len(true)), metrics, units=units)
    value, low, high = measures.interval("m", resamples=200)
    assert 0.3 < (value - low) / (high - low) < 0.7


def wer(errors, words, **options):
    fraction = {"kind": "ratio", "numerators": errors, "denominators": words}
    return Measures.build("utterance", names(len(errors)), {"wer": fraction}, **options)


def test_differences_are_of_the_same_draws(cases):
    arrays, metric = cases["ratio"]
    errors, words = arrays["numerators"], arrays["denominators"]
    one, two = wer(errors, words), wer(errors // 2, words)

    def difference(rows):
        return (errors // 2)[rows].sum() / words[rows].sum() - metric(rows)

    expected, _ = scipy_interval(difference, ITEMS, lambda drawn: drawn)
    mine = one.paired(two, "wer", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(expected, rel=1e-9)
    assert mine.value == pytest.approx(two.value("wer") - one.value("wer"))
    turned = two.only(two.items[::-1])
    assert turned.items != one.items and turned.value("wer") == two.value("wer")
    assert one.paired(turned, "wer", resamples=DRAWS, seed=SEED) == mine

    def mean(rows):
        return metric(rows) + difference(rows) / 2

    expected, _ = scipy_interval(mean, ITEMS, lambda drawn: drawn)
    both = combined([one, turned], "wer", resamples=DRAWS, seed=SEED)
    assert both[1:] == pytest.approx(expected, rel=1e-9)


def test_other_test_sets_are_named():
    one, two = wer([1, 2, 0], [3, 3, 3]), wer([1, 2], [3, 3])
    with pytest.raises(OtherTestSet, match=r"3 and 2 items, 1 are only in the first"):
        one.paired(two, "wer")
    with pytest.raises(OtherTestSet, match=r"only in the second \(i2\)"):
        two.paired(one, "wer")
    with pytest.raises(OtherTestSet, match="other utterances or parts"):
        two.paired(wer([1, 2], [3, 3], units=["a", "b"]), "wer")
    with pytest.raises(Exception, match="no measures of 'cer'; there are: wer"):
        one.interval("cer")


def test_folds_are_strata(tmp_path):
    draw = np.random.default_rng(2)
    sizes, folds = (5, 9), []
    for number, size in enumerate(sizes):
        words = draw.integers(3, 9, size)
        errors = draw.binomial(words, 0.3)
        metrics = {
            "wer": {"kind": "ratio", "numerators": errors, "denominators": words}
        }
        items = names(size, f"fold{number}-")
        (tmp_path / f"fold{number}").mkdir()
        Measures.build("utterance", items, metrics).write(tmp_path / f"fold{number}")
        folds.append((errors, words))
    assert Measures.read(tmp_path) is None
    results = [{"fold": n, "folder": f"fold{n}"} for n in range(2)]
    write_json(tmp_path / "results.json", {"folds": results})
    measures = Measures.read(tmp_path)
    assert measures.strata == ["0"] * 5 + ["1"] * 9
    rates = [errors.sum() / words.sum() for errors, words in folds]
    assert measures.value("wer") == pytest.approx(np.mean(rates))
    values = 0
    for number, (errors, words) in enumerate(folds):
        rows = np.random.default_rng([SEED, number]).integers(
            0, len(words), (DRAWS, len(words))
        )
        values = values + errors[rows].sum(1) / words[rows].sum(1) / 2
    mine = measures.interval("wer", resamples=DRAWS, seed=SEED)
    assert mine[1:] == pytest.approx(np.quantile(values, [0.025, 0.975]), rel=1e-9)
    assert intervals_of(measures)["units"] == 14


def test_parts_with_the_same_utterances_keep_theirs(tmp_path):
    for part in "ab":
        (tmp_path / part).mkdir()
        wer([1, 2], [4, 4], units=["s", "t"]).write(tmp_path / part)
    results = [{"fold": part, "folder": part} for part in "ab"]
    write_json(tmp_path / "results.json", {"folds": results})
    measures = Measures.read(tmp_path)
    assert measures.items == ["a/i0", "a/i1", "b/i0", "b/i1"]
    assert measures.units == ["s", "t"] * 2


def test_parts_in_groups_weigh_as_their_groups(tmp_path):
    rates = {"a": [1, 1], "b": [0, 1], "c": [0, 0]}
    for part, errors in rates.items():
        (tmp_path / part).mkdir()
        wer(errors, [4, 4]).write(tmp_path / part)
    groups = {"a": "x", "b": "x", "c": "y"}
    results = [{"fold": p, "folder": p, "group": g} for p, g in groups.items()]
    write_json(tmp_path / "results.json", {"folds": results})
    measures = Measures.read(tmp_path)
    assert measures.value("wer") == ((0.25 + 0.125) / 2 + 0) / 2
    measures.write(tmp_path)
    assert Measures.read(tmp_path).interval("wer") == measures.interval("wer")


def test_items_of_some_parts_are_the_whole_test():
    """The shares of the parts that are left have the sum 1, as before."""
    options = {
        "strata": ["a", "a", "b", "c"],
        "shares": {"a": 0.5, "b": 0.25, "c": 0.25},
    }
    measures = wer([2, 2, 1, 0], [4, 4, 4, 4], **options)
    assert measures.value("wer") == 0.5 * 0.5 + 0.25 * 0.25
    some = measures.only(["i0", "i1", "i2"])
    assert some.value("wer") == pytest.approx((0.5 * 0.5 + 0.25 * 0.25) / 0.75)
    assert measures.only(["i3", "i2", "i1", "i0"]).shares == measures.shares
    assert wer([1, 1], [4, 4]).only(["i1"]).value("wer") == 0.25


def test_arrays_of_several_metrics_are_one_in_parts_and_in_other_orders(
    cases, tmp_path
):
    for part in "ab":
        measures = Measures.build("utterance", names(ITEMS), of_labels(cases))
        measures.write(tmp_path / part)
    results = [{"fold": part, "folder": part} for part in "ab"]
    write_json(tmp_path / "results.json", {"folds": results})
    for each in (Measures.read(tmp_path), measures.only(measures.items[::-1])):
        arrays = [each.entry(name).arrays["scores"] for name in each.names]
        assert len(arrays) == 3 and all(array is arrays[0] for array in arrays)


def test_a_file_holds_every_kind(cases, tmp_path):
    metrics = {kind: {"kind": kind, **arrays} for kind, (arrays, _) in cases.items()}
    metrics["mean"] = {"kind": "mean_of", "terms": ["eer", "ratio"], "complement": []}
    metrics["values"] = {"kind": "mean", **cases["mean"][0]}
    metrics["min_dcf"] = cost = {"kind": "min_dcf", "of": "eer"}
    cost["parameters"] = {"c_fa": 2}
    wide = np.zeros((ITEMS, 50))
    wide[4, 7] = 2
    metrics["wide"] = {"kind": "macro_ratio", "numerators": wide, "denominators": wide}
    pairs = [[f"s{i % 5}", f"s{i % 3}"] for i in range(ITEMS)]
    measures = Measures.build("speaker", names(ITEMS), metrics, units=pairs)
    measures.write(tmp_path)
    again = Measures.read(tmp_path)
    assert (again.items, again.units) == (measures.items, pairs)
    assert again.names == list(metrics)
    assert intervals_of(again, resamples=9) == intervals_of(measures, resamples=9)
    values = json.loads((tmp_path / "measures.json").read_text())["metrics"]
    assert values["min_dcf"] == {
        "kind": "min_dcf",
        "of": "eer",
        "parameters": {"c_fa": 2},
    }
    assert values["wide"]["numerators"]["values"] == [2]
    assert values["mean"] == metrics["mean"]
    assert values["values"]["values"][3] is None
    measures.write(tmp_path / "again")
    first, second = (tmp_path / p / "measures.json" for p in ("", "again"))
    assert first.read_bytes() == second.read_bytes()


def packed(content, kind="u1"):
    """Returns metrics with a packed table of shape [2, 2]."""
    table = {"shape": [2, 2], "type": kind, "packed": content}
    return {"m": {"kind": "auc", "scores": table, "targets": [[1, 0], [0, 1]]}}


def sparse(**damage):
    """Returns metrics with a table of shape [2, 2] that has one number."""
    table = {"shape": [2, 2], "rows": [0], "columns": [1], "values": [3]} | damage
    return {"m": {"kind": "auc", "scores": table, "targets": [[1, 0], [0, 1]]}}


DAMAGES = {
    "version 3, not 2": {"version": 3},
    "no 'items'|it has no 'items'": {"items": ...},
    "one or more": {"items": []},
    "'a' is there twice": {"items": ["a", "a"]},
    "are texts": {"items": [1, 2]},
    "1 strata of 2": {"strata": ["x"]},
    "a pair of texts": {"units": ["x", ["y", "z"]]},
    "two texts": {"units": [["x", "y"], ["y", 3]]},
    "'m': unknown kind": {"metrics": {"m": {"kind": "exec"}}},
    "'m': no 'kind'": {"metrics": {"m": {}}},
    "'m': no 'values'": {"metrics": {"m": {"kind": "mean"}}},
    r"shape \(3,\), for 2 items": {
        "metrics": {"m": {"kind": "mean", "values": [1, 2, 3]}}
    },
    "'m': numbers are": {"metrics": {"m": {"kind": "mean", "values": ["1", "2"]}}},
    "'x' lacks a value": {
        "metrics": {"m": {"kind": "pearson", "x": [1, None], "y": [1, 2]}}
    },
    "unknown parameters": {
        "metrics": {"m": {"kind": "mean", "values": [1, 2], "parameters": {"k": 1}}}
    },
    "a table of shape": {
        "metrics": {
            "m": {
                "kind": "macro_ratio",
                **dict.fromkeys(
                    ("numerators", "denominators"),
                    {"shape": [2, 10**9], "rows": [], "columns": [], "values": []},
                ),
            }
        }
    },
    "numbers outside its shape": {"metrics": sparse(rows=[2])},
    "with numbers outside its shape": {"metrics": sparse(columns=[-1])},
    "a table with numbers outside": {"metrics": sparse(rows=[0.5])},
    "a table with numbers outside its": {"metrics": sparse(values=[1, 2])},
    "table is damaged": {"metrics": packed("A")},
    "has not 4 bytes, as its": {"metrics": packed("eJxjZGJmAQA=")},  # no end
    "has not 4 bytes": {"metrics": packed("eJxjZGAAAAAGAAI=")},  # of three
    "has not 4 bytes, as": {"metrics": packed("eJxjZAABAAAMAAI=")},
    "of type 'f8', not u1": {"metrics": packed("", "f8")},
    "'m': ": {"metrics": {"m": {"kind": "bleu", **dict.fromkeys(
        ("matches", "ngrams", "predicted", "reference"), [1, 2])}}},
    "'m': its arrays do not fit": {"metrics": {"m": {"kind": "ratio", **dict.fromkeys(
        ("numerators", "denominators"), [[1, 2], [3, 4]])}}},
    "'n': no 'm'": {"metrics": {"n": {"kind": "eer", "of": "m"}}},
    "is not the measures": {"metrics": [1]},
}  # fmt: skip


@pytest.mark.parametrize("message", DAMAGES)
def test_a_damaged_file_is_named(tmp_path, message):
    wer([1, 2], [3, 4]).write(tmp_path)
    values = json.loads((tmp_path / "measures.json").read_text())
    values |= DAMAGES[message]
    values = {key: value for key, value in values.items() if value is not ...}
    write_json(tmp_path / "measures.json", values)
    with pytest.raises(FileError, match=message) as raised:
        Measures.read(tmp_path)
    assert "measures.json' is not the measures of a run" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_files_of_the_first_version_are_read(tmp_path):
    """They had the same arrays, and no packed tables."""
    wer([1, 2], [3, 4]).write(tmp_path)
    values = json.loads((tmp_path / "measures.json").read_text())
    write_json(tmp_path / "measures.json", values | {"version": 1})
    assert Measures.read(tmp_path).value("wer") == pytest.approx(3 / 7)


@pytest.mark.parametrize(
    "edge, kind",
    [
        (255, "u1"),
        (256, "u2"),
        (65536, "u4"),
        (-128, "i1"),
        (-129, "i2"),
        (-40000, "i4"),
    ],
)
def test_large_tables_of_whole_numbers_are_packed(tmp_path, edge, kind, monkeypatch):
    monkeypatch.setattr(measure_tables, "MANY", 70)
    scores = np.random.default_rng(0).integers(0, 100, (ITEMS, 3))
    scores[0, 0] = edge
    auc = {"kind": "auc", "scores": scores, "targets": scores % 2}
    measures = Measures.build("utterance", names(ITEMS), {"auc": auc})
    measures.write(tmp_path)
    table = json.loads((tmp_path / "measures.json").read_text())["metrics"]["auc"]
    assert table["scores"].keys() == {"shape", "type", "packed"}
    assert table["scores"]["type"] == kind
    again = Measures.read(tmp_path).entry("auc").arrays
    assert (again["scores"] == scores).all() and (again["targets"] == scores % 2).all()


def test_large_tables_of_other_numbers_are_lists(tmp_path, monkeypatch):
    monkeypatch.setattr(measure_tables, "MANY", 4)
    values = np.full((2, 2), 0.5)
    values[1] = np.nan
    for number in (0.5, -3, 2**40):
        values[0, 0] = number
        mtwv = {"m": {"kind": "mtwv", "values": values}}
        Measures.build("query", ["a", "b"], mtwv).write(tmp_path)
        again = Measures.read(tmp_path).entry("m").arrays["values"]
        assert np.array_equal(again, values, equal_nan=True)


def test_counts_of_older_scenes_are_no_measures(tmp_path):
    """Runs of an older version left a file of this name, with other content."""
    for counts in ({}, {"der": {"scene": [1.5, 2.0]}, "event_f1": {"scene": [2, 4]}}):
        write_json(tmp_path / "measures.json", counts)
        assert Measures.read(tmp_path) is None


def test_infinite_values_have_no_interval():
    metrics = {"a": {"kind": "mean", "values": [1, math.inf]}}
    metrics["b"] = {"kind": "mean", "values": [1, 2]}
    assert Measures.build("utterance", ["x", "y"], metrics).names == ["b"]


def test_intervals_for_the_results():
    measures = wer([1, 0, 2], [4, 4, 4], units=["s", "s", "t"])
    found = intervals_of(measures, resamples=100)
    low, high = measures.interval("wer", resamples=100)[1:]
    assert found == {
        **{"level": 0.95, "resamples": 100, "unit": "utterance", "units": 2},
        "metrics": {"wer": [low, high]},
    }
    assert intervals_of(wer([1, 2], [4, 4], units=["s", "s"]))["metrics"] == {}
    alone = wer([1, 2, 0], [4, 4, 4], strata=["a", "b", "c"])
    assert intervals_of(alone) == found | {
        **{"resamples": 2000, "units": 3, "metrics": {}},
    }
    assert intervals_of(wer([0, 0], [0, 0]))["metrics"] == {}


def test_values_of_items():
    values, weights = wer([1, 0, 0], [4, 2, 0]).by_item("wer")
    assert values.tolist()[:2] == [0.25, 0] and np.isnan(values[2])
    assert weights.tolist() == [4, 2, 0]
    eer = {"kind": "eer", "scores": [1, 2], "targets": [0, 1]}
    assert Measures.build("speaker", ["a", "b"], {"eer": eer}).by_item("eer") is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_values_are_an_exception(kind):
    """For any arrays there is a value or NaN, and limits in order."""
    draw = np.random.default_rng(7)
    pool = np.array([np.nan, 0, 0, 1, 1, 2, -3, 0.1, 1e-200, 1e6])
    wide = kind in ("macro_ratio", "mtwv", "average_precision", "auc", "d_prime")
    tables = "matches ngrams hits alarms found wrong events seconds"
    sizes = "denominators events seconds durations matches ngrams predicted"
    sizes += " reference alarms targets others"
    for trial in range(40):
        items, arrays = int(draw.integers(1, 6)), {}
        for name in KINDS[kind].arrays:
            is_table = wide or name in tables.split()
            columns = 2 if name in ("events", "seconds") else 4
            array = draw.choice(pool, (items, columns) if is_table else items)
            if name in sizes.split():
                array = np.abs(array)
            arrays[name] = array if KINDS[kind].gaps else np.nan_to_num(array)
        units = draw.choice(["a", "b"], items).tolist() if trial % 2 else None
        more = {"parameters": {"beta": 2}} if kind == "detection_value" else {}
        metrics = {"m": {"kind": kind, **arrays, **more}}
        measures = Measures.build("utterance", names(items), metrics, units=units)
        value, low, high = measures.interval("m", resamples=20)
        assert not low > high and not np.isinf([value, low, high]).any()
        if measures_units(measures) == 1:
            assert np.isnan([low, high]).all()


def measures_units(measures):
    return len(set(measures.units or measures.items))


def test_draws_do_not_depend_on_the_memory(cases, monkeypatch):
    arrays, _ = cases["eer"]
    metrics = {"eer": {"kind": "eer", **arrays}}
    measures = Measures.build("utterance", names(ITEMS), metrics)
    whole = measures.interval("eer", resamples=50)
    monkeypatch.setattr(bootstrap, "DRAWN", 100)
    assert measures.interval("eer", resamples=50) == whole


@pytest.mark.parametrize("together", [1, 4, 1 << 14])
def test_labels_do_not_depend_on_how_many_are_summed_together(
    cases, monkeypatch, together
):
    whole = Measures.build("utterance", names(ITEMS), of_labels(cases))
    monkeypatch.setattr(weighted_labels, "TOGETHER", together)
    parts = Measures.build("utterance", names(ITEMS), of_labels(cases))
    for name in parts.names:
        assert parts.interval(name) == whole.interval(name)


def of_labels(cases):
    """Returns all metrics of labels; one label is of every item, one of none."""
    arrays, _ = cases["auc"]
    scores, targets = arrays["scores"], arrays["targets"].copy()
    targets[:, 0], targets[:, 1] = False, True
    return {"auc": {"kind": "auc", "scores": scores, "targets": targets}} | {
        name: {"kind": name, "of": "auc"} for name in ("average_precision", "d_prime")
    }


def test_metrics_of_the_same_labels_sort_them_once(cases, monkeypatch):
    made = []
    monkeypatch.setattr(
        weighted_labels, "places", lambda *sides: made.append(1) or places(*sides)
    )
    measures = Measures.build("utterance", names(ITEMS), of_labels(cases))
    assert len(made) == 1
    folds = [f"f{number % 2}" for number in range(ITEMS)]
    parts = Measures.build("utterance", names(ITEMS), of_labels(cases), strata=folds)
    del made[:]
    assert len(intervals_of(measures, resamples=9)["metrics"]) == 3 and len(made) == 1
    assert len(intervals_of(parts, resamples=9)["metrics"]) == 3 and len(made) == 3


def test_places_order_as_scores(cases):
    """Others are not distinguished between two targets."""
    arrays, _ = cases["auc"]
    scores, targets = arrays["scores"], arrays["targets"]
    ranks = places(scores, targets)
    assert ranks.max() <= 2 * targets.sum(0).max() and ranks.min() == 0
    for column, rank, is_target in zip(scores.T, ranks.T, targets.T):
        one, other = np.meshgrid(column[is_target], column)
        first, second = np.meshgrid(rank[is_target], rank)
        assert (np.sign(one - other) == np.sign(first - second)).all()


def test_memory_is_bounded_with_many_columns_too(monkeypatch):
    """Each draw has sums of all columns, such as labels."""
    table = np.ones((4, 100))
    metrics = {"m": {"kind": "macro_ratio", "numerators": table, "denominators": table}}
    measures, shapes = Measures.build("utterance", names(4), metrics), []
    monkeypatch.setattr(bootstrap, "DRAWN", 1000)
    original = weighted_sums.over

    def over(above, *others):
        shapes.append(above.shape)
        return original(above, *others)

    monkeypatch.setattr(weighted_sums, "over", over)
    assert measures.interval("m", resamples=50) == (1, 1, 1)
    assert (100, 10) in shapes and max(map(math.prod, shapes)) == 1000
