"""Lint for the English of docstrings and comments.

The rules are those of "How we write" in CONTRIBUTING.md. They catch the patterns that
a hurried pen falls into; a text that passes may still be poor.

    python tests/contract/prose.py [PATH ...]

prints each finding as ``file:line: rule: text``.

Authors
 * The s3prl_sb developers, 2026
"""

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
#: Folders with code and prose of ours.
FOLDERS = ("s3prl_sb", "recipes", "templates", "benchmarks", "tests")

#: A summary that starts with one of these words has no subject.
NO_SUBJECT = (
    "What Of Where Which Whose How Who Whether Those Such Only Right Then".split()
)
#: An entry of Arguments or Returns that starts with one of these words is a genitive
#: or a relative clause whose head is missing.
NO_HEAD = "Of Whose What Where Which Who Those Such As".split()
SECTIONS = ("Arguments", "Returns", "Yields", "Raises", "Attributes")

#: Phrases that no native speaker would write here, and what to write instead.
PHRASES = {
    r"\blets? go of\b": "release, drop",
    r"\banew\b": "again, from scratch",
    r"\b(is|are|was|be) to be had\b": "is available",
    r"\btells? (the|its|their) \w+ apart\b": "distinguish",
    r"\bwhatever (ends|happens|it is|they are)\b": "however …, any …",
    r"\b(is|are) of (it|them|him)\b": "belongs to",
    r"\bin the manner of\b|\bin \w+'s manner\b": "like, in the format of",
    r"\bof (one|a user)'s own\b": "custom, user-defined",
    r"\bcomes? from elsewhere\b|\bfiles? from elsewhere\b": "external, untrusted",
    r"\btakes? its time\b": "is slow, takes long",
    r"\bwhose fault\b": "cause",
    r"\bwhat (it|they) (is|are) taken for\b": "prediction",
    r"\bmakes? of (it|them)\b": "computes from, derives from",
    r"\bas (it|they) (lie|lies)\b": "stored",
    r"\bin the place of\b": "instead of, in place of",
    r"\b(what|that) (is|are) no \w+": "is not a",
    r"\bas people (write|have|know|hand)\b": "in the usual form",
    r"\b(had|has|have) a part in\b|\bno part (in|of)\b": "does not contribute to",
    r"\bgoes by\b|\bgo by\b": "uses, follows",
    r"\bis told\b|\bare told\b": "is given, is passed",
    r"\bfor those who\b|\bwhoever\b": "the user",
    r"\bnothing (is )?to (be )?\w+ (of|from) it\b": "",
    r"\bwhat there is\b": "",
    r"\bso many\b": "this number of",
    r"\bmind(s)? (the|in|about)\b": "depends on",
    r"\bto go on with\b|\bgoes on with\b": "resume, continue",
    r"\bgo on where\b|\bgoes on where\b": "resume",
    r"\bof which (one|it|the)\b.*\btells?\b": "",
    r"\bthat tells? (its|their|the)\b": "identifies",
    r"\bas a (whole|piece) of one\b": "",
    r"\bis about to\b": "will",
}
#: Any of them: nearly every text has none, which one search finds out.
ANY_PHRASE = re.compile("|".join(f"(?:{pattern})" for pattern in PHRASES), re.I)


class Finding(NamedTuple):
    """One place that breaks a rule."""

    path: Path
    line: int
    rule: str
    text: str

    def __str__(self):
        path = self.path
        if path.is_relative_to(ROOT):
            path = path.relative_to(ROOT)
        return f"{path}:{self.line}: {self.rule}: {self.text}"


def documented(tree):
    """Yields (node, docstring, line of its first word) for everything documented."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            text = ast.get_docstring(node, clean=True)
            if text:
                yield node, text, node.body[0].lineno


def check_summary(node, text):
    """Yields (line offset, rule, text) for a summary without a subject."""
    first = text.split("\n", 1)[0]
    word = re.match(r"\w+", first)
    if word and word[0] in NO_SUBJECT and not isinstance(node, ast.Module):
        yield 0, f"a summary starts with '{word[0]}'", first
    if word and word[0] in ("What", "Of", "Where") and isinstance(node, ast.Module):
        yield 0, f"a summary starts with '{word[0]}'", first


def check_entries(text):
    """Yields (line offset, rule, text) for entries without a head noun."""
    lines = text.split("\n")
    section = None
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and re.fullmatch(
            r"-{3,}", lines[number + 1].strip()
        ):
            section = line.strip()
        if section not in SECTIONS or not line.startswith("    ") or number == 0:
            continue
        if lines[number - 1].startswith((" ", "-")) or not lines[number - 1].strip():
            continue  # not the first line of an entry's description
        word = re.match(r"\w+", line.strip())
        if word and word[0] in NO_HEAD:
            yield number, f"an entry starts with '{word[0]}'", line.strip()


def check_phrases(text):
    """Yields (line offset, rule, text) for phrases of the dialect."""
    if not ANY_PHRASE.search(text):
        return
    for number, line in enumerate(text.split("\n")):
        if line.lstrip().startswith((">>>", "...")):
            continue
        for pattern, better in PHRASES.items():
            match = re.search(pattern, line, re.IGNORECASE)
            if match:
                hint = f" (better: {better})" if better else ""
                yield number, f"'{match[0]}'{hint}", line.strip()


def comments(source):
    """Yields (line, text) for each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#: ")


def check_python(path):
    """Returns the findings in the docstrings and comments of a Python file.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of Finding
    """
    source = path.read_text("utf-8")
    findings = []
    for node, text, line in documented(ast.parse(source)):
        checks = [*check_summary(node, text), *check_entries(text)]
        for offset, rule, found in [*checks, *check_phrases(text)]:
            findings.append(Finding(path, line + offset, rule, found))
    for line, text in comments(source):
        for _, rule, found in check_phrases(text):
            findings.append(Finding(path, line, rule, found))
    return findings


def check(paths):
    """Returns the findings in all Python files below the paths."""
    files = [
        p
        for path in paths
        for p in ([path] if path.is_file() else sorted(path.rglob("*.py")))
    ]
    return [finding for file in files for finding in check_python(file)]


if __name__ == "__main__":
    paths = [Path(arg) for arg in sys.argv[1:]] or [ROOT / name for name in FOLDERS]
    results = check(paths)
    print(*results, sep="\n")
    print(f"{len(results)} findings", file=sys.stderr)
    sys.exit(bool(results))
