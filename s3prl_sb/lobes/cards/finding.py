"""Card files: names of cards, their files, and the notes at the head of a file.

Authors
 * The s3prl_sb developers, 2026
"""

import difflib
import fnmatch
import functools
import os
import re
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import tag
from s3prl_sb.lobes.cards.places import (
    ADDRESS,
    IS_FILE,
    WEIGHTS,
    card_of,
    is_missing,
    named,
    title_of,
)
from s3prl_sb.lobes.cards.sums import summands
from s3prl_sb.storage.files import FileError, read_yaml
from s3prl_sb.storage.yaml_texts import yaml_of


class UnknownUpstream(UserError, ValueError):
    """A name that no card has."""


def names(pattern: str = "*") -> list[str]:
    """Returns the names of the published cards.

    Arguments
    ---------
    pattern : str
        Shell-style wildcards: ``"hubert*"``.

    Returns
    -------
    list of str

    Example
    -------
    >>> names("fbank*")
    ['fbank', 'fbank_no_cmvn']
    """
    return fnmatch.filter(sorted(_index()), pattern)


def title(name) -> str:
    """Returns a short name of an upstream, for folders and tables.

    Arguments
    ---------
    name : str
        See :func:`~s3prl_sb.lobes.cards.loading.load`.

    Returns
    -------
    str

    Example
    -------
    >>> title("hubert_base"), title("cards/mine.yaml"), title("cards/mine.yaml:big")
    ('hubert_base', 'mine', 'big')
    >>> title("my_model/card.yaml"), title("pretraining/tera/1337/card.yaml")
    ('my_model', 'tera_1337')
    >>> title("facebook/hubert-base-ls960"), title("a.org/b.pt+mel")
    ('hubert-base-ls960', 'b+mel')
    >>> title("anna/tera@v2")
    'tera@v2'
    """
    if str(name) in _index():
        return str(name)
    if parts := summands(name):
        return "+".join(map(title, parts))
    if (place := named(str(name))) is not None:
        return title_of(place)
    if (checkpoint := without_card(name)) is not None:
        return WEIGHTS.sub("", Path(checkpoint.partition("#sha256=")[0]).name)
    name = card_of(str(name))
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if path.stem != "card":
            return path.stem
        # s3prl-sb convert writes a folder with its card, pre-training one for a seed.
        folder = path.resolve().parent
        is_seed = folder.name.isdigit() and folder.parent.name
        return f"{folder.parent.name}_{folder.name}" if is_seed else folder.name
    return name.rpartition(".yaml:")[2]


def card_file(name) -> Path:
    """Returns the file that has a card.

    Arguments
    ---------
    name : str
        Name or file of a card, see :func:`~s3prl_sb.lobes.cards.loading.load`.

    Returns
    -------
    pathlib.Path

    Example
    -------
    >>> card_file("fbank").name
    'features.yaml'
    """
    return locate(name)[0]


def published() -> list[Path]:
    """Returns the published card files, sorted by name.

    Example
    -------
    >>> [file.name for file in published()][:2]
    ['acoustic_encoder.yaml', 'apc.yaml']
    """
    return sorted(_folder().glob("*.yaml"))


def is_published(file) -> bool:
    """Returns whether a card file is one of this package.

    Arguments
    ---------
    file : pathlib.Path

    Example
    -------
    >>> is_published(card_file("fbank")), is_published(Path("mine.yaml"))
    (True, False)
    """
    return file.parent == _folder()


def locate(name):
    """Returns the file of a card, and its entry in it.

    Arguments
    ---------
    name : str
        Name or file of a card, see :func:`~s3prl_sb.lobes.cards.loading.load`.

    Returns
    -------
    file : pathlib.Path
    entry : str or None
        None: the name is that of a file, whose only card is meant.

    Raises
    ------
    UnknownUpstream
        If there is no such card or file; the error has the nearest names.

    Example
    -------
    >>> locate("fbank")[1]
    'fbank'
    """
    if summands(name):  # a card of the fusions, which no file has to contain
        return _folder() / "fusion.yaml", str(name)
    name = _card_of(str(name))
    path, _, entry = name.partition(".yaml:")
    if entry or name.endswith((".yaml", ".yml")):
        file = Path(path + ".yaml" if entry else name).expanduser()
        if not file.is_file():
            raise UnknownUpstream(
                f"There is no card file '{file}'. Give the path of one, or a name from "
                "`s3prl-sb upstreams`."
            )
        return file, entry or None
    index = _index()
    if name not in index:
        near = difflib.get_close_matches(name.lower(), index, n=5, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}? " if near else ""
        if is_missing(name):
            hint += f"The one on the hub is {name}@main, as the folder is here. "
        raise UnknownUpstream(
            f"Unknown upstream '{name}'. {hint}All of them: `s3prl-sb "
            "upstreams`. For your own, give the path of its card, of the folder of its "
            "pre-training, or of its checkpoint; or owner/name of one on the hub."
        )
    return index[name], name


