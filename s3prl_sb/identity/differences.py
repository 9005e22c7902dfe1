"""Descriptions of the differences between two identities.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Collection

MOST = 3  # names for one kind of difference


def named(before: dict, now: dict, reported: Collection[str] = ()) -> list[str]:
    """Returns a phrase for each kind of difference.

    Arguments
    ---------
    before, now : dict
        Identities, or dicts of them.
    reported : collection of str
        Parts with another difference that was reported already, so that "another
        head" would be redundant.

    Returns
    -------
    list of str
        Phrases, without hashes.

    Example
    -------
    >>> old = {"upstream": {"code": {"modules": {"a.b": "12"}, "versions": {"x": "1"}}}}
    >>> new = {"upstream": {"code": {"modules": {"a.b": "34"}, "versions": {"x": "2"}}}}
    >>> named(old, new)
    ['another module a.b of the upstream', 'x 2, not 1, for the upstream']
    """
    phrases = []
    for part in sorted(before.keys() | now.keys()):
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        if part == "data":
            phrases += [
                f"other audio or labels in the {name} set"
                for name in _keys(old or {}, new or {})
            ]
        else:
            name = part.replace("_", " ")
            phrases += _of(name, old or {}, new or {}, part in reported)
    return phrases


def _of(name, old, new, is_reported):
    """Describes the differences of an upstream, of pipes or of a head."""
    of, phrases = f"of the {name}", []
    code = [side.get("code") or {} for side in (old, new)]
    for kind in ("modules", "versions"):
        a, b = (side.get(kind) or {} for side in code)
        keys = _keys(a, b)
        if kind == "versions":
            phrases += [
                f"{key} {b.get(key, 'gone')}, not {a.get(key, 'none')}, for the {name}"
                for key in keys[:MOST]
            ]
        elif keys:
            phrases.append(f"another module {_listed(keys)} {of}")
    files = [side.get("files") or {} for side in (old, new)]
    if _keys(*files):
        phrases.append(f"another file {_listed(_keys(*files))} {of}")
    a, b = (side.get("arguments") or {} for side in (old, new))
    # An argument that names a file is reported as a file.
    as_files = {key.partition("/")[0] for key in _keys(*files)}
    phrases += [
        f"{key} {_readable(a.get(key))}, not {_readable(b.get(key))}, {of}"
        for key in _keys(a, b)
        if key not in as_files
    ]
    if old.get("weights") != new.get("weights"):
        phrases.append(f"other weights {of}")
    if old.get("class") != new.get("class"):
        phrases.append(f"class {old.get('class')}, not {new.get('class')}, {of}")
    if old.get("is") != new.get("is") and not is_reported:
        phrases.append(f"another {name} than before")
    return phrases


def _keys(a, b):
    return [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]


def _listed(keys):
    more = f" and {len(keys) - MOST} more" if len(keys) > MOST else ""
    return ", ".join(keys[:MOST]) + more


def _readable(value):
    if isinstance(value, dict):
        return "a file" if "content" in value else "a mapping"
    return "null" if value is None else str(value)[:60]
