"""Names in docstrings: those of our objects become links, words of types stay words.

``list of Tensor`` or ``int, optional`` is how SpeechBrain's docstrings give types.
Sphinx takes each word for the name of an object, and would warn of most of them: here
only the names of classes become links.

A reference that an author writes, such as ``:meth:`Upstream.frames``` or
``:attr:`metric```, becomes a link to the object that Python finds under this name from
where it is written, inherited ones included, or to the only one whose dotted name ends
so. If the name exists and has no entry of its own (a constant, an attribute), or
belongs to another library, it stays a word. Any other fails the build, as a warning.

Authors
 * The s3prl_sb developers, 2026
"""

import builtins
import importlib.util
import inspect
import re
import sys

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PACKAGE = "s3prl_sb"
CLASSES = ("class", "exception")


def setup(app):
    """Registers the extension, see Sphinx."""
    app.add_post_transform(Words)
    app.connect("missing-reference", _resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class Words(SphinxPostTransform):
    """Replaces the words of types, before Sphinx looks for their targets."""

    default_priority = 5

    def run(self, **kwargs):
        """Replaces the words of one page."""
        for node in list(self.document.findall(addnodes.pending_xref)):
            if node.get("refdomain") == "py" and node.get("refspecific"):
                here = f"{node.get('py:module')}.{node['reftarget']}"
                found = _ending(self.env, node["reftarget"], CLASSES)
                near = [entry for name, entry in found if name == here]
                only = near or [entry for _, entry in found]
                content = node.children[0].deepcopy()
                if len(only) == 1:
                    content = _link(self.app, node, only[0], content)
                node.replace_self(content)


def _resolve(app, env, node, content):
    """Returns a link, the word as it is, or None for a warning."""
    if node.get("refdomain") != "py":
        return None
    target = node["reftarget"].removesuffix("()")
    name = _name_in_python(node.get("py:module"), node.get("py:class"), target)
    objects = env.get_domain("py").objects
    if name in objects:
        return _link(app, node, objects[name], content)
    found = _ending(env, target)
    if len(found) == 1:
        return _link(app, node, found[0][1], content)
    return content if name or is_external(target) else None


def _link(app, node, entry, content):
    page = node.get("refdoc", app.env.docname)
    uri = app.builder.get_relative_uri(page, entry.docname)
    return nodes.reference(
        "", "", content, internal=True, refuri=f"{uri}#{entry.node_id}"
    )


def _ending(env, target, kinds=()):
    """Returns the objects whose dotted name ends so: a list of (name, entry)."""
    if not hasattr(env, "objects_by_last_name"):
        env.objects_by_last_name = {}
        for name, entry in env.get_domain("py").objects.items():
            if not entry.aliased:
                last = name.rpartition(".")[2]
                env.objects_by_last_name.setdefault(last, []).append((name, entry))
    candidates = env.objects_by_last_name.get(target.rpartition(".")[2], ())
    return [
        (name, entry)
        for name, entry in candidates
        if name.endswith(f".{target}") and (not kinds or entry.objtype in kinds)
    ]


def _name_in_python(module, owner, target):
    """Returns the full name of what a reference names; "" if Python finds nothing."""
    starts = [f"{module}.{owner}" if owner else "", module or "", ""]
    for start in filter(None, (f"{s}.{target}".lstrip(".") for s in starts)):
        if start.startswith(f"{PACKAGE}."):
            name = _found(start)
            if name:
                return name
    return ""


def _found(dotted):
    """Returns the name under which an object is defined, or "" if there is none."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except ImportError:
                continue
        thing, rest = sys.modules[name], parts[length:]
        for part in rest:
            if not hasattr(thing, part):
                is_last = part is rest[-1]
                return dotted if is_last and _is_of_instances(thing, part) else ""
            thing = getattr(thing, part)
        module, own = (getattr(thing, n, "") for n in ("__module__", "__qualname__"))
        is_named = isinstance(own, str) and own and str(module).startswith(PACKAGE)
        return f"{module}.{own}" if rest and is_named else dotted
    return ""


def _is_of_instances(thing, name):
    """Whether a class, or one above it, has an attribute ``self.name``."""
    above = getattr(thing, "__mro__", ())
    classes = [kind for kind in above if kind.__module__.startswith(PACKAGE)]
    name = re.escape(name)
    pattern = re.compile(rf"\bself\.{name}\b|^    {name}:", re.M)
    return any(pattern.search(inspect.getsource(kind)) for kind in classes)


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
