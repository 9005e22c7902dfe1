"""Time and memory of a feature cache, by its number of shards.

> python benchmarks/cache_shards.py --shards 10 1000 100000

A cache with this number of shards is made. A new process then measures the CPU time to
open it, to write one shard more, and to read utterances in random order; the memory and
the number of memory maps after that. Run it with another version on ``PYTHONPATH`` to
compare: the shards are the same.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time

import torch

WRITES, READS = 100, 2000


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shards", type=int, nargs="+", default=[10, 1000, 100_000])
    parser.add_argument("--utterances", type=int, default=10, help="a shard")
    parser.add_argument("--folder", help="of the caches; default: a temporary one")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    print("| shards | utterances | open, s | a write, ms | a read, µs | GB | maps |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for count in sorted(arguments.shards):
            fill(folder, count, arguments.utterances)
            command = [sys.executable, __file__, "--measure", folder]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"| {count} | {done.stderr.strip().splitlines()[-1][:80]} |")
                continue
            print("| " + " | ".join(json.loads(done.stdout)) + " |", flush=True)


def fill(folder, count, utterances):
    """Adds shards without the guarantees of a write, which cost most of the time."""
    from s3prl_sb.dataio.cache import FeatureCache

    there = len(os.listdir(folder))
    os.fsync = lambda file: None
    cache = FeatureCache(os.path.join(folder, "empty"), {"kind": "pooled"})
    os.rmdir(cache.folder)
    cache.folder = cache.folder.parent
    cache._open = lambda path: None
    for number in range(there, count):
        names = [f"{number}-{i}" for i in range(utterances)]
        cache.write([(n, f"u{n}", torch.full((1, 1, 8), float(number))) for n in names])


def measure(folder):
    from s3prl_sb.dataio.cache import FeatureCache

    began = time.process_time()
    cache = FeatureCache(folder)
    opened = time.process_time() - began
    keys = list(cache.keys_of.values())
    count = len(os.listdir(folder))
    draw = random.Random(0)
    began = time.process_time()
    for _ in range(READS):
        cache[draw.choice(keys)]
    read = (time.process_time() - began) / READS
    began = time.process_time()
    paths = []
    for number in range(WRITES):
        paths.append(cache.write([(f"new{number}", "new", torch.ones(1, 1, 8))]))
    written = (time.process_time() - began) / WRITES
    for path in paths:
        path.unlink()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    with open("/proc/self/maps") as file:
        maps = sum(folder in line for line in file)
    row = [f"{count:,}", f"{len(keys):,}", f"{opened:.2f}", f"{1e3 * written:.2f}"]
    print(json.dumps([*row, f"{1e6 * read:.0f}", f"{peak:.2f}", f"{maps:,}"]))


if __name__ == "__main__":
    main()
