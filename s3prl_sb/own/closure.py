"""Which files of a folder a file imports, and imports of them made relative.

Both are read from the text; nothing is run.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
from pathlib import Path


def find(folder, name):
    """The file of a module of a folder.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        Dotted, as one would import it in a script of that folder.

    Returns
    -------
    pathlib.Path or None
        ``a/b.py`` or ``a/b/__init__.py`` for "a.b"; None: there is none.

    Example
    -------
    >>> import s3prl_sb
    >>> folder = Path(s3prl_sb.__file__).parent
    >>> find(folder, "own.closure").name, find(folder, "own").name, find(folder, "os")
    ('closure.py', '__init__.py', None)
    """
    if not all(part.isidentifier() for part in name.split(".")):
        return None
    path = Path(folder, *name.split("."))
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


def closure(folder, name):
    """The files that a module of a folder consists of.

    Arguments
    ---------
    folder : pathlib.Path
        The folder.
    name : str
        Of the module, see :func:`find`.

    Returns
    -------
    dict
        Of each file in the folder that it imports, at any depth and also within
        functions, and of its own: the name of the module to (pathlib.Path, bytes). A
        file that is not Python counts, what it imports does not.

    Example
    -------
    >>> import s3prl_sb
    >>> sorted(closure(Path(s3prl_sb.__file__).parent, "own.closure"))
    ['own', 'own.closure']
    """
    found, left = {}, [name]
    while left:
        name = left.pop()
        file = None if name in found else find(folder, name)
        if file is None:
            continue
        text = file.read_bytes()
        found[name] = file, text
        left += [name.rpartition(".")[0]] if "." in name else []
        try:
            tree = ast.parse(text, file)
        except (SyntaxError, ValueError):  # whoever runs it will say so
            continue
        scope = _Scope(folder, name, file.name == "__init__.py")
        for node in ast.walk(tree):
            left += scope.imported(node)
    return dict(sorted(found.items()))


def relative(text, folder, name, file):
    """The syntax tree of a file whose imports of its folder are relative.

    Arguments
    ---------
    text : bytes
        Of the file.
    folder : pathlib.Path
        The folder.
    name : str
        Of the module in it.
    file : pathlib.Path
        Its path.

    Returns
    -------
    ast.Module

    Raises
    ------
    SyntaxError
        If it is not Python.

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
    """The names that a module can import from its folder."""

    def __init__(self, folder, name, is_package):
        self.folder = folder
        self.parents = name.split(".")[: None if is_package else -1]
        self.itself = None if is_package else name

    def is_beside(self, name):
        """Whether a dotted name is of the folder, and not the module itself: that
        ``random.py`` imports ``random`` means another one."""
        top = name.partition(".")[0]
        if top == self.itself:
            return False
        return bool(find(self.folder, top) or find(self.folder, name))

    def is_own_from(self, node):
        """Whether ``from … import …`` is of the folder, by its absolute name."""
        if node.level or not node.module:
            return False
        return self.is_beside(node.module) or any(
            self.is_beside(f"{node.module}.{alias.name}")
            for alias in node.names
            if not find(self.folder, node.module)
        )

    def imported(self, node):
        """Names of modules of the folder that a statement may import."""
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
    """Makes imports of the folder relative to the package that stands for it."""

    def __init__(self, scope):
        self.scope, self.level = scope, len(scope.parents) + 1

    def visit_Import(self, node):
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
            # import a.b binds a, in which b is then.
            names = [ast.alias(last, alias.name.partition(".")[0])]
            statements.append(ast.ImportFrom(parent, names, self.level))
            names = [ast.alias(alias.name.partition(".")[0], None)]
            statements.append(ast.ImportFrom(None, names, self.level))
        return [ast.copy_location(statement, node) for statement in statements]

    def visit_ImportFrom(self, node):
        if self.scope.is_own_from(node):
            node.level = self.level
        return node
