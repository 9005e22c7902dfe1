"""Polyphonic sound detection scores of the events of scenes.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from s3prl_sb.metrics.contributions import Entry
from s3prl_sb.metrics.psds import SCENARIOS, psds
from s3prl_sb.metrics.psds_counts import counts_of


class EventFrames(NamedTuple):
    """Probabilities of events in the frames of scenes, and the true events.

    Arguments
    ---------
    records : dict
        ``{recording: record}``; those without annotated events, or with regions, do not
        count.
    probabilities : dict
        ``{recording: [frames, labels]}``.
    labels : list of str
        Names of the columns.
    frame_seconds : float
        Length of a frame.

    Example
    -------
    >>> record = {"duration": 2.0, "events": [["dog", 0.0, 1.0]], "regions": None}
    >>> frames = EventFrames({"a": record}, {"a": np.array([[0.9], [0.1]])}, ["dog"], 1)
    >>> frames.scores()
    {'psds1': 1.0, 'psds2': 1.0}
    >>> list(frames.entries())
    ['psds1', 'psds2']
    """

    records: Mapping[str, Mapping[str, Any]]
    probabilities: Mapping[str, np.ndarray]
    labels: Sequence[str]
    frame_seconds: float

    def scores(self) -> dict[str, float]:
        """Returns the PSDS in the two scenarios of DCASE.

        Returns
        -------
        dict
            ``psds1`` and ``psds2``; empty without events.
        """
        sides = self._sides()
        if not any(sides[1].values()):
            return {}
        return {n: psds(*sides, **limits).value for n, limits in SCENARIOS.items()}

    def entries(self) -> dict[str, Entry]:
        """Returns what each recording contributes to :meth:`scores`.

        Returns
        -------
        dict
            Entries of ``measures.json``, whose items are all records.
        """
        sides, entries = self._sides(), {}
        rows = {name: row for row, name in enumerate(sides[1])}
        places = np.array([rows.get(name, len(rows)) for name in self.records])
        for name, limits in SCENARIOS.items() if rows else ():
            if entry := counts_of(*sides, **limits):
                shift = np.full(len(places), entry["shift"][0])
                padded = {
                    key: np.concatenate([table, np.zeros_like(table[:1])])[places]
                    for key, table in entry.items()
                    if isinstance(table, np.ndarray)
                }
                entries[name] = {**entry, **padded, "shift": shift}
        return entries

    def _sides(self):
        """Returns the first arguments of psds."""
        seen = {
            name: record
            for name, record in self.records.items()
            if record["events"] is not None and record["regions"] is None
        }
        true = {n: [tuple(e) for e in record["events"]] for n, record in seen.items()}
        durations = {name: record["duration"] for name, record in seen.items()}
        scores = {name: self.probabilities[name] for name in seen}
        return scores, true, durations, self.frame_seconds, self.labels
