"""Modules of user-defined files, whose names encode the paths of the files.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys
from pathlib import Path

from s3prl_sb.errors import UserError
from s3prl_sb.own.closure import closure, find, relative

PREFIX = __name__.rpartition(".")[0]
_LABEL = re.compile(r"f([0-9a-f]+)_([0-9a-f]{16})")
_NAME = re.compile(re.escape(PREFIX) + r"\.f[0-9a-f]+_[0-9a-f]{16}\.")
#: Text that gives a class by its file: "my_heads.py:MyHead".
FILE_AND_CLASS = re.compile(r"(.+\.py):([A-Za-z_][\w.]*)")
#: Labels of packages to their folder and files.
_PACKAGES = {}


class OwnCodeError(UserError, ImportError):
    """A user-defined file that cannot be loaded; names the file, line and reason."""


def load(path):
    """Loads a Python file.

    Arguments
    ---------
    path : str or pathlib.Path
        The file, which can import its neighbours.

    Returns
    -------
    module
        The same module, as long as neither the file nor one that it imports from its
        folder changes.

    Raises
    ------
    OwnCodeError
        If it cannot be loaded; names the file and the line.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "layers.py").write_text("SIZE = 3")
    ...     _ = Path(folder, "mine.py").write_text("from layers import SIZE")
    ...     mine = load(folder + "/mine.py")
    ...     again = load(folder + "/mine.py")
    >>> mine.SIZE, again is mine, "layers" in sys.modules
    (3, True, False)
    """
    path = Path(path)
    path = path.parent.resolve() / path.name  # a link has its own neighbours
    if not path.is_file():
        raise OwnCodeError(f"There is no file '{path}'.")
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise OwnCodeError(
            f"'{path}' cannot be loaded: its name must be one of a Python module, such "
            "as my_upstream.py."
        )
    return module(path.parent, path.stem)


def module(folder, name):
    """Loads a module of a folder.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder.
    name : str
        Dotted name, as in an import of a script of that folder.

    Returns
    -------
    module

    Raises
    ------
    OwnCodeError
        If it cannot be loaded; see :func:`load`.
    """
    folder = Path(folder).resolve()
    return _imported(f"{PREFIX}.{_label(folder, name)}.{name}", folder)


def attribute(folder, name):
    """Returns an object of a module of a folder, such as a class.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder.
    name : str
        Dotted name of a module and of its attribute: "my_upstream.MyUpstream".

    Returns
    -------
    object or None
        None if the folder has no such module.

    Raises
    ------
    OwnCodeError
        If the module cannot be loaded or has no such attribute.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "mine.py").write_text("class Mine:\\n    size = 3")
    ...     attribute(folder, "mine.Mine").size, attribute(folder, "other.Mine")
    (3, None)
    """
    module_name = place(folder, name)
    if module_name is None:
        return None
    value = loaded = module(folder, module_name)
    rest = name[len(module_name) + 1 :]
    for part in rest.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            names = [
                key
                for key, other in vars(loaded).items()
                if getattr(other, "__module__", None) == loaded.__name__
            ]
            raise OwnCodeError(
                f"'{loaded.__file__}' has no '{rest}'. It has: "
                f"{', '.join(names) or 'nothing'}."
            ) from None
    return value


def place(folder, name):
    """Returns the name of the module of a dotted name.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder.
    name : str
        See :func:`attribute`.

    Returns
    -------
    str or None
        Name of the module; None if it is not in the folder.
    """
    parts = str(name).split(".")
    for length in range(len(parts) - 1, 0, -1):
        if find(folder, ".".join(parts[:length])):
            return ".".join(parts[:length])
    return None


def class_name(text, folder):
    """Returns the importable name of a class, whose file is loaded if it has one.

    Arguments
    ---------
    text : str
        ``FILE.py:Class``, or ``module.Class`` of the folder or an installed one.
    folder : str or pathlib.Path
        Folder that relative paths and modules are in.

    Returns
    -------
    str

    Raises
    ------
    OwnCodeError
        If the file cannot be loaded or has no such class.

    Example
    -------
    >>> class_name("torch.nn.Linear", ".")
    'torch.nn.Linear'
    """
    file = FILE_AND_CLASS.fullmatch(text)
    if file:
        path = Path(folder, Path(file[1]).expanduser())
        load(path)
        folder, text = path.parent, f"{path.stem}.{file[2]}"
    name = place(folder, text)
    if name is None or text.startswith("s3prl_sb."):
        return text
    attribute(folder, text)
    return f"{module(folder, name).__name__}{text[len(name) :]}"


def plain_name(kind):
    """Returns the dotted name of a class as its author writes it.

    Arguments
    ---------
    kind : type
        Any class, user-defined or not.

    Returns
    -------
    str

    Example
    -------
    >>> plain_name(Path)
    'pathlib.Path'
    """
    return plain_names(f"{kind.__module__}.{kind.__qualname__}")


def plain_names(text):
    """Restores the names of modules in a text to those that their authors write.

    Arguments
    ---------
    text : str
        Text, such as that of a YAML file.

    Returns
    -------
    str

    Example
    -------
    >>> plain_names("!new:s3prl_sb.own.f2f61_0123456789abcdef.mine.Mine")
    '!new:mine.Mine'
    """
    return _NAME.sub("", text)


def loaded_from(text):
    """Returns the user-defined modules whose names are in a text.

    Arguments
    ---------
    text : str
        Text with names of loaded modules, see :func:`load`.

    Returns
    -------
    list of (pathlib.Path, str)
        Folder and name of each module, see :func:`module`.
    """
    labels = dict.fromkeys(re.findall(rf"{re.escape(PREFIX)}\.(f\w+)\.", text))
    return [_decoded(label) for label in labels if label in _PACKAGES]


def _decoded(label):
    """Returns the folder and the module that the label of a package encodes."""
    folder, _, name = bytes.fromhex(_LABEL.fullmatch(label)[1]).partition(b"\0")
    return Path(os.fsdecode(folder)), name.decode()


def _label(folder, name):
    """Returns the label of the package of a module, and registers the package."""
    files = closure(folder, name)
    if name not in files:
        raise OwnCodeError(f"There is no module '{name}' in '{folder}'.")
    digest = hashlib.sha256()
    for member, (_, text) in files.items():
        digest.update(f"{member} {len(text)} ".encode() + text)
    where = os.fsencode(str(folder)) + b"\0" + name.encode()
    label = f"f{where.hex()}_{digest.hexdigest()[:16]}"
    _PACKAGES.setdefault(label, (folder, dict(files.values())))
    return label


def _imported(name, folder):
    try:
        return importlib.import_module(name)
    except UserError:
        raise
    except SyntaxError as error:
        file = error.filename or find(folder, name.split(".", 3)[-1])
        line = f", line {error.lineno}" if error.lineno else ""
        raise OwnCodeError(f"'{file}'{line}: {error.msg}.") from error
    except (Exception, SystemExit) as error:  # modules may raise anything
        import traceback

        frames = traceback.extract_tb(error.__traceback__)
        inside = [f for f in frames if Path(f.filename).is_relative_to(folder)]
        where = f"'{inside[-1].filename}', line {inside[-1].lineno}" if inside else name
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        reason = plain_names(str(error)).rstrip(".")
        if isinstance(error, ModuleNotFoundError):
            reason += ": it is neither installed nor beside the file"
        raise OwnCodeError(f"{where}: {kind}{reason}.") from error


class _Finder:
    """Finder of the modules in ``s3prl_sb.own``."""

    def find_spec(self, fullname, path=None, target=None):
        """Returns the spec of a package or a module in it, None for other names."""
        if not fullname.startswith(f"{PREFIX}.f"):
            return None
        label, _, name = fullname[len(PREFIX) + 1 :].partition(".")
        if _LABEL.fullmatch(label) is None:
            return None
        if label not in _PACKAGES:
            self._register_from_parent(label)
        folder, files = _PACKAGES[label]
        file = find(folder, name)
        if file is None:  # the package itself, or a folder in it
            inner = folder.joinpath(*name.split("."))
            if name and not inner.is_dir():
                return None
            spec = importlib.machinery.ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(inner)]
            return spec
        inside = [str(file.parent)] if file.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            fullname,
            file,
            loader=_Loader(fullname, file, folder, name, files.get(file)),
            submodule_search_locations=inside,
        )

    @staticmethod
    def _register_from_parent(label):
        """Registers a package that the parent of a spawned process has loaded."""
        if not _is_child():
            raise ImportError(f"{PREFIX}.{label} was not loaded by this program")
        folder, name = _decoded(label)
        if _label(folder, name) != label:
            raise OwnCodeError(
                f"'{folder}' has changed while a program runs that has loaded "
                f"'{name}' from it. Start that program again."
            )


def _is_child():
    """Returns whether multiprocessing started this process. While it unpickles its
    task, it does not know its parent yet, but its command line shows it."""
    import multiprocessing

    command = " ".join(sys.orig_argv)
    return (
        multiprocessing.parent_process() is not None
        or "--multiprocessing-fork" in command
        or "multiprocessing.forkserver" in command
    )


class _Loader(importlib.machinery.SourceFileLoader):
    """Loader that runs the source whose hash the package's name has, and ignores
    caches of compiled files, which depend on times of change."""

    def __init__(self, fullname, file, folder, name, text):
        super().__init__(fullname, str(file))
        self.folder, self.member, self.text = folder, name, text

    def get_code(self, fullname):
        """Compiles the source, with relative imports."""
        file = Path(self.path)
        text = file.read_bytes() if self.text is None else self.text
        tree = relative(text, self.folder, self.member, file)
        return compile(tree, self.path, "exec", dont_inherit=True)


# A spawned process imports only this package before it unpickles classes.
if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
    sys.meta_path.insert(0, _Finder())
