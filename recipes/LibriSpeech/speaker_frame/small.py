"""A small corpus for LibriSpeech/speaker_frame."""

import labels
from readings import corpus

__all__ = ["corpus", "tables"]


def tables(folder):
    """Tables of labelled utterances; CTM files hold no names with spaces."""
    paths = labels.tables(folder)
    for split, path in paths.items():
        text = path.read_text().replace('"high, clear"', "high")
        split = split.removesuffix("_csv")
        path.write_text(text.replace(f"{split} ", f"{split}-"))
    return paths
