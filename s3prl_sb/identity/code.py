"""Identity of the code that classes run.

The code of a class is its module and every module of the same package, or of the same
folder, that its module imports, at any depth and also within functions. Imports are
read from the source: nothing is run, and a class may be given by its dotted name.
Imports under ``if TYPE_CHECKING:`` never run, and do not count. External libraries
count by their versions.

A module of this package that only finds, opens and reads files, or shows progress,
declares ``COMPUTES = False``, for itself or for its whole package. It does not count,
nor do modules that only such modules import: files count by their content.

Modules that are only determined at run time are not seen. So give all the classes that
an object consists of.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import functools
import hashlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from s3prl_sb import resources

PACKAGE = __name__.partition(".")[0]
OWN = f"{PACKAGE}.own."  # prefix of user-defined modules: a label and a name follow
_ROOT = Path(__file__).parents[2]  # folder of the package
_SAYS_NOT = b"\nCOMPUTES = False\n"
_HOLDING = ("body", "orelse", "handlers", "finalbody", "cases")  # of statements
_parsed: dict[str, list] = {}  # hash of a module's source -> its imports


def code_of(
    classes: Iterable[type | Callable | str], folder: str | Path | None = None
) -> dict[str, dict[str, str]]:
    """Returns the identity of the code of classes and functions.

    Arguments
    ---------
    classes : iterable of type or callable or str
        Classes, functions, or their dotted names.
    folder : str, optional
        Folder of user-defined modules, for dotted names.

    Returns
    -------
    dict
        ``modules``: names to hashes, for user-defined ones their paths in their
        folder to hashes; ``versions``: external libraries to versions.

    Example
    -------
    >>> code = code_of(["s3prl_sb.lobes.upstreams.hubert.Hubert"])
    >>> "s3prl_sb.lobes.networks.packing" in code["modules"]
    True
    >>> "s3prl_sb.cli" in code["modules"], list(code["versions"])[-1]
    (False, 'torch')
    """
    for cache in (_file, _says_not):  # files may change between two calls
        cache.cache_clear()
    left, libraries = [], set()
    for item in classes:
        module = _module(item, folder)
        if isinstance(module, str):
            libraries.add(module)
        elif module is not None:
            left.append(module)
    hashes = {}
    while left:
        root, name = left.pop()
        if (root, name) in hashes:
            continue
        file = _file(root, name)
        if file is None or root == _ROOT and not _computes(name):
            continue
        key = name if root == _ROOT else file.relative_to(root).as_posix()
        hash_, imports = _read(file)
        hashes[root, name] = key, hash_
        for level, base, names in imports:
            inside, outside = _resolve(
                root, name, file.name == "__init__.py", level, base, names
            )
            left += inside
            libraries |= outside
    modules: dict[str, list[str]] = {}
    for key, hash_ in hashes.values():
        modules.setdefault(key, []).append(hash_)
    return {
        "modules": {
            key: "+".join(sorted(set(v))) for key, v in sorted(modules.items())
        },
        "versions": versions(libraries),
    }


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Returns the versions of installed libraries.

    Arguments
    ---------
    libraries : iterable of str
        Names of modules, such as "torch" or "ruamel.yaml".

    Returns
    -------
    dict
        Top-level names to versions, without the standard library and this package.
    """
    numbers = {}
    for name in sorted(libraries):
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == PACKAGE:
            continue
        version = _version(name)
        if version is not None:
            numbers[top] = version
    return numbers


def module_file(root: Path, name: str) -> Path | None:
    """Returns the file of a module.

    Arguments
    ---------
    root : pathlib.Path
        Folder in which the search starts.
    name : str
        Dotted name.

    Returns
    -------
    pathlib.Path or None
        ``a/b/__init__.py`` or ``a/b.py`` for "a.b"; None if there is no such file.
    """
    path = os.path.join(root, *name.split("."))
    for file in (os.path.join(path, "__init__.py"), f"{path}.py"):
        if os.path.isfile(file):
            return Path(file)
    return None


_file = functools.lru_cache(maxsize=None)(module_file)  # during a call of code_of


