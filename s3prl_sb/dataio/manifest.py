"""The manifest: what every corpus, and every user's own data, is turned into.

A manifest is SpeechBrain's JSON, ``{id: {wav, duration, start, stop, labels...}}``:

* ``wav``: path of the audio file;
* ``duration``: seconds of the utterance: of the part, where only a part is read;
* ``start``, ``stop``: the part to read, in seconds, both null for the whole file.
  Always present, since a ``DynamicItemDataset`` wants the same keys everywhere;
* labels: any other keys, the same ones in every record.

Load it with ``DynamicItemDataset(manifest.read(path))``: SpeechBrain's ``from_json``
takes a brace in a path or a label for a placeholder of its own, and fails.
"""

import hashlib
import json
import logging
import math
import os
import re
from pathlib import Path

from s3prl_sb.errors import ManifestError
from s3prl_sb.storage.files import decoded, read_json, write_json, write_text

logger = logging.getLogger(__name__)

KEYS = ("wav", "duration", "start", "stop")
STAMP = "prepare.json"  # written last: its presence means "finished"
TOLERANCE = 1e-3  # seconds: users' tables are often rounded to a millisecond
SHAPE = 'A manifest is one object: {"id": {"wav": "path", "label": "..."}, ...}'


def write(records, path):
    """Writes a manifest, atomically. The same content gives the same bytes.

    Arguments
    ---------
    records : dict
        ``{id: record}``; ``start`` and ``stop`` are added as null where absent.
    path : str
        The JSON file: sorted by id, one record a line (it greps and diffs well).

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = folder + "/train.json"
    ...     write({"a": {"wav": "a.wav", "duration": 1.5, "label": "yes"}}, path)
    ...     read(path)["a"]["stop"] is None
    True
    """
    lines = []
    for name in sorted(records):
        record = {"start": None, "stop": None, **records[name]}
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, sort_keys=True)
        line = f"{json.dumps(name, ensure_ascii=False)}: {text}"
        # Names of files need not be UTF-8: their other bytes are written \udc..
        lines.append(line.encode("utf-8", "backslashreplace").decode())
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def read(path):
    """Reads a manifest as it stands (``validate`` checks it): ``{id: record}``.

    A missing file, invalid JSON and a repeated id are errors, with their lines.
    """
    return {name: record for name, _, record in unique(json_rows(path), path)}


def json_rows(path):
    """The (id, line, record) of each record of a JSON manifest, in its order."""
    text = read_text(path)
    try:
        content = json.loads(text)
    except RecursionError as fault:
        raise ManifestError(f"{path}: nested too deeply. {SHAPE}") from fault
    except json.JSONDecodeError as fault:
        message = f"{path}:{fault.lineno}: column {fault.colno}: not valid JSON: "
        raise ManifestError(f"{message}{fault.msg}. {SHAPE}") from fault
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ManifestError(f"{path}:1: {kind} instead of an object. {SHAPE}")
    # A second walk, as json tells neither lines nor repeated keys.
    decode, gap = json.JSONDecoder().raw_decode, re.compile(r"[\s,:]*")
    rows, line, seen, at = [], 1, 0, gap.match(text, text.index("{") + 1).end()
    while text[at] != "}":
        line, seen = line + text.count("\n", seen, at), at
        name, at = decode(text, at)
        record, at = decode(text, gap.match(text, at).end())
        rows.append((name, line, record))
        at = gap.match(text, at).end()
    return rows


def read_text(path):
    """A text file's content; it may have a byte-order mark or be packed with gzip."""
    try:
        return decoded(Path(path).read_bytes())
    except FileNotFoundError as fault:
        raise ManifestError(f"{path}: no such file") from fault
    except ValueError as fault:
        raise ManifestError(f"{path}: {fault}. Save the file as UTF-8.") from fault


def unique(rows, path):
    """``rows`` (id, line, record), or an error that names an id's two lines."""
    lines = {}
    for name, line, _ in rows:
        if name in lines:
            raise ManifestError(
                f"{path}:{line}: duplicated id '{name}', first in line {lines[name]}. "
                "Give every record its own id."
            )
        lines[name] = line
    return rows


def validate(records, path, required=("label",), audio=True, lines=None):
    """Checks every record; says what is wrong, in which line, and the way out.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    path : str
        The file that they came from.
    required : tuple of str
        Labels that no record may lack.
    audio : bool
        Whether to check that the audio files exist.
    lines : dict, optional
        The line of each id. Default: found in ``path``, where that is JSON.

    Returns
    -------
    dict
        ``records``, sound.

    Example
    -------
    >>> record = {"wav": "a.wav", "duration": 2.0, "start": 1.5, "stop": 0.5}
    >>> validate({"a": record}, "train.json", required=())
    Traceback (most recent call last):
    ...
    s3prl_sb.dataio.manifest.ManifestError: train.json: 'a': stop 0.5 <= start 1.5
    Give both in seconds, 0 <= start < stop; or null for the whole file.
    """
    if not records:
        raise ManifestError(f"{path}: the manifest is empty. Add a record or more.")
    keys = {key: None for r in records.values() if isinstance(r, dict) for key in r}
    keys = [key for key in dict.fromkeys([*KEYS, *required, *keys]) if key != "id"]
    found, exists = {}, {}  # found: {way out: [(id, fault)]}
    for name, record in records.items():
        fault, way_out = _fault(record, keys, required)
        if audio and not fault:
            wav = record["wav"]
            if not exists.setdefault(wav, os.path.isfile(wav)):
                fault = f"missing audio file {wav}"
                way_out = "Correct the paths, or leave these files out."
        if fault:
            found.setdefault(way_out, []).append((name, fault))
    for way_out, faults in found.items():  # the first kind of fault is enough
        lines = _lines(path) if lines is None else lines
        places = [f"{path}:{lines[n]}" if n in lines else path for n, _ in faults]
        texts = [f"{p}: '{n}': {fault}" for p, (n, fault) in zip(places, faults)]
        raise ManifestError.listing(texts, way_out, len(records))
    return records


