"""Charts of a report about predictions, against independent computations."""

import json
import math

import numpy
import pytest
import torch
from made_runs import (
    HOSTILE,
    assert_drawn,
    charts_of,
    grids,
    make_run,
    only_chart,
    values,
    write_table,
)
from scipy.stats import norm
from sklearn import metrics as sklearn_metrics

from s3prl_sb.metrics.retrieval import maximum_term_weighted_value
from s3prl_sb.metrics.verification import det_curve, equal_error_rate
from s3prl_sb.report import (
    confusions,
    detected_terms,
    detection,
    diarization_errors,
    event_curves,
    label_scores,
    matrices,
    predicted_numbers,
    text_errors,
)
from s3prl_sb.report.axes import short
from s3prl_sb.report.blocks import Options

pytest.importorskip("vl_convert")
rng = numpy.random.default_rng(3)


# ------------------------------------------------------------------------- DET
def trials(run, number, name="predictions.csv", digits=12):
    """Trials with ties where there are few digits."""
    labels = rng.random(number) < 0.4
    scores = numpy.round(rng.normal(size=number) + 1.5 * labels, digits)
    rows = [
        [f"a{i}", f"b{i}", int(labels[i]), int(scores[i] > 0.7), f"{scores[i]:.12g}"]
        for i in range(number)
    ]
    write_table(run, [["id1", "id2", "label", "prediction", "score"], *rows], name)
    return scores, labels


@pytest.mark.parametrize("number, digits", [(2000, 12), (2000, 1), (30, 12)])
def test_the_det_curve_is_that_of_scikit_learn(tmp_path, capfd, number, digits):
    run = make_run(tmp_path / "run", "SUPERB/ASV", "eer", False)
    scores, labels = trials(run, number, digits=digits)
    both = torch.tensor(scores), torch.tensor(labels).int()
    rate, _ = equal_error_rate(*both)
    run.results["metrics"] = {"eer": rate}
    section = detection.section(run, Options(points=100))
    assert confusions.section(run, Options()) is None  # although there are two labels
    chart = only_chart(section, "DET")
    accepted, rejected, _ = sklearn_metrics.det_curve(
        labels, scores, drop_intermediate=False
    )
    drawn = [(row["fa"] / 100, row["fr"] / 100) for row in values(chart)]
    # scikit-learn leaves out the ends, at which one of both rates is zero.
    between = numpy.array([pair for pair in drawn if min(pair) > 0])
    corners = numpy.stack([accepted, rejected], axis=1)
    apart = numpy.abs(between[:, None] - corners[None]).max(2).min(1)
    assert len(apart) and apart.max() < 1e-5  # five digits are drawn
    inner = [
        row for row in values(chart) if 0.1 < row["fa"] < 99 and 1 < row["fr"] < 99
    ]
    for row in inner:
        assert row["x"] == pytest.approx(norm.ppf(row["fa"] / 100), abs=1e-3)
        assert row["y"] == pytest.approx(norm.ppf(row["fr"] / 100), abs=1e-3)
    assert f"{100 * rate:.2f} %" in chart.summary
    equal, least = values(chart, layer=3)
    assert equal["fa"] == equal["fr"] == pytest.approx(100 * rate, rel=1e-4)
    costs = [0.01 * r + 0.99 * a for a, r in drawn]  # the hull is whole
    assert min(costs) == pytest.approx(min(0.01 * rejected + 0.99 * accepted), rel=1e-4)
    if number > 1000 and digits == 12:
        assert len(drawn) < 300
        assert_drawn(section, capfd)


