"""How fast an upstream encodes audio on this machine.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import time
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.encoding_batches import batches
from s3prl_sb.dataio.features import compute

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

SECONDS = 10.0  # of a measurement, at most
FIRST = 64  # batches that are measured, at most


def encoding_speed(
    upstream: "Upstream",
    dataset: ManifestDataset,
    device: str = "cpu",
    kind: str = "pooled",
    layers: list[int] | None = None,
) -> tuple[float, float]:
    """Measures the speed of an upstream, as an extraction runs it on a device.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream; it is moved to the device.
    dataset : s3prl_sb.dataio.dataset.ManifestDataset
        Dataset that provides ``sig``. Its first utterances are encoded.
    device : str
        Device of the upstream.
    kind, layers
        Features that are kept, see :func:`~s3prl_sb.dataio.description.describe`.

    Returns
    -------
    speed : float
        Seconds of audio that are encoded in a second, loading included.
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
    sizes, kept = upstream.output_sizes, layers or list(range(upstream.num_layers))
    kept = [i for i in kept if sizes[i] == sizes[kept[0]]]  # these are one array
    what = kind, kept, "float16", device

    def encode(batch):
        wavs = [dataset[item["position"], 0]["sig"] for item in batch]
        compute(upstream, wavs, *what)
        return sum(map(len, wavs)) / upstream.sample_rate

    forms = (dataset.form_seconds(i, unlimited=1) for i in range(len(dataset)))
    items = ({"position": i, "seconds": f[0]} for i, f in enumerate(forms) if f)
    first, *others = itertools.islice(batches(items, device), FIRST)
    audio = spent = 0.0
    with dataset.output_keys_as(["sig"]), torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            seconds = encode(first)  # which also warms up
        gflop = counter.get_total_flops() / 1e9 / seconds
        for batch in [first, *others]:
            start = time.perf_counter()
            audio += encode(batch)
            synchronize(device)
            spent += time.perf_counter() - start
            if spent > SECONDS:
                break
    return audio / spent, gflop


def synchronize(device: str) -> None:
    """Waits for the work of a GPU."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize()
