"""Phoneme recognition on real speech: the layout, and that it can be learned."""

import csv
import re

import pytest
from conftest import REPOSITORY, command, results

from s3prl_sb.corpora.librispeech import find_lexica, prepare_librispeech
from s3prl_sb.dataio import manifest
from s3prl_sb.metrics.transcription import per

CARD = """
fbank: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures
    feature: fbank
    num_mel_bins: 80
    frame_length: 50.0
    frame_shift: 40.0
    deltas: 2
    cmvn: True
"""
HEAD = """head: !name:s3prl_sb.lobes.heads.frames.FrameClassifier
    input_size: !ref <upstream_model.output_size>
    hidden_size: 256
"""
BLSTM = """head: !name:s3prl_sb.lobes.heads.blstm.BLSTMHead
    input_size: !ref <upstream_model.output_size>
    projection_size: 128
    hidden_size: 128
    num_layers: 1
    dropout: 0.0
"""


def twelve(corpus, folder):
    """A table of the shortest utterances, with their phones."""
    paths = prepare_librispeech(
        corpus,
        folder / "manifests",
        valid_split="test-other",
        lexicon=find_lexica(corpus),
        unknown_words="drop",
    )
    records = {n: r for path in paths.values() for n, r in manifest.read(path).items()}
    with open(folder / "twelve.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "wav", "phones"])
        for name in sorted(records, key=lambda n: records[n]["duration"])[:12]:
            writer.writerow([name, records[name]["wav"], records[name]["phones"]])
    return folder / "twelve.csv"


def test_real_librispeech(data_folder, tmp_path):
    """Prepares the recipe; errors name words without a pronunciation."""
    corpus = data_folder / "LibriSpeech"
    parts = {"valid_split": "test-other", "lexicon": find_lexica(corpus)}
    with pytest.raises(manifest.ManifestError) as error:
        prepare_librispeech(corpus, tmp_path / "save", **parts)
    absent = set((corpus / "lexicon-oov.txt").read_text().split())
    named = re.findall(r"\.trans\.txt:\d+: '[\d-]+': ([A-Z']+) is", str(error.value))
    assert len(named) == 5 and set(named) <= absent
    paths = prepare_librispeech(
        corpus, tmp_path / "save", unknown_words="drop", **parts
    )
    sizes = {name: len(manifest.read(path)) for name, path in paths.items()}
    assert sizes["train"] > 40 and sizes["valid"] > 20 and sizes["test"] == 3  # of 4
    record = manifest.read(paths["test"])["1089-134691-0000"]
    assert len(record["phones"].split()) > 2 * len(record["text"].split())


def test_overfits_real_speech(data_folder, launcher, tmp_path):
    """Twelve utterances, learned by heart by a BLSTM: loss, decoding and metric.

    A linear head sees one frame at a time, which is not enough for that.
    """
    table = twelve(data_folder / "LibriSpeech", tmp_path)
    (tmp_path / "fbank.yaml").write_text(CARD)
    recipe = REPOSITORY / "recipes/SUPERB/PR"
    hparams = (recipe / "hparams/train.yaml").read_text()
    assert HEAD in hparams
    (tmp_path / "blstm.yaml").write_text(hparams.replace(HEAD, BLSTM))
    tables = {f"{split}_csv": table for split in ("train", "valid", "test")}
    loaders = {
        f"{split}_dataloader_opts": "{num_workers: 0, batch_size: 12}"
        for split in ("train", "valid", "test")
    }
    output = tmp_path / "out"
    argv = command(
        recipe,
        output,
        hparams=tmp_path / "blstm.yaml",
        upstream=tmp_path / "fbank.yaml",
        batch_size=12,
        grad_accumulation_factor=1,
        lr=0.01,
        total_steps=120,
        steps_per_epoch=60,
        **tables,
        **loaders,
    )
    assert launcher.run(argv) == 0
    assert results(output)["metrics"]["per"] < 0.01, results(output)["metrics"]
    with open(output / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    texts = {row["id"]: row["reference"] for row in rows}
    assert per({row["id"]: row["prediction"] for row in rows}, texts).rate < 0.01
    with open(table, newline="") as file:
        assert texts == {row["id"]: row["phones"] for row in csv.DictReader(file)}
