"""A small corpus for TIMIT/phones."""

from tones import RATE, RECORDINGS, check, recording, tables

__all__ = ["UTTERANCES", "check", "corpus", "tables"]

UTTERANCES = RECORDINGS
PHONES = {"low": "ix", "high": "bcl"}  # folded: ih and sil


def corpus(folder):
    """Three speakers, one of the core test set."""
    for place in ("TRAIN/DR1/FTOY0", "TEST/DR1/FTOY1", "TEST/DR1/MDAB0"):
        for number in range(4):
            wav = folder / place / f"SX{number}.WAV"
            lines = [
                f"{round(start * RATE)} {round(stop * RATE)} {PHONES[label]}\n"
                for label, start, stop in recording(wav, number)
            ]
            wav.with_suffix(".PHN").write_text("".join(lines))
    return {}
