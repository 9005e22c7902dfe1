"""Classes, known by all the code that they run.

The code of a class is its module and every module of the same package, or of the same
folder, that this one imports, at any depth and within functions too. Imports are read
from the text: nothing is run, and a class may be given by its dotted name. Of the
libraries outside, the versions count.

A module of our package that only finds, opens and reads files, or shows progress, says
so by ``COMPUTES = False``, for itself or for the package that it is. It does not
count, nor does what is imported by such modules alone: what files hold is known by
content.

Modules that are found at run time alone are not seen. So of an object give all the
classes that it consists of.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
OWN = f"{PACKAGE}.own."  # modules of a user's own: then come a label and their name
_ROOT = Path(__file__).parents[2]  # of the package
#: Where libraries are installed.
_INSTALLED = [
    Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")
]
_SAYS_NOT = b"\nCOMPUTES = False\n"
_parsed = {}  # hash of a module's text -> what it imports


def code_of(classes, folder=None):
    """Returns what classes and functions are made of.

    Arguments
    ---------
    classes : iterable of type or callable or str
        Dotted names, where they are not loaded.
    folder : str, optional
        Where modules of one's own lie that names may mean.

    Returns
    -------
    dict
        ``modules``: names to hashes, of one's own by their path in their folder;
        ``versions``: libraries outside to versions.

    Example
    -------
    >>> found = code_of(["s3prl_sb.lobes.upstreams.hubert.Hubert"])
    >>> "s3prl_sb.lobes.networks.packing" in found["modules"]
    True
    >>> "s3prl_sb.cli" in found["modules"], list(found["versions"])[-1]
    (False, 'torch')
    """
    left, libraries = [], set()
    for item in classes:
        module = _module(item, folder)
        if isinstance(module, str):
            libraries.add(module)
        elif module is not None:
            left.append(module)
    found = {}
    while left:
        root, name = left.pop()
        if (root, name) in found:
            continue
        file = _file(root, name)
        if root == _ROOT and not _computes(name):
            continue
        key = name if root == _ROOT else file.relative_to(root).as_posix()
        hash_, imports = _read(file)
        found[root, name] = key, hash_
        for level, base, names in imports:
            inside, outside = _resolve(
                root, name, file.name == "__init__.py", level, base, names
            )
            left += inside
            libraries |= outside
    modules = {}
    for key, hash_ in found.values():
        modules.setdefault(key, []).append(hash_)
    return {
        "modules": {
            key: "+".join(sorted(set(v))) for key, v in sorted(modules.items())
        },
        "versions": versions(libraries),
    }


def versions(libraries):
    """Returns the versions of libraries, of those that are installed.

    Arguments
    ---------
    libraries : iterable of str
        Names of modules, such as "torch" or "ruamel.yaml".

    Returns
    -------
    dict
        Their first names to versions. The standard library and our own package are
        left out.
    """
    found = {}
    for name in sorted(libraries):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == PACKAGE:
            continue
        version = _version(name)
        if version is not None:
            found[top] = version
    return found


def _module(item, folder):
    """Where the module of a class lies, (root, name); the name of a library; None."""
    if isinstance(item, str):
        return _named(item.rpartition(".")[0] or item, folder)
    name = getattr(item, "__module__", None)
    file = getattr(sys.modules.get(name), "__file__", None)
    if name is None or name == "builtins":
        return None
    if file is None:  # typed at a prompt, or written in C
        return name
    if name.startswith(OWN):
        return _place(".".join(name.split(".")[3:]), Path(file).resolve())
    if name.partition(".")[0] == PACKAGE:
        return _ROOT, name
    return _place(name, Path(file).resolve())


def _named(name, folder):
    """The same of a module that need not be loaded."""
    top = name.partition(".")[0]
    places = [_ROOT] if top == PACKAGE else [folder, os.getcwd()]
    for place in filter(None, places):
        parts = name.split(".")
        for count in range(len(parts), 0, -1):  # or the attribute of a class
            found = ".".join(parts[:count])
            if _file(Path(place), found):
                return Path(place).resolve(), found
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin and spec.has_location:
        place = _place(top, Path(spec.origin).resolve())
        if isinstance(place, tuple) and _file(place[0], name):  # found on sys.path
            return place[0], name
    return name


def _place(name, file):
    """(root, name) of a module of one's own; the name of one that is installed."""
    if any(place in file.parents for place in _INSTALLED):
        return name
    if name.partition(".")[0] in sys.stdlib_module_names or file.suffix != ".py":
        return name
    if name == "__main__":
        name = file.stem
    depth = name.count(".") + (file.name == "__init__.py")
    root = file.parents[depth]
    return (root, name) if _file(root, name) else (file.parent, file.stem)


def _file(root, name):
    """The file of a module below a root, or None."""
    path = root.joinpath(*name.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


def _computes(name):
    """Whether a module of our package, or one around it, does not say otherwise."""
    parts = name.split(".")
    around = (".".join(parts[:count]) for count in range(2, len(parts) + 1))
    files = (_file(_ROOT, name) for name in around)
    return not any(_SAYS_NOT in file.read_bytes() for file in files if file)


def _read(file):
    """The hash of a module, and what it imports."""
    text = file.read_bytes()
    found = hashlib.sha256(text).hexdigest()
    return found, _imports(found, text)


def _imports(found, text):
    """(level, module, names) of each import statement."""
    if found not in _parsed:
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except (SyntaxError, ValueError):  # whoever runs it will say so
            nodes = []
        imports = _parsed[found] = []
        for node in nodes:
            if isinstance(node, ast.Import):
                imports += [(0, alias.name, ()) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names]
                imports.append((node.level, node.module or "", names))
    return _parsed[found]


def _resolve(root, name, is_package, level, base, names):
    """The modules that an import means: inside, (root, name), and libraries."""
    if level:
        parents = name.split(".")[: None if is_package else -1]
        parents = parents[: len(parents) - level + 1]
        base = ".".join([*parents, *([base] if base else [])])
    places = [root] if root != _ROOT else []
    if base.partition(".")[0] == PACKAGE:
        places.append(_ROOT)
    for place in places:
        inside = [
            (place, inner)
            for inner in (f"{base}.{n}".lstrip(".") for n in names)
            if _file(place, inner)
        ]
        # The package itself counts where something of its own is taken.
        if len(inside) < max(1, len(names)) and base and _file(place, base):
            inside.append((place, base))
        if inside:
            return inside + _parents(place, inside), set()
    return [], {base} if base and not level else set()


def _parents(root, inside):
    """The packages around modules of one's own, which run when these are imported. Of
    our own package they hold nothing that a module does not import by name."""
    if root == _ROOT:
        return []
    parts = [name.split(".") for _, name in inside]
    found = {".".join(p[:n]) for p in parts for n in range(1, len(p))}
    return [(root, name) for name in sorted(found) if _file(root, name)]


@functools.lru_cache(maxsize=None)
def _version(name):
    """Of an installed library, by the name of a module."""
    top = name.partition(".")[0]
    for candidate in (top, ".".join(name.split(".")[:2])):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    for distribution in importlib.metadata.packages_distributions().get(top, ()):
        return importlib.metadata.version(distribution)
    return None
