"""Upstreams: self-supervised speech models, by the names of their cards.

A card is an entry of a YAML file that builds a module::

    hubert_base: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
        source: https://…/hubert_base_ls960.pt

The published ones lie in ``hparams/upstreams``; a card of your own is a file
of the same form. It is data, unless it is trusted: see :mod:`s3prl_sb.foreign.trust`.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import difflib
import fnmatch
import os
import re
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import UPSTREAM, Document, KindError, NodeError, with_own_names
from s3prl_sb.foreign.document import ArgumentError
from s3prl_sb.foreign.tags import set_tag
from s3prl_sb.foreign.trust import is_trusted, require, trusting
from s3prl_sb.hyperyaml.nodes import line_of, tag
from s3prl_sb.storage.files import FileError, read_yaml

__all__ = ["UnknownUpstream", "card", "card_file", "load", "names", "title"]


KINDS = {"upstream": UPSTREAM}


class UnknownUpstream(UserError, ValueError):
    """A name that no card has."""


def load(name, trust=False, **overrides):
    """Builds an upstream.

    Arguments
    ---------
    name : str
        The name of a card, or the path of a card file of your own
        (``mine.yaml``, or ``mine.yaml:entry`` where it holds several).
    trust : bool
        Whether code that comes with a card of your own may be run: Python files
        beside it, and whatever HyperPyYAML can call.
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
        made = entries["upstream"].tag.value.partition(":")[2]
        with constructors.telling(lambda argument: _place(name, argument), made):
            if _is_plain(entries):
                try:
                    return Document(entries, KINDS).build("upstream")
                except ArgumentError as error:  # told with what there would be
                    raise error.__cause__ from error
            found = constructors.make(entries, lambda key: _place(name))["upstream"]
        from s3prl_sb.lobes.upstreams.base import Upstream

        if not isinstance(found, Upstream):
            raise constructors.MakingError(f"{_place(name)}: {made} is no upstream.")
        return found


def card(name, trust=False, **overrides):
    """The YAML node of an upstream, for ``!applyref`` in a recipe.

    Arguments
    ---------
    name, trust
        As for :func:`load`.
    **overrides
        Arguments of the card to replace. Mappings are merged.

    Returns
    -------
    ruamel.yaml.comments.CommentedMap
        A ``!new:`` node.

    Raises
    ------
    UnknownUpstream
        With the nearest names.
    s3prl_sb.foreign.trust.TrustError
        As for :func:`load`.

    Example
    -------
    >>> card("fbank", freeze=True).tag.value
    '!new:s3prl_sb.lobes.upstreams.features.KaldiFeatures'
    """
    file, entry = _find(str(name))
    entries = _read(file)
    if entry is None:
        entry = _only(entries, file, name)
    if entry not in entries:
        raise UnknownUpstream(
            f"'{file}' has no card '{entry}'. It has: " + ", ".join(entries)
        )
    node = entries[entry]
    if not _is_card(node):
        raise UnknownUpstream(f"'{entry}' in '{file}' is not a !new: node.")
    if isinstance(node, list) or getattr(node, "value", ""):
        raise UnknownUpstream(f"'{entry}' in '{file}': give its arguments by name.")
    with trusting(trust):  # asked before the overrides, which are the user's own
        node = _allowed(entries, entry, file)
    name = tag(node)
    if not isinstance(node, dict):  # a tag without arguments
        node = {}
    node = _merged(node, overrides)
    if "source" in node and "source" not in overrides:
        node["source"] = _beside(node["source"], file.parent)
    return _tagged(node, name)


def title(name):
    """A short name of an upstream, for folders and tables.

    Arguments
    ---------
    name : str
        As for :func:`load`.

    Returns
    -------
    str

    Example
    -------
    >>> title("hubert_base"), title("cards/mine.yaml"), title("cards/mine.yaml:big")
    ('hubert_base', 'mine', 'big')
    >>> title("my_model/card.yaml")
    'my_model'
    """
    name = str(name)
    if name.endswith((".yaml", ".yml")):
        path = Path(name)  # s3prl-sb convert writes a folder with its card
        return path.stem if path.stem != "card" else path.resolve().parent.name
    return name.rpartition(".yaml:")[2]


