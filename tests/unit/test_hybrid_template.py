"""The template of a hybrid recognizer names what is missing or does not fit."""

import numpy
import pytest
import soundfile

from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.own import modules
from s3prl_sb.resources import folder


@pytest.fixture
def hparams(tmp_path):
    """Settings over one recording in all splits, 40 frames of the states 0 to 3."""
    soundfile.write(tmp_path / "a.wav", 0.1 * numpy.random.randn(6400), 16000)
    (tmp_path / "wav.scp").write_text(f"a {tmp_path}/a.wav\n")
    keys = {"upstream_model": load("fbank"), "frame_seconds": 0.01, "num_states": 4}
    for split in ("train", "valid", "test"):
        path = tmp_path / f"{split}.txt"
        path.write_text("a" + 10 * " 0 1 2 3" + "\n")
        keys |= {f"{split}_folder": str(tmp_path), f"{split}_alignments": str(path)}
    places = {"save_folder": str(tmp_path / "save"), "output_folder": str(tmp_path)}
    return {**keys, **places}


@pytest.fixture(scope="module")
def prepare():
    return modules.module(folder("templates") / "hybrid_asr", "train").prepare


def test_counts_of_all_states(prepare, hparams, tmp_path):
    prepare({**hparams, "num_states": 5})
    assert (tmp_path / "counts.txt").read_text() == "0 10\n1 10\n2 10\n3 10\n4 0\n"


@pytest.mark.parametrize("key", ["num_states", "train_folder", "test_alignments"])
def test_keys_that_are_missing(prepare, hparams, key):
    with pytest.raises(ManifestError, match=f"Give --{key}: README"):
        prepare({**hparams, key: None})


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("state", [4, -1])
def test_states_that_the_tree_lacks(prepare, hparams, tmp_path, split, state):
    """Their columns would be missing in the posteriors of Kaldi's decoder."""
    path = tmp_path / f"{split}.txt"
    path.write_text(f"a 0 1 2 3 {state}\n")
    words = rf"{split}\.txt: 'a' has '{state}' at 0\.04 s.*none of the 4 labels"
    with pytest.raises(ManifestError, match=words):
        prepare(hparams)
