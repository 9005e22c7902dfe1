"""What differs between two identities, in words.

Authors
 * The s3prl_sb developers, 2026
"""

MOST = 3  # of one kind are named


def named(before, now, told=()):
    """Returns what differs, a phrase for each kind of difference.

    Arguments
    ---------
    before, now : dict
        Identities, or dicts of them.
    told : collection of str
        Parts of which another difference has been told already, so that "another
        head" would add nothing.

    Returns
    -------
    list of str
        None of them tells a hash.

    Example
    -------
    >>> old = {"upstream": {"code": {"modules": {"a.b": "12"}, "versions": {"x": "1"}}}}
    >>> new = {"upstream": {"code": {"modules": {"a.b": "34"}, "versions": {"x": "2"}}}}
    >>> named(old, new)
    ['another module a.b of the upstream', 'x 2, not 1, for the upstream']
    """
    found = []
    for part in sorted(before.keys() | now.keys()):
        old, new = before.get(part), now.get(part)
        if old == new:
            continue
        if part == "data":
            found += [
                f"other audio or labels in the {name} set"
                for name in _keys(old or {}, new or {})
            ]
        else:
            found += _of(part.replace("_", " "), old or {}, new or {}, part in told)
    return found


def _of(name, old, new, told):
    """What differs in an upstream, pipes, a head."""
    of, found = f"of the {name}", []
    code = [side.get("code") or {} for side in (old, new)]
    for kind in ("modules", "versions"):
        a, b = (side.get(kind) or {} for side in code)
        keys = _keys(a, b)
        if kind == "versions":
            found += [
                f"{key} {b.get(key, 'gone')}, not {a.get(key, 'none')}, for the {name}"
                for key in keys[:MOST]
            ]
        elif keys:
            found.append(f"another module {_listed(keys)} {of}")
    a, b = (side.get("files") or {} for side in (old, new))
    if _keys(a, b):
        found.append(f"another file {_listed(_keys(a, b))} {of}")
    a, b = (side.get("arguments") or {} for side in (old, new))
    # An argument that names a file has been told of as a file.
    as_files = {key.partition("/")[0] for key in _keys(*_files(old, new))}
    found += [
        f"{key} {_readable(a.get(key))}, not {_readable(b.get(key))}, {of}"
        for key in _keys(a, b)
        if key not in as_files
    ]
    if old.get("weights") != new.get("weights"):
        found.append(f"other weights {of}")
    if old.get("class") != new.get("class"):
        found.append(f"class {old.get('class')}, not {new.get('class')}, {of}")
    if old.get("is") != new.get("is") and not told:
        found.append(f"another {name} than before")
    return found


def _files(old, new):
    return (old.get("files") or {}, new.get("files") or {})


def _keys(a, b):
    return [key for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]


def _listed(keys):
    more = f" and {len(keys) - MOST} more" if len(keys) > MOST else ""
    return ", ".join(keys[:MOST]) + more


def _readable(value):
    if isinstance(value, dict):
        return "a file" if "content" in value else "a mapping"
    return "null" if value is None else str(value)[:60]
