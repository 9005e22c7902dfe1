"""From a card to an upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import os
import re
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from s3prl_sb.foreign import UPSTREAM, Document, KindError, NodeError, with_own_names
from s3prl_sb.foreign.document import ArgumentError
from s3prl_sb.foreign.tags import set_tag
from s3prl_sb.foreign.trust import is_trusted, require, trusting
from s3prl_sb.hyperyaml.nodes import line_of, tag
from s3prl_sb.lobes.cards.finding import (
    UnknownUpstream,
    is_card_node,
    is_published,
    locate,
    only_entry,
    read_cards,
    without_card,
)
from s3prl_sb.lobes.cards.fusing import (
    CLASS,
    ENTRY,
    PARTS,
    fused,
    fusion_node,
    name_of_class,
)
from s3prl_sb.lobes.cards.places import address_of
from s3prl_sb.lobes.cards.sums import summands
from s3prl_sb.storage.files import MissingFile

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from s3prl_sb.lobes.upstreams.base import Upstream

KINDS = {"upstream": UPSTREAM}


def load(name: str, trust: bool = False, **overrides: Any) -> "Upstream":
    """Builds an upstream.

    Arguments
    ---------
    name : str
        Name of a card; path of a user-defined card file (``mine.yaml``, or
        ``mine.yaml:entry`` if it has several); folder of a run of pre-training; one on
        the Hugging Face hub, ``owner/name`` or ``owner/name@REVISION``; or a
        checkpoint: a file, a folder, an address or an id of Hugging Face. Several of
        them, joined by ``+``, are one upstream: a
        :class:`~s3prl_sb.lobes.upstreams.fusion.Fusion`.
    trust : bool
        Whether code that comes with a user-defined card may run: Python files
        next to it, and anything HyperPyYAML can call.
    **overrides
        Arguments of the card to replace: ``source="my.ckpt"``,
        ``freeze=False``, …

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream

    Raises
    ------
    s3prl_sb.foreign.trust.TrustError
        If a card would run code and is not trusted.

    Example
    -------
    >>> import torch
    >>> mel = load("mel")
    >>> hidden_states, lens = mel(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape[-1] == mel.output_size
    (1, True)
    """
    overrides = {
        key: os.fspath(value) if isinstance(value, os.PathLike) else value
        for key, value in overrides.items()
    }
    from s3prl_sb.schema import constructors

    with trusting(trust):
        entries = {"upstream": card(name, **overrides)}
        dotted_name = entries["upstream"].tag.value.partition(":")[2]
        with constructors.errors_at(
            lambda argument: _place(name, argument), dotted_name
        ):
            if _is_plain(entries):
                try:
                    return Document(entries, KINDS).build("upstream")
                except ArgumentError as error:  # the cause names the arguments
                    raise (error.__cause__ or error) from error
            upstream = constructors.make(entries, lambda key: _place(name))["upstream"]
        # The families are above this room: their base class is known by its name.
        if not isinstance(upstream, resolve_name(UPSTREAM.base)):
            raise constructors.MakingError(
                f"{_place(name)}: {dotted_name} is no upstream."
            )
        return upstream


def card(name: str, trust: bool = False, **overrides: Any) -> "CommentedMap":
    """Returns the YAML node of an upstream, for ``!applyref`` in a recipe.

    Arguments
    ---------
    name, trust
        See :func:`load`.
    **overrides
        Arguments of the card to replace. Mappings are merged.

    Returns
    -------
    ruamel.yaml.comments.CommentedMap
        A ``!new:`` node.

    Raises
    ------
    UnknownUpstream
        If there is no such card; the error has the nearest names.
    s3prl_sb.foreign.trust.TrustError
        See :func:`load`.

    Example
    -------
    >>> card("fbank", freeze=True).tag.value
    '!new:s3prl_sb.lobes.upstreams.features.KaldiFeatures'
    """
    checkpoint = without_card(name)
    if checkpoint is not None:
        from s3prl_sb.lobes.cards.families import class_of  # reads checkpoints

        node = _merged({"source": checkpoint}, overrides)
        kind = class_of(node["source"] or checkpoint)  # None: a random network
        return set_tag(node, f"!new:{kind}")
    if parts := summands(name):
        with trusting(trust):
            return _with_parts(fusion_node(parts), Path(), overrides)
    file, entry = locate(name)
    entries = read_cards(file)
    if entry is None:
        entry = only_entry(entries, file, name)
    if entry == ENTRY and entry in entries and not tag(entries[entry]):
        entries[entry] = fusion_node(entries[entry])
    if entry not in entries:
        raise UnknownUpstream(
            f"'{file}' has no card '{entry}'. It has: " + ", ".join(entries)
        )
    node = entries[entry]
    if not is_card_node(node):
        raise UnknownUpstream(
            f"'{entry}' in '{file}' is not a !new: node. Cards "
            "are written `name: !new:Class`."
        )
    if isinstance(node, list) or getattr(node, "value", None):
        raise UnknownUpstream(f"'{entry}' in '{file}': give its arguments by name.")
    with trusting(trust):  # before the overrides, which the user wrote
        node = _allowed(entries, entry, file)
        tag_name = tag(node)
        node = set_tag(_merged(node if isinstance(node, dict) else {}, {}), tag_name)
        if "source" in node and "source" not in overrides:
            node["source"] = _absolute(node["source"], file.parent)
        return _with_parts(node, file.parent, overrides)


def _with_parts(node, folder, overrides):
    """Returns a node with overrides, and with the nodes of the parts of a fusion."""
    is_fusion = name_of_class(node) == CLASS
    if is_fusion and PARTS in node:
        node[PARTS] = fused(node[PARTS], folder, card)
        for part in node[PARTS].values():
            if "source" in part:
                part["source"] = _absolute(part["source"], folder)
    node = _merged(node, overrides)
    if is_fusion and PARTS in overrides:
        node[PARTS] = fused(node[PARTS], Path(), card)
    return node


def _place(name, argument=None):
    """Returns how errors name a card or an argument: its name, or file, line, entry."""
    if without_card(name) is not None:
        return f"'{name}'"
    file, entry = locate(name)
    if is_published(file):
        return entry
    entries = read_cards(file)
    entry = entry or only_entry(entries, file, name)
    line = line_of(entries[entry], argument) or line_of(entries, entry)
    return f"'{file}', line {line}: {entry}"


def _allowed(entries, entry, file):
    """Returns the node of a card that may be built, with imported names of classes
    from its folder."""
    node = entries[entry]
    if is_published(file):  # no trust needed, and no imports
        return node
    from s3prl_sb.schema import constructors

    def where(line):
        return f"'{file}', line {line or line_of(entries, entry)}: {entry}: "

    folder = file.parent.resolve()
    document = Document(entries, {entry: UPSTREAM}, folder)
    try:
        foreign = document.foreign([entry])
        if not foreign:
            constructors.check(node, where)
            return document.plain(entry)
    except (NodeError, KindError) as error:
        if isinstance(error, KindError) or not is_trusted(file):
            raise UnknownUpstream(f"'{file}': {error}") from error
        foreign = []
    if foreign:
        require(file, foreign)
    node = with_own_names(node, folder)
    constructors.check(node, where)
    return node


def _is_plain(entries):
    """Returns whether an upstream can be built without HyperPyYAML."""
    try:
        return not Document(entries, KINDS).foreign()
    except NodeError:  # a trusted card may have tuples and the like
        return False


def _absolute(source, folder):
    """Returns a source, or a list of mirrors, with the full paths of files that are
    next to the card."""
    if isinstance(source, list):
        return [_absolute(mirror, folder) for mirror in source]
    path, mark, sha256 = str(source or "").partition("#sha256=")
    if path and (address := address_of(folder, path)) is not None:
        return address  # it is downloaded when it is read
    if path and os.path.exists(folder / path):  # published with its card
        # A link keeps its name: what it leads to may have none, as in the hub's cache.
        is_link = os.path.islink(folder / path)
        place = folder.resolve() / path if is_link else (folder / path).resolve()
        return str(place) + mark + sha256
    if re.fullmatch(r"[^/]+\.safetensors", path) and not os.path.exists(path):
        raise MissingFile(
            f"'{path}' is not in '{folder}', where the card is that names it. Move the "
            "card and its weights together, or give another card."
        )
    return source


def _merged(node, overrides):
    """Returns a copy with overrides, without anchors and merge keys."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(node, dict):
        result = CommentedMap()
        for key, value in [*node.items(), *overrides.items()]:
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                value = _merged(result[key], value)
            else:
                value = _merged(value, {})
            result[key] = value
    elif isinstance(node, list):
        result = CommentedSeq(_merged(item, {}) for item in node)
    else:
        return copy.copy(node)
    return set_tag(result, tag(node)) if tag(node) else result
