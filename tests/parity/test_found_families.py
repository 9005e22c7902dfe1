"""A checkpoint without a card or a telling name still gets S3PRL's numbers."""

import shutil

import numpy as np
import oracle
import pytest
import torch

from s3prl_sb.lobes.ssl import SSL

BARE = [
    name
    for name, entry in oracle.fixtures().items()
    if "card" not in entry and not entry.get("arguments")
]


@pytest.mark.parametrize("name", BARE)
def test_bare_file(name, oracle_folder, tmp_path):
    entry = oracle.fixtures()[name]
    source = oracle_folder / name / entry.get("source", "ckpt.pt")
    if not (oracle_folder / name / "ref.npz").is_file():
        pytest.skip(f"{oracle_folder / name} is absent: not in this set of fixtures")
    bare = tmp_path / f"x{source.suffix}"
    shutil.copytree(source, bare) if source.is_dir() else shutil.copy(source, bare)
    reference = np.load(oracle_folder / name / "ref.npz")
    wavs = np.load(oracle_folder / "wavs.npz")
    utterance = min(key.split("/")[0] for key in reference.files)
    wav = torch.from_numpy(wavs[utterance]).repeat(entry.get("repeat", 1))
    ssl = SSL(str(bare), freeze=True)
    found, last = ssl(wav[None])[0], ssl.num_layers - 1
    expected = torch.from_numpy(reference[f"{utterance}/h{last}"])
    assert f"{utterance}/h{last + 1}" not in reference.files
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= oracle.LIMIT * expected.abs().max()
