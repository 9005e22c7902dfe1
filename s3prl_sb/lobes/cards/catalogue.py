"""The table of all upstreams: papers, sizes, training data, licences.

The sizes are those of the card's network, see :mod:`s3prl_sb.lobes.cards.sizes`. The
other facts are under ``_about`` at the head of the card's file, by patterns of names;
if several patterns match, later ones win::

    _about:
        "*": {paper: "https://…", input: waveform, data: none, licence: MIT}
        "hubert_large*": {data: Libri-Light 60 kh}

``python -m s3prl_sb.lobes.cards.catalogue > docs/upstreams.md`` writes the
table as a document.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import json
import re

from s3prl_sb.lobes.cards.finding import card_file, matching, names, notes, title
from s3prl_sb.lobes.cards.fusing import parts_of
from s3prl_sb.lobes.cards.loading import card
from s3prl_sb.lobes.cards.sizes import sizes
from s3prl_sb.terminal import columns, quantities

#: Keys of ``_about``.
ABOUT = ("paper", "input", "data", "licence")
#: Columns, in the order of the document and in the order of importance. A narrow
#: terminal shows the most important ones.
COLUMNS = "name paper input stride states size parameters data licence weights".split()
IMPORTANCE = (
    "name size states stride parameters data licence input paper weights".split()
)
NOT_STATED = "not stated"
#: Words of licences that do not let everyone use the weights for everything.
RESTRICTIONS = re.compile(
    r"\bNC\b|\b(no|non|not)[ -]?commercial|\bresearch licen[cs]e|"
    r"\b(academic|evaluation|personal|research)\b.*\bonly\b|"
    r"\bonly\b.*\b(academic|evaluation|personal|research)\b",
    re.IGNORECASE,
)
HEAD = """# The upstreams

There are {count} names. `python -m s3prl_sb.lobes.cards.catalogue > \
docs/upstreams.md` writes this file from the card files in `hparams/upstreams`. The \
command `s3prl-sb upstreams 'hubert*'` prints the same table, `s3prl-sb upstreams \
--json` prints it as data.

- **stride**: time between two frames; the sample rate of the waveforms where it is \
not 16 kHz. Recipes, `extract` and `predict` resample audio of any rate to it.
- **states**: number of hidden states.
- **size**: dimension of the hidden states.
- **parameters**: number of parameters of the network that computes the hidden \
states; parts that only pre-training needs are not counted.
- **licence**: licence of the weights, as stated by their publishers. Those marked as \
restricted exclude some uses, such as commercial ones.
- **weights**: default download. Any other checkpoint of the family can be given as \
`source`.

In a SpeechBrain recipe, write `!new:s3prl_sb.lobes.ssl.SSL {{source: NAME}}`; see \
[speechbrain_recipes.md](speechbrain_recipes.md).

