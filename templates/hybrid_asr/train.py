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
from s3prl_sb.errors import ManifestError
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.startup.experiment import start
from s3prl_sb.storage.files import write_text

#: Keys without a default.
DATA = [f"{split}_{of}" for split in manifest.SPLITS for of in ("folder", "alignments")]
DATA.append("num_states")


class HybridStates(FrameBrain):
    """States of HMMs; accuracy over frames."""

    task = "hybrid_asr"


def prepare(hparams):
    """Writes the manifests, and the counts of all states in training."""
    missing = [f"--{key}" for key in DATA if hparams[key] is None]
    if missing:
        raise ManifestError(f"Give {', '.join(missing)}: README.md says where from.")
    size, seconds = hparams["upstream_model"].input_size, hparams["frame_seconds"]
    states = [str(state) for state in range(hparams["num_states"])]
    splits, counts = {}, {}
    for split in manifest.SPLITS:
        data, path = hparams[f"{split}_folder"], hparams[f"{split}_alignments"]
        alignments = kaldi_alignments.read(path, seconds)
        records = records_of(data, size)
        aligned = {
            name: {**record, "segments": alignments[name]}
            for name, record in records.items()
            if name in alignments  # Kaldi fails to align some utterances
        }
        if not aligned:
            raise ManifestError(f"{path}: aligns no utterance of {data}.")
        splits[split] = aligned
        segments = {name: record["segments"] for name, record in aligned.items()}
        counts[split] = kaldi_alignments.count_frames(segments, states, seconds, path)
    manifest.finish(splits, hparams["save_folder"], {}, ("segments",))
    lines = "".join(f"{label} {count}\n" for label, count in counts["train"].items())
    write_text(Path(hparams["output_folder"]) / "counts.txt", lines)


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, labels = frame_splits(hparams)
    modules = {"head": hparams["head"](num_classes=len(labels))}
    train_and_test(HybridStates, hparams, run_opts, splits, modules, labels=labels)