def names(pattern="*"):
    """The names of the published cards.

    Arguments
    ---------
    pattern : str
        As for file names: ``"hubert*"``.

    Returns
    -------
    list of str

    Example
    -------
    >>> names("fbank*")
    ['fbank', 'fbank_no_cmvn']
    """
    return fnmatch.filter(sorted(_index()), pattern)


def card_file(name):
    """The file that a card stands in.

    Arguments
    ---------
    name : str
        As for :func:`load`.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> card_file("fbank").name
    'features.yaml'
    """
    return _find(str(name))[0]


def _only(entries, file, name):
    """The entry of a file's only card; what others are for is referred to by it."""
    found = [key for key, node in entries.items() if _is_card(node)]
    if len(found) == 1 or len(entries) == 1:
        return found[0] if found else next(iter(entries))
    if not found:
        raise UnknownUpstream(f"'{file}' holds no cards, `name: !new:Class`.")
    raise UnknownUpstream(
        f"'{file}' holds {len(found)} cards. Choose one: "
        + ", ".join(f"{name}:{key}" for key in found)
    )


def _is_card(node):
    return tag(node).startswith("!new:")


def _place(name, argument=None):
    """What errors call a card, or an argument: its name, or file, line and entry."""
    file, entry = _find(str(name))
    if file.parent == _published():
        return entry
    entries = _read(file)
    entry = entry or _only(entries, file, name)
    line = line_of(entries[entry], argument) or line_of(entries, entry)
    return f"'{file}', line {line}: {entry}"


def _published():
    return resources.folder("hparams") / "upstreams"


def _index():
    """The name of every card, and its file."""
    return {
        match: file
        for file in sorted(_published().glob("*.yaml"))
        for match in re.findall(
            r"^([A-Za-z]\w*):", file.read_text(encoding="utf-8"), re.M
        )
    }


def _find(name):
    """The file of a card, and its entry in it (None: the only one)."""
    path, _, entry = name.partition(".yaml:")
    if entry or name.endswith((".yaml", ".yml")):
        file = Path(path + ".yaml" if entry else name).expanduser()
        if not file.is_file():
            raise UnknownUpstream(f"There is no card file '{file}'.")
        return file, entry or None
    index = _index()
    if name not in index:
        near = difflib.get_close_matches(name.lower(), index, n=5, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}? " if near else ""
        raise UnknownUpstream(
            f"Unknown upstream '{name}'. {hint}All of them: `s3prl-sb "
            "upstreams`. For a card of your own, give the path of its .yaml."
        )
    return index[name], name


def _allowed(entries, entry, file):
    """A card that may be built; its own classes by the names that they have here."""
    node = entries[entry]
    if file.parent == _published():  # nothing to ask, and nothing to import for it
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
    """Whether an upstream needs nothing of HyperPyYAML."""
    try:
        return not Document(entries, KINDS).foreign()
    except NodeError:  # of what is trusted, such as a tuple
        return False


def _beside(source, folder):
    """A source, or a list of mirrors; what lies beside the card by its path."""
    if isinstance(source, list):
        return [_beside(mirror, folder) for mirror in source]
    path, mark, sha256 = str(source or "").partition("#sha256=")
    if path and (folder / path).exists():  # published with its card
        return str((folder / path).resolve()) + mark + sha256
    return source


def _read(file):
    try:
        entries = read_yaml(file, "valid YAML")
    except FileError as error:
        raise UnknownUpstream(str(error)) from error
    if not isinstance(entries or {}, dict):
        raise UnknownUpstream(f"'{file}' holds no cards, `name: !new:Class`.")
    for key in [key for key in entries or () if str(key).startswith("_")]:
        del entries[key]
    if not entries:
        raise UnknownUpstream(f"'{file}' holds no cards, `name: !new:Class`.")
    return entries


def _merged(node, overrides):
    """A copy with overrides, free of anchors and merge keys."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(node, dict):
        result = CommentedMap()
        for key, value in [*node.items(), *overrides.items()]:
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                value = _merged(result[key], value)
            else:
                value = _merged(value, {})
            result[key] = value
        return _tagged(result, tag(node))
    if isinstance(node, list):
        return _tagged(CommentedSeq(_merged(item, {}) for item in node), tag(node))
    return copy.copy(node)


def _tagged(node, name):
    if name:
        set_tag(node, name)
    return node
