"""A small corpus for Scenes/recognition."""

import csv
import json

import numpy as np
import pytest
import soundfile
from clips import clip, read_table

BUDGET = {"head": "{projection_size: 8, hidden_size: 8, word_size: 8}"}
UTTERANCES = {"train": 8, "valid": 4, "test": 4}
DROPOUT = True  # two processes draw other random numbers than one
WORDS = ("low", "high")


def scene(path, number, twin="both"):
    """Writes tones, which two speakers say, and hisses; gives the record."""
    shift = 0.02 * (number % 5)
    turns = [["ann", 0.06 + shift, 0.36 + shift], ["bob", 0.3, 0.7]]
    words = [[who, start, stop, WORDS[n]] for n, (who, start, stop) in enumerate(turns)]
    events = [["hiss, loud", 0.5 + shift, 0.8], ["hum", 0.1, 0.24]]
    turns, words = ([], []) if twin == "sounds" else (turns, words)
    events = [] if twin == "speech" else events
    samples = 0.004 * np.random.default_rng(number).standard_normal(16000)
    for label, (_, start, stop, *_) in enumerate([*words, *events]):
        tone = clip(2 * label, number, seconds=stop - start)
        first = round(start * 16000)
        samples[first : first + len(tone)] += tone
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)
    return {
        "wav": str(path.resolve()),
        "duration": 1.0,
        "start": None,
        "stop": None,
        "speakers": [who for who, _, _ in turns],
        "segments": turns,
        "regions": None,
        "words": words,
        "word_times": "exact",
        "events": events,
        "scene": f"scene{number}",
        "twin": twin,
        "snr": 5.0 if events else None,
    }


def corpus(folder):
    """Scenes as `s3prl-sb mix` leaves them; the test has matched twins."""
    for split, count in (("train", 8), ("valid", 4), ("test", 2)):
        twins = ("both", "speech", "sounds") if split == "test" else ("both",)
        records = {
            f"{split}{number}-{twin}": scene(
                folder / split / f"{number}-{twin}.wav", number, twin
            )
            for number in range(count)
            for twin in twins
        }
        (folder / f"{split}.json").write_text(json.dumps(records))
    return {}


def tables(folder):
    """A row a turn, a word or an event."""
    paths = {}
    for split, count in UTTERANCES.items():
        columns = ["record_id", "wav", "type", "label", "start", "stop", "speaker"]
        paths[f"{split}_csv"] = folder / f"{split}.csv"
        with open(paths[f"{split}_csv"], "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(columns)
            for number in range(count):
                wav = f"{split}/{number}.wav"
                record = scene(folder / wav, number)
                first = [f"{split}{number}", wav]
                for who, start, stop in record["segments"]:
                    table.writerow([*first, "speaker", who, start, stop, ""])
                for who, start, stop, word in record["words"]:
                    table.writerow([*first, "word", word, start, stop, who])
                for label, start, stop in record["events"]:
                    table.writerow([*first, "event", label, start, stop, ""])
    return paths


def lines(path):
    """The items of a file of timelines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def check(run_folder, model, folder):
    """The model hears what the run wrote; the measures are those of the table."""
    rows = read_table(run_folder / "predictions.csv")
    assert {row["id"] for row in rows} == {f"test{n}" for n in range(4)}
    written = lines(run_folder / "hyp.jsonl")
    for number in range(4):
        items = model.timeline_file(folder / "test" / f"{number}.wav")
        expected = [each for each in written if each["recording"] == f"test{number}"]
        assert [(i.type, i.label) for i in items] == [
            (each["type"], each["label"]) for each in expected
        ]
        for item, each in zip(items, expected):
            assert item.start == pytest.approx(each["start"], abs=1e-3)
            assert item.stop == pytest.approx(each["stop"], abs=1e-3)
    results = json.loads((run_folder / "results.json").read_text())
    for key in ("speaker_threshold", "speaker_median", "event_threshold"):
        assert results["metrics"][key] == results["valid"][key]
    true = [
        each for each in lines(run_folder / "ref.jsonl") if each["type"] == "speaker"
    ]
    seconds = sum(each["stop"] - each["start"] for each in true)
    assert seconds == pytest.approx(4 * 0.7, abs=0.01)  # each scene has as much speech
    rates = [float(row["der"]) for row in rows]
    assert results["metrics"]["der"] == pytest.approx(sum(rates) / 4, abs=1e-5)
