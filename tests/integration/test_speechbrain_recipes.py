"""SpeechBrain's own recipes, unedited but for lines of their YAML.

They are run where they lie, in the checkout of SpeechBrain that
``$SPEECHBRAIN_RECIPES`` names, over a tiny random HuBERT, on a few real recordings:
an epoch; a second one, which goes on from the first; the test. What changes in each
YAML stands here, and in docs/speechbrain_recipes.md what it means.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch
from conftest import REPOSITORY

from s3prl_sb.lobes.ssl import SSL

WAV2VEC2 = "!new:speechbrain.integrations.huggingface.wav2vec2.Wav2Vec2"
LOBE = "!new:s3prl_sb.lobes.ssl.SSL"
FBANK = """!new:speechbrain.lobes.features.Fbank
    n_mels: !ref <n_mels>
"""
AS_FEATURES = f"""{LOBE}
    source: hubert
    layers: all
    freeze: True
"""


class Trial(NamedTuple):
    folder: str  #: of the recipe
    script: str
    yaml: str
    changes: dict  #: text of the YAML to text
    manifests: str  #: name of the function that writes them
    settings: dict  #: on the command line: sizes and places, nothing of the lobe
    test: bool = True  #: whether the recipe ends with a test


TRIALS = {
    "speaker template": Trial(
        "templates/speaker_id",
        "train.py",
        "train.yaml",
        {
            FBANK: AS_FEATURES,
            "in_channels: !ref <n_mels>": "in_channels: !ref "
            "<compute_features.output_size>",
            "        classifier: !ref <classifier>\n        normalizer": "        "
            "classifier: !ref <classifier>\n        "
            "compute_features: !ref <compute_features>\n        normalizer",
            "feats_cache_dir: feature_cache\n": "",  # it wants a GPU
        },
        "speakers",
        {"n_classes": 28, "num_workers": 0, "batch_size": 4, "skip_prep": True},
    ),
    "LibriSpeech CTC": Trial(
        "recipes/LibriSpeech/ASR/CTC",
        "train_with_wav2vec.py",
        "hparams/train_hf_wav2vec.yaml",
        {
            WAV2VEC2: f"{LOBE}\n   layers: all",
            "[null, null, 1024]": "[null, null, !ref <wav2vec2.output_size>]",
            # The optimizer of a frozen encoder does not step: the sum's weights
            # are trained with the head's.
            "[!ref <enc>, !ref <ctc_lin>]": "[!ref <enc>, !ref <ctc_lin>, "
            "!ref <wav2vec2.featurizer>]",
        },
        "librispeech",
        {"dnn_neurons": 32, "wav2vec2_hub": "hubert"},
    ),
    "LibriSpeech CTC, downsampled": Trial(
        "recipes/LibriSpeech/ASR/CTC",
        "train_with_wav2vec.py",
        "hparams/downsampled/train_hf_wavlm_conv_downsampling.yaml",
        {
            "!new:speechbrain.integrations.huggingface.wavlm.WavLM": LOBE,
            "[null, null, 1024]": "[null, null, !ref <wav2vec2.output_size>]",
        },
        "librispeech",
        # Number of letters in the few texts.
        {"dnn_neurons": 32, "wav2vec2_hub": "hubert", "ctc_neurons": 28}
        | {"freeze_wav2vec": False},
    ),
    "IEMOCAP": Trial(
        "recipes/IEMOCAP/emotion_recognition",
        "train_with_wav2vec2.py",
        "hparams/train_with_wav2vec2.yaml",
        {
            WAV2VEC2: LOBE,
            "input_size: !ref <encoder_dim>": "input_size: !ref <wav2vec2.output_size>",
        },
        "emotions",
        {"wav2vec2_hub": "hubert", "skip_prep": True},
    ),
    "VoxCeleb ECAPA": Trial(
        "recipes/VoxCeleb/SpeakerRec",
        "train_speaker_embeddings.py",
        "hparams/train_ecapa_tdnn.yaml",
        {
            FBANK.rstrip("\n")
            + "\n    left_frames: !ref <left_frames>\n"
            + "    right_frames: !ref <right_frames>\n    deltas: !ref <deltas>\n": (
                AS_FEATURES
            ),
            "input_size: !ref <n_mels>": "input_size: !ref "
            "<compute_features.output_size>",
            "[1024, 1024, 1024, 1024, 3072]": "[32, 32, 32, 32, 96]",  # for speed
            "        classifier: !ref <classifier>\n        normalizer": "        "
            "classifier: !ref <classifier>\n        "
            "compute_features: !ref <compute_features>\n        normalizer",
        },
        "speaker_crops",
        {"out_n_neurons": 28, "num_workers": 0, "batch_size": 4, "skip_prep": True},
        test=False,
    ),
    "TIMIT seq2seq": Trial(
        "recipes/TIMIT/ASR/seq2seq",
        "train_with_wav2vec2.py",
        "hparams/train_with_wav2vec2.yaml",
        {
            WAV2VEC2: LOBE,
            "[null, null, 1024]": "[null, null, !ref <wav2vec2.output_size>]",
        },
        "letters",
        {"wav2vec2_hub": "hubert", "dnn_neurons": 32, "dec_neurons": 16}
        | {"batch_size": 4, "beam_size": 2, "skip_prep": True},
    ),
}


@pytest.fixture(scope="module")
def speechbrain():
    folder = Path(os.environ.get("SPEECHBRAIN_RECIPES", "unset"))
    if not (folder / "templates").is_dir():
        pytest.skip("set $SPEECHBRAIN_RECIPES to a checkout of SpeechBrain")
    return folder.resolve()


# ------------------------------------------------------------------ a few recordings
def few(data_folder, count):
    """Recordings of LibriSpeech with their speakers and texts, one of each speaker."""
    found, seen = [], set()
    for flac in sorted((data_folder / "LibriSpeech").glob("t*/*/*/*.flac")):
        trans = flac.parent / f"{flac.parent.parent.name}-{flac.parent.name}.trans.txt"
        texts = dict(line.split(" ", 1) for line in trans.read_text().splitlines())
        if flac.stem in texts:
            seconds = soundfile.info(flac).duration
            found.append((seconds, flac, flac.parts[-3], texts[flac.stem].strip()))
    shortest = [row for row in sorted(found) if row[0] > 3.5]
    return [r for r in shortest if not (r[2] in seen or seen.add(r[2]))][:count]


def write(path, entries):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return str(path)


def noises(folder):
    """Augmentation that would be downloaded."""
    rng = np.random.default_rng(0)
    for name in ("noise", "rir"):
        (folder / name).mkdir(parents=True)
        decay = np.exp(-np.arange(16000) / 800) if name == "rir" else 0.1
        sound = (rng.normal(size=16000) * decay * 0.3).astype("float32")
        soundfile.write(folder / name / "a.wav", sound, 16000)
    (folder / "nothing.zip").write_bytes(b"")
    return {"data_folder": folder, "NOISE_DATASET_URL": folder / "nothing.zip"}


def speakers(data, folder):
    rows = few(data, 28)
    entries = {
        flac.stem: {"wav": str(flac), "length": seconds, "spk_id": speaker}
        for seconds, flac, speaker, _ in rows
    }
    path = write(folder / "manifest.json", entries)
    splits = {f"{split}_annotation": path for split in ("train", "valid", "test")}
    return {**noises(folder / "data"), **splits}


def speaker_crops(data, folder):
    made = noises(folder / "data")
    path = folder / "manifest.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ID", "duration", "wav", "start", "stop", "spk_id"])
        for seconds, flac, speaker, _ in few(data, 8):
            writer.writerow([flac.stem, seconds, flac, 0, 48000, speaker])
    (folder / "trials.txt").write_text("")
    made |= {"train_annotation": path, "valid_annotation": path}
    made["RIR_DATASET_URL"] = folder / "data/nothing.zip"
    return {**made, "verification_file": folder / "trials.txt"}


def librispeech(data, folder):
    """Three splits in the corpus' own layout."""
    rows = few(data, 10)
    for name, part in (("a", rows[:6]), ("b", rows[6:8]), ("c", rows[8:])):
        for _, flac, _, text in part:
            speaker, chapter, _ = flac.stem.split("-")
            place = folder / "data" / name / speaker / chapter
            place.mkdir(parents=True, exist_ok=True)
            (place / flac.name).symlink_to(flac)
            with open(place / f"{speaker}-{chapter}.trans.txt", "a") as file:
                file.write(f"{flac.stem} {text}\n")
    splits = {"train_splits": "[a]", "dev_splits": "[b]", "test_splits": "[c]"}
    out = folder / "out"
    lists = {"valid_csv": out / "b.csv", "test_csv": f"[{out}/c.csv]"}
    lists["output_neurons"] = 1 + len(set("".join(row[3] for row in rows[:6])))
    return {"data_folder": folder / "data", **splits, **lists}


