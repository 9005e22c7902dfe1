"""A small corpus for LibriSpeech/phones."""

from readings import corpus
from tones import RECORDINGS, check, tables

__all__ = ["UTTERANCES", "check", "corpus", "tables"]

UTTERANCES = RECORDINGS
