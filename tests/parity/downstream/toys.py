"""The small corpora that S3PRL's and our targets are compared on.

    python tests/parity/downstream/toys.py DIR

makes them all for ``make.py``; tests make the ones they need. The same parameters
give the same files anywhere.
"""

import sys
from pathlib import Path

from s3prl_sb.corpora import toys

CORPORA = {
    "speech_commands": {"speakers": 5},
    "voxceleb1": {"speakers": 8, "videos": 3, "utterances": 1},
    "fluent_speech_commands": {"speakers": 3},
    "iemocap": {"turns": 3, "dialogs": 2},
    "librispeech": {"speakers": 5, "chapters": 2, "utterances": 3},
    "audio_snips": {"train": 4, "valid": 2, "test": 2},
    "libri2mix": {"train": 4, "dev": 2, "test": 3, "speakers": 8},
    "quesst14": {"documents": 8, "queries": 3, "others": 2},
}
SEED = 7


def make(folder, corpus):
    """A toy below a folder, or the one that is there."""
    path = Path(folder) / corpus
    return toys.make(corpus, path, seed=SEED, **CORPORA[corpus])


if __name__ == "__main__":
    for name in CORPORA:
        print(make(sys.argv[1], name))
