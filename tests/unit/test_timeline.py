"""Tests of timelines: their formats, and their decoding from frames.

Authors
 * The s3prl_sb developers, 2026
"""

import json

import numpy as np
import pytest
import torch

from s3prl_sb.dataio.rttm import read_rttm
from s3prl_sb.dataio.timeline import FORMATS, Item, annotated_types, items_of, ordered
from s3prl_sb.dataio.timeline_decoding import Decisions, decode, width
from s3prl_sb.dataio.tokenizers import CharacterTokenizer, SymbolTokenizer

TOKENIZER = CharacterTokenizer(" ABC", " ", ["<blank>"], end=())
RECORD = {
    "segments": [["ann lee", 0.0, 1.25], ["bob", 1.0, 2.0]],
    "words": [["bob", 1.5, 1.8, "hé"], ["ann lee", 0.1, 0.5, "a\tb"]],
    "events": [["dog bark", 0.5, 0.75]],
}


def track(text, peak=0.9):
    """Returns log-probabilities of a string, a frame per character; "_" is blank."""
    columns = [TOKENIZER.indices.get(c, 0) for c in text]
    values = torch.full((len(text), len(TOKENIZER)), (1 - peak) / (len(TOKENIZER) - 1))
    values[range(len(text)), columns] = peak
    return values.log()


def test_a_record_is_a_sorted_timeline():
    items = items_of(RECORD)
    assert [item.start for item in items] == [0.0, 0.1, 0.5, 1.0, 1.5]
    assert items[-1] == Item("word", "hé", 1.5, 1.8, "bob")
    assert ordered(reversed(items)) == items
    assert items_of({"segments": None}) == []
    assert annotated_types({"words": [], "events": None}) == ("word",)


def test_formats(tmp_path):
    texts = {name: write({"a": items_of(RECORD)}) for name, write in FORMATS.items()}
    rows = [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert len(rows) == 5 and rows[1]["label"] == "a\tb"
    assert rows[4]["speaker"] == "bob" and "speaker" not in rows[2]
    (tmp_path / "a.rttm").write_text(texts["rttm"])
    turns = [("ann_lee", 0.0, 1.25), ("bob", 1.0, 2.0)]
    assert read_rttm(tmp_path / "a.rttm") == {"a": turns}
    words = json.loads(texts["seglst"])
    assert [word["words"] for word in words] == ["a\tb", "hé"]
    assert words[0]["speaker"] == "ann lee" and words[0]["end_time"] == 0.5
    assert texts["tsv"].splitlines()[1] == "a.wav\t0.500\t0.750\tdog bark"
    assert all(line.count("\t") == 2 for line in texts["audacity"].splitlines())
    assert "ann lee: a b" in texts["audacity"] and "word" in texts["text"]
    empty = {name: write({"a": []}) for name, write in FORMATS.items()}
    assert json.loads(empty["seglst"]) == [] and empty["jsonl"] == empty["rttm"] == ""


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor])
def test_times_are_those_of_frames(make):
    values = np.full((50, 2), 0.1)
    values[3:10, 0], values[40:50, 1] = 0.8, 0.9
    decisions = Decisions(event_labels=["dog", "a car"])
    items = decode(make(values), make(values), None, decisions, 0.995)
    assert [item[:4] for item in items] == [
        ("event", "dog", 0.06, 0.2),
        ("speaker", "speaker1", 0.06, 0.2),
        ("event", "a car", 0.8, 0.995),
        ("speaker", "speaker2", 0.8, 0.995),
    ]
    assert [item.score for item in items] == pytest.approx([0.8, 0.8, 0.9, 0.9])


def test_an_item_ends_at_its_last_frame_whatever_the_duration():
    decisions = Decisions(event_labels=["dog"])
    (item,) = decode(None, np.ones((10, 1)), None, decisions, 5.0)
    assert (item.start, item.stop) == (0.0, 0.2)


def test_decisions_may_differ_between_labels():
    values = np.array([[0.4, 0.4]] * 5 + [[0.0, 0.0]] * 5 + [[0.9, 0.9]] * 2)
    decisions = Decisions(
        event_labels=["dog", "cat"],
        event_threshold={"dog": 0.3, "cat": 0.5},
        min_event={"dog": 0.1, "cat": 0.0},
    )
    items = decode(None, values, None, decisions, 1.0)
    assert [item[1:4] for item in items] == [("dog", 0.0, 0.1), ("cat", 0.2, 0.24)]


