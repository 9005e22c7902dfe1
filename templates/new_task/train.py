#!/usr/bin/env python3
"""Spoken digits: which of ten digits a recording says.

> python train.py hparams/train.yaml --data_folder DIR --upstream hubert_base

DIR holds <label>_<speaker>_<number>.wav. If the run is killed, the same command resumes
it. It is also the command for a graphics card, and for several under torchrun.

Authors
 * Me, 2026
"""

import re
import sys
from pathlib import Path

import torch.nn.functional as F

from s3prl_sb.audio import headers
from s3prl_sb.brains.classification import ClassificationBrain, classification_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, prepare_tables, skipped
from s3prl_sb.startup.experiment import start

VERSION = "my_task/1"  # raise it when the same recordings give other manifests
NAME = re.compile(r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_(?P<number>\d+)\.wav")


class MyTask(ClassificationBrain):
    """Classifier with one label an utterance, trained with smoothed labels.

    Its parent computes the features, logs, keeps the best checkpoint, resumes, and
    writes the results. Override one method at a time:

    * ``compute_forward(batch, stage)``: batch -> predictions;
    * ``loss(predictions, true)``: -> a scalar;
    * ``stage_stats``: other metrics; ``metric`` names the one that chooses.
    """

    task = "my_task"  # its name in results.json

    def loss(self, predictions, true):
        """Returns the cross-entropy, in training with smoothed labels."""
        smoothing = self.hparams.label_smoothing if self.modules.training else 0.0
        return F.cross_entropy(
            predictions,  # [batch, labels]
            true,  # [batch]
            label_smoothing=smoothing,
        )


def prepare_recordings(
    data_folder: str,
    save_folder: str,
    test_numbers: int = 5,
    valid_numbers: int = 5,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Only this function knows the layout: one folder of
    ``<label>_<speaker>_<number>.wav``, such as ``7_jackson_32.wav`` in the Free Spoken
    Digit Dataset (https://github.com/Jakobovski/free-spoken-digit-dataset).

    Arguments
    ---------
    data_folder : str
        Folder of the recordings, at any depth.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    test_numbers, valid_numbers : int
        For each speaker and label, recordings 0 to ``test_numbers`` - 1 are the test
        set, the next ``valid_numbers`` are for validation, the rest is for training.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` and
        ``speaker``.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n in range(12):
    ...         soundfile.write(f"{folder}/7_me_{n}.wav", numpy.zeros(800), 8000)
    ...     paths = prepare_recordings(folder, folder + "/save")
    ...     record = manifest.read(paths["train"])["7_me_11"]
    >>> record["label"], record["duration"], record["start"]
    ('7', 0.1, None)
    """
    if skip_prep:
        return skipped({name: f"{save_folder}/{name}.json" for name in SPLITS})
    if data_folder is None:
        raise ManifestError(
            "data_folder is not set: give the folder of the recordings (--data_folder "
            "DIR), or your own tables (--train_csv, --valid_csv, --test_csv)."
        )
    wavs = sorted(Path(data_folder).resolve().rglob("*.wav"))
    # An error names the place, what was expected there, and how to fix it.
    if not wavs:
        raise ManifestError(f"{data_folder}: no .wav files. Set data_folder.")
    strange = [str(wav) for wav in wavs if not NAME.fullmatch(wav.name)]
    if strange:
        way_out = "Expected <label>_<speaker>_<number>.wav. Rename or remove them."
        raise ManifestError.listing(strange, way_out, len(wavs))

    # Everything the manifests depend on. If it is unchanged, nothing is done.
    arguments = {
        "version": VERSION,
        "wavs": [str(wav) for wav in wavs],
        "numbers": [test_numbers, valid_numbers],
    }
    paths = manifest.finished(save_folder, arguments)
    if paths:
        return paths

    splits = {name: {} for name in SPLITS}
    for wav, seconds in zip(wavs, headers.durations(wavs)):
        name = NAME.fullmatch(wav.name)
        number = int(name["number"])
        split = "train"
        if number < test_numbers + valid_numbers:
            split = "test" if number < test_numbers else "valid"
        splits[split][wav.stem] = {
            "wav": str(wav),
            "duration": seconds,
            # Start and stop of the utterance in a long recording, in seconds.
            "start": None,
            "stop": None,
            # Any labels, the same ones in every record.
            "label": name["label"],
            "speaker": name["speaker"],
        }
    return manifest.finish(splits, save_folder, arguments, required=("label",))


def prepare(hparams):
    """Writes the manifests; one process does it, the others wait."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_recordings(
            hparams["data_folder"],
            hparams["save_folder"],
            test_numbers=hparams["test_numbers"],
            valid_numbers=hparams["valid_numbers"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = classification_splits(hparams)
    # The YAML chooses the head; the data give the number of classes.
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(MyTask, hparams, run_opts, splits, modules, labels=labels)