def _module(item, folder):
    """Returns (root, name) of the module of a class, the name of a library, or None."""
    if isinstance(item, str):
        return _named(item.rpartition(".")[0] or item, folder)
    name = getattr(item, "__module__", None)
    file = getattr(sys.modules.get(name), "__file__", None)
    if name is None or name == "builtins":
        return None
    if file is None:  # defined at a prompt, or written in C
        return name
    if name.startswith(OWN):
        return _place(".".join(name.split(".")[3:]), Path(file).resolve())
    if name.partition(".")[0] == PACKAGE:
        return _ROOT, name
    return _place(name, Path(file).resolve())


def _named(name, folder):
    """Returns the same for the dotted name of a module that need not be loaded."""
    top = name.partition(".")[0]
    places = [_ROOT] if top == PACKAGE else [folder, os.getcwd()]
    for place in filter(None, places):
        parts = name.split(".")
        for count in range(len(parts), 0, -1):  # the rest may be an attribute
            module = ".".join(parts[:count])
            if module_file(Path(place), module):
                return Path(place).resolve(), module
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin and spec.has_location:
        place = _place(top, Path(spec.origin).resolve())
        if isinstance(place, tuple) and module_file(place[0], name):  # on sys.path
            return place[0], name
    return name


def _place(name, file):
    """Returns (root, name) of a user-defined module, the name of an installed one."""
    if resources.is_installed(file):
        return name
    if name.partition(".")[0] in sys.stdlib_module_names or file.suffix != ".py":
        return name
    if name == "__main__":
        name = file.stem
    depth = name.count(".") + (file.name == "__init__.py")
    root = file.parents[depth]
    return (root, name) if module_file(root, name) else (file.parent, file.stem)


def _computes(name):
    """Returns whether neither a module nor a package around it says otherwise."""
    parts = name.split(".")
    around = (".".join(parts[:count]) for count in range(2, len(parts) + 1))
    return not any(map(_says_not, around))


@functools.lru_cache(maxsize=None)  # during a call of code_of
def _says_not(name):
    file = _file(_ROOT, name)
    return file is not None and _SAYS_NOT in file.read_bytes()


def _read(file):
    """Returns the hash of a module, and its imports."""
    text = file.read_bytes()
    hash_ = hashlib.sha256(text).hexdigest()
    return hash_, _imports(hash_, text)


def _imports(hash_, text):
    """Returns (level, module, names) of each import statement."""
    if hash_ not in _parsed:
        try:
            left = ast.parse(text).body
        except (SyntaxError, ValueError):  # reported when it is run
            left = []
        imports = _parsed[hash_] = []
        while left:
            node = left.pop()
            if isinstance(node, ast.Import):
                imports += [(0, alias.name, ()) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [alias.name for alias in node.names]
                imports.append((node.level, node.module or "", names))
            left += _inside(node)
    return _parsed[hash_]


def _inside(node):
    """Returns the statements inside a statement that a run may reach, and the parts of
    it that hold more of them. Expressions, most of a module, hold none."""
    is_for_types = getattr(getattr(node, "test", None), "id", "") == "TYPE_CHECKING"
    names = ("orelse",) if is_for_types else _HOLDING
    return [inner for name in names for inner in getattr(node, name, ())]


def _resolve(root, name, is_package, level, base, names):
    """Returns the modules of an import: inside, as (root, name), and libraries."""
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
        # The package itself counts if a name is not a module of it.
        if len(inside) < max(1, len(names)) and base and _file(place, base):
            inside.append((place, base))
        if inside:
            return inside + _parents(place, inside), set()
    return [], {base} if base and not level else set()


def _parents(root, inside):
    """Returns the packages around user-defined modules, whose import runs them. Those
    of this package have nothing that a module does not import by name."""
    if root == _ROOT:
        return []
    parts = [name.split(".") for _, name in inside]
    packages = {".".join(p[:n]) for p in parts for n in range(1, len(p))}
    return [(root, name) for name in sorted(packages) if _file(root, name)]


@functools.lru_cache(maxsize=None)
def _version(name):
    """Returns the version of an installed library, by the name of a module."""
    import importlib.metadata  # slow, and "--help" needs none of it

    top = name.partition(".")[0]
    for candidate in (top, ".".join(name.split(".")[:2])):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    for distribution in _distributions().get(top, ()):
        return importlib.metadata.version(distribution)
    return None


@functools.cache
def _distributions():
    """Returns the distributions of each top-level package, which takes a second."""
    return importlib.metadata.packages_distributions()
