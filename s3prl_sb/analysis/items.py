"""Items of ABX: where in an utterance a phone is, its context, and its speaker.

They are read from an .item file of the ZeroSpeech challenges or libri-light, or made of
aligned phones: one item for each phone between two others.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.storage.files import naming, read_text
from s3prl_sb.terminal.messages import few
from s3prl_sb.units.alignments import Alignments

logger = logging.getLogger(__name__)

COLUMNS = "#file onset offset #phone prev-phone next-phone speaker"
#: Names of what is not a phone; no item touches it.
SILENCES = {"", "sil", "sp", "spn", "nsn", "pau", "epi", "h#", "<eps>"}
CONTIGUOUS = 2e-3  # seconds by which neighbours may be apart
#: Columns of a manifest with the speaker, if none is named.
SPEAKER_COLUMNS = ("speaker", "spk", "speaker_id", "spk_id")
#: Ends of paths with the speaker, {name of the layout: pattern}.
SPEAKER_LAYOUTS = {
    "timit": r"([FM][A-Z]{3}\d)/[^/]+",  # TEST/DR1/FAKS0/SA1.WAV
    "librispeech": r"(\d+)-\d+-\d+[^/]*",  # 84-121123-0000.flac
}


class Item(NamedTuple):
    """One occurrence of a phone."""

    utterance: str
    start: float  #: seconds from the start of the utterance
    stop: float  #: seconds
    phone: str
    context: tuple[str, str]  #: the phones before and after it
    speaker: str


def read_items(path: str | os.PathLike, records: Records) -> list[Item]:
    """Reads an .item file.

    Arguments
    ---------
    path : str
        File whose first line names the columns: ``#file onset offset #phone prev-phone
        next-phone speaker``, separated by spaces, times in seconds.
    records : dict
        ``{id: record}`` of the utterances. An item belongs to the utterance whose id,
        or the name of whose audio file, is its ``#file``.

    Returns
    -------
    list of Item
        Items of the utterances in ``records``, in the order of the file.

    Raises
    ------
    AnalysisError
        If no item belongs to an utterance, or two utterances have one file name.
    s3prl_sb.storage.files.FileError
        For a line in another format.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.item")
    ...     _ = path.write_text(COLUMNS + "\\n1-2-3 0.1 0.34 AH K T 1\\n")
    ...     read_items(path, {"dev/1-2-3": {"wav": "dev/1-2-3.flac"}})[0].context
    ('K', 'T')
    """
    utterances = _by_file(records)
    items, count, named = [], 0, ""
    with naming(path, "an .item file", f"Its columns are: {COLUMNS}."):
        lines = read_text(path).splitlines()
        if not lines or not lines[0].startswith("#"):
            raise ValueError("its first line does not name the columns")
        for number, line in enumerate(lines[1:], 2):
            if not line.strip():
                continue
            item = _item(line.split(), number)
            count += 1
            named = named or item.utterance
            name = utterances.get(item.utterance, ())
            if len(name) > 1:
                raise AnalysisError(
                    f"'{path}', line {number}: '{item.utterance}' may be "
                    f"'{name[0]}' or '{name[1]}'. Give a list with these ids."
                )
            items += [item._replace(utterance=each) for each in name]
    if not count:
        raise AnalysisError(f"'{path}' has no items. A line is: {COLUMNS}.")
    if not items:
        raise AnalysisError(
            f"None of the {count} items of '{path}', such as of '{named}', "
            f"is in one of the {len(records)} utterances, such as "
            f"'{next(iter(records), '')}'. Their ids or the names of their audio files "
            "must be the #file of items."
        )
    return items


def _item(words, number):
    try:
        name, start, stop, phone, before, after, speaker = words
        item = Item(name, float(start), float(stop), phone, (before, after), speaker)
    except ValueError:
        raise ValueError(f"line {number} is '{' '.join(words)[:60]}'") from None
    if not 0 <= item.start < item.stop < math.inf:
        raise ValueError(f"line {number} has the onset {start} and the offset {stop}")
    return item


def _by_file(records):
    """Returns {#file: ids of the utterances that it may be}."""
    utterances: dict[str, list[str]] = {}
    for name, record in records.items():
        utterances.setdefault(Path(record["wav"]).stem, []).append(name)
    return utterances | {name: [name] for name in records}


def aligned_items(
    records: Records, alignments: Alignments, triphones: bool, speaker: str | None
) -> list[Item]:
    """Makes items of aligned phones.

    Arguments
    ---------
    records : dict
        ``{id: record}`` of the utterances.
    alignments : s3prl_sb.units.alignments.Alignments
        Phones; utterances without an alignment are left out.
    triphones : bool
        Whether an item lasts from the start of the phone before it to the end of the
        phone after it, as in the ZeroSpeech challenges; or only as long as the phone.
    speaker : str, optional
        See :func:`speakers`.

    Returns
    -------
    list of Item
        One for each phone between two others, without silence in between.

    Raises
    ------
    AnalysisError
        If there are none, or no speakers.

    Example
    -------
    >>> from s3prl_sb.units.alignments import alignment_of
    >>> rows = [[0.0, 0.1, "sil"], [0.1, 0.2, "K"], [0.2, 0.3, "AE"], [0.3, 0.4, "T"]]
    >>> alignments = Alignments({"a": alignment_of(rows)})
    >>> records = {"a": {"wav": "a.wav", "speaker": "mo"}}
    >>> [item] = aligned_items(records, alignments, True, None)
    >>> item.start, item.stop, item.phone, item.context
    (0.1, 0.4, 'AE', ('K', 'T'))
    """
    who = speakers(records, speaker)
    items, used = [], 0
    for name in records:
        alignment = alignments.of(name)
        used += alignment is not None
        if alignment is not None:
            items += _phones_between(name, alignment, triphones, who[name])
    if not items:
        raise AnalysisError(
            f"{used} of {len(records)} utterances, such as "
            f"'{next(iter(records), '')}', have an alignment, such as "
            f"'{next(iter(alignments.exact))}', and none has a phone between two "
            "others. Names must end alike."
        )
    if used < len(records):
        logger.info("%d of %d utterances have an alignment", used, len(records))
    return items


def _phones_between(name, alignment, triphones, speaker):
    starts, stops, phones = (
        alignment.starts.tolist(),
        alignment.stops.tolist(),
        alignment.phones,
    )
    items = []
    for i in range(1, len(phones) - 1):
        before, phone, after = phones[i - 1 : i + 2]
        silent = {before.lower(), phone.lower(), after.lower()} & SILENCES
        apart = max(starts[i] - stops[i - 1], starts[i + 1] - stops[i]) > CONTIGUOUS
        if not silent and not apart:
            first, last = (i - 1, i + 1) if triphones else (i, i)
            where = (starts[first], stops[last])
            items.append(Item(name, *where, phone, (before, after), speaker))
    return items


def speakers(records: Mapping[str, Any], source: str | None = None) -> dict[str, str]:
    """Returns the speaker of each utterance.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    source : str, optional
        Column of the records; or "timit" or "librispeech", for the speakers in paths of
        these corpora. Default: the first of the columns speaker, spk, speaker_id and
        spk_id.

    Returns
    -------
    dict
        Ids to speakers.

    Raises
    ------
    AnalysisError
        If an utterance has none.

    Example
    -------
    >>> speakers({"a": {"wav": "TEST/DR1/FAKS0/SA1.WAV"}}, "timit")
    {'a': 'FAKS0'}
    """
    names = [source] if source else SPEAKER_COLUMNS
    who = {}
    for utterance, record in records.items():
        column = next((name for name in names if record.get(name) is not None), None)
        if column is not None:
            who[utterance] = str(record[column])
        elif source in SPEAKER_LAYOUTS:
            who[utterance] = _speaker_in(utterance, record["wav"], source)
        else:
            raise AnalysisError(
                f"'{utterance}' has no speaker: there is no column "
                f"{source or ' or '.join(SPEAKER_COLUMNS)}; its keys are "
                f"{few(sorted(record))}. Name the column with --speaker, or "
                f"{' or '.join(SPEAKER_LAYOUTS)} for the paths of these corpora."
            )
    return who


def _speaker_in(utterance, wav, layout):
    """Returns the speaker in a path."""
    path = Path(wav).as_posix()
    found = re.search(f"(?:^|/){SPEAKER_LAYOUTS[layout]}$", path, re.IGNORECASE)
    if found is None:
        raise AnalysisError(
            f"'{utterance}' has no speaker: its path, {wav}, is not in {layout}'s "
            "layout. Name a column with --speaker."
        )
    return found[1]
