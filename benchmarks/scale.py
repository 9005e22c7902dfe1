#!/usr/bin/env python3
"""Growth with the number of utterances: time and memory to the first batch of training,
and the speed of an extraction in several processes.

> python benchmarks/scale.py --utterances 1000 100000 1000000
> python benchmarks/scale.py --utterances 100000 --caches --processes 1 2 4

A manifest with this number of utterances is written: segments of a few long recordings,
or as many files, which are hard links. A new process then does what a run of keyword
spotting does before it learns: manifests, datasets, identity of the data, cache, the
first batch. The cache is full, and the hashes of the audio files are known, as in every
run but the first. With another checkout on ``PYTHONPATH`` it measures that one.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from measure import SAMPLE_RATE, machine, print_table, speech, status

CACHES = ("off", "pooled", "frames")
AUDIO = ("segments", "files")
RECORDINGS, LONG, SHORT = 10, 30, 0.1  # number, and seconds
LINKS = 50_000  # hard links to a file, of which file systems allow about 65,000
WORDS = 35
UPSTREAM = "fbank_no_cmvn"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--utterances", type=int, nargs="+", default=[1000, 100_000])
    parser.add_argument("--caches", nargs="*", default=CACHES, choices=CACHES)
    parser.add_argument("--audio", nargs="+", default=AUDIO, choices=AUDIO)
    parser.add_argument("--processes", type=int, nargs="*", default=[])
    parser.add_argument("--folder", help="of the data; default: a temporary one")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        request, *values = arguments.worker
        print(json.dumps({"fill": fill, "begin": begin}[request](*values)))
        return
    print(machine(), "\n")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        os.environ["S3PRL_SB_CACHE"] = folder  # also of the hashes
        if arguments.caches:
            first_batches(arguments, folder)
        if arguments.processes:
            extractions(arguments, folder)


# ------------------------------------------------------------------ the tables
def first_batches(arguments, folder):
    """Prints what it costs to get to the first batch."""
    print_table(
        ["utterances", "audio", "cache", "CPU s", "peak, GB", "of it to import, GB"]
        + ["manifests, s", "identity, s", "cache, s", "batch, s"],
        [
            [f"{count:,}", audio, cache, *worker("begin", data, cache)]
            for count in arguments.utterances
            for audio in arguments.audio
            for data in [prepared(folder, count, audio)]
            for cache in arguments.caches
            for _ in [worker("fill", data, cache)]
        ],
    )


def extractions(arguments, folder):
    """Prints how fast ``extract`` is, and what its processes take."""
    rows = []
    for count in arguments.utterances:
        data = prepared(folder, count, "segments")
        for processes in arguments.processes:
            output = tempfile.mkdtemp(dir=folder)
            rows.append([f"{count:,}", processes, *extracted(data, output, processes)])
    names = ["utterances", "processes", "s", "utterances/s", "CPU s", "largest, GB"]
    print_table([*names, "shared memory, MB", "open files", "shards"], rows)


def extracted(data, output, processes):
    """Runs ``s3prl-sb extract``; returns a row of the table."""
    command = [
        "from s3prl_sb.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    ]
    command += ["extract", f"{data}/train.json", "--output", output]
    command += ["--upstream", UPSTREAM, "--processes", str(processes)]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    free, shared, files = os.statvfs("/dev/shm"), 0, 0
    said = Path(output, "said.txt")
    with (
        open(said, "w") as file,
        subprocess.Popen(
            [sys.executable, "-c", *command],
            stdout=file,
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        ) as child,
    ):
        while child.poll() is None:
            now = os.statvfs("/dev/shm")
            shared = max(shared, (free.f_bfree - now.f_bfree) * now.f_frsize)
            try:
                files = max(files, len(os.listdir(f"/proc/{child.pid}/fd")))
            except OSError:  # it has just ended
                pass
            time.sleep(0.1)
    seconds = time.monotonic() - began
    if child.returncode:
        raise RuntimeError(
            f"extract ended with {child.returncode}: {said.read_text()[-300:]}"
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    count = sum(1 for _ in open(f"{data}/train.json")) - 2
    shards = len(list(Path(output).rglob("*.safetensors")))
    row = [f"{seconds:.0f}", f"{count / seconds:,.0f}", f"{cpu:.0f}"]
    row += [f"{after.ru_maxrss / 1e6:.2f}", f"{shared / 1e6:.0f}", files, shards]
    return row


def worker(*request):
    """Runs a function of this file in a process of its own."""
    command = [sys.executable, __file__, "--worker", *map(str, request)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


# -------------------------------------------------------------------- the data
def prepared(folder, count, audio):
    """Writes the audio and the three manifests; returns their folder."""
    from s3prl_sb.dataio import manifest

    data = Path(folder) / f"{audio}-{count}"
    if data.exists():
        return data
    seconds = LONG if audio == "segments" else SHORT
    few = [recording(Path(folder) / f"{audio}{n}.wav", seconds, n) for n in range(10)]
    (data / "audio").mkdir(parents=True)
    records = {}
    for number in range(count):
        name = f"speaker{number // 500:05d}-chapter{number % 500 // 50}-{number:07d}"
        record = {"wav": few[number % RECORDINGS], "duration": SHORT}
        record |= {"start": None, "stop": None, "label": f"word{number % WORDS:02d}"}
        if audio == "segments":
            start = round(number // RECORDINGS * SHORT % (LONG - SHORT), 3)
            record |= {"start": start, "stop": round(start + SHORT, 3)}
        else:
            record["wav"] = linked(data / "audio", name, few, number)
        records[name] = record
    manifest.write(records, data / "train.json")
    some = {name: records[name] for name in list(records)[:WORDS]}
    for split in ("valid", "test"):
        manifest.write(some, data / f"{split}.json")
    return data


def recording(path, seconds, seed):
    """Writes a recording, unless it exists."""
    import soundfile

    if not path.exists():
        samples = speech(seconds, torch.Generator().manual_seed(seed))
        soundfile.write(path, samples.numpy(), SAMPLE_RATE)
    return str(path)


def linked(folder, name, few, number):
    """Makes a file of an utterance: a link to one of a few, and to copies of it."""
    path = folder / name.partition("-")[0] / f"{name}.wav"
    path.parent.mkdir(exist_ok=True)
    source = Path(f"{few[number % RECORDINGS]}.{number // RECORDINGS // LINKS}")
    if not source.exists():
        source.write_bytes(Path(few[number % RECORDINGS]).read_bytes())
    os.link(source, path)
    return str(path)


# -------------------------------------------------------------- in the workers
def brain_of(data, cache):
    """Returns the Brain and the datasets of a keyword probe."""
    from s3prl_sb.brains.classification import (
        ClassificationBrain,
        classification_splits,
    )
    from s3prl_sb.dataio.pipes import LoadAudio
    from s3prl_sb.lobes.featurizer import Featurizer
    from s3prl_sb.lobes.heads.utterance import UtteranceClassifier
    from s3prl_sb.lobes.upstreams import load

    upstream, pipes = load(UPSTREAM), [LoadAudio(SAMPLE_RATE)]
    hparams = {"save_folder": data, "train_pipes": pipes, "eval_pipes": pipes}
    splits, labels = classification_splits({**hparams, "seed": 0})
    brain = ClassificationBrain(
        labels=labels,
        modules={
            "featurizer": Featurizer(upstream.num_layers),
            "head": UtteranceClassifier(upstream.output_size, len(labels)),
        },
        hparams={
            **{"seed": 0, "steps_per_epoch": 200, "total_steps": 200, "batch_size": 32},
            "upstream_model": upstream,
            "opt_class": torch.optim.Adam,
            "output_folder": data,
            "cache": cache,
            "cache_folder": os.path.join(data, "cache"),
            "cache_dtype": "int8",
        },
        run_opts={"device": "cpu", "noprogressbar": True},
    )
    return brain, splits


def fill(data, cache):
    """Fills a cache with zeros, without the guarantees of a write, which cost more."""
    from s3prl_sb.dataio import extraction

    def entries(self, shard, tick=None):
        layers, size = len(self.description["layers"]), self.description["size"]
        frames = 1 if self.description["kind"] == "pooled" else 10
        zeros = torch.zeros(frames, layers, size)
        if self.description["dtype"] == "int8":
            zeros = extraction.quantize(zeros)
        return [(item["key"], item["id"], zeros) for item in shard]

    extraction._Job.entries, os.fsync = entries, lambda file: None
    brain, splits = brain_of(data, cache)
    brain.use_cache(splits)


def begin(data, cache):
    """Goes as far as the first batch; returns a row of the table."""
    import speechbrain as sb

    from s3prl_sb.brains import caching, classification  # noqa: F401

    def peak():  # ru_maxrss of a new process is at least that of its parent
        return status("VmHWM") / 1e9

    imported, clock = peak(), [time.process_time()]
    brain, splits = brain_of(data, cache)
    clock.append(time.process_time())
    use, caching.use_cache = caching.use_cache, lambda *_: None
    brain.use_cache(splits)
    clock.append(time.process_time())
    use(brain, splits)
    clock.append(time.process_time())
    loader = brain.make_dataloader(splits["train"], sb.Stage.TRAIN)
    batch = next(iter(loader))
    assert len(batch.id) == 32
    clock.append(time.process_time())
    numbers = [clock[-1], peak(), imported]
    numbers += [end - start for start, end in zip(clock, clock[1:])]
    return [f"{number:.2f}" for number in numbers]


if __name__ == "__main__":
    main()
