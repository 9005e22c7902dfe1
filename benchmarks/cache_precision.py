"""Error of cached frames, by ``cache_dtype``, on real speech.

> python benchmarks/cache_precision.py DIR --upstreams fbank hubert_base

``DIR`` has audio files. Each upstream's features of about ``--files`` of them are
rounded as a cache rounds them. The error of a layer is the root mean square of the
difference to float32, as a share of the features' standard deviation over frames; the
table has the mean and the maximum over layers. "Worst dimension" is the largest error
of a dimension, as a share of its own deviation. Without --source weights are random.
"""

import argparse
from pathlib import Path

import torch

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.description import frame_bytes
from s3prl_sb.dataio.pipes import LoadAudio
from s3prl_sb.dataio.quantization import quantize, restore
from s3prl_sb.feature_files.sources import records_of
from s3prl_sb.lobes.upstreams import load

ROUND = {
    "float16": lambda x: x.half().float(),
    "int8": lambda x: restore(quantize(x)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("audio", type=Path)
    parser.add_argument("--upstreams", nargs="+", default=["fbank"])
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--source", help="checkpoint; default: random weights")
    arguments = parser.parse_args()
    print(
        "| upstream | dtype | bytes a frame | error | worst layer | worst dimension |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for name in arguments.upstreams:
        acoustic = name.startswith(("fbank", "mel", "mfcc", "spectrogram"))
        source = {} if acoustic else {"source": arguments.source}
        upstream = load(name, **source)
        records = records_of(arguments.audio, upstream.input_size)
        some = dict(list(records.items())[:: max(1, len(records) // arguments.files)])
        dataset = ManifestDataset(some, [LoadAudio()], ["id", "sig"])
        found = [states(upstream, item["sig"]) for item in dataset]
        frames = torch.cat(found)
        for dtype, rounded in ROUND.items():
            errors, worst = measured(frames, torch.cat([rounded(x) for x in found]))
            size = frame_bytes(upstream, None, dtype)
            print(
                f"| {name} | {dtype} | {size:,} | {100 * errors.mean():.3f} % | "
                f"{100 * errors.max():.3f} % | {100 * worst:.3f} % |"
            )


def states(upstream, wav):
    """Hidden states of an utterance, [frames, layers, size]."""
    with torch.no_grad():
        return torch.stack([state[0] for state in upstream(wav[None])[0]], 1)


def measured(exact, rounded):
    """The error of each layer, and the largest one of a dimension."""
    noise = (rounded - exact).pow(2).mean(0)  # [layers, size]
    power = exact.var(0)
    return (noise.mean(1) / power.mean(1)).sqrt(), (noise / power).sqrt().max()


if __name__ == "__main__":
    main()
