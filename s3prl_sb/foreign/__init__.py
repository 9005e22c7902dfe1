"""Untrusted files as data: the objects they declare, and the code they would run.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.foreign.classes import (
    FEATURIZER,
    HEAD,
    INTERFACE,
    KINDS,
    PIPE,
    UPSTREAM,
    Kind,
    KindError,
    find_class,
)
from s3prl_sb.foreign.document import Document, NodeError
from s3prl_sb.foreign.tags import beside, own_names, with_own_names

__all__ = [
    "FEATURIZER",
    "HEAD",
    "INTERFACE",
    "KINDS",
    "PIPE",
    "UPSTREAM",
    "Document",
    "Kind",
    "KindError",
    "NodeError",
    "beside",
    "find_class",
    "own_names",
    "with_own_names",
]
