"""Trials of query by example: decisions, metrics, and the XML of the scorer.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from xml.sax.saxutils import quoteattr

import torch
import torch.nn.functional as F

from s3prl_sb.metrics.contributions import Entry, mean
from s3prl_sb.metrics.retrieval import (
    QUESST14_BETA,
    actual_term_weighted_value,
    detection_counts,
    maximum_term_weighted_value,
    values_of_queries,
)

DETECTED = 2.0  # standard deviations over the mean of a query's scores
UNSEARCHED = -10.0  # score of a pair that was not searched
BETA = {"beta": QUESST14_BETA}
LEAST = 1e-9  # standard deviation that divides


class Trials:
    """Relevance of documents for queries, searched or not.

    Arguments
    ---------
    queries, documents : list of str
        Searched queries and documents, in the order of the scores.
    held : dict
        ``{query: ids of the documents that contain it}``, possibly with more queries.
    everything : list of str
        All documents, possibly more than the searched ones.

    Note
    ----
    SUPERB's published numbers are computed by the scorer of the corpus, which assigns a
    default score (-10 in S3PRL's instructions) to pairs without a score: queries in
    other languages are missed, and documents in other languages cause no false alarms.
    ``mtwv`` is this number; ``mtwv_searched`` is computed over the searched queries and
    documents alone. They are equal if everything was searched.

    Example
    -------
    >>> held = {"q": ["a"], "other": ["c"]}
    >>> trials = Trials(["q"], ["a", "b"], held, ["a", "b", "c"])
    >>> stats = trials.measure(torch.tensor([[-0.1, -0.9]]))
    >>> stats["mtwv"], stats["mtwv_searched"]
    (0.5, 1.0)
    """

    def __init__(self, queries, documents, held, everything):
        self.searched_queries = len(queries)
        queries = [*queries, *sorted(set(held) - set(queries))]
        self.queries, self.size = queries, len(documents)
        columns = [*documents, *sorted(set(everything) - set(documents))]
        columns = {document: column for column, document in enumerate(columns)}
        self.all = torch.zeros(len(queries), len(columns), dtype=torch.bool)
        for row, query in enumerate(queries):
            for document in held.get(query, ()):
                self.all[row, columns[document]] = True

    @property
    def searched(self):
        """[queries, documents], relevance of the searched documents."""
        return self.all[:, : self.size]

    def measure(self, scores, threshold=None):
        """Computes term-weighted values.

        Arguments
        ---------
        scores : torch.Tensor
            [queries, documents], result of :func:`s3prl_sb.lobes.dtw.search`.
        threshold : float, optional
            Threshold of the normalized scores, chosen on dev.

        Returns
        -------
        dict
            ``mtwv`` and ``mtwv_searched``; ``atwv``, where scores of more than 2
            standard deviations over the mean of the query are detections. With a
            threshold also ``twv``; without one ``threshold``, at which ``mtwv`` is
            reached, if it is positive.
        """
        scores, table, searched = self._tables(scores)
        value, best = maximum_term_weighted_value(table, self.all)
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

    def _tables(self, scores):
        """Returns normalized scores of what was searched and of everything, and the
        relevance of what was searched."""
        scores = standardize(scores)
        rows, columns = scores.shape
        table = torch.full(self.all.shape, UNSEARCHED, dtype=scores.dtype)
        table[:rows, :columns] = scores
        return scores, table, self.all[:rows, :columns]

    def contributions(self, scores, threshold=None) -> dict[str, Entry]:
        """Returns what each query contributes to the term-weighted values.

        Arguments
        ---------
        scores, threshold
            See :meth:`measure`.

        Returns
        -------
        dict
            Names of metrics to entries of ``measures.json``, see
            :mod:`s3prl_sb.metrics.contributions`, whose items are ``queries``.
        """
        scores, table, searched = self._tables(scores)
        entries = {"mtwv": _curve(table, self.all, len(self.queries))}
        if searched.shape == self.all.shape:
            shared = {"kind": entries["mtwv"]["kind"], "of": "mtwv"}
            entries["mtwv_searched"] = {**shared, "parameters": BETA}
        else:
            entries["mtwv_searched"] = _curve(scores, searched, len(self.queries))
        entries["atwv"] = mean(values_of_queries(table > DETECTED, self.all))
        if threshold is not None:
            entries["twv"] = mean(values_of_queries(table >= threshold, self.all))
        return entries


def _curve(scores, true, queries):
    """Returns what queries contribute at each threshold; those that were not searched
    have no target, and do not count."""
    missing = queries - len(scores)
    counts = {
        name: F.pad(each, (0, 0, 0, missing) if each.dim() == 2 else (0, missing))
        for name, each in detection_counts(scores, true).items()
    }
    arrays = {name: each.numpy() for name, each in counts.items()}
    return {"kind": "detection_value", **arrays, "parameters": BETA}


def standardize(scores):
    """Normalizes the scores of each query to mean 0 and deviation 1.

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
    """Formats scores as the XML of NIST's 2006 evaluation and the corpus' scorer.

    Arguments
    ---------
    queries, documents : list of str
        Ids.
    scores : torch.Tensor
        [queries, documents], normalized.

    Returns
    -------
    str
        Content of a stdlist file.

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
