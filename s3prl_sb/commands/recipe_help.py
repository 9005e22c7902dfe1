"""Text of ``s3prl-sb run RECIPE --help``: every key, from the schema and the YAML.

Authors
 * The s3prl_sb developers, 2026
"""

import re
import textwrap

from s3prl_sb.hyperyaml.nodes import plain, tag
from s3prl_sb.schema.keys import Schema
from s3prl_sb.startup import named

WIDTH = 88
INDENT = "      "
#: A comment that begins a section: "# ---- data".
SECTION = re.compile(r"# -{3,} *(.+)$")
KEY = re.compile(r"([A-Za-z]\w*):")


def text(hparams_file: str, width: int = WIDTH) -> str:
    """Describes the keys of a recipe: defaults, kinds, and comments of the YAML.

    Arguments
    ---------
    hparams_file : str
        YAML of the recipe, which may be the user's copy.
    width : int
        Number of columns.

    Returns
    -------
    str
        Lines in the order of the YAML, under its headings.

    Example
    -------
    >>> from s3prl_sb import resources
    >>> file = resources.recipes()["SUPERB/KS"] / "hparams" / "train.yaml"
    >>> "  --lr 0.0001" in text(file)
    True
    """
    schema = Schema.of(hparams_file)
    comments, sections = {}, {}
    defaults = dict.fromkeys(file for file, _ in schema.origins.values())
    for file in [*defaults, schema.file]:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
        for mapping, more in zip((comments, sections), remarks(lines)):
            mapping.update(more)
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
    """Returns the lines of one key."""
    node, indents = schema.tree[key], {"initial_indent": INDENT}
    notes = f"{_words(schema[key], comment)}{comment}".strip()
    indents["subsequent_indent"] = INDENT
    return [
        f"  --{key} {_default(node, width - len(key) - 6)}".rstrip(),
        *textwrap.wrap(notes, width, **indents),
        *_arguments(node, width),
        *textwrap.wrap(_names(key, schema), width, **indents),
        *_entries(key, schema, width),
    ]


def _names(key, schema):
    """Lists the names that a key takes."""
    names = named.names(key, named.labels_of(schema.tree).get("are"))
    if not names or not (schema[key].is_made or key == named.POOLING):
        return ""
    other = {named.HEAD: ", FILE.py:Class, or", named.OPTIMIZER: ", or"}.get(key, "")
    more = f"{other} {{name: NAME, argument: value}}" if other else ""
    return f"names: {', '.join(names)}{more}"


def _entries(key, schema, width):
    """Describes the entries of a mapping that is not set, a line each."""
    if schema.tree[key] is not None:
        return []
    entries = []
    for name, declaration in schema[key].inside.items():
        line = f"--{key}.{name} [{declaration.words()}]"
        entries += textwrap.wrap(
            line, width, initial_indent=INDENT, subsequent_indent=f"{INDENT}  "
        )
    return entries


def remarks(lines):
    """Reads the comments of a YAML file.

    Arguments
    ---------
    lines : list of str
        Lines of the file.

    Returns
    -------
    comments : dict
        Keys to the comments in the same line and in the lines before it.
    sections : dict
        Keys to their headings; "" before the first heading.

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
            comment = line.partition("  # ")[2]
            if comment.startswith("  ") and comments:  # continues the line before
                last = next(reversed([k for k in comments if comments[k]]))
                comments[last], comment = f"{comments[last]} {comment.strip()}", ""
            comments[key[1]] = " ".join([*before, comment]).strip()
            sections[key[1]], before = section, []
        else:
            before = []
    return comments, sections


def _words(declaration, comment):
    """Describes the values of a key, unless its comment lists them."""
    listed = bool(declaration.choices) and all(
        re.search(rf"(?<![\w-]){re.escape(str(choice))}(?![\w-])", comment)
        for choice in declaration.choices
    )
    return "" if listed or not declaration.declared else f"[{declaration.words()}] "


def _default(value, width):
    """Formats a default in one line."""
    made = tag(value)
    if made.startswith("!applyref:"):
        text = "(made by the recipe)"
    elif made == "!ref":
        text = str(value.value)
    elif made:
        text = made.partition(":")[2] or made
    elif isinstance(value, list) and any(tag(item) for item in value):
        text = ", ".join(_default(item, width) for item in value)
    elif isinstance(value, dict):
        return "{…}"
    elif isinstance(value, list):
        text = f"[{', '.join(_default(item, width) for item in value)}]"
    else:
        text = "null" if value is None else str(plain(value))
    return textwrap.shorten(text, max(width, 20), placeholder=" …")


def _arguments(value, width):
    """Formats the arguments of an object as the command line takes them."""
    if not isinstance(value, dict) or tag(value).startswith("!applyref:"):
        return []
    pairs = [f"{key}: {_default(inner, 40)}" for key, inner in value.items()]
    inside = "{" + ", ".join(pairs) + "}"
    indents = {"initial_indent": INDENT, "subsequent_indent": f"{INDENT} "}
    return textwrap.wrap(inside, width, **indents, break_long_words=False)
