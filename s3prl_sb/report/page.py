"""The page as a whole: one HTML file that loads nothing.

Authors
 * The s3prl_sb developers, 2026
"""

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

import s3prl_sb
from s3prl_sb.errors import MissingExtra
from s3prl_sb.report.blocks import Section, joined
from s3prl_sb.report.charts import PALETTE
from s3prl_sb.report.escaping import as_json, brief, shown
from s3prl_sb.storage.files import naming

GENERATOR = "s3prl_sb report"  # by which a page is known again
HERE = Path(__file__).parent
CHART = 'class="chart"'


class Part(NamedTuple):
    """A section as it gets into the page.

    Arguments
    ---------
    title : str
        Heading.
    key : str
        Anchor.
    html : Markup
        Content.
    inner : list of tuple
        Titles and anchors of its own entries in the list of contents.
    """

    title: str
    key: str
    html: Markup
    inner: Sequence[tuple[str, str]] = ()


def part(section: Section, inner: Sequence[tuple[str, str]] = ()) -> Part:
    """Returns a section as a part of the page."""
    return Part(shown(section.title), section.key, joined(section.blocks), inner)


def render(
    parts: Sequence[Part],
    title: str = "Results",
    lead: Markup = Markup(),
    footer: Markup = Markup(),
    tasks: Sequence[str] = (),
    upstreams: Sequence[str] = (),
    live: str = "",
) -> str:
    """Returns the page.

    Arguments
    ---------
    parts : list of Part
        Its sections.
    title : str
        Title, as plain text.
    lead, footer : Markup
        Texts above the sections, and below them.
    tasks, upstreams : list of str
        Choices of the reader's filters.
    live : str
        Version of the page of a server that follows its runs.

    Returns
    -------
    str

    Raises
    ------
    MissingExtra
        If Vega's bundle or the template engine is not installed.

    Example
    -------
    >>> page = render([Part("A", "a", Markup("<p>b</p>"))], "1 < 2")
    >>> "<title>1 &lt; 2</title>" in page, "<p>b</p>" in page
    (True, True)
    """
    has_charts = any(CHART in part.html for part in parts)
    bundle = vega() if has_charts else ""
    script = _files("js")
    return _template().render(
        policy=_policy([bundle, script] if bundle else [script], bool(live)),
        generator=f"{GENERATOR} {s3prl_sb.__version__}",
        live=live,
        title=shown(title),
        style=Markup(_colors() + _files("css")),
        sections=parts,
        lead=lead,
        footer=footer,
        tasks=[brief(task) for task in tasks if task],
        upstreams=[brief(upstream) for upstream in upstreams if upstream],
        brief=brief,
        palette=as_json(PALETTE),
        bundle=Markup(bundle),
        script=Markup(script),
    )


def is_report(path: Path) -> bool:
    """Returns whether a file is such a page, or empty.

    Arguments
    ---------
    path : Path
        A file.

    Returns
    -------
    bool
    """
    with naming(path), open(path, "rb") as file:
        start = file.read(4096)
    return not start or f'name="generator" content="{GENERATOR} '.encode() in start


@functools.cache
def vega() -> str:
    """Returns Vega, Vega-Lite and Vega-Embed as one script."""
    try:
        import vl_convert
    except ImportError as error:
        raise _missing("vl-convert-python") from error
    # Its stub says that the snippet is required.
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


@functools.cache
def _template():
    try:
        import jinja2
    except ImportError as error:
        raise _missing("jinja2") from error
    loader = jinja2.FileSystemLoader(HERE)
    return jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    ).get_template("page.html")


def _missing(name):
    return MissingExtra(
        f"A report needs {name}, which is not installed: pip install 's3prl_sb[report]'"
    )


@functools.cache
def _files(kind):
    """Returns the styles or scripts of the page, and of blocks, as one."""
    inner = sorted(path for path in HERE.glob(f"*.{kind}") if path.stem != "page")
    paths = [HERE / f"page.{kind}", *inner]
    return "\n".join(path.read_text("utf-8") for path in paths)


def _policy(scripts, is_live):
    """Returns the rules for the browser: these scripts, what is inside, and no more."""
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    sources = " ".join(f"'sha256-{base64.b64encode(h).decode()}'" for h in hashes)
    rules = {
        "default-src": "'none'",
        "script-src": sources,
        "style-src": "'unsafe-inline'",  # of SVG, whose parts have styles
        "img-src": "data:",
        "media-src": "data:",
        "connect-src": "'self'" if is_live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _colors() -> str:
    """Returns the colours of both themes as variables of CSS; paper is light."""
    light, dark = (_variables(theme, PALETTE[theme]) for theme in ("light", "dark"))
    return (
        f":root {{{light}}}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{{dark}}} }}\n"
        f':root[data-theme="light"] {{{light}}}\n'
        f'@media screen {{ :root[data-theme="dark"] {{{dark}}} }}\n'
    )


def _variables(theme: str, colors: dict[str, Any]) -> str:
    plain = {name: value for name, value in colors.items() if isinstance(value, str)}
    for i, value in enumerate(colors["category"]):
        plain[f"category-{i}"] = value
    values = "; ".join(f"--{name}: {value}" for name, value in plain.items())
    return f" color-scheme: {theme}; {values} "
