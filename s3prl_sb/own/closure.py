"""Analysis and rewriting of the imports of a file from its folder, without running it.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
from pathlib import Path

from s3prl_sb.identity.code import module_file


def find(folder, name):
    """Returns the file of a module of a folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        Dotted name, as in an import of a script of that folder.

    Returns
    -------
    pathlib.Path or None
        ``a/b.py`` or ``a/b/__init__.py`` for "a.b"; None if there is no such file.

    Example
    -------
    >>> import s3prl_sb
    >>> folder = Path(s3prl_sb.__file__).parent
    >>> find(folder, "own.closure").name, find(folder, "own").name, find(folder, "os")
    ('closure.py', '__init__.py', None)
    """
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    return module_file(Path(folder), name)


def closure(folder, name):
    """Returns the files that a module of a folder consists of.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        Name of the module, see :func:`find`.

    Returns
    -------
    dict
        Names of modules to (pathlib.Path, bytes): the module itself, and all that it
        imports from the folder, at any depth and also within functions. Files with
        syntax errors are included without their imports.

    Example
    -------
    >>> import s3prl_sb
    >>> sorted(closure(Path(s3prl_sb.__file__).parent, "own.closure"))
    ['own', 'own.closure']
    """
    files, left = {}, [name]
    while left:
        name = left.pop()
        file = None if name in files else find(folder, name)
        if file is None:
            continue
        text = file.read_bytes()
        files[name] = file, text
        left += [name.rpartition(".")[0]] if "." in name else []
        try:
            tree = ast.parse(text, file)
        except (SyntaxError, ValueError):  # reported when it is run
            continue
        scope = _Scope(folder, name, file.name == "__init__.py")
        for node in ast.walk(tree):
            left += scope.imported(node)
    return dict(sorted(files.items()))


def relative(text, folder, name, file):
    """Parses a file, and makes the imports from its folder relative.

    Arguments
    ---------
    text : bytes
        Content of the file.
    folder : pathlib.Path
        The folder.
    name : str
        Name of the module in the folder.
    file : pathlib.Path
        Path of the file.

    Returns
    -------
    ast.Module

    Raises
    ------
    SyntaxError
        If it is not valid Python.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "a.py")
    ...     _ = file.write_text(""), Path(folder, "random.py").write_text("")
    ...     print(ast.unparse(relative(b"import random, os", folder, "a", file)))
    from . import random
    import os
    """
    scope = _Scope(folder, name, file.name == "__init__.py")
    return ast.fix_missing_locations(_Relative(scope).visit(ast.parse(text, file)))


class _Scope:
    """The names that a module can import from its folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        Name of the module.
    is_package : bool
        Whether it is an ``__init__.py``.
    """

    def __init__(self, folder, name, is_package):
        self.folder = folder
        self.parents = name.split(".")[: None if is_package else -1]
        self.itself = None if is_package else name

    def is_beside(self, name):
        """Returns whether a name belongs to the folder, and not to the module itself:
        an import of ``random`` in ``random.py`` means the installed one."""
        top = name.partition(".")[0]
        if top == self.itself:
            return False
        return bool(find(self.folder, top) or find(self.folder, name))

    def is_own_from(self, node):
        """Returns whether an absolute ``from … import …`` means the folder."""
        if node.level or not node.module:
            return False
        return self.is_beside(node.module) or any(
            self.is_beside(f"{node.module}.{alias.name}")
            for alias in node.names
            if not find(self.folder, node.module)
        )

    def imported(self, node):
        """Returns the names of modules of the folder that a statement may import."""
        names = []
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names if self.is_beside(a.name)]
        elif isinstance(node, ast.ImportFrom):
            base = None
            if node.level:
                kept = len(self.parents) - node.level + 1
                if kept >= 0:
                    module = [node.module] if node.module else []
                    base = ".".join(self.parents[:kept] + module)
            elif self.is_own_from(node):
                base = node.module
            if base is not None:
                names = [base] if base else []
                names += [f"{base}.{alias.name}".lstrip(".") for alias in node.names]
        parts = [name.split(".") for name in names]
        return [".".join(p[:n]) for p in parts for n in range(1, len(p) + 1)]


class _Relative(ast.NodeTransformer):
    """Transformer that makes imports from the folder relative to its package."""

    def __init__(self, scope):
        self.scope, self.level = scope, len(scope.parents) + 1

    def visit_Import(self, node):
        """Returns the statements that replace ``import …``."""
        statements = []
        for alias in node.names:
            if not self.scope.is_beside(alias.name):
                statements.append(ast.Import([alias]))
                continue
            parent, _, last = alias.name.rpartition(".")
            if alias.asname or not parent:  # import a.b as c: from .a import b as c
                names = [ast.alias(last, alias.asname)]
                statements.append(ast.ImportFrom(parent or None, names, self.level))
                continue
            # import a.b binds a, which then has the attribute b.
            names = [ast.alias(last, alias.name.partition(".")[0])]
            statements.append(ast.ImportFrom(parent, names, self.level))
            names = [ast.alias(alias.name.partition(".")[0], None)]
            statements.append(ast.ImportFrom(None, names, self.level))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_ImportFrom(self, node):
        """Returns ``from … import …`` with the level of the package."""
        if self.scope.is_own_from(node):
            node.level = self.level
        return node
