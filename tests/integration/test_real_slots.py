"""Slot filling on real speech: a dozen utterances are learned by heart."""

import csv

from conftest import REPOSITORY, command, results

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.slots import mark_slots, tagged_words
from s3prl_sb.inference import load
from s3prl_sb.metrics.slots import slot_values

CARD = """
fbank: !new:s3prl_sb.lobes.upstreams.features.KaldiFeatures
    feature: fbank
    num_mel_bins: 80
    frame_length: 25.0
    frame_shift: 25.0
    deltas: 2
    cmvn: True
"""
SMALL = {
    "spec_augment": "null",
    "head": "{projection_size: 128, hidden_size: 128, num_layers: 1, dropout: 0.0}",
    "batch_size": 4,
    "lr": 0.006,
    "total_steps": 260,
    "steps_per_epoch": 260,
}
SLOTS = ("thing", "person", "place")


def shortest(folder, count):
    """The shortest real utterances: file and words."""
    found = []
    for path in sorted(folder.rglob("*.trans.txt")):
        for line in path.read_text("utf-8").splitlines():
            name, _, text = line.partition(" ")
            wav = path.parent / f"{name}.flac"
            if wav.is_file():
                found.append((wav.stat().st_size, wav, text))
    return [(wav, text) for _, wav, text in sorted(found)[:count]]


def made_up(text, number):
    """Tags for its words: slots of two words, with one or two words between."""
    words = text.split()
    tags = ["O"] * len(words)
    for i in range(1 + number % 2, len(words), 3 + number % 2):
        slot = SLOTS[(number + i) % len(SLOTS)]
        tags[i : i + 2] = [slot] * len(tags[i : i + 2])
    return " ".join(tags)


def test_overfits_real_speech(data_folder, launcher, tmp_path):
    few = shortest(data_folder / "LibriSpeech", 12)
    rows = [(w.stem, w, text, made_up(text, n)) for n, (w, text) in enumerate(few)]
    table = tmp_path / "table.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("id", "wav", "transcription", "iob"), *rows])
    (tmp_path / "fbank.yaml").write_text(CARD)
    tables = {f"{split}_csv": table for split in ("train", "valid", "test")}
    loaders = {f"{split}_dataloader_opts": "{num_workers: 0}" for split in
               ("train", "valid", "test")}  # fmt: skip
    output = tmp_path / "out"
    argv = command(
        REPOSITORY / "recipes/SUPERB/SF",
        output,
        upstream=tmp_path / "fbank.yaml",
        **tables,
        **loaders,
        **SMALL,
    )
    assert launcher.run(argv) == 0
    metrics = results(output)["metrics"]
    assert metrics["slot_type_f1"] == 1.0, metrics
    assert metrics["slot_value_cer"] < 0.01, metrics
    assert manifest.read(output / "save/test.json").keys() == {w.stem for w, _ in few}
    model = load(output)
    for _, wav, text, iob in rows[:3]:
        words, slots = model.fill_file(wav)
        assert words == text
        assert slots == slot_values(mark_slots(*tagged_words(text, iob)[:2]))
