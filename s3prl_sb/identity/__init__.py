"""Identities: hashes of everything that a result depends on.

A cached feature, a resumed run, an export and a row of the benchmark each depend on an
upstream, code and data. These are identified by their content, never by path, name or
time of change:

- :mod:`~s3prl_sb.identity.content`: hashes of files, and their cache;
- :mod:`~s3prl_sb.identity.code`: classes, by all modules that theirs import;
- :mod:`~s3prl_sb.identity.opened`: records the files that an upstream opens;
- :mod:`~s3prl_sb.identity.objects`: pipes, heads and other objects;
- :mod:`~s3prl_sb.identity.upstreams`: upstreams;
- :mod:`~s3prl_sb.identity.data`: data sets and whole runs.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
from typing import Any

#: Results do not depend on this package, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Version of the format of identities. Caches and runs of other versions are
#: recognised and never mixed with those of this version.
FORMAT = 2


def digest(identity: Any) -> str:
    """Returns the hash of JSON values.

    Arguments
    ---------
    identity : object
        JSON values; the order of keys does not matter.

    Returns
    -------
    str
        64 hexadecimal digits.

    Example
    -------
    >>> digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    True
    """
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
