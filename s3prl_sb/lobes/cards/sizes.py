"""Sizes of the networks of cards: built, or read from a generated file.

To build all networks takes seconds and needs transformers. ``sizes.json`` beside the
published cards has the sizes of each, with a digest of the card they belong to. A card
without an entry, or one that was changed since, is built as before, so no card needs an
entry. A test builds all of them and compares.

``python -m s3prl_sb.lobes.cards.sizes`` writes the file.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import json
import logging

from s3prl_sb.hyperyaml.nodes import tag
from s3prl_sb.identity import digest
from s3prl_sb.lobes.cards.finding import card_file, is_published, names, published
from s3prl_sb.lobes.cards.fusing import without_sources
from s3prl_sb.lobes.cards.loading import card, load
from s3prl_sb.storage.files import read_json, write_text

logger = logging.getLogger(__name__)

KEYS = ("stride", "sample_rate", "num_layers", "output_sizes", "parameters")


def sizes(name, node=None) -> dict:
    """Returns the sizes of the network of a card.

    Arguments
    ---------
    name : str
        The name or the file of a card.
    node : ruamel.yaml.comments.CommentedMap, optional
        Its YAML node, if it has been read.

    Returns
    -------
    dict
        A value for each of :data:`KEYS`: ``stride`` in samples, ``sample_rate`` in Hz,
        ``output_sizes`` a list. All None if the network cannot be built here.

    Example
    -------
    >>> sizes("fbank")["output_sizes"]
    [240]
    """
    node = card(name) if node is None else node
    file = card_file(name)
    if is_published(file):
        path = file.with_name("sizes.json")
        changed = path.stat().st_mtime_ns if path.is_file() else None
        entry = changed and _stored(path, changed).get(name)
        if entry and entry["card"] == identity(node):
            return {key: entry[key] for key in KEYS}
    return built(name, node)


def built(name, node) -> dict:
    """Returns the sizes of a network that is built for it, without memory.

    Arguments
    ---------
    name, node
        See :func:`sizes`.

    Returns
    -------
    dict
        See :func:`sizes`.

    Example
    -------
    >>> built("mel", card("mel"))["stride"]
    160
    """
    from s3prl_sb.lobes.checkpoints.building import sizes_only

    try:
        with sizes_only():
            upstream = load(name, **without_sources(node))
        return {
            **{key: getattr(upstream, key) for key in KEYS[:3]},
            "output_sizes": list(upstream.output_sizes),
            "parameters": sum(p.numel() for p in upstream.parameters()),
        }
    except Exception as error:  # one broken card must not cost the whole table
        logger.warning("'%s' cannot be built here: %s", name, error)
        return dict.fromkeys(KEYS)


def identity(node) -> str:
    """Returns a digest of all in a card that its sizes may depend on.

    Arguments
    ---------
    node : ruamel.yaml.comments.CommentedMap
        YAML node of a card.

    Returns
    -------
    str
        Hexadecimal. The weights do not count.

    Example
    -------
    >>> hubert = card("hubert_base")
    >>> identity(hubert) == identity(card("hubert_base", source="mine.pt"))
    True
    >>> identity(hubert) == identity(card("hubert_base", freeze=False))
    False
    """
    return digest(_plain({key: node[key] for key in node if key != "source"}, node))


def _plain(node, tagged=None):
    """Returns a YAML node as JSON values, with its tags."""
    if isinstance(node, dict):
        value = {str(key): _plain(value) for key, value in node.items()}
    elif isinstance(node, list):
        value = [_plain(value) for value in node]
    elif node is None or isinstance(node, bool | str):
        value = node
    else:
        value = str(node)
    name = tag(node if tagged is None else tagged)
    return [name, value] if name else value


@functools.lru_cache(maxsize=4)
def _stored(path, changed):
    return read_json(path, kind=dict)


def document() -> str:
    """Returns the text of ``sizes.json``: a line for each published card."""
    lines = []
    for name in names():
        node = card(name)
        entry = {"card": identity(node), **built(name, node)}
        if None in entry.values():
            raise RuntimeError(f"'{name}' cannot be built here")
        lines.append(f"{json.dumps(name)}: {json.dumps(entry)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    write_text(published()[0].with_name("sizes.json"), document())
