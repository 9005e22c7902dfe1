"""User-defined Python files, loaded by their path.

A file becomes a module of a package that is created for it. The name of the package
has the path of the file and a hash of its source and of all that it imports from its
folder::

    s3prl_sb.own.<folder and file>_<hash>.my_upstream

So files with the same name can coexist, a changed file is another module, and an
unchanged one is loaded once. ``sys.path`` is not used. A file imports its neighbours
like a script (``import layers``) or like a module of a package
(``from .layers import Layer``), and these precede installed modules; other imports are
unchanged. A spawned process finds the classes by the names of their modules.

This package does not check whether a file may be run: its callers do, see
:mod:`s3prl_sb.foreign.trust`.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.own.closure import closure, find
from s3prl_sb.own.keeping import copy, keep
from s3prl_sb.own.modules import (
    FILE_AND_CLASS,
    PREFIX,
    OwnCodeError,
    attribute,
    class_name,
    load,
    loaded_from,
    module,
    place,
    plain_name,
    plain_names,
)

__all__ = [
    "FILE_AND_CLASS",
    "PREFIX",
    "OwnCodeError",
    "attribute",
    "class_name",
    "closure",
    "copy",
    "find",
    "keep",
    "load",
    "loaded_from",
    "module",
    "place",
    "plain_name",
    "plain_names",
]

#: Results do not depend on the loader, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
