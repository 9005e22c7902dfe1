"""Trials of query by example: scores to decisions, measures, and the scorer's XML.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from xml.sax.saxutils import quoteattr

import torch

from s3prl_sb.metrics.retrieval import (
    actual_term_weighted_value,
    maximum_term_weighted_value,
)

DETECTED = 2.0  # standard deviations over the mean of a query's scores
UNSEARCHED = -10.0  # score of a pair that was not searched
LEAST = 1e-9  # standard deviation that divides


class Trials:
    """Which documents hold which query: of those searched, and of all.

    Arguments
    ---------
    queries, documents : list of str
        What was searched, in the order of the scores.
    held : dict
        ``{query: ids of the documents that hold it}``, maybe of more queries.
    everything : list of str
        All documents, maybe more.

    Note
    ----
    The published numbers of SUPERB come from the scorer of the corpus. As its
    documentation says it takes pairs without a score for ones of a default score (-10
    in S3PRL's instructions): queries in other languages are missed, and documents in
    other languages never alarm. ``mtwv`` is that, ``mtwv_searched`` is of the searched
    queries and documents alone. Where all were searched they are the same.

    Example
    -------
    >>> held = {"q": ["a"], "other": ["c"]}
    >>> trials = Trials(["q"], ["a", "b"], held, ["a", "b", "c"])
    >>> stats = trials.measure(torch.tensor([[-0.1, -0.9]]))
    >>> stats["mtwv"], stats["mtwv_searched"]
    (0.5, 1.0)
    """

    def __init__(self, queries, documents, held, everything):
        queries = [*queries, *sorted(set(held) - set(queries))]
        self.size = len(documents)
        columns = [*documents, *sorted(set(everything) - set(documents))]
        columns = {document: column for column, document in enumerate(columns)}
        self.all = torch.zeros(len(queries), len(columns), dtype=torch.bool)
        for row, query in enumerate(queries):
            for document in held.get(query, ()):
                self.all[row, columns[document]] = True

    @property
    def searched(self):
        """[queries, documents] of what was searched."""
        return self.all[:, : self.size]

    def measure(self, scores, threshold=None):
        """Term-weighted values.

        Arguments
        ---------
        scores : torch.Tensor
            [queries, documents], of :func:`s3prl_sb.lobes.dtw.search`.
        threshold : float, optional
            Chosen on dev, of the normalised scores.

        Returns
        -------
        dict
            ``mtwv`` and ``mtwv_searched``; ``atwv``, detecting what is 2 standard
            deviations over the mean of its query. With a threshold also ``twv``, the
            value at it; without one ``threshold``, where ``mtwv`` is reached if it is
            positive.
        """
        scores = standardize(scores)
        rows, columns = scores.shape
        table = torch.full(self.all.shape, UNSEARCHED, dtype=scores.dtype)
        table[:rows, :columns] = scores
        value, best = maximum_term_weighted_value(table, self.all)
        searched = self.all[:rows, :columns]
        stats = {
            "mtwv": value,
            "mtwv_searched": maximum_term_weighted_value(scores, searched)[0],
            "atwv": actual_term_weighted_value(table > DETECTED, self.all),
        }
        if threshold is not None:
            detected = table >= threshold
            stats["twv"] = actual_term_weighted_value(detected, self.all)
        elif math.isfinite(best):  # else it is best to detect nothing
            stats["threshold"] = best
        return stats


def standardize(scores):
    """Scores comparable between queries: mean 0, deviation 1 over the documents.

    Arguments
    ---------
    scores : torch.Tensor
        [queries, documents].

    Returns
    -------
    torch.Tensor
        [queries, documents], float64; 0 where all documents score the same.

    Example
    -------
    >>> standardize(torch.tensor([[-3.0, -1.0], [0.0, 0.0]])).tolist()
    [[-1.0, 1.0], [0.0, 0.0]]
    """
    scores = scores.double()
    deviation = scores.std(1, correction=0, keepdim=True).clamp_min(LEAST)
    return (scores - scores.mean(1, keepdim=True)) / deviation


def stdlist(queries, documents, scores):
    """Scores as the XML that NIST's 2006 evaluation and the corpus' scorer read.

    Arguments
    ---------
    queries, documents : list of str
        Ids.
    scores : torch.Tensor
        [queries, documents], normalised.

    Returns
    -------
    str
        A stdlist.

    Example
    -------
    >>> print(stdlist(["q"], ["d"], torch.tensor([[2.5]])).splitlines()[3].strip())
    <term file="d" channel="1" tbeg="0.000" dur="0.00" score="2.5000" decision="YES"/>
    """
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<stdlist termlist_filename="benchmark.stdlist.xml" indexing_time="1.00" '
        'language="english" index_size="1" system_id="benchmark">',
    ]
    for query, row in zip(queries, scores.tolist()):
        lines.append(
            f"  <detected_termlist termid={quoteattr(query)} "
            'term_search_time="1.0" oov_term_count="1">'
        )
        for document, score in zip(documents, row):
            decision = "YES" if score > DETECTED else "NO"
            lines.append(
                f'    <term file={quoteattr(document)} channel="1" tbeg="0.000" '
                f'dur="0.00" score="{score:.4f}" decision="{decision}"/>'
            )
        lines.append("  </detected_termlist>")
    return "\n".join([*lines, "</stdlist>"]) + "\n"
