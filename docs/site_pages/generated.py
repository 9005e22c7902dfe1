"""Pages of the site that are made from the code, whenever Sphinx starts.

- ``docs/reference/api``: a page for each module, one for each package.
- ``docs/reference/commands``: a page for each verb, from its parser.
- ``docs/reference/recipes``: the keys of each recipe, from its schema.
- ``docs/reference/tasks.rst`` and ``templates.rst``: lists of the READMEs.

A page is only written if its text changes, so that a second build is short.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.commands import recipe_help
from site_pages import documents, verbs
from site_pages.markup import heading, marked, toctree

FOLDER = "docs/reference"
PACKAGE = "s3prl_sb"
#: The first thing in every module: parsing all of them takes seconds.
DOCSTRING = re.compile(r'r?"""(.*?)"""', re.S)
#: A reference by a name that is short for the module where it stands.
SHORT = re.compile(r":\w+:`(\w[^`]*)`")
#: Lists of the READMEs outside docs; a recipe that is added is in them at once.
READMES = {
    f"{name}.rst": heading(title)
    + f"\n{text}\n\n"
    + toctree([f"/{pattern}"], ":glob:", ":maxdepth: 1")
    for name, title, text, pattern in (
        ("tasks", "Recipes", "What each trains and how it is run.", "recipes/**"),
        ("templates", "Templates", "What ``s3prl-sb new`` copies.", "templates/**"),
    )
}


def setup(app):
    """Registers the extension, see Sphinx."""
    app.connect("builder-inited", _prepare, priority=100)
    app.connect("source-read", _add_contents)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _prepare(app):
    """Writes the pages."""
    write(Path(app.srcdir))


def _add_contents(app, page, source):
    """Adds the toctrees to the first page, which GitHub shows without them."""
    if page == documents.ROOT_PAGE:
        contents = (Path(app.srcdir) / documents.CONTENTS).read_text("utf-8")
        source[0] += "\n" + "\n".join(
            match[0] for match in documents.TOCTREE.finditer(contents)
        )
        app.env.note_dependency(str(Path(app.srcdir) / documents.CONTENTS))


def write(root):
    """Writes all generated pages, and removes those that nothing generates now.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.
    """
    pages, folder = made(root), root / FOLDER
    for name, text in pages.items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in pages:
            path.unlink()


def made(root):
    """Makes all pages.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    dict
        File names below ``docs/reference`` to texts.
    """
    return {**api_pages(root), **verbs.pages(), **recipe_pages(), **READMES}


# ------------------------------------------------------------------------- modules
def modules(root):
    """Finds the public modules of the package.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    dict
        Dotted names to files, sorted.
    """
    named = {}
    for path in (root / PACKAGE).rglob("*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith("_") for part in parts):
            named[".".join(parts)] = path
    return dict(sorted(named.items()))


def api_pages(root):
    """Makes the pages of modules and packages.

    Arguments
    ---------
    root : pathlib.Path
        The checkout.

    Returns
    -------
    dict
        File names below ``docs/reference`` to texts.
    """
    found = modules(root)
    packages = [name for name, path in found.items() if path.name == "__init__.py"]
    pages = {}
    for name in found:
        package = name.rpartition(".")[0]
        pages[f"api/{name}.rst"] = "\n".join(
            [
                "" if name in packages else ":orphan:\n",
                heading(name.replace("_", r"\_")),
                f"Part of :doc:`{package}`.\n" if package else "",
                f".. automodule:: {name}\n",
                _parts(name, found) if name in packages else "",
            ]
        ).lstrip("\n")
    pages["api/index.rst"] = (
        heading("Python")
        + "\nA page for each module, listed on the page of its package.\n\n"
        + toctree(packages, ":maxdepth: 1")
    )
    return pages


def _parts(package, found):
    """Lists the modules of a package, with the first line of each."""
    inside = [name for name in found if name.rpartition(".")[0] == package]
    if not inside:
        return ""
    rows = [heading("Modules", "-")]
    for name in inside:
        text = DOCSTRING.match(found[name].read_text("utf-8"))[1]
        summary = SHORT.sub(r"``\1``", " ".join(text.split("\n\n")[0].split()))
        rows.append(f":doc:`{name.rpartition('.')[2]} <{name}>`\n    {summary}\n")
    return "\n".join(rows)


# ------------------------------------------------------------------------- recipes
def recipe_pages():
    """Makes a page of keys for each recipe, as ``s3prl-sb run RECIPE --help`` says.

    Returns
    -------
    dict
        File names below ``docs/reference`` to texts.
    """
    pages, files = {}, resources.recipe_files()
    for name, file in files.items():
        pages[f"recipes/{slug(name)}.rst"] = _keys(name, file)
    pages["recipes/index.rst"] = (
        heading("Keys of recipes")
        + "\nEach key is an option of ``s3prl-sb run RECIPE``: ``--key value``.\n\n"
        + toctree((f"{name} <{slug(name)}>" for name in files), ":maxdepth: 1")
    )
    return pages


def slug(recipe):
    """Names the page of a recipe: "SUPERB/KS" is "SUPERB-KS"."""
    return recipe.replace("/", "-")


def _keys(name, file):
    """Makes the page of a recipe's keys."""
    lines = [heading(name), f"``s3prl-sb run {name} --key value``\n"]
    described = False
    for line in recipe_help.text(str(file), width=100_000).splitlines():
        if line.startswith("  --"):
            lines += ["" if described else "\n", f"``{line.strip()}``"]
            described = True
        elif line.startswith(" "):
            lines.append(f"    | {marked(line.strip())}")
        elif line:
            lines += ["", heading(line.rstrip(":").capitalize(), "-")]
            described = False
    return "\n".join(lines) + "\n"
