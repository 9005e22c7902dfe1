"""Runs that fill one cold cache at once, some of them killed: is anything lost?

> python tests/integration/stress_cold_cache.py --rounds 4 --runs 8 --kills 4

In each round several processes start to extract the features of the
same audio into the same empty cache. Some are killed with -9 at random moments and
begun again. All must end, and each must then read what a single run alone has written,
to the last bit. Exits with 1 otherwise. ``tests/integration/test_several.py`` runs a
small one.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch

from s3prl_sb.dataio import cache as caches
from s3prl_sb.dataio import extraction, shard_plan
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {
    "conv_layers": [[16, 10, 5], [16, 8, 4], [16, 4, 4], [16, 2, 2]],
    "hidden_size": 32,
    "ffn_size": 64,
    "num_layers": 2,
    "num_heads": 4,
}
SHARD_UTTERANCES = 4
PATIENCE = 120  # seconds; who takes longer hangs
WRITTEN = "written"  # a line for each shard that any process has written


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--runs", type=int, default=8, help="at once")
    parser.add_argument("--kills", type=int, default=4, help="a round")
    parser.add_argument("--utterances", type=int, default=160)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(1)
    shard_plan.SHARD_UTTERANCES = SHARD_UTTERANCES
    note_writes()
    with tempfile.TemporaryDirectory() as folder:
        return stress(Path(folder), arguments)


def note_writes():
    write = caches.FeatureCache.write

    def noting(self, entries):
        path = write(self, entries)
        with open(self.folder.parent / WRITTEN, "a") as file:
            file.write(f"{path.name}\n")
        return path

    caches.FeatureCache.write = noting


def stress(folder, arguments):
    draw = random.Random(arguments.seed)
    dataset, upstream = (
        corpus(folder / "audio", arguments.utterances),
        Hubert(None, TINY),
    )
    began = time.monotonic()
    expected = extracted(upstream, dataset, folder / "alone")
    seconds = time.monotonic() - began
    shards = len((folder / "alone" / WRITTEN).read_text().split())
    print(f"alone: {shards} shards, {seconds:.1f} s, features {expected[:12]}")
    lost = killed = 0
    for number in range(1, arguments.rounds + 1):
        place = folder / f"round{number}"
        place.mkdir()
        began = time.monotonic()
        moments = [draw.uniform(0, 0.8 * seconds) for _ in range(arguments.kills)]
        ends, kills = one_round(upstream, dataset, place, arguments.runs, moments, draw)
        faults = [end for end in ends if end != expected]
        (place / WRITTEN).touch()
        written = (place / WRITTEN).read_text().split()
        extracted(upstream, dataset, place)  # one more, which clears what kills left
        cache = next(place.glob("*/"))
        found = {path.name for path in cache.glob("*.safetensors")}
        rubbish = [p.name for p in cache.iterdir() if p.suffix not in KNOWN]
        print(
            f"round {number}: {arguments.runs} runs, {kills} killed and begun again, "
            f"{len(faults)} lost; {len(found)} shards written {len(written)} "
            f"times, {len(rubbish)} left-overs; {time.monotonic() - began:.1f} s"
        )
        for fault in sorted(set(faults)):
            print(f"    {fault}")
        lost += len(faults) + (len(found) != shards) + len(rubbish)
        lost += len(written) > shards  # the same work twice
        killed += kills
        shutil.rmtree(place)
    total = arguments.rounds * arguments.runs
    print(f"{total} runs, {killed} kills, {lost} faults")
    return 1 if lost else 0


KNOWN = (".safetensors", ".json")


def corpus(folder, count):
    folder.mkdir(parents=True)
    random_numbers, records = torch.Generator().manual_seed(0), {}
    for number in range(count):
        samples = 4000 + 137 * number % 12000
        wav = 0.1 * torch.randn(samples, generator=random_numbers)
        soundfile.write(folder / f"{number}.wav", wav.numpy(), 16000)
        records[f"u{number}"] = {
            "wav": str(folder / f"{number}.wav"),
            "start": None,
            "stop": None,
            "duration": samples / 16000,
        }
    return ManifestDataset(records, [LoadAudio()], ["id", "sig"])


def extracted(upstream, dataset, folder):
    """A hash of all features, as a run reads them in the end."""
    cache = extraction.extract(
        upstream, dataset, folder, dtype="float32", progressbar=False
    )
    digest = hashlib.sha256()
    for name in dataset.data_ids:
        digest.update(name.encode() + cache[cache.keys_of[name]].numpy().tobytes())
    return digest.hexdigest()


def one_round(upstream, dataset, place, count, moments, draw):
    """Returns the features of each run, and the number of killed ones."""
    read, write = os.pipe()
    reports, running, closed = {}, {}, []

    def begin(number):
        reports[number] = place / f"report{number}"
        pid = os.fork()
        if pid:
            running[pid] = number
            return
        status = 1
        try:
            if write not in closed:
                os.close(write)
                os.read(read, 1)  # until all are there
            found = extracted(upstream, dataset, place)
            reports[number].write_text(found)
            status = 0
        except BaseException as error:
            reports[number].write_text(f"{type(error).__name__}: {error}"[:300])
        finally:
            os._exit(status)

    for number in range(count):
        begin(number)
    os.close(write)  # go
    closed.append(write)
    start, kills, moments = time.monotonic(), 0, sorted(moments)
    while running:
        while moments and time.monotonic() - start > moments[0]:
            moments.pop(0)
            os.kill(draw.choice(sorted(running)), signal.SIGKILL)
        if time.monotonic() - start > PATIENCE:
            for pid, number in running.items():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                reports[number].write_text(f"hangs: killed after {PATIENCE} s")
            break
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            time.sleep(0.002)
            continue
        number = running.pop(pid)
        if os.WIFSIGNALED(status):
            kills += 1
            begin(number)  # the pipe is closed: at once
    os.close(read)
    found = [report.read_text() for report in reports.values()]
    for report in reports.values():
        report.unlink()
    return found, kills


if __name__ == "__main__":
    sys.exit(main())
