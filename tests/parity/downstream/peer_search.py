"""S3PRL's query by example on made-up features; a part of ``make.py``."""

import xml.etree.ElementTree as xml
from functools import partial
from pathlib import Path

import torch

QUERIES, DOCUMENTS, SIZE = (4, 6, 9, 13), (20, 31, 17), 5
KINDS = ("cosine_exp", "cosine", "cosine_neg_log", "euclidean", "cityblock")


def search(model):
    """(features and costs, the list of detections)."""
    from s3prl.downstream.quesst14_dtw import expert
    from scipy.spatial import distance

    queries = [torch.randn(n, SIZE).abs() for n in QUERIES]
    documents = [torch.randn(n, SIZE).abs() for n in DOCUMENTS]
    documents[1][10:19] = queries[2] + 0.1 * torch.rand(9, SIZE)
    tensors = {f"query/{i}": x for i, x in enumerate(queries)}
    tensors |= {f"document/{i}": x for i, x in enumerate(documents)}
    options = {
        "step_pattern": "asymmetric",
        "keep_internals": False,
        "distance_only": False,
        "open_begin": True,
        "open_end": True,
    }
    known = {"cosine_exp": expert.cosine_exp, "cosine_neg_log": expert.cosine_neg_log}
    for kind in KINDS:
        measure = known.get(kind) or partial(distance.cdist, metric=kind)
        for minmax in (False, True):
            rows = [
                [
                    expert.match(q.numpy(), d.numpy(), "", "", measure, minmax, options)
                    for d in documents
                ]
                for q in queries
            ]
            scores = torch.tensor([[score for *_, score in row] for row in rows])
            tensors[f"scores/{kind}/{minmax}"] = scores.double()
    names = [f"q{i}" for i in range(len(queries))]
    names += [f"d{i}" for i in range(len(documents))]
    model.test_dataset.n_queries = len(queries)
    records = {"features": [], "audio_names": []}
    model("eval", queries + documents, names, records)
    model.log_records("eval", records)
    root = xml.parse(Path(model.expdir, "benchmark.stdlist.xml")).getroot()
    found = {
        query.get("termid"): {
            term.get("file"): [float(term.get("score")), term.get("decision")]
            for term in query
        }
        for query in root
    }
    return tensors, {"detections": found}
