"""Configuration of the documentation site: Sphinx with MyST, over the whole checkout.

The source folder is the checkout itself, so README.md, the pages in docs, the READMEs
of recipes and the templates are pages where they are, and one relative link works on
GitHub and on the site. ``docs/contents.md`` has the order of the pages; everything
in ``docs/reference`` is generated. ``make docs`` builds the site, warnings are errors::

    python -m sphinx -W --keep-going -n -c docs . docs/_site

Authors
 * The s3prl_sb developers, 2026
"""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS)]

from site_pages import documents  # noqa: E402

import s3prl_sb  # noqa: E402

project = "s3prl_sb"
author = "The s3prl_sb developers"
copyright = "2026, The s3prl_sb developers. Apache-2.0"
version = release = s3prl_sb.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "site_pages.generated",
    "site_pages.links",
    "site_pages.once",
    "site_pages.types",
]
root_doc = documents.ROOT_PAGE
include_patterns = [*documents.PATTERNS, *documents.GENERATED]
exclude_patterns = documents.excluded(ROOT)
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}

# Anchors of headings as on GitHub.
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # a template may begin with a lower heading

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have them, in words
autodoc_default_options = {
    "members": True,
    "show-inheritance": True,
    "ignore-module-all": True,  # a name is described where it is defined
}
nitpicky = True  # a reference that does not resolve is a warning
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"s3prl_sb {version}"
html_additional_pages = {"index": "to_readme.html"}
templates_path = ["site_pages"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches pages, which file:// does not allow
html_theme_options = {"navigation_with_keys": True}
