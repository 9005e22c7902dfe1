#!/usr/bin/env python3
"""SUPERB-SG voice conversion: what anyone says, in the voice of one speaker.

> python train.py hparams/train.yaml --upstream hubert_base --data_folder DIR

DIR holds the folders of VCC2020's database; see README.md for other data, conversion to
any speaker (hparams/any_to_any.yaml), budgets, and the numbers to expect.

Authors
 * The s3prl_sb developers, 2026
"""

import sys

from s3prl_sb.brains.conversion import ConversionBrain
from s3prl_sb.brains.conversion_parts import conversion_splits, network_of, vocoder_of
from s3prl_sb.brains.running import train_and_test
from s3prl_sb.brains.target_statistics import target_statistics
from s3prl_sb.corpora.conversion_tables import prepare_conversion_tables
from s3prl_sb.corpora.vcc2016 import prepare_vcc2016
from s3prl_sb.corpora.vcc2020 import prepare_vcc2020
from s3prl_sb.corpora.vctk import prepare_vctk
from s3prl_sb.dataio.enrolled_speakers import EnrolledSpeaker
from s3prl_sb.dataio.splits import read_splits
from s3prl_sb.inference.judges import Judges
from s3prl_sb.inference.speaker_embedding import speaker_embeddings
from s3prl_sb.startup.experiment import start

CORPORA = {
    "vcc2020": prepare_vcc2020,
    "vcc2016": prepare_vcc2016,
    "vctk": prepare_vctk,  # to any speaker
}


class VoiceConversion(ConversionBrain):
    """Mel-cepstral distortion and F0 of converted speech, to parallel utterances."""

    task = "SUPERB/VC"


def prepare(hparams):
    """Writes the manifests."""
    save_folder, skip_prep = hparams["save_folder"], hparams["skip_prep"]
    if hparams["train_csv"]:
        prepare_conversion_tables(
            hparams["train_csv"],
            hparams["valid_csv"],
            hparams["test_csv"],
            save_folder,
            enrolled=bool(hparams["speaker_embedding"]),
            skip_prep=skip_prep,
        )
        return
    name = hparams["corpus"]
    other = hparams["test_folder" if name == "vctk" else "target_speaker"]
    CORPORA[name](hparams["data_folder"], save_folder, other, skip_prep=skip_prep)


def prepared(hparams, run_opts):
    """Returns the datasets, the network and further arguments of the Brain."""
    judges = Judges(hparams["asr"], hparams["asv"], hparams["asv_threshold"])
    measuring = {"vocoder": vocoder_of(hparams), "judges": judges}
    records, speakers = read_splits(hparams), None
    if hparams["speaker_embedding"]:
        speakers = EnrolledSpeaker(speaker_embeddings(records, hparams, run_opts))
    splits = conversion_splits(hparams, records, speakers)
    head = network_of(hparams, speakers)
    head.set_statistics(*target_statistics(records["train"], hparams, run_opts))
    return splits, {"head": head}, {"records": records["test"], **measuring}


if __name__ == "__main__":
    hparams, run_opts = start(sys.argv[1:], prepare)
    splits, modules, options = prepared(hparams, run_opts)
    train_and_test(VoiceConversion, hparams, run_opts, splits, modules, **options)
