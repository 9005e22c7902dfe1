"""Checks of the annotation of scenes, see :mod:`s3prl_sb.dataio.scenes`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Mapping

from s3prl_sb.dataio.manifest import Records, is_number
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import excerpt

TWINS = ("both", "speech", "sounds")
WORD_TIMES = ("exact", "estimated")
TOLERANCE = 0.1  # seconds by which an annotation may exceed the audio
#: The entries of each annotated kind, for errors.
FORMS = {
    "segments": "[speaker, start, stop]",
    "words": "[speaker, start, stop, word]",
    "events": "[label, start, stop]",
}


def check_scenes(records: Records, places: Mapping[str, str]) -> None:
    """Checks the annotation of scenes.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    places : dict
        ``{id: "file:line"}``, for errors.

    Raises
    ------
    ManifestError
        With the place and the fix.

    Example
    -------
    >>> scene = {"duration": 2.0, "events": [["dog", 1.5, 1.0]]}
    >>> check_scenes({"a": scene}, {"a": "a.json:2"})
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: a.json:2: 'a': events: ['dog', 1.5, 1.0] is not …
    """
    for name, record in records.items():
        fault = next(_faults(record), None)
        if fault:
            raise ManifestError(f"{places.get(name, 'scenes')}: '{name}': {fault}")


def _faults(record):
    """Yields what is wrong with the annotation of a scene."""
    length = record["duration"]
    for kind, form in FORMS.items():
        entries = record.get(kind)
        if entries is None:
            continue
        if not isinstance(entries, list):
            yield f"{kind}: {excerpt(entries)}. Give a list of {form}, or null."
            return
        for entry in entries:
            if not _is_entry(entry, len(form.split())):
                yield (
                    f"{kind}: {excerpt(entry)} is not {form}, seconds with 0 <= start "
                    "< stop. Correct it."
                )
            elif any(" ".join(text.split()) != text for text in (entry[0], *entry[3:])):
                yield (
                    f"{kind}: {excerpt(entry)} has a line break, a tab or a space that "
                    "is not between two words. Rename it."
                )
            elif entry[2] > length + TOLERANCE:
                yield (
                    f"{kind}: {excerpt(entry)} ends after the audio, {length} s. Is it "
                    "of another file?"
                )
    yield from _faulty_names(record)
    yield from _faulty_values(record)


def _is_entry(entry, size):
    """Returns whether an entry has a name, times, and a word if its size is 4."""
    if not isinstance(entry, (list, tuple)) or len(entry) != size:
        return False
    texts = [entry[0], *entry[3:]]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return False
    return _is_span(entry[1:3])


def _is_span(span):
    """Returns whether a value is a pair of times."""
    if not isinstance(span, (list, tuple)) or len(span) != 2:
        return False
    return all(map(is_number, span)) and 0 <= span[0] < span[1]


def _faulty_names(record):
    """Yields faults of the speakers, the twin and the kind of word times."""
    turns = record.get("segments")
    people = {turn[0] for turn in turns or ()}
    named = record.get("speakers")
    if turns is not None and named is not None and not _are_names(named, people):
        yield (
            f"speakers {excerpt(named)}, but the segments have {sorted(people)}. "
            "Correct them, or leave speakers out."
        )
    unknown = {word[0] for word in record.get("words") or ()} - people
    if turns is not None and unknown:
        yield (
            f"words of {sorted(unknown)}, who have no segments. Add their turns, or "
            "correct the names."
        )
    for key, choices in (("twin", TWINS), ("word_times", WORD_TIMES)):
        if record.get(key) is not None and record[key] not in choices:
            yield f"{key}: {excerpt(record[key])}. There are: {', '.join(choices)}."


def _are_names(named, people):
    """Returns whether a value is a list of some names, each once."""
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return False
    return sorted(named) == sorted(people)


def _faulty_values(record):
    """Yields faults of other keys."""
    regions = record.get("regions")
    if regions is not None and not (
        isinstance(regions, list) and all(map(_is_span, regions))
    ):
        yield f"regions: {excerpt(regions)}. Give a list of [start, stop], or null."
    if record.get("start") is not None or record.get("stop") is not None:
        yield "start and stop: a scene is a whole file. Leave them out; see regions."
    if record.get("snr") is not None and not is_number(record["snr"]):
        yield f"snr: {excerpt(record['snr'])} is no number of dB."
    if not isinstance(record.get("scene") or "", str):
        yield f"scene: {excerpt(record['scene'])} is no name."


def check_ends(
    name: str, length: float, kinds: Mapping[str, Iterable | None], place: str
) -> None:
    """Checks that annotation ends with the audio.

    :func:`~s3prl_sb.dataio.scenes.scene_record` cuts off what is longer.

    Arguments
    ---------
    name : str
        The recording.
    length : float
        Seconds of its audio.
    kinds : dict
        ``{kind: entries}`` as in records; None: not annotated.
    place : str
        "file" or "file:line", for errors.

    Raises
    ------
    ManifestError
        With the place, the first entry that is too late, and the fix.

    Example
    -------
    >>> check_ends("a", 2.0, {"events": [("dog", 1.0, 2.05)]}, "a.tsv")
    """
    for kind, entries in kinds.items():
        for entry in entries or ():
            if entry[2] > length + TOLERANCE:
                raise ManifestError(
                    f"{place}: '{name}': {kind}: {excerpt(list(entry))}, but the audio "
                    f"has {length:.3f} s. Is it another file, or are times in "
                    "milliseconds?"
                )


def check_kinds(splits: Mapping[str, Records], sources: Mapping[str, str]) -> None:
    """Checks that each set has something to learn or to measure.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``.
    sources : dict
        ``{split: file}``, for errors.

    Raises
    ------
    ManifestError
        If a set has no turn, word or event at all.

    Example
    -------
    >>> scene = {"segments": [], "words": None, "events": [["dog", 0.5, 1.0]]}
    >>> check_kinds({"train": {"a": scene}}, {"train": "train.json"})
    """
    kinds = {
        split: {k for k in FORMS for record in records.values() if record[k]}
        for split, records in splits.items()
    }
    for split, found in kinds.items():
        if not found:
            raise ManifestError(
                f"{sources[split]}: nothing happens in any of the "
                f"{len(splits[split])} scenes of the {split} set. Add turns, words or "
                "events."
            )
