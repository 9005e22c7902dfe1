"""Our hidden states against S3PRL's, for every fixture.

    python tests/parity/oracle.py ORACLE [FIXTURE …]

prints the table of docs/parity.md. A fixture is a folder of ORACLE: a random
checkpoint in S3PRL's format, and what S3PRL 0.4.18 gives for real utterances,
each alone. ``fixtures/<family>.yaml`` says how we load each:

    fixture: {class: hubert.Hubert, source: ckpt.pt, arguments: {…}}

or ``{card: NAME}`` for what needs no file. ``repeat``: how often the utterance
is repeated; ``absolute``: the limit, for features that are whole numbers.
"""

import argparse
import json
import pydoc
from pathlib import Path

import numpy as np
import torch
import yaml

from s3prl_sb.lobes.upstreams import load

LIMIT = 1e-4  # relative to the largest value of a hidden state
HERE = Path(__file__).parent


def fixtures():
    """{fixture: {"family": …, "card" or "class": …, …}}, by name."""
    return {
        name: {"family": file.stem, **entry}
        for file in sorted((HERE / "fixtures").glob("*.yaml"))
        for name, entry in (yaml.safe_load(file.read_text()) or {}).items()
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("oracle", type=Path, help="folder of the fixtures")
    parser.add_argument("names", nargs="*", help="some fixtures; default: all")
    arguments = parser.parse_args()
    print("| family | fixture | hidden states | largest error |")
    print("| --- | --- | --- | --- |")
    for name, entry in fixtures().items():
        if arguments.names and name not in arguments.names:
            continue
        if not (arguments.oracle / name / "ref.npz").is_file():
            continue
        num_layers, error = compare(arguments.oracle, name, entry)
        kind = "absolute" if "absolute" in entry else "relative"
        print(f"| {entry['family']} | {name} | {num_layers} | {error:.1e} {kind} |")


if __name__ == "__main__":
    main()
