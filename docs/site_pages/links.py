"""Links of documents to files of the checkout become links to pages, or plain names.

On GitHub a relative link may name any file or folder. On the site a module is linked to
its page of the reference, a folder to its README.md if it has one; of other files the
name stands there, as the site has no copy of the checkout.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from site_pages import documents

#: File of the site with all addresses on the web, which ``make docs`` does not fetch.
EXTERNAL = "external_links.txt"


def setup(app):
    """Registers the extension, see Sphinx."""
    app.add_transform(FileLinks)
    app.connect("build-finished", _list_external)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _list_external(app, exception):
    """Writes the list of addresses beside the pages."""
    if exception is None and app.builder.format == "html":
        lines = "\n".join(documents.external_links(Path(app.srcdir)))
        (Path(app.outdir) / EXTERNAL).write_text(f"{lines}\n", "utf-8")


def page_of(path, root):
    """Returns the page of a file or a folder of the checkout.

    Arguments
    ---------
    path : pathlib.Path
        The file or folder, absolute.
    root : pathlib.Path
        The checkout.

    Returns
    -------
    str or None
        Name of the page; None if it has none.

    Example
    -------
    >>> root = Path(__file__).parents[2]
    >>> page_of(root / "s3prl_sb/metrics", root)
    'docs/reference/api/s3prl_sb.metrics'
    >>> page_of(root / "recipes/SUPERB/KS", root)
    'recipes/SUPERB/KS/README'
    """
    parts = path.relative_to(root).with_suffix("").parts
    if parts[:1] == ("s3prl_sb",) and (path.is_dir() or path.suffix == ".py"):
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        return f"docs/reference/api/{'.'.join(parts)}"
    if (path / "README.md").is_file():
        path = path / "README.md"
    if any(path in root.glob(pattern) for pattern in documents.PATTERNS):
        return path.relative_to(root).with_suffix("").as_posix()
    return None


class FileLinks(SphinxTransform):
    """Replaces links to files and folders, before Sphinx looks for the files."""

    default_priority = 5

    def apply(self, **kwargs):
        """Replaces the links of one document."""
        root = Path(self.app.srcdir)
        found = [*self.document.findall(addnodes.download_reference)]
        found += [
            node
            for node in self.document.findall(addnodes.pending_xref)
            if node.get("reftype") == "myst" and node.get("refdomain") is None
        ]
        for node in found:
            folder = (root / self.env.docname).parent
            path = Path(os.path.normpath(folder / node["reftarget"]))
            if not path.exists() or not path.is_relative_to(root):
                continue  # an anchor, a page; a missing file is Sphinx's to report
            self.replace(node, page_of(path, root))

    def replace(self, node, page):
        """Replaces one link by one to a page, or by its text."""
        inside = [child.deepcopy() for child in node.children]
        if page is None:
            node.replace_self(nodes.inline("", "", *inside))
            return
        link = addnodes.pending_xref(
            "",
            nodes.inline("", "", *inside, classes=["doc"]),
            refdoc=self.env.docname,
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=True,
            refwarn=True,
        )
        node.replace_self(link)
