"""Contributions of single items, against metrics of all of them, on random data; and
the measures of a Brain that are published."""

import json
import logging
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from s3prl_sb.brains import measuring
from s3prl_sb.brains.classification import ClassificationBrain
from s3prl_sb.brains.conversion import ConversionBrain
from s3prl_sb.brains.ctc import CTCBrain
from s3prl_sb.brains.labels import SPEAKER
from s3prl_sb.brains.recognition_entries import contributions as of_scenes
from s3prl_sb.brains.recognition_scores import SceneScores
from s3prl_sb.brains.regression import RegressionBrain
from s3prl_sb.brains.transcription import TranscriptionBrain
from s3prl_sb.brains.verification import speakers_of, unique
from s3prl_sb.dataio.timeline import Item
from s3prl_sb.dataio.trials import Trial
from s3prl_sb.inference.judges import Judges, WordJudge
from s3prl_sb.metrics import classification, entities, multi_label, slots, translation
from s3prl_sb.metrics import contributions as items
from s3prl_sb.metrics.bootstrap import interval
from s3prl_sb.metrics.measures import Measures
from s3prl_sb.metrics.query_trials import Trials
from s3prl_sb.metrics.sound_events import event_counts, event_measures, segment_counts

SEEDS = range(4)


def names(count):
    return [f"i{number}" for number in range(count)]


def values(entries, ids):
    measures = Measures.build("utterance", ids, entries)
    return {name: measures.value(name) for name in entries}


