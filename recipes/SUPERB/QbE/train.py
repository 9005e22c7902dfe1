#!/usr/bin/env python3
"""SUPERB query by example: which documents a spoken query is said in.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR is quesst14Database. Nothing is trained: the best hidden state is chosen on the
dev queries. See README.md for other data, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.retrieval import RetrievalBrain, read_sets, searched_layers
from s3prl_sb.corpora.quesst14 import (
    prepare_query_tables,
    prepare_quesst14,
    read_trials,
)
from s3prl_sb.startup.experiment import start


class QueryByExample(RetrievalBrain):
    """Spoken queries in spoken documents; MTWV."""

    task = "SUPERB/QbE"


def prepare(hparams):
    """Checks what is to be searched, and writes the manifests."""
    searched_layers(hparams)
    if hparams["documents_csv"]:
        prepare_query_tables(
            hparams["documents_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            hparams["save_folder"],
            skip_prep=hparams["skip_prep"],
        )
    else:
        prepare_quesst14(
            hparams["data_folder"],
            hparams["save_folder"],
            language=hparams["language"],
            skip_prep=hparams["skip_prep"],
        )


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    brain = QueryByExample(hparams, run_opts)
    save_folder = hparams["save_folder"]
    brain.search(read_sets(save_folder), read_trials(save_folder))
