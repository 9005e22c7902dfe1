"""How fast an upstream encodes audio on this machine.

Authors
 * The s3prl_sb developers, 2026
"""

import time
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from s3prl_sb.dataio.dataset import ManifestDataset

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

SECONDS = 10.0  # of a measurement, at most
FIRST = 64  # utterances that are measured, at most


def encoding_speed(
    upstream: "Upstream", dataset: ManifestDataset, device: str = "cpu"
) -> tuple[float, float]:
    """Measures the speed of an upstream, one utterance at a time.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream; it is moved to the device.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Dataset that provides ``sig``. Its first utterances are encoded.
    device : str
        Device of the upstream.

    Returns
    -------
    speed : float
        Seconds of audio that are encoded in a second, loading included; infinity if the
        dataset has a single utterance.
    gflop : float
        Billions of floating point operations for a second of audio, of matrix products
        and convolutions.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from s3prl_sb.dataio.pipes import LoadAudio
    >>> from s3prl_sb.feature_files.sources import records_of
    >>> from s3prl_sb.lobes.upstreams import load
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in "ab":
    ...         soundfile.write(f"{folder}/{name}.wav", numpy.ones(8000) / 9, 16000)
    ...     dataset = ManifestDataset(records_of(folder), [LoadAudio(16000)])
    ...     speed, gflop = encoding_speed(load("hubert_small_random"), dataset)
    >>> speed > 1, 0.1 < gflop < 10
    (True, True)
    """
    upstream = upstream.to(device)
    audio = spent = gflop = 0.0
    with dataset.output_keys_as(["sig"]), torch.no_grad():
        for number in range(min(len(dataset), FIRST)):
            start = time.perf_counter()
            wav = dataset[number, 0]["sig"].to(device)
            seconds = len(wav) / upstream.sample_rate
            if number == 0:  # which also warms up
                with FlopCounterMode(display=False) as counter:
                    upstream(wav[None])
                gflop = counter.get_total_flops() / 1e9 / seconds
                continue
            upstream(wav[None])
            synchronize(device)
            audio, spent = audio + seconds, spent + time.perf_counter() - start
            if spent > SECONDS:
                break
    return (audio / spent if spent else float("inf")), gflop


def synchronize(device: str) -> None:
    """Waits for the work of a GPU."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()
