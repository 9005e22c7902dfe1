"""What a number stands for, known by content.

A cached feature, a resumed run, an export, a row of the benchmark are each of one
upstream, some code and some data. These are known by what they hold, never by where
they lie, what they are called or when they were changed:

- :mod:`~s3prl_sb.identity.content`: files, by a hash that is remembered;
- :mod:`~s3prl_sb.identity.code`: classes, by all modules that theirs import;
- :mod:`~s3prl_sb.identity.opened`: the door through which an upstream opens files;
- :mod:`~s3prl_sb.identity.objects`: pipes, heads and other objects;
- :mod:`~s3prl_sb.identity.upstreams`: upstreams;
- :mod:`~s3prl_sb.identity.data`: what is learned from, and a run as a whole.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json

#: What compares identities changes none, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

#: Of what is written down about identities. Caches and runs of another number are
#: recognised, and never mixed with those of this one.
FORMAT = 2


def digest(identity):
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