def emotions(data, folder):
    wavs = sorted((data / "IEMOCAP_like_RAVDESS").rglob("*.wav"))[::8]
    entries = {
        wav.stem: {"wav": str(wav), "length": 1.0, "emo": "nhsa"[i % 4]}
        for i, wav in enumerate(wavs)
    }
    path = write(folder / "manifest.json", entries)
    splits = {f"{split}_annotation": path for split in ("train", "valid", "test")}
    return {"data_folder": folder, **splits}


def letters(data, folder):
    entries = {
        flac.stem: {"wav": str(flac), "duration": seconds, "phn": " ".join(text[:20])}
        for seconds, flac, _, text in few(data, 8)
    }
    path = write(folder / "manifest.json", entries)
    splits = {f"{split}_annotation": path for split in ("train", "valid", "test")}
    tokens = {token for entry in entries.values() for token in entry["phn"].split()}
    return {"data_folder": folder, "output_neurons": 3 + len(tokens), **splits}


# -------------------------------------------------------------------------- the trials
def run(speechbrain, trial, yaml, settings):
    """The recipe as its users run it; gives what it says."""
    options = [part for k, v in settings.items() for part in (f"--{k}", str(v))]
    done = subprocess.run(
        [sys.executable, trial.script, str(yaml), *options, "--noprogressbar"],
        cwd=speechbrain / trial.folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
            ),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", TRIALS)
