"""Texts and characters of SUPERB-SG against S3PRL's own (see make_transcripts.py)."""

import json
from pathlib import Path

import pytest

from s3prl_sb.corpora.covost2 import clean
from s3prl_sb.corpora.sbcsae import read_transcript
from s3prl_sb.corpora.text_normalization import normalize
from s3prl_sb.dataio.characters import characters_of

FILE = Path(__file__).parent / "fixtures/transcripts.json"
VALUES = json.loads(FILE.read_text("utf-8"))


@pytest.mark.parametrize("language", VALUES["normalized"])
def test_sentences_are_normalized_as_by_s3prl(language):
    pairs = VALUES["normalized"][language]
    assert [normalize(sentence, language) for sentence, _ in pairs] == [
        expected for _, expected in pairs
    ]


@pytest.mark.parametrize("language", VALUES["vocabularies"])
def test_characters_have_the_numbers_of_s3prl(language):
    """From a text with all of them, in any order."""
    made = VALUES["vocabularies"][language]
    assert characters_of([made["text"]]).encode(made["text"]) == made["tokens"]


def test_translations_are_cleaned_as_by_s3prl():
    pairs = {str(n): clean(*p, "en", "de") for n, p in enumerate(VALUES["pairs"])}
    found = {number: list(texts) for number, texts in pairs.items() if texts}
    assert found == VALUES["cleaned"] and len(found) < len(pairs)


def test_turns_are_read_as_by_the_script_of_sbcsae():
    turns, unread = read_transcript(VALUES["turns"])
    names = [
        f"SBC001_{int(start * 100):06d}-{int(stop * 100):06d}.wav"
        for start, stop, _ in turns
    ]
    found = [[*turn, name] for turn, name in zip(turns, names)]
    assert found == VALUES["read"] and len(found) > 3