def test_thinning_keeps_the_shape_of_the_curve():
    labels = torch.tensor(rng.random(5000) < 0.5)
    scores = torch.tensor(rng.normal(size=5000)) + 2 * labels
    _, accepted, rejected = (each.tolist() for each in det_curve(scores, labels.int()))
    kept = detection.det_points(accepted, rejected, 300)
    assert len(kept) < 400 and kept[0] == 0 and kept[-1] == len(accepted) - 1
    deviates = norm.ppf(numpy.clip([accepted, rejected], 5e-5, 1 - 5e-5))
    apart = numpy.abs(deviates[:, :, None] - deviates[:, None, kept]).max(0).min(1)
    assert apart.max() < 0.06  # a point is 0.02 wide on a screen


def test_scores_are_counted_by_kind(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/ASV", "eer", False)
    scores, labels = trials(run, 500)
    rows = values(only_chart(detection.section(run, Options()), "Scores"))
    same = [row for row in rows if row["kind"] == "same speaker"]
    expected, edges = numpy.histogram(
        scores[labels], detection.BINS, (scores.min(), scores.max())
    )
    assert [row["trials"] for row in same] == [n for n in expected if n]
    assert sum(row["share"] for row in same) == pytest.approx(100, abs=0.01)


def test_trials_without_both_kinds_are_noted(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/ASV", "eer", False)
    header = ["id1", "id2", "label", "prediction", "score"]
    write_table(run, [header, ["a", "b", 1, 1, "0.5"], ["a", "c", 1, 1, "nan"]])
    assert detection.section(run, Options()) is None and len(run.notes) == 1


# ------------------------------------------------------------------------- TWV
def test_term_weighted_values(tmp_path, capfd):
    true = rng.random((20, 60)) < 0.1
    scores = numpy.round(rng.normal(size=true.shape) + 2 * true, 6)
    best, at = maximum_term_weighted_value(torch.tensor(scores), torch.tensor(true))
    metrics = {"mtwv": best, "mtwv_searched": best}
    run = make_run(
        tmp_path / "run",
        "SUPERB/QbE",
        "mtwv",
        metrics=metrics,
        valid={"threshold": 1.0},
    )
    pairs = [
        [f"q{q}", f"d{d}", 0.1, f"{scores[q, d]:.6f}", 0, int(true[q, d])]
        for q in range(20)
        for d in range(60)
    ]
    header = ["query", "document", "cost", "score", "detected", "true"]
    write_table(run, [header, *pairs])
    section = detected_terms.section(run, Options(points=60))
    assert_drawn(section, capfd)
    [chart] = section.blocks
    highest, dev = values(chart, layer=2)
    assert (highest["value"], highest["at"]) == pytest.approx((best, at), rel=1e-4)
    assert dev["at"] == 1.0 and f"{best:.4f}" in chart.summary
    assert len(values(chart)) <= 60 and "not searched" not in chart.summary
    assert max(row["value"] for row in values(chart)) == highest["value"]


def test_a_search_that_found_nothing_is_told(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/QbE", "mtwv", metrics={"mtwv": 0.0})
    write_table(
        run,
        [["query", "document", "score", "true"], ["q", "d", 2, 0], ["q", "e", 1, 1]],
    )
    [block] = detected_terms.section(run, Options()).blocks
    assert "is 0.0000: none" in block.text and "below -1" in block.text


def test_a_damaged_search_is_noted(tmp_path):
    run = make_run(tmp_path / "run", "SUPERB/QbE", "mtwv")
    write_table(run, [["query", "document", "score", "true"], ["q", "d", "x", "1"]])
    assert detected_terms.section(run, Options()) is None and len(run.notes) == 1


# ------------------------------------------------------------------ confusions
def labelled(run, labels, number=400, right=0.7, name="predictions.csv"):
    true = rng.integers(len(labels), size=number)
    guess = numpy.where(
        rng.random(number) < right, true, rng.integers(len(labels), size=number)
    )
    rows = [
        [f"u{i}", labels[t], labels[p], "0.5"]
        for i, (t, p) in enumerate(zip(true, guess))
    ]
    write_table(run, [["id", "label", "prediction", "score"], *rows], name)
    return [labels[t] for t in true], [labels[p] for p in guess]


@pytest.mark.parametrize("classes", [2, 12, 30])
def test_the_matrix_is_that_of_scikit_learn(tmp_path, capfd, classes):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    true, guess = labelled(run, [f"label {n}" for n in range(classes)])
    section = confusions.section(run, Options())
    chart = section.blocks[0]
    names, totals = (param["value"] for param in chart.spec["params"][:2])
    expected = sklearn_metrics.confusion_matrix(true, guess, labels=names)
    found = numpy.zeros_like(expected)
    for cell in values(chart):
        found[cell["t"], cell["p"]] = cell["n"]
    assert (found == expected).all() and totals == expected.sum(1).tolist()
    wrong = expected - numpy.diag(expected.diagonal())
    [table] = grids(section.blocks)
    assert table.rows[0][2] == wrong.max()
    assert f"{100 * numpy.trace(expected) / expected.sum():.2f} %" in chart.summary
    zoomed = [param for param in chart.spec["params"] if "bind" in param]
    assert bool(zoomed) == (classes > 14)
    if classes != 12:
        assert_drawn(section, capfd)


def test_of_many_labels_the_confused_ones_are_drawn(tmp_path, capfd):
    run = make_run(tmp_path / "run", "SUPERB/SID")
    speakers = [f"id{n:05d}" for n in range(300)]
    true, guess = labelled(run, speakers, number=3000, right=0.5)
    section = confusions.section(run, Options())
    assert_drawn(section, capfd)
    chart = section.blocks[0]
    names = chart.spec["params"][0]["value"]
    assert len(names) == matrices.CONFUSED + 1 and names[-1] == matrices.OTHER
    assert "Only the 40 most confused labels are drawn" in chart.summary
    pairs = list(zip(true, guess))
    for cell in values(chart):
        speaker = names[cell["t"]]
        expected = pairs.count((speaker, names[cell["p"]]))
        if cell["p"] == matrices.CONFUSED:
            shown = set(names[:-1])
            expected = sum(t == speaker and p not in shown for t, p in pairs)
        assert cell["n"] == expected


def test_labels_of_others_are_data(tmp_path, capfd):
    run = make_run(tmp_path / "run", "SUPERB/KS")
    labelled(run, HOSTILE, right=0.3)
    section = confusions.section(run, Options())
    assert_drawn(section, capfd)
    names = section.blocks[0].spec["params"][0]["value"]
    assert len(set(names)) == len(HOSTILE) and max(map(len, names)) < 40
    text = json.dumps(
        {k: v for k, v in section.blocks[0].spec.items() if k != "params"}
    )
    assert "alert" not in text and "__proto__" not in text


def test_slots_folds_and_frames_have_matrices(tmp_path):
    run = make_run(
        tmp_path / "run", "SUPERB/IC", folds=[{"folder": "a"}, {"folder": "b"}]
    )
    header = [
        "id",
        "action_label",
        "action_prediction",
        "where_label",
        "where_prediction",
    ]
    for part in "ab":
        (run.folder / part).mkdir()
        write_table(
            run, [header, ["u", "on", "off", "x", "y"]], f"{part}/predictions.csv"
        )
        frames = [["label", "prediction", "frames"], ["s", "z", 7], ["s", "s", 9]]
        write_table(run, frames, f"{part}/confusions.csv")
    found = {(c.name, c.unit): c.counts for c in confusions.confusions_of(run)}
    assert found["action", "utterances"] == {("on", "off"): 2}
    assert found["where", "utterances"] == {("x", "y"): 2}
    assert found["", "frames"] == {("s", "z"): 14, ("s", "s"): 18}
    titles = [c.title for c in charts_of(confusions.section(run, Options()).blocks)]
    assert titles[1:] == ["Confusion matrix: where", "Confusion matrix of frames"]


# ----------------------------------------------------- diarization and numbers
@pytest.mark.parametrize("metric, unit", [("per", "phones"), ("wer", "words")])
def test_errors_of_texts_are_those_of_jiwer(tmp_path, capfd, metric, unit):
    jiwer = pytest.importorskip("jiwer")
    run = make_run(tmp_path / "run", "toy/texts", metric, False)
    names = list("abcdefgh")
    rows = []
    for i in range(60):
        true = rng.choice(names, 12)
        found = [t if rng.random() < 0.7 else rng.choice(names) for t in true]
        rows.append([f"u{i}", " ".join(true), " ".join(found[rng.integers(3) :])])
    write_table(run, [["id", "reference", "prediction"], *rows])
    counts, left = text_errors.counted(run, unit)
    of = jiwer.process_words([r[1] for r in rows], [r[2] for r in rows])
    wrong = {pair: n for pair, n in counts.items() if pair[0] != pair[1]}
    assert sum(wrong.values()) == of.substitutions + of.deletions + of.insertions
    assert sum(n for (true, _), n in counts.items() if true) == 60 * 12 and not left
    section = text_errors.section(run, Options())
    tables = [t for b in section.blocks for t in getattr(b, "blocks", ())]
    for table, words in zip(tables, ("substituted", "left out", "added")):
        assert table.caption.startswith(f"Most often {words}")
        pairs = [p for p in wrong if (p[0] is None, p[1] is None) == {
            "substituted": (False, False), "left out": (False, True),
            "added": (True, False)}[words]]  # fmt: skip
        number = [row[table.header.index("times")] for row in table.rows]
        assert number == sorted((wrong[p] for p in pairs), reverse=True)[:15]
    assert len(list(charts_of(section.blocks))) == (unit == "phones")
    if unit == "phones":
        assert_drawn(section, capfd)
        cells = values(only_chart(section))
        assert sum(cell["n"] for cell in cells) == sum(counts.values())


def test_texts_without_errors_and_very_long_ones(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", "SUPERB/PR", "per", False)
    assert text_errors.section(run, Options()) is None
    write_table(run, [["id", "reference", "prediction"], ["a", "b c", "b c"]])
    assert text_errors.section(make_run(tmp_path / "run", "PR"), Options()) is None
    rows = [["a", "b c", "b d"], ["b", "x y z", "x y"], ["c", "b", "c"]]
    write_table(run, [["id", "reference", "prediction"], *rows])
    monkeypatch.setattr(text_errors, "TOKENS", 4)
    section = text_errors.section(make_run(tmp_path / "run", "PR"), Options())
    assert "2 more utterances are not counted" in section.blocks[0].text


def test_diarization_errors_by_kind(tmp_path, capfd):
    rows = rng.uniform(0.1, 1, size=(60, 3)).round(6)
    speech = rng.uniform(3, 9, size=60).round(6)
    total = rows.sum() / speech.sum()
    run = make_run(tmp_path / "run", "SUPERB/SD", "der", False, metrics={"der": total})
    header = ["id", "duration", "speakers", "der", *diarization_errors.KINDS, "speech"]
    table = [[f"r{i % 59}", 9, 2, 0, *rows[i], speech[i]] for i in range(60)]
    write_table(run, [header, *table])
    section = diarization_errors.section(run, Options())
    assert_drawn(section, capfd)
    whole, single = section.blocks
    shares = [row["share"] for row in values(whole)]
    assert shares == pytest.approx(100 * rows.sum(0) / speech.sum(), rel=1e-4)
    assert f"{100 * total:.2f} %" in whole.summary
    worst = (rows.sum(1) / speech).max()
    assert (
        f"{100 * worst:.1f} %" in single.summary and "25 worst of 60" in single.summary
    )


def test_predicted_over_true_numbers(tmp_path, capfd):
    true = rng.uniform(1, 5, size=4000).round(3)
    guess = (true + 0.25).round(3)
    run = make_run(tmp_path / "run", "VCC2018/MOS", "lcc", metrics={"lcc": 1.0})
    rows = [[f"u{i}", true[i], guess[i], f"s{i % 5}"] for i in range(4000)]
    write_table(run, [["id", "value", "prediction", "system"], *rows])
    header = ["system", "utterances", "value", "prediction"]
    write_table(run, [header, ["s0", 5, 2.0, 2.25]], "systems.csv")
    section = predicted_numbers.section(run, Options())
    assert_drawn(section, capfd)
    [chart] = section.blocks
    points = values(chart)
    assert len(points) <= predicted_numbers.MOST + 1
    assert points[-1] == {"true": 2.0, "predicted": 2.25, "of": "s0", "kind": "system"}
    assert "0.25 too high" in chart.summary and "One in 3" in chart.summary


@pytest.mark.parametrize("labels", [3, 120])
def test_scores_of_labels(tmp_path, capfd, labels):
    run = make_run(tmp_path / "run", "HEAR/scene", "mean_average_precision")
    scores = rng.random(labels).round(6)
    rows = [[f"l{i}", i + 1, scores[i]] for i in range(labels)]
    header = ["label", "utterances", "average_precision"]
    write_table(run, [header, *rows, ["never", 0, ""]], "labels.csv")
    section = label_scores.section(run, Options())
    assert_drawn(section, capfd)
    [chart] = section.blocks
    assert len(values(chart)) == min(labels, label_scores.MOST)
    assert f"{100 * scores.max():.2f} %" in chart.summary
    assert f"{100 * scores.mean():.2f} %" in chart.summary


def test_scores_of_events_and_languages(tmp_path, capfd):
    run = make_run(tmp_path / "run", "HEAR/events", "onset_f1")
    kinds = ("segment", "onset", "event")
    parts = [f"{k}_{part}" for k in kinds for part in ("right", "found", "true", "f1")]
    cells = [1, 2, 3, 0.4] * 3
    write_table(run, [["label", *parts], ["dog", *cells]], "labels.csv")
    languages = [["language", "characters", "cer"], ["eng", 9, 0.5], ["fra", 9, 1.25]]
    write_table(run, languages, "languages.csv")
    section = label_scores.section(run, Options())
    assert_drawn(section, capfd)
    assert len(values(section.blocks[0])) == 3
    assert "the worst fra with 125.00 %" in section.blocks[1].summary
    assert not math.isnan(values(section.blocks[1])[0]["score"])


def test_curves_of_events_over_all_thresholds(tmp_path, capfd):
    run = make_run(tmp_path / "run", "HEAR/events", "psds1", metrics={"psds1": 0.5})
    header = ["scenario", "false_positives_per_hour", "true_positives"]
    points = [["psds1", x, 1 - 1 / (1 + x)] for x in range(0, 90, 3)]
    write_table(run, [header, *points, [HOSTILE[0], 0, 0.25]], "psd_roc.csv")
    section = event_curves.section(run, Options(points=10))
    assert_drawn(section, capfd)
    chart = only_chart(section)
    ends = [(row["false"], row["true"]) for row in values(chart)][-3:]
    assert ends == [(100, short(1 - 1 / 88)), (0.0, 0.25), (100, 0.25)]
    assert "finds 90.0 % of events at 10 false" in chart.summary  # the stair at 9
    assert "(PSDS) of 0.5000" in chart.summary
    assert chart.table.rows[1][1:] == [25.0] * 6


def test_damaged_curves_of_events_are_noted(tmp_path):
    run = make_run(tmp_path / "run", "HEAR/events", "psds1")
    assert event_curves.section(run, Options()) is None
    write_table(run, [["scenario", "a"], ["psds1", 3]], "psd_roc.csv")
    run = make_run(tmp_path / "run", "HEAR/events", "psds1")
    assert event_curves.section(run, Options()) is None
    assert "psd_roc.csv' has another form" in run.notes[0]
