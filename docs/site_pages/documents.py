"""The documents of the checkout: which files are pages, and in which order.

Nothing here needs Sphinx: the tests of the documents read it, too.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

#: The first page, without its suffix.
ROOT_PAGE = "README"
#: The file with the order of the pages, itself not a page.
CONTENTS = "docs/contents.md"
#: Patterns of the documents that people write, from the root.
PATTERNS = [
    "*.md",
    "docs/*.md",
    "docs/tutorials/*.md",
    "recipes/**/*.md",
    "templates/**/*.md",
    "benchmarks/*.md",
]
#: Patterns of the pages that ``make docs`` generates.
GENERATED = ["docs/reference/**"]
#: A toctree of MyST: its options and its entries.
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.M | re.S)


def excluded(root):
    """Lists what the site leaves out: folders without documents, and the contents.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    list of str
        Patterns of Sphinx; it does not look into these folders.
    """
    kept = {Path(pattern).parts[0] for pattern in (*PATTERNS, *GENERATED)}
    others = [path.name for path in root.iterdir() if path.is_dir()]
    return [*(name for name in others if name not in kept), "docs/_site", CONTENTS]


def pages(root):
    """Lists the documents that people write.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    list of pathlib.Path
        Sorted, without the contents.
    """
    found = {path for pattern in PATTERNS for path in root.glob(pattern)}
    return sorted(found - {root / CONTENTS})


def entries(text):
    """Reads the entries of all toctrees of a page.

    Arguments
    ---------
    text : str
        The page, in Markdown.

    Returns
    -------
    list of str
        Pages without suffix, as they are written.

    Example
    -------
    >>> entries("```{toctree}\\n:caption: Start\\n\\ndocs/install\\n```\\n")
    ['docs/install']
    """
    lines = [line for body in TOCTREE.findall(text) for line in body.splitlines()]
    return [line.strip() for line in lines if line.strip() and line[0] != ":"]


def external_links(root):
    """Lists the addresses on the web that the documents name.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    list of str
        Sorted, each once. Nothing is fetched.
    """
    texts = [path.read_text("utf-8") for path in pages(root)]
    found = {
        link for text in texts for link in re.findall(r"\]\((https?://[^)\s]+)", text)
    }
    return sorted(link.partition("#")[0] for link in found)