def test_median_filters_drop_spikes():
    values = np.full((60, 1), 0.1)
    values[5], values[20:50] = 0.9, 0.9
    values[30] = 0.1
    smooth = {"speaker_median": 0.1, "event_median": 0.1}
    decisions = Decisions(event_labels=["dog"], **smooth)
    items = decode(values, values, None, decisions, 9.0)
    assert [item[2:4] for item in items] == [(0.4, 1.0)] * 2
    assert width(0.1, 0.02) == 5 and width(0.001, 0.02) == 1


def test_words_have_the_times_of_their_tokens():
    words = torch.stack([track("_AA_B C___"), track("___B______")])
    items = decode(None, None, words, Decisions(tokenizer=TOKENIZER), 0.13)
    assert [item[:5] for item in items] == [
        ("word", "AB", 0.02, 0.1, "speaker1"),
        ("word", "B", 0.06, 0.08, "speaker2"),
        ("word", "C", 0.12, 0.13, "speaker1"),
    ]
    assert items[1].score == pytest.approx(0.9)


def test_the_score_is_of_the_most_probable_frames():
    words = track("AAA_B")
    words[1] = track("A", 0.99)[0]
    (item,) = decode(None, None, words[None], Decisions(tokenizer=TOKENIZER), 9.0)
    assert (item.start, item.stop) == (0.0, 0.1)
    assert item.score == pytest.approx((0.99 * 0.9) ** 0.5)


def test_a_word_begins_in_the_recording():
    decisions = Decisions(tokenizer=TOKENIZER)
    assert decode(None, None, track("___A")[None], decisions, 0.06) == []


def test_speakers_without_turns_have_no_words():
    words = torch.stack([track("_A"), track("_B")])
    activity = np.array([[0.9, 0.2], [0.9, 0.4]])
    items = decode(activity, None, words, Decisions(tokenizer=TOKENIZER), 1.0)
    assert [item.label for item in items] == ["speaker1", "A"]


def test_words_lie_in_the_turns_of_their_speaker():
    words = torch.stack([track("AAAAB_ A__BB B_"), track("AAAAB_ A__BB B_")])
    activity = np.full((15, 2), 0.1)
    activity[3:11, 0] = 0.9
    items = decode(activity, None, words, Decisions(tokenizer=TOKENIZER), 1.0)
    assert [item[1:5] for item in items] == [
        ("AB", 0.06, 0.1, "speaker1"),
        ("speaker1", 0.06, 0.22, ""),
        ("AB", 0.14, 0.22, "speaker1"),
        ("B", 0.26, 0.28, "speaker1"),  # in no turn
    ]


def test_tokens_without_a_space_are_words():
    tokenizer = SymbolTokenizer(["AH", "T"])
    words = torch.eye(len(tokenizer))[[0, 3, 0, 4]].log()[None]
    items = decode(None, None, words, Decisions(tokenizer=tokenizer), 1.0)
    assert [item.label for item in items] == ["AH", "T"]
    with pytest.raises(ValueError, match="tokenizer"):
        decode(None, None, words, Decisions(), 1.0)


def test_pieces_of_words_are_joined():
    class Pieces(SymbolTokenizer):
        def join(self, pieces):
            return "".join(pieces).replace("▁", " ").strip()

    tokenizer = Pieces(["▁a", "b", "▁c"])
    words = torch.eye(len(tokenizer))[[3, 4, 0, 5]].log()[None]
    items = decode(None, None, words, Decisions(tokenizer=tokenizer), 1.0)
    assert [item.label for item in items] == ["ab", "c"]


def test_decisions_are_rebuilt_from_json():
    decisions = Decisions(0.01, ["a b"], TOKENIZER, event_threshold={"a b": 0.3})
    spec = json.loads(json.dumps(decisions.spec()))
    again = Decisions.from_spec(spec)
    assert again.tokenizer.tokens == TOKENIZER.tokens
    assert again.spec() == spec and again.of("a b") == (0.3, 0.0, 0.0)
