"""SLUE: its tables, marks and measures of entities; its head of sentiment."""

import logging
import random
import re

import numpy
import pytest
import soundfile
import torch

from s3prl_sb.brains.entities import EntityBrain, marks_in
from s3prl_sb.corpora.slue_voxceleb import prepare_slue_voxceleb
from s3prl_sb.corpora.slue_voxpopuli import marked_text, prepare_slue_voxpopuli
from s3prl_sb.corpora.toys.slue_voxceleb import slue_voxceleb
from s3prl_sb.corpora.toys.slue_voxpopuli import slue_voxpopuli
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.lobes.heads.pooled_classifier import PooledClassifier
from s3prl_sb.metrics.entities import (
    entities_in,
    entity_scores,
    unpaired,
    without_marks,
)

SPLITS = ("fine-tune", "dev", "test")


def write(folder, name, header, rows, audio, tables=SPLITS):
    """Writes the same rows to all tables, and silence for each split."""
    folder.mkdir(exist_ok=True)
    for split in tables:
        path = folder / f"{name}_{split}.tsv"
        path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    for split in SPLITS:
        for file in audio:
            path = folder / file.format(split)
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, numpy.zeros(16000), 16000)


def speeches(folder, rows, **kwargs):
    header = "id\tspeaker_id\tnormalized_text\traw_ner\tnormalized_ner"
    names = {row.split("\t")[0] for row in rows}
    audio = [f"{{}}/{name}.ogg" for name in names]
    write(folder, "slue-voxpopuli", header, rows, audio, **kwargs)


def interviews(folder, rows, audio="{}_raw/a.flac", **kwargs):
    header = "index\tid\tsentiment\tend_second\tstart_second"
    write(folder, "slue-voxceleb", header, rows, [audio], **kwargs)


def prepared(prepare, *args):
    return {split: manifest.read(path) for split, path in prepare(*args).items()}


def test_marks_of_a_text():
    """The cases of SLUE's script: dropped tags, punctuation, apostrophes."""
    text = "The EU's budget, at the summit; in 2020."
    entities = [("DATE", 35, 4), ("ORG", 4, 2), ("EVENT", 20, 10)]
    expected = "the [ORG eu ] 's budget at the summit in [WHEN 2020 ]"
    assert marked_text(text, entities) == expected
    assert (
        marked_text("rock'n'roll farmers' 's ' ok!", []) == "rock n 'roll farmers 's ok"
    )
    assert marked_text("a b", [("GPE", 0, 1), ("LOC", 2, 1)]) == "[PLACE a ] [PLACE b ]"
    assert marked_text("...", [("GPE", 0, 3)]) == ""
    assert marked_text("[eu] ok]", [("ORG", 1, 2)]) == "[ORG eu ] ok"


def test_speeches(tmp_path, caplog):
    rows = [  # what is dropped may overlap what is not
        "a_1\tx\tin rome, today\t[]\t[['GPE', 3, 4], ['DATE', 9, 5], ['FAC', 0, 14]]",
        'a_2\tx\tno\t[]\t[["CARDINAL", 0, 2]]',
        "a_3\tx\tnothing\t[]\tNone",
        "a_4\tx\t.\t[]\t[]",
    ]
    speeches(tmp_path / "slue-voxpopuli", rows)
    with caplog.at_level(logging.WARNING):
        splits = prepared(prepare_slue_voxpopuli, tmp_path, tmp_path / "save")
    assert {n: r["text"] for n, r in splits["test"].items()} == {
        "a_1": "in [PLACE rome ] [WHEN today ]",
        "a_2": "[QUANT no ]",
        "a_3": "nothing",
    }
    assert "'a_4' has no words and is left out" in caplog.text
    assert "3 utterances of train, and 5000 are published" in caplog.text


