#!/usr/bin/env python3
"""A list of a million audio files: disk, memory, and the time to the first batch.

> python benchmarks/audio_lists.py

The list is synthetic: names and lengths like those of LibriSpeech, and one real file
behind each first row, so that a batch can be read. Each measurement is a process of its
own that has imported everything before its clock starts. ``--files N`` also scans a
folder of N small WAV files twice.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy
import soundfile
import torch

from s3prl_sb.unlabelled.dataset import UnlabelledDataset
from s3prl_sb.unlabelled.index import AudioIndex, Place
from s3prl_sb.unlabelled.sampler import PoolSampler
from s3prl_sb.unlabelled.scanning import scan
from s3prl_sb.unlabelled.sources import sources
from s3prl_sb.unlabelled.texts import Texts

SECONDS = 15.6  # HuBERT's crop
BATCH = 200  # seconds of audio


def cpu():
    """Returns the CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident(key="VmRSS"):
    """Returns memory of this process in MB: anonymous, without mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def write(folder, rows):
    """Writes a list whose rows are all the same file."""
    path = Path(folder, "a.flac")
    noise = numpy.random.default_rng(0).normal(0, 0.1, 16 * 16000)
    soundfile.write(path, noise, 16000)
    names = (
        f"{r // 5000:04}/{r // 100:06}/{r // 5000:04}-{r // 100:06}-{r:07}.flac"
        for r in range(rows)
    )
    random = numpy.random.default_rng(0)
    seconds = numpy.minimum(random.gamma(6, 2, rows) + 1.5, 16)
    columns = {
        "names": Texts.of(names),
        "paths": Texts(
            numpy.frombuffer(b"a.flac" * rows, numpy.uint8),
            6 * numpy.arange(rows + 1, dtype=numpy.int64),
        ),
        "samples": (seconds * 16000).astype(numpy.int64),
        "rates": numpy.full(rows, 16000),
        "places": numpy.zeros(rows),
    }
    AudioIndex(columns, [Place(str(folder), "")]).write(Path(folder, "list"))


def start(folder):
    """Opens the list and reads a first batch; prints what it took."""
    torch.set_num_threads(1)
    generator = torch.zeros(1)  # torch has started
    before, clock, used = resident("RssAnon"), time.perf_counter(), cpu()
    index = AudioIndex.open(Path(folder, "list"))
    opened = time.perf_counter() - clock
    dataset = UnlabelledDataset(index, 16000, SECONDS, seed=0)
    sampler = PoolSampler(dataset.lengths, BATCH * 16000, steps=10**6)
    rows = next(iter(sampler))
    drawn = cpu() - used
    batch = dataset.collate([dataset[pair] for pair in rows])
    wall, memory = time.perf_counter() - clock, resident("RssAnon") - before
    audio = sum(len(wav) for wav in batch.wavs) * 4 / 1e6
    print(f"  rows {len(index):,}, batches a pass {sampler.sources[0].count:,}")
    print(
        f"  opened in {1000 * opened:.1f} ms; first order of batches {drawn:.2f} CPU-s"
    )
    print(f"  first batch ({batch.seconds:.0f} s of audio) after {wall:.2f} s")
    print(f"  memory {memory:.1f} MB, of which {audio:.1f} MB are the batch")
    used = cpu()
    size = sampler.sources[0].count
    for position in range(size, 2 * size):
        sampler.batch(position)
    print(f"  a whole pass: {cpu() - used:.2f} CPU-s")
    used = cpu()
    PoolSampler(dataset.lengths, BATCH * 16000, 10**6).batch(1000 * size)
    print(f"  resuming in pass 1,000: {cpu() - used:.2f} CPU-s")
    peak = resident("VmHWM")
    print(f"  peak of the process {peak:.0f} MB, with Python and torch")
    del generator


def scans(folder, files):
    """Scans a folder of small files twice; prints what it took."""
    data = Path(folder, "data")
    for number in range(files):
        path = data / f"{number // 500:04}" / f"{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if number:
            os.link(data / "0000" / "000000.wav", path)
        else:
            soundfile.write(path, numpy.zeros(1600), 16000)
    os.environ["S3PRL_SB_CACHE"] = str(Path(folder, "cache"))
    for turn in ("first", "second"):
        clock, used = time.perf_counter(), cpu()
        scan(sources(str(data)))
        wall, used = time.perf_counter() - clock, cpu() - used
        print(f"  {turn} scan of {files:,} files: {wall:.2f} s, {used:.2f} CPU-s")


def main():
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.start:
        return start(options.start)
    with tempfile.TemporaryDirectory() as folder:
        clock = time.perf_counter()
        write(folder, options.rows)
        files = Path(folder, "list").iterdir()
        disk = sum(file.stat().st_size for file in files) / 1e6
        print(f"written in {time.perf_counter() - clock:.1f} s: {disk:.0f} MB on disk")
        for _ in range(2):  # the second start is warm
            command = [sys.executable, __file__, "--start", folder]
            subprocess.run(command, check=True)
        if options.files:
            scans(folder, options.files)


if __name__ == "__main__":
    main()
