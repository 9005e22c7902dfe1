"""Escaping of texts and data from outside, which are never markup.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import json
import math
import re
from typing import Any

from markupsafe import Markup

from s3prl_sb.terminal.columns import visible

SLUG = re.compile(r"[^a-z0-9]+")


def shown(text: Any) -> str:
    r"""Returns a text whose control characters are visible; it is not yet escaped.

    Example
    -------
    >>> shown("a\u202eb")
    'a\\u202eb'
    """
    return visible(str(text), keep="\n\t")


def brief(text: Any, most: int = 400) -> str:
    """Returns a text as :func:`shown`, a very long one without its middle.

    Arguments
    ---------
    text : object
        Text, such as a name from outside.
    most : int
        Most characters of it.

    Returns
    -------
    str

    Example
    -------
    >>> brief("abcdef", 4), brief("abcd", 4)
    ('ab […] ef', 'abcd')
    """
    text = str(text)
    half = most // 2
    return shown(text if len(text) <= most else f"{text[:half]} […] {text[-half:]}")


def slug(text: str) -> str:
    """Returns a text as an anchor: small letters, digits and hyphens.

    Example
    -------
    >>> slug("SUPERB/ASR · fbank")
    'superb-asr-fbank'
    """
    return SLUG.sub("-", text.lower()).strip("-") or "part"


def as_json(value: Any) -> Markup:
    r"""Returns JSON that may be inside ``<script>``: no character of it is markup.

    NaN and infinities, which are not JSON, become null; control characters in texts
    are visible, as those of :func:`shown`.

    Example
    -------
    >>> print(as_json({"</script>": float("nan")}))
    {"\u003c/script\u003e":null}
    """
    text = json.dumps(readable(value), separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def readable(value: Any) -> Any:
    r"""Returns a value of JSON without NaN and infinities, None in their place, whose
    texts have visible control characters.

    Example
    -------
    >>> readable({"a": [float("inf"), "b\u202ec"]})
    {'a': [None, 'b\\u202ec']}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {str(k): readable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [readable(v) for v in value]
    if hasattr(value, "tolist"):  # of NumPy
        return readable(value.tolist())
    return value


def as_url(kind: str, data: bytes) -> str:
    """Returns the content of a file as a URL.

    Arguments
    ---------
    kind : str
        Media type, such as "image/png".
    data : bytes
        Content.

    Returns
    -------
    str
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def content(value: Any) -> Markup | str:
    """Returns what a cell shows: a block as HTML, anything else as plain text."""
    if value is None:
        return ""
    return value.html() if hasattr(value, "html") else shown(value)