@pytest.mark.parametrize(
    "row, words",
    [
        ("a\tx\tin rome\t\t[['CITY', 3, 4]]", "tsv:2: the tag CITY is none of DATE"),
        ("a\tx\tin rome\t\t[['GPE', 3, 9]]", "GPE, characters 3 to 12, overlaps"),
        ("a\tx\tin rome\t\t[['GPE', 0, 4], ['LOC', 3, 4]]", "LOC, .* 3 to 7, overlaps"),
        ("a\tx\tin rome\t\t[['GPE', 2, 5]]", "or begins or ends with a space"),
        ("a\tx\tin rome\t\t[['GPE', 3]]", "tsv:2: normalized_ner .* is no list such"),
        ("a\tx\tin rome\t\tGPE", "tsv:2: normalized_ner 'GPE' is no list such"),
    ],
)
def test_wrong_entities(tmp_path, row, words):
    speeches(tmp_path, [row])
    with pytest.raises(ManifestError, match=words):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "save")


def test_a_blind_test_is_refused(tmp_path):
    speeches(tmp_path, ["a\tx\tno\t\t[]"], tables=("fine-tune", "dev", "test_blind"))
    with pytest.raises(ManifestError, match="only the blind one, which has no labels"):
        prepare_slue_voxpopuli(tmp_path, tmp_path / "save")
    with pytest.raises(
        ManifestError, match="Set data_folder to the folder slue-voxcel"
    ):
        prepare_slue_voxceleb(tmp_path, tmp_path / "save")


def test_interviews(tmp_path, caplog):
    rows = ["0\ta\tNeutral\t0.5\t0.25", "1\tb\t<mixed>\t1\t0"]
    interviews(tmp_path / "slue-voxceleb", rows)
    with caplog.at_level(logging.INFO):
        splits = prepared(prepare_slue_voxceleb, tmp_path, tmp_path / "save")
    (record,) = splits["train"].values()
    times = record["start"], record["stop"], record["duration"], record["label"]
    assert times == (0.25, 0.5, 0.25, "Neutral")
    assert "other labels are left out: <mixed> (3)" in caplog.text
    interviews(tmp_path / "slue-voxceleb", rows, audio="{}/a.flac")  # by SLUE's script
    splits = prepared(prepare_slue_voxceleb, tmp_path, tmp_path / "save")
    assert splits["train"]["a"]["start"] is None


@pytest.mark.parametrize(
    "rows, words",
    [
        (["0\ta\tNeutral\t3\tx"], "tsv:2: start_second 'x' and .* are no seconds"),
        (["0\ta\tNeutral\t3\t2"], "tsv:2: 2.0 to 3.0 s is not within the 1.0 s"),
        (["0\ta\tNeutral\t1\t0"] * 2, "tsv:3: 'a' again, first .*:2. Remove one"),
    ],
)
def test_wrong_interviews(tmp_path, rows, words):
    interviews(tmp_path, rows)
    with pytest.raises(ManifestError, match=words):
        prepare_slue_voxceleb(tmp_path, tmp_path / "save")


def slues_entities(text):
    """The entities of a text, numbered where they repeat: SLUE's rules once more."""
    found, phrase, tag = [], None, None
    for word in text.split():
        if word == "]":
            if phrase:
                entity = (tag, " ".join(phrase))
                found.append((*entity, 1 + sum(e[:2] == entity for e in found)))
            phrase = None
        elif word[0] == "[":
            tag, phrase = word[1:], []
        elif phrase is not None:
            phrase.append(word)
    return set(found)


def f1_of(pairs):
    right = sum(len(p & t) for p, t in pairs)
    precision = right / max(1, sum(len(p) for p, _ in pairs))
    recall = right / max(1, sum(len(t) for _, t in pairs))
    return 2 * precision * recall / (precision + recall) if right else 0.0