"""


@dataclasses.dataclass
class Facts:
    """Row of the table. A size is None if the network cannot be built here, a fact
    of ``_about`` is None if it is not stated."""

    name: str
    paper: str | None  #: address of the paper
    input: str | None  #: input of the network
    stride: int | None  #: samples from one frame to the next
    sample_rate: int | None  #: Hz
    num_layers: int | None  #: number of hidden states
    output_sizes: list[int] | None  #: size of each hidden state
    parameters: int | None
    data: str | None  #: pre-training data
    licence: str | None  #: licence of the weights
    source: str | list[str] | None  #: address of the weights, or its mirrors
    restricted: bool  #: whether the licence excludes some uses


def facts(name) -> Facts:
    """Returns the row of an upstream.

    Arguments
    ---------
    name : str
        The name or the file of a card.

    Returns
    -------
    Facts

    Example
    -------
    >>> row = facts("fbank")
    >>> row.stride, row.num_layers, row.output_sizes, row.parameters
    (160, 1, [240], 0)
    """
    node, stated = card(name), about(name)
    return Facts(
        name=title(name),
        source=_addresses(node),
        restricted=is_restricted(stated["licence"]),
        **sizes(name, node),
        **stated,
    )


def _addresses(node):
    """Returns the source of a card; those of the parts of a fusion."""
    parts = [part.get("source") for part in parts_of(node).values()]
    if "source" in node or not parts:
        return node.get("source")
    return [s[0] if isinstance(s, list) else s for s in parts if s]


def about(name) -> dict[str, str | None]:
    """Returns the facts under ``_about`` in the file of a card, without heavy imports.

    Arguments
    ---------
    name : str
        The name or the file of a card.

    Returns
    -------
    dict
        A value for each key of :data:`ABOUT`, None for what is not stated.

    Raises
    ------
    ValueError
        If ``_about`` has other keys.

    Example
    -------
    >>> about("hubert_large_ll60k")["data"]
    'Libri-Light 60 kh'
    """
    facts = stated_by(name)
    if facts["data"] is None or facts["licence"] is None:
        parts = [about(part) for part in parts_of(card(name)) if part in names()]
        for key in ("data", "licence"):  # the terms of all parts hold
            texts = dict.fromkeys(part[key] for part in parts if part[key])
            facts[key] = facts[key] or "; ".join(texts) or None
    return facts


def stated_by(name) -> dict[str, str | None]:
    """Returns the facts under ``_about`` that a card itself states.

    Arguments
    ---------
    name : str
        See :func:`about`, also for the errors.

    Returns
    -------
    dict
        Keys and values of :func:`about`; for a fusion, without those of its parts.
    """
    facts = dict.fromkeys(ABOUT)
    patterns = notes(card_file(name), "_about")
    unknown = {key for entries in patterns.values() for key in entries} - set(ABOUT)
    if unknown:
        raise ValueError(
            f"_about has no '{', '.join(sorted(unknown))}', only {', '.join(ABOUT)}"
        )
    for entries in matching(patterns, name):
        facts.update(entries)
    return facts


def is_restricted(licence: str | None) -> bool:
    """Returns whether a licence excludes some uses, by its words.

    Arguments
    ---------
    licence : str, optional
        Its name, or a sentence. A licence that is not stated counts as unrestricted,
        as nothing is known of it.

    Returns
    -------
    bool

    Example
    -------
    >>> [is_restricted(text) for text in ("CC-BY-NC-4.0", "for research only", "MIT")]
    [True, True, False]
    """
    return RESTRICTIONS.search(licence or "") is not None


def is_free(licence: str | None) -> bool:
    """Returns whether a licence is stated and not restricted.

    Arguments
    ---------
    licence : str, optional
        See :func:`is_restricted`. Of several, one that is not stated is enough for
        False.

    Returns
    -------
    bool

    Example
    -------
    >>> is_free("MIT"), is_free("CC-BY-NC-4.0"), is_free("not stated; MIT")
    (True, False, False)
    """
    return NOT_STATED not in (licence or NOT_STATED) and not is_restricted(licence)


def marked(licence: str | None) -> str | None:
    """Returns a licence, marked if it is restricted.

    Arguments
    ---------
    licence : str, optional
        See :func:`is_restricted`.

    Returns
    -------
    str or None

    Example
    -------
    >>> marked("CC-BY-NC-4.0"), marked("MIT")
    ('CC-BY-NC-4.0 (restricted)', 'MIT')
    """
    return f"{licence} (restricted)" if is_restricted(licence) else licence


def cells(row: Facts) -> dict[str, str]:
    """Returns the texts of a row, by :data:`COLUMNS`.

    Arguments
    ---------
    row : Facts

    Returns
    -------
    dict

    Example
    -------
    >>> texts = cells(facts("hubert_base"))
    >>> texts["stride"], texts["states"], texts["size"], texts["parameters"]
    ('20 ms', '13', '768', '94.4 M')
    """
    built = row.stride is not None
    sizes = dict.fromkeys(row.output_sizes or [])
    return {
        "name": row.name,
        "paper": row.paper or NOT_STATED,
        "input": row.input or NOT_STATED,
        "stride": quantities.stride(row.stride, row.sample_rate) if built else "?",
        "states": str(row.num_layers) if built else "?",
        "size": "/".join(map(str, sizes)) if built else "?",
        "parameters": _amount(row.parameters) if built else "?",
        "data": row.data or NOT_STATED,
        "licence": marked(row.licence) or NOT_STATED,
        "weights": ", ".join(_sources(row)) or "–",
    }


def _amount(count):
    """Returns a number with three digits: 94.4 M."""
    if count < 1e6:
        return f"{count / 1e3:.3g} k" if count else "0"
    return f"{count / 1e6:.3g} M" if count < 999.5e6 else f"{count / 1e9:.3g} B"


def as_text(rows: list[Facts], width: int | None = None) -> str:
    """Returns the table for a terminal.

    Arguments
    ---------
    rows : list of Facts
    width : int, optional
        Characters in a line; the most important columns that fit are shown.
        None: all columns.

    Returns
    -------
    str

    Example
    -------
    >>> print(as_text([facts("fbank"), facts("mel")], width=30))
    name   size  states  stride
    fbank  240   1       10 ms
    mel    80    1       10 ms
    """
    table = [COLUMNS, *(list(cells(row).values()) for row in rows)]
    return columns.as_text(table, width, IMPORTANCE)


def as_markdown(rows: list[Facts]) -> str:
    """Returns the table in Markdown, with links.

    Arguments
    ---------
    rows : list of Facts

    Returns
    -------
    str

    Example
    -------
    >>> print(as_markdown([facts("mel")]).splitlines()[1])
    | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
    """
    table = [COLUMNS]
    for row in rows:
        line = cells(row)
        line["name"] = f"`{row.name}`"
        line["paper"] = _link(row.paper) or line["paper"]
        line["weights"] = ", ".join(map(_link, _sources(row))) or line["weights"]
        table.append(list(line.values()))
    return columns.as_markdown(table)


def _sources(row):
    """Returns the addresses of the weights."""
    return [row.source] if isinstance(row.source, str) else row.source or []


def _link(address):
    """Returns a link that shows the last part of an address: 2106.07447."""
    if not (address or "").startswith("http"):
        return address
    return f"[{address.split('?')[0].rstrip('/').rsplit('/', 1)[-1]}]({address})"


def as_json(rows: list[Facts]) -> str:
    """Returns the rows as a JSON list of objects, with exact numbers.

    Arguments
    ---------
    rows : list of Facts

    Returns
    -------
    str

    Example
    -------
    >>> json.loads(as_json([facts("mel")]))[0]["output_sizes"]
    [80]
    """
    return json.dumps(
        [dataclasses.asdict(row) for row in rows], indent=1, ensure_ascii=False
    )


def document(rows: list[Facts]) -> str:
    """Returns the text of ``docs/upstreams.md``.

    Arguments
    ---------
    rows : list of Facts

    Returns
    -------
    str

    Example
    -------
    >>> print(document([facts("mel")]).splitlines()[0])
    # The upstreams
    """
    return HEAD.format(count=len(rows)) + as_markdown(rows) + "\n"


if __name__ == "__main__":
    print(document([facts(name) for name in names()]), end="")
