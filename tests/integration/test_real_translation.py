"""ST and attention ASR on real speech: a dozen utterances are learned by heart."""

import csv
import json

import pytest
from conftest import REPOSITORY, command, results

from s3prl_sb.corpora.covost2 import prepare_covost2
from s3prl_sb.dataio import manifest
from s3prl_sb.inference import export, load

CARD = """
fbank: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures
    feature: fbank
    num_mel_bins: 80
    frame_length: 25.0
    frame_shift: 20.0
    deltas: 2
    cmvn: True
"""
HEAD = {
    "hidden_size": 96,
    "num_heads": 4,
    "ffn_size": 192,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "channels": 96,
    "dropout": 0.0,
}
SMALL = {
    "source_language": "de",
    "target_language": "en",
    "head": json.dumps(HEAD),
    "batch_seconds": "null",
    "batch_size": 12,
    "grad_accumulation_factor": 1,
    "total_steps": 120,
    "steps_per_epoch": 120,
    "warmup_steps": 0.2,
    "lr": 0.003,
    "beam": 5,
    "max_tokens": 80,
}


@pytest.fixture(scope="module")
def dozen(data_folder, tmp_path_factory):
    """Twelve utterances of six sentences, by two speakers each: records and options."""
    folder = tmp_path_factory.mktemp("st")
    corpus = data_folder / "CoVoST_like_EmoDB"
    paths = prepare_covost2(corpus, folder / "manifests", source="de", target="en")
    by_text = {}
    for record in manifest.read(paths["train"]).values():
        by_text.setdefault(record["text"], []).append(record)
    records = [record for same in by_text.values() for record in same[:3]][:12]
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["wav", "translation", "transcription"])
        writer.writerows([r["wav"], r["text"], r["transcription"]] for r in records)
    (folder / "fbank.yaml").write_text(CARD)
    options = {"upstream": folder / "fbank.yaml", **SMALL}
    for split in ("train", "valid", "test"):
        options[f"{split}_csv"] = table
        options[f"{split}_dataloader_opts"] = "{num_workers: 0}"
    return records, options


def test_overfits_translations(dozen, launcher, tmp_path):
    records, options = dozen
    output = tmp_path / "out"
    recipe = REPOSITORY / "recipes/SUPERB/ST"
    assert launcher.run(command(recipe, output, **options)) == 0
    found = results(output)
    assert found["metrics"]["bleu"] > 90, found["metrics"]
    assert found["test"]["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|")
    model = load(export(output, tmp_path / "exported"))
    texts = [model.translate_file(record["wav"]) for record in records]
    assert texts == (output / "hyp.txt").read_text().splitlines()


def test_overfits_transcriptions(dozen, launcher, tmp_path):
    """The same recipe is an attention ASR, with CTC beside it."""
    _, options = dozen
    # Frames of 40 ms: CTC needs one for each character.
    head = json.dumps({**HEAD, "kernel_sizes": [5], "strides": [2]})
    given = {**options, "target": "transcription", "ctc_weight": 0.3, "head": head}
    argv = command(REPOSITORY / "recipes/SUPERB/ST", tmp_path / "out", **given)
    assert launcher.run(argv) == 0
    metrics = results(tmp_path / "out")["metrics"]
    assert metrics["wer"] < 0.05 and metrics["cer"] < 0.02, metrics
