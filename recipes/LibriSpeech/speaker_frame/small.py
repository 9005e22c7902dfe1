"""A small corpus for LibriSpeech/speaker_frame."""

from readings import corpus

__all__ = ["corpus"]