def without_card(name) -> str | None:
    """Returns what names a checkpoint that has no card.

    Arguments
    ---------
    name : str
        See :func:`~s3prl_sb.lobes.cards.loading.load`.

    Returns
    -------
    str or None
        Absolute path, address or id; None for a card, or for what is not there.

    Example
    -------
    >>> without_card("fbank"), without_card("mine.yaml"), without_card("http://a.org/b")
    (None, None, 'http://a.org/b')
    """
    name = str(name)
    if name in _index() or IS_FILE.search(_card_of(name)):
        return None
    path = Path(name).expanduser()
    if path.exists():
        return str(path.absolute())
    return name if ADDRESS.fullmatch(name) and not is_missing(name) else None


def _card_of(name):
    """Returns the card in a folder, unless a published card has the name."""
    return name if name in _index() else card_of(name)


def read_cards(file):
    """Reads the entries of a card file, without its notes.

    Arguments
    ---------
    file : pathlib.Path

    Returns
    -------
    dict
        Names to YAML nodes.

    Raises
    ------
    UnknownUpstream
        If the file has no entries.

    Example
    -------
    >>> list(read_cards(card_file("pase_plus")))
    ['pase_plus']
    """
    if is_published(file):
        return _published_cards(file, file.stat().st_mtime_ns)
    return _cards(file)


def _cards(file):
    try:
        entries = read_yaml(file, "valid YAML")
    except FileError as error:
        raise UnknownUpstream(str(error)) from error
    if isinstance(entries, dict):
        for key in [key for key in entries if str(key).startswith("_")]:
            del entries[key]
    if not entries or not isinstance(entries, dict):
        raise UnknownUpstream(f"'{file}' holds no cards, `name: !new:Class`.")
    return entries


@functools.lru_cache(maxsize=64)
def _published_cards(file, changed):
    return _cards(file)


def only_entry(entries, file, name):
    """Returns the name of the only card among the entries of a file.

    Entries that are not cards may be there for the card to refer to.

    Arguments
    ---------
    entries : dict
        Result of :func:`read_cards`.
    file : pathlib.Path
    name : str
        Name of the file as the user wrote it, for errors.

    Returns
    -------
    str

    Raises
    ------
    UnknownUpstream
        If there are no cards, or several.

    Example
    -------
    >>> file = card_file("pase_plus")
    >>> only_entry(read_cards(file), file, "pase.yaml")
    'pase_plus'
    """
    cards = [key for key, node in entries.items() if is_card_node(node)]
    if len(cards) == 1 or len(entries) == 1:
        return cards[0] if cards else next(iter(entries))
    if not cards:
        raise UnknownUpstream(f"'{file}' holds no cards, `name: !new:Class`.")
    raise UnknownUpstream(
        f"'{file}' holds {len(cards)} cards. Choose one: "
        + ", ".join(f"{name}:{key}" for key in cards)
    )


def is_card_node(node) -> bool:
    """Returns whether a YAML node builds an object.

    Example
    -------
    >>> is_card_node(3)
    False
    """
    return tag(node).startswith("!new:")


def notes(file, key) -> dict:
    """Returns a mapping at the head of a card file, such as ``_about``.

    Entries of a card file that start with an underscore are not cards. The block
    is parsed by itself: it can use its own anchors, but not those of other entries.

    Arguments
    ---------
    file : pathlib.Path
    key : str
        ``_about``: facts for the table of upstreams, see
        :mod:`s3prl_sb.lobes.cards.catalogue`; ``_hub``: names of S3PRL's loaders, see
        :mod:`s3prl_sb.lobes.cards.hub`; ``_test``: what the tests build, see
        ``tests/contract/test_upstreams.py``.

    Returns
    -------
    dict
        Empty if the file does not have the key.

    Example
    -------
    >>> notes(card_file("hubert"), "_about")["contentvec*"]
    {'paper': 'https://arxiv.org/abs/2204.09224'}
    """
    return _block(file.read_text("utf-8"), key)


def matching(patterns, name):
    """Returns the values of the patterns that match the name of a card, in order.

    Arguments
    ---------
    patterns : dict
        Shell-style wildcards to values.
    name : str
        Name or file of a card.

    Returns
    -------
    list

    Example
    -------
    >>> matching({"*": 1, "fbank*": 2, "hubert*": 3}, "fbank_no_cmvn")
    [1, 2]
    """
    short, fits = title(name), fnmatch.fnmatchcase
    return [value for pattern, value in patterns.items() if fits(short, pattern)]


@functools.lru_cache(maxsize=128)
def _block(text, key):
    block = re.search(rf"^{key}:.*\n(?:(?:[ \t#].*)?\n)*", text + "\n", re.M)
    return (yaml_of(block[0], "safe")[key] if block else None) or {}


def _folder():
    return resources.folder("hparams") / "upstreams"


def _index():
    """Returns a dict from the name of every published card to its file."""
    files = [file for file in os.scandir(_folder()) if file.name.endswith(".yaml")]
    state = sorted((file.name, file.stat().st_mtime_ns) for file in files)
    return _index_of(_folder(), tuple(state))


@functools.lru_cache(maxsize=4)
def _index_of(folder, state):
    texts = {folder / name: (folder / name).read_text("utf-8") for name, _ in state}
    names_in = re.compile(r"^([A-Za-z]\w*):", re.M).findall
    return {name: file for file in texts for name in names_in(texts[file])}
