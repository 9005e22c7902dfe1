"""Probes of frames and speakers on real speech: TIMIT, and LibriSpeech with lists."""

import csv
import random

from conftest import REPOSITORY, command, results

from s3prl_sb.dataio import label_files, manifest
from s3prl_sb.dataio.ctm import ctm_lines
from s3prl_sb.inference import export, load

FEW = {
    "total_steps": 4,
    "steps_per_epoch": 2,
    "ckpt_interval_steps": 1,
    "train_dataloader_opts": "{num_workers: 0}",
    "valid_dataloader_opts": "{num_workers: 0, batch_size: 8}",
    "test_dataloader_opts": "{num_workers: 0, batch_size: 8}",
}


def test_timit(data_folder, launcher, tmp_path):
    """A variant: trained, exported, and it predicts on SPHERE."""
    recipe = REPOSITORY / "recipes/TIMIT/phones"
    given = {"data_folder": data_folder / "TIMIT", "upstream": "fbank", **FEW}
    given["test_speakers"] = "[FALK0, FBCG1]"
    hparams = recipe / "hparams/one_hidden.yaml"
    argv = command(recipe, tmp_path / "run", hparams=hparams, **given)
    assert launcher.run(argv) == 0
    found = results(tmp_path / "run")
    assert found["task"] == "TIMIT/phones/one_hidden"
    assert found["utterances"] == {"train": 72, "valid": 8, "test": 16}
    assert not any("head" in words for words in found["protocol"]["differs"])
    model = load(export(tmp_path / "run", tmp_path / "exported"))
    record = manifest.read(tmp_path / "run/save/test.json")["DR3-FALK0-SI456"]
    lines = (tmp_path / "run/hyp.ctm").read_text().splitlines()
    mine = [line for line in lines if line.startswith("DR3-FALK0-SI456 ")]
    segments = model.label_file(record["wav"])
    assert list(ctm_lines("DR3-FALK0-SI456", segments)) == mine


def test_phones_are_learned(data_folder, launcher, tmp_path):
    """Three sentences in a table, which are also the validation and the test set."""
    folder, table = data_folder / "TIMIT/TRAIN/DR1/FVMH0", tmp_path / "phones.csv"
    with open(table, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["record_id", "wav", "label_file"])
        for name in ("SI1466", "SI2096", "SI836"):
            rows.writerow([name, folder / f"{name}.WAV", folder / f"{name}.PHN"])
    given = {"upstream": "fbank", **FEW, "total_steps": 50, "steps_per_epoch": 50}
    given.update({f"{split}_csv": table for split in manifest.SPLITS}, lr=0.01)
    recipe, run = REPOSITORY / "recipes/TIMIT/phones", tmp_path / "run"
    argv = command(recipe, run, hparams=recipe / "hparams/one_hidden.yaml", **given)
    assert launcher.run(argv) == 0
    assert results(run)["metrics"]["frame_accuracy"] > 0.99
    labels = label_files.read(folder / "SI836.PHN")["SI836"]
    record = manifest.read(run / "save/test.json")["SI836"]
    assert record["segments"] == [list(segment) for segment in labels]


def librispeech(data_folder, folder):
    """Links to the parts, lists of three speakers, and random alignments."""
    corpus = folder / "LibriSpeech"
    corpus.mkdir()
    # The part has mostly one utterance a speaker: test-other has eight of each
    (corpus / "train-clean-100").symlink_to(data_folder / "LibriSpeech/test-other")
    wavs = sorted((corpus / "train-clean-100").glob("*/*/*.flac"))
    people = sorted({wav.stem.split("-")[0] for wav in wavs})[:3]
    lists, alignments, draws = {"train": [], "test": []}, [], random.Random(0)
    for person in people:
        names = [wav for wav in wavs if wav.stem.startswith(f"{person}-")]
        for place, wav in enumerate(names):
            lists["test" if place % 4 == 3 else "train"].append(wav.stem)
            frames = [str(draws.randrange(2)) for _ in range(100)]
            alignments.append(" ".join([wav.stem, *frames]))
    (corpus / "train_split.txt").write_text("\n".join(lists["train"]))
    (corpus / "test_split.txt").write_text("\n".join(lists["test"]))
    (corpus / "converted_aligned_phones.txt").write_text("\n".join(alignments))
    return corpus


def test_librispeech(data_folder, launcher, tmp_path):
    """All three recipes; speakers are learned."""
    corpus = librispeech(data_folder, tmp_path)
    given = {**FEW, "data_folder": corpus, "upstream": "fbank_no_cmvn"}
    given.update(valid_share=0.3, lr=0.01)
    longer = {"total_steps": 60, "steps_per_epoch": 30}
    for name, metric, keys in (
        ("phones", "frame_accuracy", {}),
        ("speaker_frame", "frame_accuracy", {}),
        ("speaker_utterance", "accuracy", longer),
    ):
        recipe = REPOSITORY / "recipes/LibriSpeech" / name
        argv = command(recipe, tmp_path / name, **{**given, **keys})
        assert launcher.run(argv) == 0
        found = results(tmp_path / name)
        assert found["task"] == f"LibriSpeech/{name}" and metric in found["metrics"]
    assert found["metrics"]["accuracy"] > 0.9  # of three speakers
    model = load(export(tmp_path / name, tmp_path / "exported"))
    records = manifest.read(tmp_path / name / "save/train.json")
    record = next(iter(records.values()))
    assert model.classify_file(record["wav"])[0] == record["label"]
