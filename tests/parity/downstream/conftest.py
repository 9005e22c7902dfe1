"""The toys, made once; what runs in S3PRL's environment is no test."""

import pytest
import toys

collect_ignore = [
    "make.py",
    "make_ctc_head.py",
    "make_conversion.py",
    "make_intent_head.py",
    "make_masks.py",
    "make_poolings.py",
    "make_mos.py",
    "make_conversion_metrics.py",
    "make_probes.py",
    "make_transcripts.py",
    "targets.py",
    "peer_search.py",
]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Makes a toy corpus: its folder."""
    folder = tmp_path_factory.mktemp("toys")
    return lambda corpus: toys.make(folder, corpus)
