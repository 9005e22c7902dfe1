#!/usr/bin/env python3
"""Dynamic time warping of query by example: all pairs at once against one by one.

One by one is S3PRL's way: SciPy's distances and the package dtw-python, for each pair
of a query and a document. S3PRL spreads the pairs over processes; a pair is a pair:
compare one of its processes with one thread. All at once is `s3prl_sb.lobes.dtw.search`
on the same features. The two take turns in one process, and their scores are compared.

> pip install dtw-python
> python benchmarks/searching.py --threads 1

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

import measure


def features(args):
    """Queries of 50 to 100 frames and documents of 500, smooth as speech is."""
    import torch

    generator = torch.Generator().manual_seed(0)

    def utterance(frames):
        steps = torch.randn(frames + 8, args.dimensions, generator=generator)
        return steps.unfold(0, 8, 1).mean(-1)[:frames].contiguous()

    queries = [
        utterance(50 + 50 * i // max(1, args.queries - 1)) for i in range(args.queries)
    ]
    return queries, [utterance(args.frames) for _ in range(args.documents)]


def one_by_one(queries, documents):
    """The scores of S3PRL, computed as it does."""
    import numpy as np
    from dtw import dtw
    from scipy.spatial.distance import cdist

    scores = np.zeros((len(queries), len(documents)))
    for i, query in enumerate(queries):
        for j, document in enumerate(documents):
            distances = np.exp(cdist(query, document, "cosine")) - 1
            least = distances.min(1, keepdims=True)
            most = distances.max(1, keepdims=True)
            distances = (distances - least) / np.clip(most - least, 1e-9, None)
            alignment = dtw(
                distances, step_pattern="asymmetric", open_begin=True, open_end=True
            )
            scores[i, j] = -alignment.normalizedDistance
    return scores


def run(args, folder):
    """Times both, in turns."""
    import torch

    from s3prl_sb.lobes.dtw import search

    queries, documents = features(args)
    arrays = [[f.numpy() for f in group] for group in (queries, documents)]
    contestants = {
        "one by one": lambda: one_by_one(*arrays),
        "all at once": lambda: search(queries, documents),
    }
    search(queries[:1], documents[:1])
    one_by_one(arrays[0][:1], arrays[1][:1])
    costs, scores = {name: [] for name in contestants}, {}
    for _ in range(args.repeats):
        for name, function in contestants.items():
            scores[name], cost = measure.measure(function, measure.resident())
            costs[name].append(cost)
    apart = torch.as_tensor(scores["one by one"]) - scores["all at once"]
    return {
        "machine": measure.machine(),
        "threads": args.threads,
        "queries": [len(query) for query in queries],
        "documents": [len(document) for document in documents],
        "dimensions": args.dimensions,
        "costs": costs,
        "greatest difference": apart.abs().max().item(),
    }


def report(raw):
    """Prints a table, the ratio, and how far the scores are apart."""
    queries, documents = raw["queries"], raw["documents"]
    pairs = len(queries) * len(documents)
    print(
        f"{len(queries)} queries of {min(queries)} to {max(queries)} frames, "
        f"{len(documents)} documents of {max(documents)}, {raw['dimensions']} "
        f"dimensions; {raw['threads']} threads. {raw['machine']}"
    )
    rows = []
    for name, costs in raw["costs"].items():
        times = [1000 * cost["wall"] / pairs for cost in costs]
        peaks = [cost["peak"] for cost in costs if cost["peak"] is not None]
        peak = f"{max(peaks) / 1e6:.0f}" if peaks else "?"
        rows.append([name, measure.middle(times), peak])
    measure.print_table(["", "ms a pair", "peak memory, MB"], rows)
    ratios = [old["wall"] / new["wall"] for old, new in zip(*raw["costs"].values())]
    print(f"ratio {measure.middle(ratios, 1)}")
    print(f"scores at most {raw['greatest difference']:.1e} apart")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    parser = measure.parser(__doc__)
    parser.add_argument("--queries", type=int, default=16)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--frames", type=int, default=500, help="of a document")
    parser.add_argument("--dimensions", type=int, default=768)
    measure.main(parser.parse_args(), run, report)
