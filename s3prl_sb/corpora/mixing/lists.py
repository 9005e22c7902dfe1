"""Utterances and clips of lists, whose entries are checked before anything is mixed.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Mapping
from typing import Any

from s3prl_sb.corpora.mixing.settings import MixError
from s3prl_sb.corpora.mixing.sounds import Clip
from s3prl_sb.corpora.mixing.speech import Utterance, plain
from s3prl_sb.dataio import scene_checks, scenes
from s3prl_sb.terminal.messages import excerpt, few

logger = logging.getLogger(__name__)

SPEAKERS = ("speaker", "spk_id")  # keys of the speaker in a list
Records = Mapping[str, dict[str, Any]]


# --------------------------------------------------------------------------- utterances
def utterances(
    records: Records, times: Mapping[str, Any], source: str
) -> dict[str, list[Utterance]]:
    """Returns the utterances of each speaker of a list.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with ``wav``, ``speaker`` or ``spk_id``, and perhaps ``text``
        and ``words``. An utterance whose list of words is empty has no turn: it is left
        out with a warning.
    times : dict
        ``{id: [(word, start, stop), …]}``, in place of ``words``; {}: there are none.
    source : str
        Name of the list, for errors.

    Returns
    -------
    dict
        ``{speaker: [Utterance, …]}``.

    Raises
    ------
    MixError
        With the entry and the fix.

    Example
    -------
    >>> record = {"wav": "a.wav", "start": None, "stop": None, "duration": 2.0}
    >>> record.update(spk_id="ann", words=[[0.5, 1.0, "Good"], [1.0, 1.5, "day."]])
    >>> utterances({"a": record}, {}, "a.json")["ann"][0].words
    [(0.5, 1.0, 'GOOD'), (1.0, 1.5, 'DAY')]
    """
    people: dict[str, list[Utterance]] = {}
    silent = []
    for name, record in sorted(records.items()):
        words, duration = record.get("words"), record["duration"]
        if times:
            entries = times.get(name)
            words = entries and [[start, stop, word] for word, start, stop in entries]
        if words is not None:
            words = _words(words, name, duration, source)
            if not words:
                silent.append(name)
                continue
        text = flat(record.get("text"))
        limits = record["wav"], record["start"], record["stop"], duration
        utterance = Utterance(name, *limits, text or None, words)
        people.setdefault(_speaker(record, name, source), []).append(utterance)
    if silent:
        message = "%s: %d utterances without words are left out: %s"
        logger.warning(message, source, len(silent), few(silent))
    if not people:
        raise MixError(f"{source}: no utterance has words. Give another list.")
    return people


def _speaker(record, name, source):
    speaker = next((text for key in SPEAKERS if (text := flat(record.get(key)))), "")
    if not speaker:
        raise MixError(
            f"{source}: '{name}' has no speaker. Add the column {SPEAKERS[0]}."
        )
    return speaker


def flat(value: Any) -> str:
    """Returns a name or a text without line breaks; "" for null.

    Example
    -------
    >>> flat(" dog\\tbarks"), flat(3), flat(None)
    ('dog barks', '3', '')
    """
    return "" if value is None else " ".join(str(value).split())


def check_words(
    splits: Mapping[str, Mapping[str, list[Utterance]]], source: str
) -> None:
    """Checks that words have times in all utterances or in none, and texts likewise.

    Arguments
    ---------
    splits : dict
        ``{split: {speaker: [Utterance, …]}}``.
    source : str
        Name of the lists, for errors.

    Raises
    ------
    MixError
        With the first utterance that lacks them.
    """
    every = [
        each
        for people in splits.values()
        for spoken in people.values()
        for each in spoken
    ]
    for key, what in (("words", "times of its words"), ("text", "text")):
        lacking = [each.name for each in every if getattr(each, key) is None]
        if not lacking:
            return
        if len(lacking) < len(every):
            raise MixError(
                f"{source}: '{lacking[0]}' has no {what}, like {len(lacking)} of "
                f"{len(every)} utterances. Add them, or leave these utterances out."
            )


def _words(words, name, duration, source):
    """Returns words in capitals with checked times; an entry of several is divided."""
    timed: list[tuple[float, float, str]] = []
    for entry in words if isinstance(words, list) else [words]:
        try:
            start, stop, text = entry
            start, stop = float(start), float(stop)
        except (TypeError, ValueError):
            start, stop, text = 0.0, -1.0, ""
        if not 0 <= start <= stop <= duration + scene_checks.TOLERANCE:
            raise MixError(
                f"{source}: '{name}': {excerpt(entry)} is not [start, stop, word], "
                f"seconds within its {duration} s. Correct it."
            )
        texts = list(filter(None, map(plain, str(text).split())))
        stop = min(max(stop, start + scenes.INSTANT), duration)
        if start < stop and texts:
            spread = scenes.spread(texts, [(start, stop)])
            timed += [(first, last, word) for first, last, word in spread]
    return sorted(timed)


# -------------------------------------------------------------------------------- clips
def clips(records: Records, source: str) -> list[Clip]:
    """Returns the clips of a list, one for each of its events.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with ``wav``, and ``label``, ``labels`` or ``events``. Of a
        record with several labels it is not known which one sounds when: it is left
        out.
    source : str
        Name of the list, for errors.

    Returns
    -------
    list of Clip

    Raises
    ------
    ManifestError, MixError
        With the entry and the fix.

    Example
    -------
    >>> record = {"wav": "a.wav", "start": None, "stop": None, "duration": 2.0}
    >>> record["events"] = [["dog", 0.5, 1.0], ["cat", 1.0, 1.5]]
    >>> [(clip.label, clip.start) for clip in clips({"a": record}, "a.json")]
    [('dog', 0.5), ('cat', 1.0)]
    """
    made = []
    for name, record in records.items():
        wav = record["wav"]
        if record.get("events") is not None:
            events = {key: record[key] for key in ("duration", "events")}
            scene_checks.check_scenes({name: events}, {name: source})
            offset = record["start"] or 0.0
            made += [
                Clip(name, wav, offset + start, offset + stop, flat(label))
                for label, start, stop in record["events"]
            ]
            continue
        labels = record.get("labels", [record.get("label")])
        if not isinstance(labels, list) or not all(map(flat, labels)):
            raise MixError(f"{source}: '{name}' has no label. Add the column.")
        if len(labels) == 1:
            label = flat(labels[0])
            made.append(Clip(name, wav, record["start"], record["stop"], label))
    return made
