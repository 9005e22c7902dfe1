"""ASR on real speech: a dozen utterances are learned by heart."""

import csv
import shutil

import pytest
from conftest import REPOSITORY, command, results

from s3prl_sb.corpora.librispeech import prepare_librispeech
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
SMALL = {
    "spec_augment": "null",
    "head": "{projection_size: 128, hidden_size: 128, num_layers: 1, dropout: 0.0}",
    "batch_size": 6,
    "lr": 0.005,
    "total_steps": 180,
    "steps_per_epoch": 90,
}


def shortest(folder, save, count):
    """Records of the shortest utterances of real LibriSpeech."""
    splits = {"train": ["train-clean-100"], "valid": "test-other", "test": "test-clean"}
    paths = prepare_librispeech(
        folder / "LibriSpeech", save, *(splits[s] for s in ("train", "valid", "test"))
    )
    records = {}
    for path in paths.values():
        records.update(manifest.read(path))
    return sorted(records.items(), key=lambda item: item[1]["duration"])[:count]


def bigrams(texts, path):
    """A language model to which all pairs of words that the texts have are the same."""
    sentences = [["<s>", *text.split(), "</s>"] for text in texts]
    words = ["<unk>", *sorted({word for sentence in sentences for word in sentence})]
    pairs = sorted({pair for s in sentences for pair in zip(s, s[1:])})
    lines = ["\\data\\", f"ngram 1={len(words)}", f"ngram 2={len(pairs)}"]
    lines += ["", "\\1-grams:", *(f"-2\t{word}\t-1" for word in words)]
    lines += ["", "\\2-grams:", *(f"-1\t{first} {then}" for first, then in pairs)]
    path.write_text("\n".join([*lines, "", "\\end\\", ""]))
    return path


@pytest.fixture(scope="module")
def learned(data_folder, launcher, tmp_path_factory):
    """A finished run: its utterances, its folder, and ``argv(output)``."""
    folder = tmp_path_factory.mktemp("asr")
    few = shortest(data_folder, folder / "manifests", 12)
    table = folder / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "wav", "transcription"])
        writer.writerows([name, r["wav"], r["text"]] for name, r in few)
    (folder / "fbank.yaml").write_text(CARD)
    tables = {f"{split}_csv": table for split in ("train", "valid", "test")}
    loaders = {
        f"{split}_dataloader_opts": "{num_workers: 0}"
        for split in ("train", "valid", "test")
    }

    def argv(output, *options):
        return command(
            REPOSITORY / "recipes/SUPERB/ASR",
            output,
            *options,
            upstream=folder / "fbank.yaml",
            **tables,
            **loaders,
            **SMALL,
        )

    assert launcher.run(argv(folder / "out")) == 0
    return few, folder / "out", argv


def test_overfits_real_speech(learned):
    few, output, _ = learned
    metrics = results(output)["metrics"]
    assert metrics["wer"] < 0.01 and metrics["cer"] < 0.01, metrics
    model = load(output)
    for name, record in few[:3]:
        assert model.transcribe_file(record["wav"]) == record["text"]


def test_is_tested_again_with_a_language_model(learned, launcher, tmp_path):
    """A finished run: nothing is trained again, and nothing of before is changed."""
    pytest.importorskip("flashlight")
    few, finished, argv = learned
    output = tmp_path / "out"
    shutil.copytree(finished, output)
    metrics = results(output)["metrics"]
    lm = bigrams([record["text"] for _, record in few], tmp_path / "words.arpa")
    before = (output / "predictions.csv").read_text().splitlines()
    assert launcher.run(argv(output, "--lm", str(lm))) == 0
    again = results(output)["metrics"]
    assert {name: again[name] for name in metrics} == metrics
    assert again["wer_lm"] < 0.01 and again["cer_lm"] < 0.01, again
    lines = (output / "predictions.csv").read_text().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == before
    exported = export(output, tmp_path / "exported")
    shutil.rmtree(output)
    model = load(exported, overrides={"lm": str(lm)})
    name, record = few[0]
    assert model.decoder is not None
    assert model.transcribe_file(record["wav"]) == record["text"]
