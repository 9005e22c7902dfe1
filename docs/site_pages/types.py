"""Names in docstrings: short names become links, words of types stay words.

``list of Tensor`` or ``int, optional`` is how SpeechBrain's docstrings give types.
Sphinx takes each word for the name of a class, and would warn of most of them. A
reference that an author writes, such as ``:meth:`Upstream.frames```, becomes a link if
one object of the package has a name that ends so; of another library it is a word.
Any other reference that does not resolve is a warning, and fails the build.

Authors
 * The s3prl_sb developers, 2026
"""

import builtins
import importlib.util

from docutils import nodes

PACKAGE = "s3prl_sb"


def setup(app):
    """Registers the extension, see Sphinx."""
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _resolve(app, env, node, content):
    """Returns a link, the word as it is, or None for a warning."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    entry = _by_ending(env, target)
    if entry is not None:
        uri = app.builder.get_relative_uri(node["refdoc"], entry.docname)
        return nodes.reference(
            "", "", content, internal=True, refuri=f"{uri}#{entry.node_id}"
        )
    is_word = node.get("refspecific", False)  # of a field, not written as a reference
    return content if is_word or is_external(target) else None


def _by_ending(env, target):
    """Returns the only object whose dotted name ends so."""
    if not hasattr(env, "objects_by_last_name"):
        env.objects_by_last_name = {}
        for name, entry in env.get_domain("py").objects.items():
            if not entry.aliased:
                last = name.rpartition(".")[2]
                env.objects_by_last_name.setdefault(last, []).append((name, entry))
    candidates = env.objects_by_last_name.get(target.rpartition(".")[2], ())
    found = [entry for name, entry in candidates if name.endswith(f".{target}")]
    return found[0] if len(found) == 1 else None


def is_external(name):
    """Whether a name belongs to Python or to another library.

    Arguments
    ---------
    name : str
        Dotted name.

    Returns
    -------
    bool

    Example
    -------
    >>> is_external("torch.nn.Module"), is_external("OSError")
    (True, True)
    >>> is_external("s3prl_sb.x")
    False
    """
    root = name.partition(".")[0]
    if root == PACKAGE:
        return False
    return hasattr(builtins, root) or importlib.util.find_spec(root) is not None
