"""What ``s3prl-sb run RECIPE --help`` prints: every key, from the schema and the YAML.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import textwrap

from s3prl_sb.hyperyaml.nodes import plain, tag
from s3prl_sb.schema.keys import Schema

WIDTH = 88
INDENT = "      "
#: A comment that begins a section: "# ---- data".
SECTION = re.compile(r"# -{3,} *(.+)$")
KEY = re.compile(r"([A-Za-z]\w*):")


def text(hparams_file, width=WIDTH):
    """The keys of a recipe: default, what they take, what the YAML says of them.

    Arguments
    ---------
    hparams_file : str
        The recipe's YAML, or one of the user's own.
    width : int
        Columns.

    Returns
    -------
    str
        Lines in the order of the YAML, under its headings.

    Example
    -------
    >>> from s3prl_sb import resources
    >>> found = text(resources.recipes()["SUPERB/KS"] / "hparams" / "train.yaml")
    >>> "  --lr 0.0001" in found
    True
    """
    schema = Schema.of(hparams_file)
    comments, sections = {}, {}
    for file in [
        *dict.fromkeys(file for file, _ in schema.origins.values()),
        schema.file,
    ]:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        for known, others in zip((comments, sections), remarks(lines)):
            known.update(others)
    by_section = {}
    for key in schema:
        by_section.setdefault(sections.get(key, ""), []).append(key)
    shown = []
    for section, keys in by_section.items():
        shown += ["", f"{section}:"] if section else []
        for key in keys:
            shown += _entry(key, schema, comments.get(key, ""), width)
    return "\n".join(shown).strip("\n")


def _entry(key, schema, comment, width):
    """The lines of one key."""
    node, indents = schema.tree[key], {"initial_indent": INDENT}
    notes = f"{_words(schema[key], comment)}{comment}".strip()
    return [
        f"  --{key} {_default(node, width - len(key) - 6)}".rstrip(),
        *textwrap.wrap(notes, width, **indents, subsequent_indent=INDENT),
        *_arguments(node, width),
    ]


def remarks(lines):
    """The comments of a YAML file, by its keys.

    Arguments
    ---------
    lines : list of str
        Of the file.

    Returns
    -------
    comments : dict
        Keys to what stands behind them, or in lines of their own just before.
    sections : dict
        Keys to the heading that they stand under; "" before the first.

    Example
    -------
    >>> remarks(["# ---- data", "# A corpus.", "folder: null  # where it is"])
    ({'folder': 'A corpus. where it is'}, {'folder': 'data'})
    """
    comments, sections, section, before = {}, {}, "", []
    for line in lines:
        heading, key = SECTION.match(line), KEY.match(line)
        if heading:
            section, before = heading[1], []
        elif line.startswith("#"):
            before.append(line.lstrip("# "))
        elif key:
            behind = line.partition("  # ")[2]
            if behind.startswith("  ") and comments:  # goes on from the line before
                last = next(reversed([k for k in comments if comments[k]]))
                comments[last], behind = f"{comments[last]} {behind.strip()}", ""
            comments[key[1]] = " ".join([*before, behind]).strip()
            sections[key[1]], before = section, []
        else:
            before = []
    return comments, sections


def _words(declaration, comment):
    """What a key takes, where neither its default nor its comment shows it."""
    said = bool(declaration.choices) and all(
        re.search(rf"(?<![\w-]){re.escape(str(choice))}(?![\w-])", comment)
        for choice in declaration.choices
    )
    return "" if said or not declaration.declared else f"[{declaration.words()}] "


def _default(value, width):
    """A default in one line."""
    made = tag(value)
    if made.startswith("!applyref:"):
        found = "(made by the recipe)"
    elif made == "!ref":
        found = str(value.value)
    elif made:
        found = made.partition(":")[2] or made
    elif isinstance(value, list) and any(tag(item) for item in value):
        found = ", ".join(_default(item, width) for item in value)
    elif isinstance(value, dict):
        return "{…}"
    elif isinstance(value, list):
        found = f"[{', '.join(_default(item, width) for item in value)}]"
    else:
        found = "null" if value is None else str(plain(value))
    return textwrap.shorten(found, max(width, 20), placeholder=" …")


def _arguments(value, width):
    """The arguments of what is made, as one gives others."""
    if not isinstance(value, dict) or tag(value).startswith("!applyref:"):
        return []
    pairs = [f"{key}: {_default(inner, 40)}" for key, inner in value.items()]
    inside = "{" + ", ".join(pairs) + "}"
    return textwrap.wrap(
        inside,
        width,
        initial_indent=INDENT,
        subsequent_indent=f"{INDENT} ",
        break_long_words=False,
    )