def test_scores_equal_those_of_numbered_sets():
    """On 300 random texts with open, empty and repeated entities."""
    rng = random.Random(0)
    words = ["[A", "[B", "]", "]", "x", "y"]
    texts = [
        {n: " ".join(rng.choices(words, k=12)) for n in range(300)} for _ in range(2)
    ]
    predicted, true = texts
    found = entity_scores(predicted, true)
    pairs = [[slues_entities(each[n]) for each in texts] for n in true]
    assert found["f1"] == pytest.approx(f1_of(pairs))
    tags = [
        [
            {(tag, sum(e.tag == tag for e in entities_in(each[n])[:i]))
             for i, (tag, _) in enumerate(entities_in(each[n]))}
            for each in texts
        ]
        for n in true
    ]  # fmt: skip
    assert found["label_f1"] == pytest.approx(f1_of(tags))
    assert found["f1"] < found["label_f1"] < 1


def test_scores_by_hand():
    true = {"a": "[P ann ] met [P bob ] in [G rome ]", "b": "nobody"}
    predicted = {"a": "[P ann ] met [P rob ] in [P rome ]", "b": "[W now ]"}
    assert entity_scores(predicted, true) == pytest.approx(
        {"f1": 2 / 7, "precision": 1 / 4, "recall": 1 / 3, "label_f1": 4 / 7}
    )
    none = dict.fromkeys(("f1", "precision", "recall", "label_f1"), 0.0)
    assert entity_scores({"a": "x"}, {"a": "[P ann ]"}) == none
    assert entity_scores({"a": "x"}, {"a": "y"}) == none
    assert without_marks(true["a"]) == "ann met bob in rome"
    assert marks_in(true.values()) == ["[G", "[P", "]"]


@pytest.mark.parametrize(
    "text, fault",
    [
        ("[P ann met [P bob ]", "[P is not closed"),
        ("met [P bob", "[P is not closed"),
        ("bob ] here", "] closes nothing"),
        ("[P ] here", "[P has no words"),
        ("[P bob ] and [P ann ]", ""),
    ],
)
def test_marks_of_ones_own_texts_are_in_pairs(text, fault):
    assert unpaired(text) == fault
    records = {"valid": {"u": {"text": text}}}
    if not fault:
        assert EntityBrain.targets_of(records, {}) == (records, {})
        return
    with pytest.raises(ManifestError, match=re.escape(f"valid: 'u': {fault} in")):
        EntityBrain.targets_of(records, {})


def test_head_of_sentiment():
    """The pooled features are all that it sees, so that they can be cached."""
    torch.manual_seed(0)
    head = PooledClassifier(8, 3, hidden_size=4).eval()
    x, lens = torch.randn(2, 6, 8), torch.tensor([1.0, 0.5])
    with torch.no_grad():
        pooled = torch.stack([x[0].mean(0), x[1, :3].mean(0)])
        expected = head(pooled[:, None], torch.ones(2))
        torch.testing.assert_close(head(x, lens), expected)
    assert head.linear and not PooledClassifier(8, 3, pooling="attentive").linear
    assert [type(each).__name__ for each in PooledClassifier(8, 3).classifier] == [
        *("Dropout", "Linear", "GELU", "Dropout", "Linear")
    ]


def test_toys(tmp_path):
    pytest.importorskip("espeakng_loader")
    folder = slue_voxpopuli(tmp_path / "vp", utterances=16)
    splits = prepared(prepare_slue_voxpopuli, folder, tmp_path / "save")
    assert [len(records) for records in splits.values()] == [8, 4, 4]
    texts = [r["text"] for records in splits.values() for r in records.values()]
    tags = {entity.tag for text in texts for entity in entities_in(text)}
    assert {"PERSON", "PLACE", "ORG", "WHEN"} <= tags <= {
        *("PERSON", "PLACE", "ORG", "WHEN", "NORP", "QUANT", "LAW")
    }  # fmt: skip
    folder = slue_voxceleb(tmp_path / "vc", speakers=4, utterances=3)
    splits = prepared(prepare_slue_voxceleb, folder, tmp_path / "save")
    assert [len(records) for records in splits.values()] == [6, 3, 3]
    for records in splits.values():
        assert {r["label"] for r in records.values()} == {
            *("Negative", "Neutral", "Positive")
        }
