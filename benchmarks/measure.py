"""Shared parts of the benchmarks: command line, workers, clocks, memory, audio.

Each contestant runs in a separate worker process with its own environment,
threads and heap. The workers load once and then wait; the benchmark runs them in
turns, so that other load on the machine affects all of them equally.

It needs only torch, because it also runs in the environment of S3PRL.

Authors
 * The s3prl_sb developers, 2026
"""

import argparse
import ctypes
import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
SAMPLE_RATE = 16000


# -------------------------------------------------------------- command line
def parser(description, sizes=("tiny", "base")):
    """Command line with the options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--s3prl", help="the Python of S3PRL's environment")
    parser.add_argument("--threads", type=int, default=1, help="of each contestant")
    parser.add_argument("--repeats", type=int, default=3, help="rounds, in turns")
    parser.add_argument(
        "--size",
        default="base",
        choices=sizes,
        help="of the network; tiny is for trying the script out",
    )
    parser.add_argument("--json", help="file for the raw numbers")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse(parser):
    """The arguments; an error where no S3PRL is given."""
    args = parser.parse_args()
    if not (args.s3prl or args.worker):
        parser.error("--s3prl is required: see README.md")
    return args


def main(args, run, report):
    """Runs a benchmark in a temporary folder, prints and writes its numbers.

    Arguments
    ---------
    args : argparse.Namespace
        Result of :func:`parse`.
    run : callable
        Takes ``args`` and the folder; returns JSON values.
    report : callable
        Prints them.
    """
    import torch

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        raw = run(args, folder)
    report(raw)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(raw, file, indent=2)


# ------------------------------------------------------------------- workers
class Worker:
    """A process that runs one script and waits for requests on a pipe.

    Arguments
    ---------
    command : list of str
        Python, the script, its arguments; the script must call :func:`serve`.
    threads : int
        Number of threads of its libraries.
    """

    def __init__(self, command, threads):
        env = dict(os.environ, **dict.fromkeys(THREADS, str(threads)))
        if command[0] != sys.executable:
            env.pop("PYTHONPATH", None)  # ours; the peer has its own packages
        self.name = os.path.basename(command[1])
        self.process = subprocess.Popen(
            command,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.call("threads", count=threads)

    def call(self, request, **arguments):
        """Runs one function of the worker and waits for its result."""
        print(json.dumps([request, arguments]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{self.name}, {request}: {answer['error']}")
        return answer["result"]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()  # which ends serve()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def serve(functions):
    """Answers the requests of a :class:`Worker` until it closes the pipe.

    Arguments
    ---------
    functions : dict
        Name of a request to the function that answers it with JSON values.
    """
    import torch

    functions = {"threads": lambda count: torch.set_num_threads(count), **functions}
    # Libraries print: their output must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request, arguments = json.loads(line)
        try:
            answer = {"result": functions[request](**arguments)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


# -------------------------------------------------------------------- clocks
def measure(function, baseline=None):
    """Runs a function once, with the clocks on.

    Arguments
    ---------
    function : callable
        Without arguments.
    baseline : int, optional
        Resident bytes to subtract, result of :func:`resident`.

    Returns
    -------
    result : object
        Return value of the function.
    cost : dict
        "cpu" and "wall" in seconds; "peak", bytes over the baseline, None
        if the system cannot measure it.
    """
    if baseline is not None:
        resident()
    cpu, wall = time.process_time(), time.perf_counter()
    result = function()
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    peak = status("VmHWM") if baseline is not None else None
    cost["peak"] = peak and peak - baseline
    return result, cost


def resident():
    """Resident bytes after giving back what is free; restarts the high-water
    mark. None where there is no Linux /proc."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # proc(5): reset the peak resident set size
    except (OSError, AttributeError):
        return None
    return status("VmRSS")


def status(field):
    """Bytes of a field of /proc/self/status, such as ``VmHWM``, the peak in memory."""
    with open("/proc/self/status") as file:
        return next(int(s.split()[1]) << 10 for s in file if s.startswith(field))


def middle(values, digits=2):
    """Median and range as text: ``2.10 (2.00–2.30)``; one value by itself."""
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    low, mid, high = (f(values) for f in (min, statistics.median, max))
    return f"{mid:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def print_table(header, rows):
    """Prints a Markdown table."""
    for row in (header, ["---"] * len(header), *rows):
        print("| " + " | ".join(map(str, row)) + " |")


def machine():
    """The machine in words."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            model = next(s.split(":")[1].strip() for s in file if "model name" in s)
    except (OSError, StopIteration):
        pass
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} cores, load {load:.1f} at the start"


# --------------------------------------------------------------------- audio
def speech(seconds, generator):
    """Speech-like noise: voiced harmonics and hiss in syllables, with pauses.

    Arguments
    ---------
    seconds : float
        Its length.
    generator : torch.Generator
        Random numbers.

    Returns
    -------
    torch.Tensor
        [samples], within [-1, 1].
    """
    import torch

    def random(*size):
        return torch.rand(size, generator=generator)

    t = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    pitch = 90 + 130 * random(1) + 20 * torch.sin(2 * math.pi * random(1) * t)
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / SAMPLE_RATE
    voiced = sum(torch.sin(k * phase + 6 * random(1)) / k for k in range(1, 20))
    hiss = torch.randn(len(t), generator=generator)
    syllables = torch.sin(2 * math.pi * (3 + 2 * random(1)) * t + 6 * random(1))
    return 0.1 * voiced * syllables.clamp_min(0) + 0.02 * hiss * (1 - syllables)
