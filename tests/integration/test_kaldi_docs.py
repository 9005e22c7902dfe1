"""The commands of docs/kaldi.md and of the hybrid template, on tones."""

import re
import runpy
import shlex
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from s3prl_sb.cli import main
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "templates/hybrid_asr"
STATES = (0, 2, 10)  # of 12, so that a sorting of texts would mix them up
BUDGET = "--total_steps 30 --steps_per_epoch 15 --lr 0.002 --noprogressbar"


def commands(path, verb):
    """The lines of a document that begin with a verb."""
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", path.read_text(), re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    assert all(line.startswith("s3prl-sb ") for line in lines)
    return [shlex.split(n)[1:] for n in lines if n.startswith(f"s3prl-sb {verb} ")]


def utterance(path, random):
    """Writes three tones, and returns the state of each 10 ms."""
    frames = random.integers(15, 30, 3)
    states = np.repeat(random.permutation(STATES), frames)
    pitch = np.repeat(300 + 200 * states, 160)
    wav = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch) / 16000)
    soundfile.write(path, wav + 0.01 * random.standard_normal(len(wav)), 16000)
    return states


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Folders with the names in the documents."""
    folder, random = tmp_path_factory.mktemp("kaldi"), np.random.default_rng(0)
    for split, count in (("train", 12), ("dev", 4), ("test", 4)):
        data = folder / "data" / split
        (data / "wav").mkdir(parents=True)
        files = {"wav.scp": "", "utt2spk": "", "pdf.txt": ""}
        for number in range(count):
            name = f"{split}{number:02d}"
            states = utterance(data / f"wav/{name}.wav", random)
            files["wav.scp"] += f"{name} wav/{name}.wav\n"
            files["utt2spk"] += f"{name} speaker{number % 2}\n"
            files["pdf.txt"] += f"{name} {' '.join(map(str, states))}\n"
        for name, text in files.items():
            (data / name).write_text(text)
    (folder / "corpus/ann").mkdir(parents=True)
    utterance(folder / "corpus/ann/a1.wav", random)
    (folder / "table.csv").write_text("wav\ncorpus/ann/a1.wav\n")
    return folder


@pytest.fixture(scope="module")
def trained(place, launcher):
    """The run of the template."""
    (run,) = commands(TEMPLATE / "README.md", "run")
    assert run[:2] == ["run", "hybrid_asr"]
    options = [str(place / o) if o.startswith(("data/", "exp/")) else o for o in run]
    files = [str(TEMPLATE / "train.py"), str(TEMPLATE / "hparams/train.yaml")]
    argv = [*files, *options[2:], *BUDGET.split()]
    argv += ["--cache_folder", str(place / "cache")]
    launcher.run([a.replace("hubert_base", "mfcc") for a in argv])
    return place / "exp/hybrid"


def test_settings_that_are_missing_are_named():
    prepare = runpy.run_path(str(TEMPLATE / "train.py"))["prepare"]
    keys = [f"{s}_{what}" for what in ("folder", "alignments") for s in manifest.SPLITS]
    hparams = dict.fromkeys(keys, "data") | {"num_states": None}
    with pytest.raises(
        ManifestError, match="^Give --valid_alignments, --num_states: README"
    ):
        prepare({**hparams, "valid_alignments": None})


def test_the_hybrid_way(place, trained, monkeypatch):
    """From alignments to scaled likelihoods, whose best column is the state."""
    monkeypatch.chdir(place)
    counts = (trained / "counts.txt").read_text().splitlines()
    assert [line.split()[0] for line in counts] == [str(n) for n in range(12)]
    (extract,) = commands(TEMPLATE / "README.md", "extract")
    assert not main(extract)
    likelihoods = kaldiio.load_scp(str(trained / "loglikes/feats.scp"))
    right = []
    for line in (place / "data/test/pdf.txt").read_text().splitlines():
        name, *states = line.split()
        assert likelihoods[name].shape == (len(states), 12)
        right += (likelihoods[name].argmax(1) == np.array(states, int)).tolist()
    assert np.mean(right) > 0.9  # chance is a third


def test_the_commands_of_the_document(place, trained, monkeypatch):
    monkeypatch.chdir(place)
    for arguments in commands(ROOT / "docs/kaldi.md", "extract"):
        arguments = ["mel" if a == "hubert_base" else a for a in arguments]
        assert not main(arguments), arguments
    mel = np.load("features/npy/ann/a1.npy")
    assert mel.shape[1] == 80
    train = kaldiio.load_scp("features/mfcc_train/feats.scp")
    for name in train:
        assert np.array_equal(np.load(f"features/again/{name}.npy"), train[name])
    everything = np.concatenate([train[name] for name in train])
    assert np.abs(everything.mean(0)).max() < 1e-4
    test = kaldiio.load_scp("features/mfcc_test/feats.scp")
    everything = np.concatenate([test[name] for name in test])
    assert np.abs(everything.mean(0)).max() > 1e-3  # by the statistics of training
    logs = np.load("features/posteriors/test00.npy")
    assert np.allclose(np.exp(logs).sum(1), 1, atol=1e-4)
