r"""Mixes training data of source separation from any recordings of single speakers.

    python benchmarks/mixtures.py --libri2mix Libri2Mix --speech LibriSpeech TIMIT \
        --count 4000 --output mixtures

No speaker of Libri2Mix' dev and test sets is in them. ``mixtures/train.csv`` and
``valid.csv`` (speakers that training lacks) are tables for SUPERB/SS; ``test.csv`` is
the test set of Libri2Mix. A training for a laptop:

    s3prl-sb run SUPERB/SS/stft2 --upstream fbank --train_csv mixtures/train.csv \
        --valid_csv mixtures/valid.csv --test_csv mixtures/test.csv --hop_length 320 \
        --head "{hidden_size: 192, num_layers: 2, dropout: 0.3}" --lr 0.001 \
        --scheduler linear --total_steps 900 --steps_per_epoch 100
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

RATE, SAMPLES = 16000, 56000  # 3.5 s
SPEEDS = (0.82, 1.22)  # of training: each draw sounds like another speaker
LEVELS = (-3, 3)  # dB around the same root mean square
VALIDATED, VALIDATION_SPEAKERS = 24, 12
PARTS = ("mix_clean", "s1", "s2")


def speaker_of(path):
    """The speaker of a file of LibriSpeech (by its name) or of any other corpus."""
    first = path.stem.split("-")[0]
    return first if first.isdigit() else path.parent.name


def recordings(folders, held_out):
    """Returns ``{speaker: paths}`` of recordings at 16 kHz, mono."""
    speakers = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix.lower() in (".wav", ".flac"):
                info = soundfile.info(path)
                if (info.samplerate, info.channels) == (RATE, 1):
                    speakers.setdefault(speaker_of(path), []).append(path)
    return {name: paths for name, paths in speakers.items() if name not in held_out}


def piece(rng, paths, speeds):
    """Returns a part of a recording, [SAMPLES], at a random speed and level."""
    samples, _ = soundfile.read(paths[rng.integers(len(paths))], dtype="float32")
    if speeds:
        times = np.arange(0, len(samples) - 1, rng.uniform(*speeds))
        samples = np.interp(times, np.arange(len(samples)), samples)
    start = rng.integers(max(1, len(samples) - SAMPLES))
    samples = samples[start : start + SAMPLES]
    samples = np.pad(samples, (0, SAMPLES - len(samples)))
    level = 10 ** (rng.uniform(*LEVELS) / 20)
    return 0.05 * level * samples / np.sqrt(np.mean(samples**2) + 1e-9)


def mix(rng, speakers, names, speeds, stem):
    """Writes a mixture of two speakers and its sources; returns their paths."""
    pair = rng.choice(names, 2, replace=False)
    sources = np.stack([piece(rng, speakers[name], speeds) for name in pair])
    sources *= min(1, 0.9 / np.abs(sources.sum(0)).max())
    paths = [f"{stem}_{part}.wav" for part in PARTS]
    for path, samples in zip(paths, [sources.sum(0), *sources]):
        soundfile.write(path, samples, RATE)
    return paths


def write_table(path, rows):
    """Writes a table for SUPERB/SS."""
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["wav", "source_1", "source_2"], *rows])


def main():
    """Mixes, and writes the three tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--libri2mix", type=Path, required=True)
    parser.add_argument("--speech", nargs="+", required=True)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    mode = options.libri2mix.resolve() / "wav16k/min"
    held_out = {
        utterance.split("-")[0]
        for subset in ("dev", "test")
        for path in (mode / subset / PARTS[0]).iterdir()
        for utterance in path.stem.split("_")
    }
    speakers = recordings(options.speech, held_out)
    rng = np.random.default_rng(options.seed)
    libri = [name for name in sorted(speakers) if name.isdigit()]
    kept = list(rng.choice(libri, VALIDATION_SPEAKERS, replace=False))
    trained = sorted(speakers.keys() - set(kept))
    print(
        f"{len(trained)} speakers in training, without {len(held_out)} of dev and test"
    )
    folder = options.output.resolve()
    folder.mkdir(parents=True)
    sets = {"train": (options.count, trained, SPEEDS), "valid": (VALIDATED, kept, None)}
    for split, (count, names, speeds) in sets.items():
        stems = [folder / f"{split}{number:05d}" for number in range(count)]
        rows = [mix(rng, speakers, names, speeds, s) for s in tqdm(stems, desc=split)]
        write_table(folder / f"{split}.csv", rows)
    tests = sorted(path.name for path in (mode / "test" / PARTS[0]).iterdir())
    rows = [[mode / "test" / part / name for part in PARTS] for name in tests]
    write_table(folder / "test.csv", rows)


if __name__ == "__main__":
    main()
