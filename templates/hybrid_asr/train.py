#!/usr/bin/env python3
"""Acoustic model of a hybrid recognizer: which HMM state is heard in each frame.

> python train.py hparams/train.yaml --upstream hubert_base
>     --train_folder data/train --train_alignments exp/tri3_ali_train/pdf.txt …

README.md has the whole way, from Kaldi's alignments to its decoder.

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

from s3prl_sb.brains.frames import FrameBrain, frame_splits
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.dataio import kaldi_alignments, manifest
from s3prl_sb.dataio.manifest import SPLITS
from s3prl_sb.errors import ManifestError
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.startup.experiment import start
from s3prl_sb.storage.files import write_text


class HybridStates(FrameBrain):
    """States of HMMs; accuracy over frames."""

    task = "hybrid_asr"


def prepare(hparams):
    """Writes the manifests, and the counts of all states in training."""
    needed = [f"{s}_{what}" for what in ("folder", "alignments") for s in SPLITS]
    needed = [key for key in (*needed, "num_states") if hparams[key] is None]
    if needed:
        raise ManifestError(f"not set: {', '.join(needed)}. README.md has them.")
    size, seconds = hparams["upstream_model"].input_size, hparams["frame_seconds"]
    splits = {}
    for split in SPLITS:
        data = hparams[f"{split}_folder"]
        alignments = kaldi_alignments.read(hparams[f"{split}_alignments"], seconds)
        records = records_of(data, size)
        aligned = {
            name: {**record, "segments": alignments[name]}
            for name, record in records.items()
            if name in alignments  # Kaldi fails to align some utterances
        }
        if not aligned:
            path = hparams[f"{split}_alignments"]
            raise ManifestError(f"{path}: aligns no utterance of {data}.")
        splits[split] = aligned
    manifest.finish(splits, hparams["save_folder"], {}, ("segments",))
    states = map(str, range(hparams["num_states"]))
    train = {name: record["segments"] for name, record in splits["train"].items()}
    counts = kaldi_alignments.count_frames(train, states, seconds)
    lines = "".join(f"{label} {count}\n" for label, count in counts.items())
    write_text(Path(hparams["output_folder"]) / "counts.txt", lines)


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = frame_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(HybridStates, hparams, run_opts, splits, modules, labels=labels)
