"""Names that stand for objects of a recipe (stand-in).

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.schema.declarations import KeysError
from s3prl_sb.schema.named_heads import node

HEAD, POOLING, LABELS, DEFAULT = "head", "pooling", "__labels", "default"


def labels_of(tree):
    """Returns the labels that a recipe declares."""
    return plain(tree.get(LABELS)) or {}


def is_code(name):
    """Returns whether a name is that of code."""
    return "." in name


def check(key, value, schema, source, where):
    """Checks a name in a file that is data."""
    is_name = isinstance(value, str) or isinstance(value, dict) and "name" in value
    if key != HEAD or not is_name or HEAD not in schema:
        return None
    name = value if isinstance(value, str) else value["name"]
    if name != DEFAULT and not is_code(name):
        try:
            node(name, labels_of(schema.tree).get("are"))
        except KeysError as error:
            raise KeysError(f"{where}{error}") from None
    return plain(value)


def check_pooling(values, schema, source, where):
    """Checks that the head of some keys takes their pooling."""
