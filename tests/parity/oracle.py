"""Our hidden states against S3PRL's, for every fixture.

    python tests/parity/oracle.py ORACLE … > docs/parity.md

writes the table. A fixture is a folder of ORACLE: a random checkpoint in S3PRL's
format, and the hidden states of S3PRL 0.4.18 for each utterance alone. ``fixtures`` has
the small ones, made by ``make.py``. A card file says how we load each fixture of its
family, under ``_test``:

    parity:
        fixture: {class: hubert.Hubert, source: ckpt.pt, arguments: {…}}

or ``{card: NAME}`` if there is no file. ``repeat``: how often the utterance is
repeated; ``absolute``: the limit for features that are whole numbers.
"""

import argparse
import json
import pydoc
from pathlib import Path

import numpy as np
import torch

from s3prl_sb.lobes.cards.finding import notes, published
from s3prl_sb.lobes.upstreams import load

LIMIT = 1e-4  # relative to the largest value of a hidden state


def fixtures():
    """{fixture: {"family": …, "card" or "class": …, …}}, by name."""
    return {
        name: {"family": file.stem, **entry}
        for file in published()
        for name, entry in notes(file, "_test").get("parity", {}).items()
    }


def build(folder, entry):
    """The upstream of a fixture."""
    if "card" in entry:
        return load(entry["card"], **entry.get("arguments", {}))
    cls = pydoc.locate(f"s3prl_sb.lobes.upstreams.{entry['class']}")
    arguments = dict(entry.get("arguments", {}))
    if entry.get("source", "ckpt.pt"):
        arguments["source"] = str(folder / entry.get("source", "ckpt.pt"))
    return cls(**arguments)


def compare(root, name, entry):
    """(number of hidden states, largest error) over all utterances and states.

    The error is relative to a state's largest value, or absolute where the
    entry asks for that. Raises AssertionError if shapes differ.
    """
    folder = root / name
    upstream = build(folder, entry)
    reference, wavs = np.load(folder / "ref.npz"), np.load(root / "wavs.npz")
    num_layers = json.loads((folder / "meta.json").read_text())["num_layers"]
    assert upstream.num_layers == num_layers
    utterances = sorted({key.split("/")[0] for key in reference.files})
    assert utterances
    worst = 0.0
    for utterance in utterances:
        wav = torch.from_numpy(wavs[utterance]).repeat(entry.get("repeat", 1))
        states, _ = upstream(wav[None])
        assert len(states) == num_layers
        for layer, state in enumerate(states):
            expected = torch.from_numpy(reference[f"{utterance}/h{layer}"])
            assert state[0].shape == expected.shape, (utterance, layer)
            error = (state[0] - expected).abs().max().item()
            if "absolute" not in entry:
                error /= expected.abs().max().item()
            worst = max(worst, error)
    return num_layers, worst


HEAD = """# Parity with S3PRL

What every hidden state of every family differs by from S3PRL 0.4.18's, for the
same random checkpoint in S3PRL's format and one utterance of real speech alone,
relative to the largest value of the state; the limit is 1e-4. Fixtures are tiny
but for those marked as of full size. Each column is another set of fixtures:
tiny ones, those of full size, and all of them again under another seed.

Made by `python tests/parity/oracle.py FOLDER …`, where a folder holds the
fixtures of one seed; `tests/parity/test_oracle.py` holds each to the limit. Anyone can
make such folders: `python tests/parity/make.py --out FOLDER` installs S3PRL into an
environment of its own, makes the fixtures with synthetic audio and compares them. The
small ones are in `tests/parity/fixtures`.
"""
FOOT = """
Batch against alone is held to 1e-5 for every card by `tests/contract`.

No fixtures of S3PRL's exist for these; their own files in `tests/parity` compare
them with another implementation of the same network, or with its formulas:
AST and the readers of Hugging Face's folders (transformers), ESPnet's HuBERT and
the readers of torchaudio's files (torchaudio), PaSST (formulas), SpeechBrain's
models (SpeechBrain), other models of Hugging Face (transformers), MOS prediction
and the TIMIT posteriorgram (formulas of their heads on tested upstreams).
"""
FULL_SIZE = ("decoar", "decoar_layers", "decoar2", "lighthubert_small", "vggish")
FULL_SIZE += ("byol_s_default", "byol_s_cvt", "byol_s_resnetish34")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("oracle", type=Path, nargs="+", help="folders of fixtures")
    parser.add_argument("--only", nargs="+", help="some fixtures; default: all")
    arguments = parser.parse_args()
    print(HEAD)
    columns = [f"set {i + 1}" for i in range(len(arguments.oracle))]
    print("| " + " | ".join(["family", "fixture", "hidden states", *columns]) + " |")
    print("| --- " * (3 + len(columns)) + "|")
    for name, entry in fixtures().items():
        if arguments.only and name not in arguments.only:
            continue
        found, num_layers = [], None
        for oracle in arguments.oracle:
            if (oracle / name / "ref.npz").is_file():
                num_layers, error = compare(oracle, name, entry)
                whole = " (whole numbers)" if "absolute" in entry else ""
                found.append(f"{error:.1e}{whole}")
            else:
                found.append("–")
        if num_layers:
            title = name + ", full size" * (name in FULL_SIZE)
            row = [entry["family"], title, str(num_layers), *found]
            print("| " + " | ".join(row) + " |")
    print(FOOT, end="")


if __name__ == "__main__":
    main()
