"""Work that Sphinx would do again for every page, done once.

Sphinx forks a process for every ten pages. Each would import torch, and read the
sources of the classes that others derive from; and each page without a place in the
contents, as those of modules, would get the tree of all contents made for itself.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import importlib
import inspect
import logging
import os
import posixpath
import sys
from pathlib import Path

from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

from site_pages import generated

_TREES: dict[tuple, str] = {}


def setup(app):
    """Registers the extension, see Sphinx."""
    app.connect("builder-inited", _import_package, priority=200)
    app.connect("html-page-context", _share_tree, priority=100)  # before the theme's
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _import_package(app):
    """Imports the package, and reads the sources of the classes that it derives from,
    for all processes that Sphinx forks."""
    # A build without warnings prints nothing: SpeechBrain says what it has set, and
    # which packages it misses.
    os.environ.setdefault("SB_LOG_LEVEL", "ERROR")
    logging.getLogger("speechbrain").setLevel(logging.ERROR)
    names = generated.modules(Path(app.srcdir))
    for name in names:
        importlib.import_module(name)
    for name in sorted(bases(sys.modules[name] for name in names)):
        try:
            ModuleAnalyzer.for_module(name).analyze()
        except PycodeError:  # written in C
            continue


def bases(modules):
    """Returns the modules of classes that the classes of other modules derive from.

    Arguments
    ---------
    modules : iterable of module
        Modules with classes.

    Returns
    -------
    set of str

    Example
    -------
    >>> sorted(bases([logging]))
    ['builtins']
    """
    return {
        above.__module__
        for module in modules
        for kind in vars(module).values()
        if inspect.isclass(kind) and kind.__module__ == module.__name__
        for above in kind.__mro__
        if above.__module__ != module.__name__
    }


def _share_tree(app, page, template, context, doctree):
    """Gives the pages of a folder that are not in the contents one tree of these: no
    entry is the current one, and their links are the same."""
    if "orphan" in app.env.metadata.get(page, {}) and "toctree" in context:
        context["toctree"] = functools.partial(
            _tree, posixpath.dirname(page), context["toctree"]
        )


def _tree(folder, make, **options):
    key = folder, *sorted(options.items())
    if key not in _TREES:
        _TREES[key] = make(**options)
    return _TREES[key]
