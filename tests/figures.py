"""Figures of the library's sources, and what tests/contract/test_figures.py holds.

``python tests/figures.py [FOLDER]`` prints those of this checkout, or of another one.
Nothing is imported: the sources are parsed.
"""

import ast
import doctest
import io
import sys
import tokenize
from collections import defaultdict
from functools import cached_property
from pathlib import Path

PACKAGE = "s3prl_sb"
LONGEST_MODULE = 400  # lines
LONGEST_FUNCTION = 60
#: Rooms from the bottom up. None imports one from a line below it, and those of one
#: line are not in a circle. CONTRIBUTING.md says what each holds.
ROOMS = (
    ("errors", "resources"),
    ("terminal",),
    ("identity",),
    ("storage",),
    ("processes",),
    ("own",),
    ("hyperyaml",),
    ("schema",),
    ("foreign",),
    ("audio",),
    ("lobes.networks",),
    ("lobes.checkpoints",),
    ("lobes.cards",),
    ("lobes.upstreams",),
    ("lobes.heads",),
    ("lobes.pretext",),
    ("lobes",),
    ("objectives",),
    ("dataio",),
    ("corpora", "metrics"),
    ("unlabelled",),
    ("units", "feature_files"),
    ("runs",),
    ("loggers",),
    ("startup",),
    ("brains",),
    ("inference",),
    ("sharing",),
    ("engines",),
    ("analysis", "plotting", "scoring", "submission", "benchmark"),
    ("report",),
    ("commands",),
    ("cli",),
)
LEVELS = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Module:
    """One source file.

    Arguments
    ---------
    path : Path
        The file.
    root : Path
        The folder of the package.
    """

    def __init__(self, path, root):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        self.name = ".".join((PACKAGE, *parts))
        self.path = path.relative_to(root.parent)
        self.text = path.read_text("utf-8")

    @cached_property
    def tree(self):
        """The source, parsed when it is needed: pytest collects more than it runs."""
        return ast.parse(self.text)

    @property
    def room(self):
        """Longest name of a room that this module is in."""
        name = self.name.removeprefix(f"{PACKAGE}.")
        while name not in LEVELS and "." in name:
            name = name.rpartition(".")[0]
        return name

    @cached_property
    def functions(self):
        """Every function, as a node."""
        return [node for node in ast.walk(self.tree) if isinstance(node, FUNCTIONS)]

    @cached_property
    def documented(self):
        """(name, docstring or None) of the module and its public parts."""
        return list(_public(self.tree, self.name))

    @cached_property
    def code_lines(self):
        """Number of lines that are code: no docstring, no comment, not blank."""
        strings, lines = set(), set()
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Module, ast.ClassDef, *FUNCTIONS)):
                strings.update(_docstring_lines(node))
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.string.strip() and token.type != tokenize.COMMENT:
                lines.update(range(token.start[0], token.end[0] + 1))
        return len(lines - strings)

    @cached_property
    def _statements(self):
        return list(_imports(self.tree))

    def imports(self, names):
        """{name of an imported module of the package: whether it is lazy}."""
        lazy = {}
        for node, is_lazy in self._statements:
            for alias in node.names:
                name = alias.name
                if isinstance(node, ast.ImportFrom):
                    name = f"{node.module}.{alias.name}"
                    name = name if name in names else node.module
                if name in names and name != self.name:
                    lazy[name] = lazy.get(name, True) and is_lazy
        return lazy


def _docstring_lines(node):
    if ast.get_docstring(node, clean=False) is None:
        return range(0)
    return range(node.body[0].lineno, node.body[0].end_lineno + 1)


def _public(node, name):
    yield name, ast.get_docstring(node)
    for child in node.body:
        if isinstance(child, (ast.ClassDef, *FUNCTIONS)) and child.name[0] != "_":
            if isinstance(child, ast.ClassDef):
                yield from _public(child, f"{name}.{child.name}")
            else:
                yield f"{name}.{child.name}", ast.get_docstring(child)