def close(expected):
    return pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_that_are_drawn_count_as_often(seed):
    """A speaker drawn twice is two speakers, also in the balanced accuracy."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(0, 6, (60,), generator=generator)
    predicted = true.where(torch.rand(60, generator=generator) < 0.6, true.roll(1))
    brain = SimpleNamespace(ids=names(60), true=true, predicted=predicted)
    brain.unit, brain.labels = SPEAKER, list("abcdef")
    brain.contributions = lambda: ClassificationBrain.contributions(brain)
    measures = ClassificationBrain.measures(brain)
    assert measures.names == ["accuracy", "balanced_accuracy", "macro_f1"]
    f1 = classification.macro_f1(predicted, true)
    assert measures.value("macro_f1") == close(f1)
    wanted = classification.balanced_accuracy(predicted, true)
    assert measures.value("balanced_accuracy") == close(wanted)
    accuracies = [
        float((predicted == true)[true == n].double().mean()) for n in range(6)
    ]
    expected = interval(accuracies)  # the mean over speakers, of drawn ones
    assert tuple(measures.interval("balanced_accuracy")) == close(tuple(expected))


@pytest.mark.parametrize("seed", SEEDS)
def test_classes(seed):
    generator = torch.Generator().manual_seed(seed)
    predicted, true = torch.randint(0, 6, (2, 30), generator=generator)
    found = values(items.of_classes(predicted, true), names(30))
    assert found == close(
        {
            "accuracy": classification.accuracy(predicted, true),
            "balanced_accuracy": classification.balanced_accuracy(predicted, true),
            "macro_f1": classification.macro_f1(predicted, true),
        }
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_any_number_of_labels(seed):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(25, 7, generator=generator).round(decimals=1)  # with ties
    true = torch.rand(25, 7, generator=generator) < 0.2
    true[:, 3] = False  # a label that nothing has
    entries, decided = items.of_scores(scores, true), scores > 0.7
    counts = [each.int().numpy() for each in (decided & true, decided, true)]
    entries["macro_f1"] = items.label_f1(*counts)
    expected = multi_label.label_measures(scores, true)
    expected["macro_f1"] = multi_label.macro_f1(decided, true)
    assert values(entries, names(25)) == close(expected)


def test_more_scores_than_a_file_holds_have_no_measures(monkeypatch):
    monkeypatch.setattr(items, "LARGEST", 9)
    assert items.of_scores(torch.rand(5, 2), torch.ones(5, 2).bool()) == {}


@pytest.mark.parametrize("seed", SEEDS)
def test_events(seed):
    draw = random.Random(seed)

    def some():
        starts = [draw.uniform(0, 8) for _ in range(draw.randint(0, 4))]
        return [(draw.choice("abc"), s, s + draw.uniform(0.1, 3)) for s in starts]

    sides = [{name: some() for name in names(9)} for _ in range(2)]
    durations = dict.fromkeys(names(9), 12.0)
    labels = list("abcd")
    entries = {
        **items.of_events(segment_counts(*sides, durations, labels), "segment"),
        **items.of_events(event_counts(*sides, labels), "onset"),
        **items.of_events(event_counts(*sides, labels, offset_share=0.2), "event"),
    }
    expected = event_measures(*sides, durations, labels)
    assert values(entries, names(9)) == close(expected)
    nothing = event_counts({"a": []}, {"a": [("a", 0.0, 1.0)]}, labels)
    assert items.of_events(nothing, "event") == {}


WORDS = "B-city E-city ROME MAY B-day E-day GO NOW".split()


def texts(seed, words, count=12):
    draw = random.Random(seed)
    return {
        name: " ".join(draw.choices(words, k=draw.randint(0, 9)))
        for name in names(count)
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_slots(seed):
    predicted, true = texts(seed, WORDS), texts(seed + 50, WORDS)
    true["i0"] = "B-city ROME E-city"
    both = predicted, true
    assert values(slots.contributions(*both), list(true)) == close(
        {
            "slot_type_f1": slots.slot_type_f1(*both),
            "slot_value_cer": slots.slot_value_cer(*both).rate,
            "slot_value_wer": slots.slot_value_wer(*both).rate,
            "slot_edit_f1_full": slots.slot_edit_f1_full(*both),
            "slot_edit_f1_part": slots.slot_edit_f1_part(*both),
        }
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_entities(seed):
    words = "[PLACE [WHEN ] ] rome may go".split()
    predicted, true = texts(seed, words), texts(seed + 50, words)
    entries = entities.contributions(predicted, true)
    assert values(entries, list(true)) == close(entities.entity_scores(predicted, true))
    nothing = entities.contributions({"a": "go"}, {"a": "go"})
    assert set(values(nothing, ["a"]).values()) == {0.0}


@pytest.mark.parametrize("seed", SEEDS)
def test_translations(seed):
    pytest.importorskip("sacrebleu")
    words = "the a cat dog sat ran on in mat house .".split()
    predicted, true = texts(seed, words, 20), texts(seed + 50, words, 20)
    predicted |= {n: f"{true[n]} again" for n in names(8)}
    entry = {"kind": "bleu", **translation.bleu_counts(predicted, true)}
    found = values({"bleu": entry}, list(true))["bleu"]
    assert found == close(translation.bleu(predicted, true).score) and found > 1


@pytest.mark.parametrize("threshold", [None, 0.7, float("inf")])
@pytest.mark.parametrize("searched", [5, 8])
def test_queries(searched, threshold):
    """Some were not searched, some are in no document."""
    torch.manual_seed(searched)
    everything = [f"d{number}" for number in range(40)]
    held = {f"q{n}": random.Random(n).sample(everything, n % 4) for n in range(8)}
    documents = everything if searched == 8 else everything[:30]
    trials = Trials(
        names_of_queries := list(held)[:searched], documents, held, everything
    )
    true = torch.tensor([[d in held[q] for d in documents] for q in names_of_queries])
    scores = torch.randn(searched, len(documents)) + 3 * true
    expected = trials.measure(scores, threshold)
    expected.pop("threshold", None)
    assert expected["mtwv"] > 0
    found = values(trials.contributions(scores, threshold), trials.queries)
    assert found == close(expected)


def test_speakers_of_trials():
    trials = [Trial(1, "a", "b"), Trial(0, "b", "c"), Trial(1, "d", "a")]
    assert speakers_of(trials, {}) == {"a": "a", "b": "a", "c": "c", "d": "a"}
    records = {name: {"speaker": name.upper()} for name in "abcd"}
    assert speakers_of(trials, records)["b"] == "B"
    assert unique(["x"] * 3) == ["x", "x (2)", "x (3)"]
    assert unique(["x", "x (2)", "x", "x"]) == ["x", "x (2)", "x (3)", "x (4)"]


@pytest.mark.parametrize("truth", [{}, {"A": 2.5, "B": 3.5, "C": 1.0}])
def test_numbers_of_utterances_and_systems(truth):
    brain = RegressionBrain.__new__(RegressionBrain)
    brain.values, brain.ids = ["valence", "arousal"], names(20)
    true = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    brain.collected = [(true + torch.linspace(-1, 1, 20)[:, None], true)]
    brain.systems = ["ABC"[n % 3] for n in range(20)]
    brain.truth_of_systems = truth
    expected = brain.stage_stats(None)
    measures = brain.measures()
    assert {"mse", "valence_mse", "system_lcc", "system_arousal_srcc"} <= set(expected)
    assert values_of(measures) == close(expected)


def test_words_of_converted_speech_that_were_judged():
    """Some utterances have no text; the rate is over all words together."""
    judge = WordJudge(SimpleNamespace(transcribe_file=lambda path: path))
    judges = Judges()
    judges.asr, judges.judges = "folder", [judge]
    brain = ConversionBrain.__new__(ConversionBrain)
    brain.judges, brain.rows = judges, {}
    for name, text in {"a": "ONE TWO", "b": "", "c": "THREE"}.items():
        judged = judges.judge({"text": text}, "one")
        brain.rows[name] = {"mel_l1": 0.5, **judged}
    expected = {"mel_l1": 0.5, **judges.totals()}
    assert expected["wer"] == pytest.approx(2 / 3)
    assert values_of(brain.measures()) == close(expected)


def values_of(measures):
    return {name: measures.value(name) for name in measures.names}


def scenes(seed):
    """Records and predicted timelines of scenes, some without annotations."""
    draw, records, timelines = random.Random(seed), {}, {}
    for number, name in enumerate(names(8)):
        spans = [(draw.uniform(0, 4), draw.uniform(0.3, 2)) for _ in range(3)]
        record = {
            "duration": 6.0,
            "regions": [[0.0, 5.0]] if number == 5 else None,
            "segments": [[draw.choice("ab"), s, s + d] for s, d in spans],
            "words": [["a", s, s + 0.3, draw.choice("xy")] for s, _ in spans],
            "events": [[draw.choice(["dog", "cat"]), s, s + d] for s, d in spans],
        }
        if number % 4 == 0:
            record[draw.choice(["segments", "words", "events"])] = None
        records[name] = record
        timelines[name] = [
            made
            for s, d in spans
            for made in (
                Item("speaker", "1", s + 0.1, s + d),
                Item("word", draw.choice("xyz"), s, s + 0.3, "1"),
                Item("event", draw.choice(["dog", "cat"]), s, s + d + 0.1),
            )
        ]
    return records, timelines


@pytest.mark.parametrize("seed", SEEDS)
def test_scenes(seed):
    records, timelines = scenes(seed)
    scores = SceneScores(records, timelines, ["dog", "cat"])
    assert len(scores.stats()) == 11
    found = values(of_scenes(scores), list(records))
    assert found == close(scores.stats())
    some = SceneScores(records, timelines, ["dog", "cat"], ["events"])
    assert values(of_scenes(some), list(records)) == close(some.stats())


# ------------------------------------------------------------------------- publish
def brain_of(accuracy, right=(1, 0, 1, 1)):
    entries = {
        "accuracy": {"kind": "mean", "values": list(right)},
        "never": {"kind": "ratio", "numerators": [0] * 4, "denominators": [0] * 4},
    }
    measures = Measures.build("utterance", names(4), entries)
    return SimpleNamespace(measures=lambda: measures), {"accuracy": accuracy, "loss": 1}


def test_measures_are_written_and_their_intervals_returned(tmp_path, caplog):
    intervals = measuring.publish(*brain_of(0.75), tmp_path)
    assert intervals["units"] == 4 and intervals["unit"] == "utterance"
    low, high = intervals["metrics"].pop("accuracy")
    assert 0 <= low < 0.75 < high <= 1 and not intervals["metrics"]
    assert Measures.read(tmp_path).names == ["accuracy"]  # the other one is of nothing
    assert not caplog.records


def test_a_metric_of_another_definition_has_no_measures(tmp_path, caplog):
    """That of a subclass that overrides stage_stats alone."""
    assert measuring.publish(*brain_of(0.75), tmp_path)
    with caplog.at_level(logging.WARNING):
        assert measuring.publish(*brain_of(0.5), tmp_path) is None
    assert "accuracy: measures of the utterances give another value" in caplog.text
    assert not (tmp_path / "measures.json").exists()  # nor those of the earlier test


def test_a_fault_of_a_custom_brain_does_not_lose_the_results(tmp_path, caplog):
    def fail():
        raise AttributeError("no 'true'")

    (tmp_path / "measures.json").write_text("{}")
    brain = SimpleNamespace(measures=fail)
    assert measuring.publish(brain, {"accuracy": 1.0}, tmp_path) is None
    assert "no intervals" in caplog.text and not list(tmp_path.iterdir())


def test_a_fault_of_the_intervals_does_not_lose_the_results(
    tmp_path, caplog, monkeypatch
):
    def fail(measures):
        raise MemoryError("Unable to allocate 238 GiB")

    monkeypatch.setattr(measuring, "intervals_of", fail)
    assert measuring.publish(*brain_of(0.75), tmp_path) is None
    assert "no intervals" in caplog.text
    assert Measures.read(tmp_path).names == ["accuracy"]


def test_texts_without_references_have_no_error_rate():
    """A measure without a value would never be the best, in days of training."""
    brain = TranscriptionBrain.__new__(TranscriptionBrain)
    brain.metric = "wer"
    with pytest.raises(ValueError, match="the wer of empty references is not defined"):
        brain.score({"a": "one"}, {"a": ""})


def test_a_recipe_that_overrides_score_alone_works():
    class Own(CTCBrain):
        def score(self, hypotheses, references):
            return {"own": 0.5}

    brain = Own.__new__(Own)
    brain.hypotheses, brain.hypotheses_lm, brain.references = {}, {}, {}
    assert brain.measures() is None


def test_texts_of_a_language_model_have_measures_too():
    brain = TranscriptionBrain.__new__(TranscriptionBrain)
    brain.metric = "wer"
    brain.references = {"a": "one two", "b": "three"}
    brain.hypotheses = {"a": "one", "b": "tree"}
    brain.hypotheses_lm = {"a": "one two", "b": "tree"}
    found = values_of(brain.measures())
    assert (found["wer"], found["wer_lm"]) == close((2 / 3, 1 / 3))
    assert brain.score(brain.hypotheses, brain.references)["wer"] == close(2 / 3)


def test_a_file_is_strict_json(tmp_path):
    rows = [{"pesq": 2.5}, {"pesq": float("nan")}, {"pesq": float("inf")}]
    entries = items.of_rows(rows)
    Measures.build("utterance", names(3), entries).write(tmp_path)
    text = (tmp_path / "measures.json").read_text()
    found = json.loads(text, parse_constant=pytest.fail)
    assert found["metrics"]["pesq"]["values"] == [2.5, None, None]
    assert items.of_rows([{"pesq": float("nan")}]) == {}
    assert np.isnan(Measures.read(tmp_path).by_item("pesq")[0]).tolist() == [0, 1, 1]
