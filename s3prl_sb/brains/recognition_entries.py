"""Contributions of recordings to the measures of scenes.

Authors
 * The s3prl_sb developers, 2026
"""

from dataclasses import replace

import numpy as np

from s3prl_sb.brains.diarization import rates_of
from s3prl_sb.brains.recognition_scores import ERRORS, SceneScores
from s3prl_sb.dataio.timeline import TYPES
from s3prl_sb.metrics.contributions import Entry, error_rate, of_events
from s3prl_sb.metrics.diarization import DiarizationErrors
from s3prl_sb.metrics.sound_events import EventCounts
from s3prl_sb.metrics.timeline_score import Matches
from s3prl_sb.metrics.transcription import Edits

#: Measures that the mean score is of.
PARTS = ("der", "tcpwer", "event_f1")


def contributions(scores: SceneScores) -> dict[str, Entry]:
    """Returns what each recording contributes to the measures.

    Arguments
    ---------
    scores : SceneScores
        Measures of a test.

    Returns
    -------
    dict
        Names of :meth:`SceneScores.stats` to entries of ``measures.json``, whose items
        are the recordings. A recording without annotations of a kind contributes
        nothing.

    Example
    -------
    >>> from s3prl_sb.dataio.timeline import Item
    >>> record = {"duration": 2.0, "regions": None, "segments": [["ann", 0.0, 1.0]]}
    >>> record.update(words=None, events=None)
    >>> timeline = [Item("speaker", "speaker1", 0.0, 0.5)]
    >>> entries = contributions(SceneScores({"a": record}, {"a": timeline}, []))
    >>> entries["der"]["numerators"], entries["mean_score"]["terms"]
    ([0.5], ['der'])
    """
    names, entries = list(scores.records), {}
    stats = scores.stats()
    if "der" in stats:
        none = DiarizationErrors()
        entries |= rates_of(scores.diarization.get(name, none) for name in names)
    for name, edits in (("cpwer", scores.cpwer), ("tcpwer", scores.tcpwer)):
        if name in stats:
            entries[name] = error_rate(edits.get(each, Edits()) for each in names)
    if "event_f1" in stats:
        kinds = {
            "segment": scores.segments,
            "onset": scores.onsets,
            "event": scores.events,
        }
        for kind, counts in kinds.items():
            macro = of_events(_of_all(counts, names), kind)[f"{kind}_f1_macro"]
            entries[f"{kind}_f1"] = macro
    if "mean_score" in stats:
        entries["timeline_f1"] = _timeline(scores, names)
        terms = [part for part in PARTS if part in stats]
        entries["mean_score"] = {
            "kind": "mean_of",
            "terms": terms,
            "complement": [part for part in terms if part in ERRORS],
            "parameters": {"least": 0.0},
        }
    return entries


def _of_all(counts: EventCounts, names: list[str]) -> EventCounts:
    """Returns counts of all recordings, zeros for those that are not annotated."""
    rows = {name: row for row, name in enumerate(counts.recordings)}
    places = np.array([rows.get(name, len(rows)) for name in names])

    def padded(table):
        return np.concatenate([table, np.zeros_like(table[:1])])[places]

    sides = (counts.right, counts.estimated, counts.reference)
    right, estimated, reference = map(padded, sides)
    return replace(
        counts,
        recordings=names,
        right=right,
        estimated=estimated,
        reference=reference,
        errors=None,
    )


def _timeline(scores, names):
    """Returns the pairs and the items of each type in each recording."""
    matches = [
        [scores.timeline.counts[name].get(kind, Matches()) for kind in TYPES]
        for name in names
    ]
    pairs, items = (
        np.array([[value(each) for each in row] for row in matches])
        for value in (lambda each: 2 * each.pairs, lambda each: each.items)
    )
    return {"kind": "macro_ratio", "numerators": pairs, "denominators": items}