def test_recipe(name, speechbrain, data_folder, tiny_card, tmp_path):
    trial = TRIALS[name]
    if trial.folder.startswith("templates"):
        pytest.importorskip("h5py", reason="the template imports it")
    text = (speechbrain / trial.folder / trial.yaml).read_text()
    for old, new in trial.changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    text = text.replace("source: hubert\n", f"source: {tiny_card}\n")
    yaml = tmp_path / "hparams.yaml"
    yaml.write_text(text)
    settings = {**trial.settings, **globals()[trial.manifests](data_folder, tmp_path)}
    settings["output_folder"] = out = tmp_path / "out"
    if "wav2vec2_hub" in settings:
        settings["wav2vec2_hub"] = tiny_card
    run(speechbrain, trial, yaml, {**settings, "number_of_epochs": 1})
    said = run(speechbrain, trial, yaml, {**settings, "number_of_epochs": 2})
    assert "Loading a checkpoint from" in said
    log = (out / "train_log.txt").read_text().lower()
    for epoch in (1, 2):
        assert len([x for x in log.splitlines() if f"epoch: {epoch}," in x]) == 1, log
    assert log.count("test loss") == 2 * trial.test, log
    assert "nan" not in log
    lobe = "compute_features" if "wav2vec2_hub" not in settings else "wav2vec2"
    weights = torch.load(checkpoint(out) / f"{lobe}.ckpt", weights_only=True)
    fresh = SSL(str(tiny_card)).state_dict()
    moved = {
        key for key, value in weights.items() if (value != fresh.get(key, 0)).any()
    }
    frozen = moved == {"featurizer.scalars"}
    assert frozen or len(moved) > 10, moved
    shutil.rmtree(out)


def checkpoint(out):
    return sorted((out / "save").glob("CKPT*"))[-1]
