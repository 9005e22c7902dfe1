"""Pieces of reStructuredText of which the generated pages consist.

Authors
 * The s3prl_sb developers, 2026
"""


def heading(text, line="="):
    """Formats a heading."""
    return f"{text}\n{line * len(text)}\n"


def toctree(entries, *options):
    """Lists pages of the contents.

    Arguments
    ---------
    entries : iterable of str
        Pages, or "title <page>".
    *options : str
        Options of the directive, such as ":hidden:".

    Returns
    -------
    str

    Example
    -------
    >>> print(toctree(["run", "superb"], ":hidden:"), end="")
    .. toctree::
       :hidden:
    <BLANKLINE>
       run
       superb
    """
    lines = [*options, "", *entries]
    inside = "".join(f"   {line}".rstrip() + "\n" for line in lines)
    return f".. toctree::\n{inside}"


def literal(text):
    """Formats a text as it is."""
    lines = "\n".join(f"   {line}".rstrip() for line in text.splitlines())
    return f".. code-block:: text\n\n{lines}"


def escaped(text):
    """Escapes what would be taken for markup."""
    for sign in "\\*`|_":
        text = text.replace(sign, f"\\{sign}")
    return text


def marked(text):
    """Escapes what would be taken for markup, but for code.

    Example
    -------
    >>> print(marked("`a_b` of a_b"))
    ``a_b`` of a\\_b
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:  # a lone sign
        return escaped(text)
    return "".join(
        f"``{part}``" if number % 2 else escaped(part)
        for number, part in enumerate(parts)
    )
