"""Python files of one's own, loaded by their path.

A file is loaded as a module of a package made for it, whose name says where the
file lies and holds a hash of its text and of all that it imports beside it::

    s3prl_sb.own.<folder and file>_<hash>.my_upstream

So files of one name lie side by side, a changed file is another module, and what
has not changed is loaded once. ``sys.path`` has no part in it. Within its folder a
file imports what lies beside it as a script does (``import layers``) or as a member
of a package does (``from .layers import Layer``), and this goes before anything
installed; elsewhere nothing is changed. A spawned process finds the classes by the
names of their modules alone.

Nothing here asks whether a file may be run: who calls it does, see
:mod:`s3prl_sb.foreign.trust`.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.own.closure import closure, find
from s3prl_sb.own.keeping import copy, keep
from s3prl_sb.own.modules import (
    PREFIX,
    OwnCodeError,
    attribute,
    load,
    module,
    place,
    plain_name,
    plain_names,
)

__all__ = [
    "PREFIX",
    "OwnCodeError",
    "attribute",
    "closure",
    "copy",
    "find",
    "keep",
    "load",
    "module",
    "place",
    "plain_name",
    "plain_names",
]

#: What loads code changes none, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
