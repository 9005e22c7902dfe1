#!/usr/bin/env python3
"""SLUE named entities: what is said, with the names, places and dates in it.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is SLUE-VoxPopuli; see README.md for other data, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.entities import EntityBrain, marks_in
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.corpora.slue_voxpopuli import prepare_slue_voxpopuli
from s3prl_sb.dataio.characters import characters_in
from s3prl_sb.dataio.pipes import EncodeTokens
from s3prl_sb.dataio.splits import make_splits, read_splits
from s3prl_sb.dataio.tables import prepare_tables
from s3prl_sb.startup.experiment import start


class EntityRecognition(EntityBrain):
    """Seven tags of entities; micro F1 of tags and phrases."""

    task = "SLUE/NER"


def prepare(hparams):
    """Writes the manifests."""
    if hparams["train_csv"]:
        prepare_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            required=("text",),
            categories=(),
            skip_prep=hparams["skip_prep"],
        )
        return
    prepare_slue_voxpopuli(
        hparams["data_folder"],
        hparams["save_folder"],
        skip_prep=hparams["skip_prep"],
    )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    records, _ = EntityRecognition.targets_of(read_splits(hparams), hparams)
    texts = (each["text"] for split in records.values() for each in split.values())
    tokenizer = characters_in(hparams["save_folder"], marks_in(texts), upper=False)
    decoder = hparams["lm_decoding"](tokenizer) if hparams["lm"] else None
    keys = ["id", "sig", "tokens_list", "tokens", "reference"]
    splits = make_splits(hparams, records, [EncodeTokens(tokenizer)], keys)
    modules = {"head": hparams["head"](num_classes=len(tokenizer))}
    more = {"tokenizer": tokenizer, "decoder": decoder}
    train_and_test(EntityRecognition, hparams, run_opts, splits, modules, **more)