def _lines(path):
    """``{id: line}`` of a JSON manifest; empty if it is none."""
    try:
        return {name: line for name, line, _ in json_rows(path)}
    except ManifestError:
        return {}


def _fault(record, keys, required):
    """What is wrong with a record, and the way out; a pair of None if nothing is."""
    if not isinstance(record, dict):
        return f"{record!r} is not an object", "A record is {wav, duration, labels...}"
    empty = [k for k in ("wav", *required) if record.get(k, 0) in (None, "", [])]
    if empty:
        return f"{', '.join(empty)} is empty", "Fill it in, or drop the record."
    missing = [key for key in keys if key not in record]
    if missing:
        way_out = "Every record needs the same keys: fill it in, or drop the record."
        return f"missing key {', '.join(missing)} (found {', '.join(record)})", way_out
    if "id" in record:
        return "key 'id' inside the record", "SpeechBrain reserves it: rename that key."
    duration, start, stop = (record[key] for key in KEYS[1:])
    if not _is_number(duration) or duration <= 0:
        return f"duration {duration!r} is not positive", "Give seconds, or omit it."
    if start is None and stop is None:
        return None, None
    way_out = "Give both in seconds, 0 <= start < stop; or null for the whole file."
    if not _is_number(start) or not _is_number(stop) or start < 0:
        return f"start {start!r}, stop {stop!r} are not a segment", way_out
    if stop <= start:
        return f"stop {stop} <= start {start}", way_out
    if abs(stop - start - duration) > TOLERANCE:
        fault = f"segment {start} to {stop} has not the duration {duration}"
        return fault, "The duration is that of the segment, all in seconds."
    return None, None


def _is_number(value):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def subset(records, fraction=None, per_class=None, seed=0, key="label"):
    """A few-shot subset with every class in it, the same at every call.

    Ids are ranked by a hash of the seed and the id, so subsets are nested: with one
    seed, a smaller one is part of every larger one, whatever the other ids are.

    Arguments
    ---------
    records : dict
        ``{id: record}``.
    fraction : float, optional
        Share of each class, in (0, 1]; one record of a class at least.
    per_class : int, optional
        Records of each class; give this or ``fraction``. Neither: all records.
    seed : int
        Another seed, another choice.
    key : str
        The label that tells the classes.

    Returns
    -------
    dict
        Part of ``records``, in their order.

    Example
    -------
    >>> records = {f"{n}": {"label": "ab"[n % 2]} for n in range(20)}
    >>> few = subset(records, per_class=2)
    >>> len(few), set(few) < set(subset(records, fraction=0.5))
    (4, True)
    """
    if fraction is None and per_class is None:
        return dict(records)
    if fraction is not None and per_class is not None:
        raise ManifestError("give a fraction or a number per class, not both")
    if per_class is None and not (_is_number(fraction) and 0 < fraction <= 1):
        raise ManifestError(f"train_fraction {fraction!r} is outside (0, 1]")
    if fraction is None and (not isinstance(per_class, int) or per_class < 1):
        raise ManifestError(
            f"train_per_class {per_class!r} is not a positive whole number"
        )
    classes = {}
    for name, record in records.items():
        if key not in record:
            raise ManifestError(f"'{name}' has no '{key}' to draw a subset by")
        classes.setdefault(str(record[key]), []).append(name)
    small = {c: len(n) for c, n in sorted(classes.items()) if len(n) < (per_class or 0)}
    if small:
        counts = [f"class '{label}' has only {count}" for label, count in small.items()]
        way_out = f"Ask for at most {min(small.values())} per class, not {per_class}."
        raise ManifestError.listing(counts, way_out)
    chosen = set()
    for names in classes.values():
        names.sort(key=lambda name: hashlib.sha1(f"{seed}|{name}".encode()).digest())
        chosen.update(names[: per_class or max(1, int(fraction * len(names) + 0.5))])
    return {name: record for name, record in records.items() if name in chosen}


def digest(path):
    """SHA256 of a file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except FileNotFoundError as fault:
        raise ManifestError(f"{path}: no such file") from fault


def finished(save_folder, arguments):
    """``{split: path}`` if ``finish`` was done with these arguments, else None."""
    try:
        stamp = read_json(Path(save_folder) / STAMP, "a stamp", kind=dict)
        paths = {n: str(Path(save_folder) / f"{n}.json") for n in stamp["sha256"]}
        same = stamp["arguments"] == json.loads(json.dumps(arguments))
        same = same and stamp["sha256"] == {n: digest(p) for n, p in paths.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # absent or damaged: prepare again
    return paths if same else None


def finish(splits, save_folder, arguments, required=("label",)):
    """Writes ``<split>.json`` of every split, then the stamp; gives ``{split: path}``.

    ``arguments`` is what ``finished`` must find again to skip the preparation: plain
    values that tell the corpus, the protocol and its version.
    """
    for name, records in splits.items():
        validate(records, f"split {name}", required, audio=False)
    paths = {name: str(Path(save_folder) / f"{name}.json") for name in splits}
    stamp = {"arguments": arguments, "records": {}, "sha256": {}}
    for name, path in paths.items():
        write(splits[name], path)
        stamp["sha256"][name] = digest(path)
        stamp["records"][name] = len(splits[name])
        logger.debug("%s: %d records", path, len(splits[name]))
    write_json(Path(save_folder) / STAMP, stamp)
    return paths
