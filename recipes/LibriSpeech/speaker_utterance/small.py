"""A small corpus for LibriSpeech/speaker_utterance."""

from readings import corpus

__all__ = ["corpus"]
