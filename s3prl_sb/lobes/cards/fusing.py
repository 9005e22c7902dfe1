"""Nodes of fusions, which contain the nodes of several upstreams.

A card file says ``fusion: [wavlm_base, beats_iter3]``. The node that is built from it
has the complete node of each part, so that a run or an export that keeps it needs no
other card::

    fusion: !new:s3prl_sb.lobes.upstreams.fusion.Fusion
        upstreams:
            wavlm_base: !name:s3prl_sb.lobes.upstreams.wavlm.WavLM {source: https://…}
            beats_iter3: !name:s3prl_sb.lobes.upstreams.beats.Beats {source: https://…}

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3prl_sb.foreign.tags import set_tag
from s3prl_sb.hyperyaml.nodes import tag
from s3prl_sb.lobes.cards.finding import UnknownUpstream, names, title
from s3prl_sb.lobes.cards.sums import without_entry

#: Entry of a card file that needs no class.
ENTRY = "fusion"
#: Argument with the parts.
PARTS = "upstreams"
CLASS = "s3prl_sb.lobes.upstreams.fusion.Fusion"


def fusion_node(entry: Any) -> Any:
    """Returns the node of a fusion.

    Arguments
    ---------
    entry : list or dict
        Its parts; or all arguments, with the parts as ``upstreams``.

    Returns
    -------
    ruamel.yaml.comments.CommentedMap

    Raises
    ------
    UnknownUpstream
        If the entry is neither.

    Example
    -------
    >>> fusion_node(["mel", "fbank"])["upstreams"]
    ['mel', 'fbank']
    """
    from ruamel.yaml.comments import CommentedMap

    if isinstance(entry, list):
        entry = CommentedMap({PARTS: entry})
    if not isinstance(entry, dict) or not entry.get(PARTS):
        raise UnknownUpstream(
            "fusion: give a list of upstreams, fusion: [wavlm_base, mel], or the "
            "arguments of Fusion, fusion: {upstreams: [wavlm_base, mel], pairs: False}."
        )
    return set_tag(entry if hasattr(entry, "tag") else CommentedMap(entry), _tag("new"))


def parts_of(node: Any) -> dict[str, Any]:
    """Returns the nodes of the parts of a fusion, by label.

    Arguments
    ---------
    node : dict
        Node of an upstream, as :func:`~s3prl_sb.lobes.cards.loading.card` returns it.

    Returns
    -------
    dict
        Empty for any other upstream.

    Example
    -------
    >>> from s3prl_sb.lobes.cards.loading import card
    >>> list(parts_of(card("mel+fbank"))), parts_of(card("mel"))
    (['mel', 'fbank'], {})
    """
    parts = node.get(PARTS) if isinstance(node, dict) else None
    return parts if isinstance(parts, dict) and tag(node) == _tag("new") else {}


def sources(node: Any) -> list[Any]:
    """Returns all nodes of an upstream that have a source: itself and its parts.

    Arguments
    ---------
    node : dict
        Node of an upstream.

    Returns
    -------
    list of dict

    Example
    -------
    >>> sources({"source": "a.pt", "config": {}})
    [{'source': 'a.pt', 'config': {}}]
    """
    nodes = [node, *parts_of(node).values()]
    return [each for each in nodes if isinstance(each, dict) and "source" in each]


def without_sources(node: Any) -> dict[str, Any]:
    """Returns the overrides that make the network of a card random.

    Arguments
    ---------
    node : dict
        Node of an upstream.

    Returns
    -------
    dict

    Example
    -------
    >>> from s3prl_sb.lobes.cards.loading import card
    >>> without_sources(card("tera+mel"))
    {'upstreams': {'tera': {'source': None}}}
    """
    overrides: dict[str, Any] = {"source": None} if "source" in node else {}
    inner = {
        label: {"source": None}
        for label, part in parts_of(node).items()
        if isinstance(part, dict) and "source" in part
    }
    return {**overrides, PARTS: inner} if inner else overrides


def fused(parts: Any, folder: Path, card: Callable[..., Any]) -> Any:
    """Returns the nodes of the parts of a fusion.

    Arguments
    ---------
    parts : list or dict
        Names of cards, card files and checkpoints; ``{upstream: NAME, …}`` with
        arguments of the upstream; nodes; or functions. A dict has labels as keys.
    folder : pathlib.Path
        Folder that paths are relative to.
    card : callable
        :func:`~s3prl_sb.lobes.cards.loading.card`.

    Returns
    -------
    ruamel.yaml.comments.CommentedMap
        Labels to nodes with the tag ``!name:``. The label of a name is its title.

    Raises
    ------
    UnknownUpstream
        If there are fewer than two parts, or one is no upstream.

    Example
    -------
    >>> from s3prl_sb.lobes.cards.loading import card
    >>> parts = fused(["mel", {"upstream": "mel", "n_mels": 40}], Path(), card)
    >>> list(parts), parts["mel_2"]["n_mels"]
    (['mel', 'mel_2'], 40)
    """
    from ruamel.yaml.comments import CommentedMap

    is_labelled = isinstance(parts, dict)
    items = list(parts.items()) if is_labelled else [(None, p) for p in parts or ()]
    if len(items) < 2:
        raise UnknownUpstream(
            f"A fusion is of two upstreams or more, not of {len(items)}: "
            "fusion: [wavlm_base, mel]."
        )
    nodes = CommentedMap()
    for label, part in items:
        node, name = _node(part, folder, card)
        if name_of_class(node) == CLASS:
            raise UnknownUpstream(
                f"'{name}' is a fusion itself: name its parts instead of it."
            )
        nodes[label or _label(name, nodes)] = node
    return nodes


def name_of_class(node: Any) -> str:
    """Returns the dotted name of the class in the tag of a node."""
    return tag(node).partition(":")[2]


def _node(part, folder, card):
    """Returns the node of a part, and its name."""
    from ruamel.yaml.comments import CommentedMap

    if callable(part):  # made by HyperPyYAML, or the user's
        return part, getattr(getattr(part, "func", part), "__name__", "part")
    if tag(part).startswith(("!new:", "!name:")):
        dotted = name_of_class(part)
        node = part if isinstance(part, dict) else CommentedMap()
        return set_tag(node, f"!name:{dotted}"), dotted.rpartition(".")[2]
    options = dict(part) if isinstance(part, dict) else {"upstream": part}
    name = options.pop("upstream", None)
    if not isinstance(name, str):
        raise UnknownUpstream(
            f"A part of a fusion is a name, or {{upstream: NAME, …}}, not {part!r}."
        )
    path = folder / without_entry(name)
    if name not in names() and path.exists():
        name = str(folder / name)
    node = card(name, **options)
    return set_tag(node, f"!name:{name_of_class(node)}"), title(name)


def _label(name, taken):
    """Returns a new label, which a module may have as its name."""
    label = first = re.sub(r"\W+", "_", name).strip("_") or "part"
    count = 1
    while label in taken:
        count += 1
        label = f"{first}_{count}"
    return label


def _tag(kind):
    return f"!{kind}:{CLASS}"
