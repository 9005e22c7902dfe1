"""A small corpus for SUPERB/SD."""

import csv
import json

import numpy as np
import pytest
import soundfile
from clips import clip, read_table, write_table

from s3prl_sb.dataio.rttm import read_rttm, read_uem, rttm_lines
from s3prl_sb.metrics.diarization import corpus_errors

BUDGET = {"head": "{hidden_size: 8}", "chunk_frames": 130}
# Chunks in training, of 130 and of 69 frames: a batch weighs frames, not chunks
UTTERANCES = {"train": 16, "valid": 4, "test": 4}
SPLITS = {"train": "train", "valid": "dev", "test": "test"}
RECORDINGS = {"train": 8, "valid": 4, "test": 4}


def recording(path, number):
    """Two tones at once; writes it, and gives who sounds when."""
    turns = [("low", 0.05, 0.45), ("high", 0.3 + 0.05 * (number % 4), 0.75)]
    samples = 0.005 * np.random.default_rng(number).standard_normal(16000)
    for label, (_, start, stop) in enumerate(turns):
        tone = clip(2 * label, number, seconds=stop - start)
        first = round(start * 16000)
        samples[first : first + len(tone)] += tone
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, 16000)
    return turns


def corpus(folder):
    """Kaldi folders."""
    for split, name in SPLITS.items():
        files = {"wav.scp": [], "segments": [], "utt2spk": []}
        for number in range(RECORDINGS[split]):
            wav = f"wav/{name}/{number}.wav"
            files["wav.scp"].append(f"{name}{number} {wav}")
            for speaker, start, stop in recording(folder / wav, number):
                utterance = f"{speaker}-{name}{number}"
                times = f"{start:.2f} {stop:.2f}"
                files["segments"].append(f"{utterance} {name}{number} {times}")
                files["utt2spk"].append(f"{utterance} {speaker}")
        (folder / "data" / name).mkdir(parents=True)
        for file, lines in files.items():
            (folder / "data" / name / file).write_text("\n".join(lines) + "\n")
    return {}


def tables(folder):
    """A row a segment."""
    columns = ("record_id", "wav_path", "speaker", "start_sec", "end_sec")
    paths = {}
    for split, count in RECORDINGS.items():
        rows = []
        for number in range(count):
            wav = f"{split}/{number}.wav"
            for turn in recording(folder / wav, number):
                rows.append((f"{split}{number}", wav, *turn))
        paths[f"{split}_csv"] = write_table(folder / f"{split}.csv", columns, rows)
    return paths


def check(run_folder, model, folder):
    """The model diarizes as the run did; the error rate is that of its RTTM files."""
    rows = read_table(run_folder / "predictions.csv")
    assert {row["id"] for row in rows} == {f"test{n}" for n in range(4)}
    hypotheses = read_rttm(run_folder / "hyp.rttm")
    written = (run_folder / "hyp.rttm").read_text().splitlines()
    with open(folder / "test.csv", newline="") as file:
        wavs = {row["record_id"]: row["wav_path"] for row in csv.DictReader(file)}
    for name, wav in wavs.items():
        found = model.diarize_file(folder / wav)
        lines = [line for line in written if line.split()[1] == name]
        assert list(rttm_lines(name, found)) == lines
    results = json.loads((run_folder / "results.json").read_text())
    metrics, chosen = results["metrics"], results["valid"]
    assert metrics["threshold"] == chosen["threshold"] == model.hparams.threshold
    assert metrics["median"] == chosen["median"] == model.hparams.median

    def timed(recordings):
        return {n: [(a, b, s) for s, a, b in recordings.get(n, [])] for n in wavs}

    reference = read_rttm(run_folder / "ref.rttm")
    regions = read_uem(run_folder / "ref.uem")
    errors = corpus_errors(timed(hypotheses), timed(reference), regions)
    assert metrics["der"] == pytest.approx(errors.rate, abs=0.01)  # milliseconds
    parts = {
        k: sum(float(r[k]) for r in rows) for k in rows[0] if k not in ("id", "der")
    }
    wrong = parts["missed"] + parts["false_alarm"] + parts["confusion"]
    assert metrics["der"] == pytest.approx(wrong / parts["speech"], abs=1e-5)
    assert metrics["der_miss"] == pytest.approx(
        parts["missed"] / parts["speech"], abs=1e-5
    )
