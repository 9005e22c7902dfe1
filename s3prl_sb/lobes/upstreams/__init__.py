"""Upstreams: self-supervised speech models, by the names of their cards.

A card is an entry of a YAML file that builds a module::

    hubert_base: !new:s3prl_sb.lobes.upstreams.hubert.Hubert
        source: https://…/hubert_base_ls960.pt

The published ones lie in ``hparams/upstreams``; a card of your own is a file
of the same form.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import difflib
import fnmatch
import io
import re
import sys
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.files import FileError, read_yaml

__all__ = ["UnknownUpstream", "card", "card_file", "load", "names", "title"]


class UnknownUpstream(UserError, ValueError):
    """A name that no card has."""


def load(name, **overrides):
    """Builds an upstream.

    Arguments
    ---------
    name : str
        The name of a card, or the path of a card file of your own
        (``mine.yaml``, or ``mine.yaml:entry`` where it holds several).
    **overrides
        Arguments of the card to replace: ``source="my.ckpt"``,
        ``freeze=False``, …

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream

    Example
    -------
    >>> import torch
    >>> mel = load("mel")
    >>> hidden_states, lens = mel(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape[-1] == mel.output_size
    (1, True)
    """
    from hyperpyyaml import load_hyperpyyaml

    return load_hyperpyyaml(_dump({"upstream": card(name, **overrides)}))["upstream"]


def card(name, **overrides):
    """The YAML node of an upstream, for ``!applyref`` in a recipe.

    Arguments
    ---------
    name : str
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

    Example
    -------
    >>> card("fbank", freeze=True).tag.value
    '!new:s3prl_sb.lobes.upstreams.features.KaldiFeatures'
    """
    file, entry = _find(str(name))
    entries = _read(file)
    if entry is None:
        if len(entries) != 1:
            raise UnknownUpstream(
                f"'{file}' holds {len(entries)} cards. Choose one: "
                + ", ".join(f"{name}:{key}" for key in entries)
            )
        entry = next(iter(entries))
    if entry not in entries:
        raise UnknownUpstream(
            f"'{file}' has no card '{entry}'. It has: " + ", ".join(entries)
        )
    node = entries[entry]
    tag = getattr(getattr(node, "tag", None), "value", None) or ""
    if not tag.startswith("!new:"):
        raise UnknownUpstream(f"'{entry}' in '{file}' is not a !new: node.")
    if isinstance(node, list):
        raise UnknownUpstream(f"'{entry}' in '{file}': give its arguments by name.")
    if not isinstance(node, dict):  # a tag without arguments
        node = {}
    node = _merged(node, overrides)
    if "source" in node and "source" not in overrides:
        node["source"] = _beside(node["source"], file.parent)
    return _tagged(node, tag)


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


def _index():
    """The name of every card, and its file."""
    return {
        match: file
        for file in sorted((resources.folder("hparams") / "upstreams").glob("*.yaml"))
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
        # A card of one's own names a class of one's own: let it lie beside it.
        folder = str(file.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)
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
    return {k: v for k, v in (entries or {}).items() if not k.startswith("_")}


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
        tag = getattr(getattr(node, "tag", None), "value", None)
        return _tagged(result, tag) if tag else result
    if isinstance(node, list):
        result = CommentedSeq(_merged(item, {}) for item in node)
        tag = getattr(getattr(node, "tag", None), "value", None)
        return _tagged(result, tag) if tag else result
    return copy.copy(node)


def _tagged(node, tag):
    node.yaml_set_ctag(_tag(tag))
    return node


def _tag(value):
    from ruamel.yaml.tag import Tag

    return Tag(suffix=value)


def _dump(entries):
    import ruamel.yaml

    stream = io.StringIO()
    ruamel.yaml.YAML().dump(entries, stream)
    return stream.getvalue()