def _imports(node, lazy=False):
    """Import statements below a node, except those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, lazy
        elif not (
            isinstance(child, ast.If)
            and getattr(child.test, "id", None) == "TYPE_CHECKING"
        ):
            yield from _imports(child, lazy or isinstance(child, FUNCTIONS))


def modules(root):
    """Returns the modules of the package in a folder."""
    return [Module(path, root) for path in sorted(root.rglob("*.py"))]


def module_imports(modules, lazy):
    """Returns {module: modules that it imports}, lazy imports included or not."""
    names = {module.name for module in modules}
    return {
        module.name: {
            name
            for name, is_lazy in module.imports(names).items()
            if lazy or not is_lazy
        }
        for module in modules
    }


def room_imports(modules):
    """Returns {(importing room, imported room): ["module -> module", …]}."""
    rooms = {module.name: module.room for module in modules}
    edges = defaultdict(list)
    for name, imported in module_imports(modules, lazy=True).items():
        for other in sorted(imported):
            if rooms[name] != rooms[other]:
                edges[rooms[name], rooms[other]].append(f"{name} -> {other}")
    return edges


def circles(graph):
    """Returns the strongly connected components of more than one node.

    Example
    -------
    >>> circles({"a": {"b"}, "b": {"a", "c"}, "c": set()})
    [['a', 'b']]
    """
    reachable = {node: _reachable(node, graph) for node in graph}
    found = {
        tuple(sorted(o for o in reachable[n] if n in reachable.get(o, ())))
        for n in graph
    }
    return sorted(list(names) for names in found if len(names) > 1)


def _reachable(node, graph):
    seen, stack = set(), [node]
    while stack:
        for other in graph.get(stack.pop(), ()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen


def imports_upward(modules):
    """Returns the imports that go from a room to a higher one, as texts."""
    return [
        line
        for (room, other), lines in sorted(room_imports(modules).items())
        if LEVELS.get(room, -1) < LEVELS.get(other, -1) and room in LEVELS
        for line in lines
    ]


def long_modules(modules):
    """Returns the paths of modules over the limit, with their lines."""
    lines = {str(module.path): len(module.text.splitlines()) for module in modules}
    return {path: count for path, count in lines.items() if count > LONGEST_MODULE}


def long_functions(modules):
    """Returns the functions over the limit, with their lines less the docstring."""
    lines = {
        f"{module.path}:{node.name}": node.end_lineno
        - node.lineno
        + 1
        - len(_docstring_lines(node))
        for module in modules
        for node in module.functions
    }
    return {name: count for name, count in lines.items() if count > LONGEST_FUNCTION}


def undocumented(modules):
    """Returns the names of public modules, classes and functions without docstring."""
    return [name for module in modules for name, text in module.documented if not text]


def examples(modules):
    """Returns the names of public parts that have an Example that runs."""
    parser = doctest.DocTestParser()
    return [
        name
        for module in modules
        for name, text in module.documented
        if any(
            doctest.SKIP not in example.options
            for example in parser.get_examples(text or "")
        )
    ]


def measure(root):
    """Returns {figure: number} of the package in a folder."""
    parsed = modules(root)
    rooms = defaultdict(set)
    for room, other in room_imports(parsed):
        rooms[room].add(other)
        rooms[other] |= set()
    documented = sum(len(module.documented) for module in parsed)
    return {
        "modules": len(parsed),
        "modules over 400 lines": len(long_modules(parsed)),
        "functions": sum(len(module.functions) for module in parsed),
        "functions over 60 lines": len(long_functions(parsed)),
        "circles of modules": len(circles(module_imports(parsed, lazy=False))),
        "circles of modules, lazy imports included": len(
            circles(module_imports(parsed, lazy=True))
        ),
        "circles of rooms": len(circles(rooms)),
        "imports of a higher room": len(imports_upward(parsed)),
        "public names": documented,
        "public names without docstring": len(undocumented(parsed)),
        "examples that run": len(examples(parsed)),
        "lines of code": sum(module.code_lines for module in parsed),
    }


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1])
    for figure, number in measure(folder / PACKAGE).items():
        print(f"{number:7,}  {figure}")
