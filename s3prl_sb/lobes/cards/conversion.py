"""Conversion of checkpoints to safetensors with a card: ``s3prl-sb convert``.

A conversion is a folder of two files. ``model.safetensors`` has the weights
under our names and the configuration as metadata, from which
:func:`~s3prl_sb.lobes.checkpoints.building.read_source` builds the network
again. ``card.yaml`` names the class and its arguments, so that
``--upstream folder/card.yaml`` works like the name of an upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from s3prl_sb import own
from s3prl_sb.errors import printable
from s3prl_sb.foreign import beside, trust
from s3prl_sb.lobes.cards.families import of_checkpoint
from s3prl_sb.lobes.cards.finding import card_file
from s3prl_sb.lobes.cards.finding import title as title_of
from s3prl_sb.lobes.cards.loading import card, load
from s3prl_sb.lobes.cards.places import CARD, card_of
from s3prl_sb.lobes.cards.sources import is_card
from s3prl_sb.lobes.cards.writing import (
    ConversionError,
    card_text,
    class_of,
    new_node,
    noise_features,
    write_network,
)
from s3prl_sb.storage.files import write_text
from s3prl_sb.storage.parts import Part, recover

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

MODEL = "model.safetensors"
#: Arguments of an upstream that is converted: the weights stay as in the checkpoint.
AS_IT_IS = {"freeze": True, "precision": "fp32", "adapter": None}


def convert(
    source: str, destination: str, upstream: str | None = None, force: bool = False
) -> "tuple[Path, Upstream]":
    """Writes a checkpoint as safetensors with a card, and verifies both.

    Arguments
    ---------
    source : str
        The checkpoint: a file, a folder, an address or an id of Hugging Face.
        Or the name or the file of a card, or a folder with ``card.yaml``, also on the
        hub as ``owner/name``, for the card's own checkpoint.
    destination : str
        Folder to make. It appears when it is complete.
    upstream : str, optional
        Name or file of a card of the checkpoint's family, whose other arguments are
        kept. Default: the first class that can read the checkpoint, see
        :func:`~s3prl_sb.lobes.cards.families.classes`.
    force : bool
        Replaces an earlier conversion in the folder.

    Returns
    -------
    card : pathlib.Path
        Card to give as ``--upstream``.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream loaded from the card.

    Raises
    ------
    SourceError
        If no class can read the checkpoint.
    ConversionError
        If the conversion has other features than the checkpoint, or the destination
        cannot be used.

    Example
    -------
    >>> import tempfile
    >>> tiny = "mine: !new:s3prl_sb.lobes.upstreams.mockingjay.Tera\\n"
    >>> tiny += "    config: {transformer: {hidden_size: 24, num_hidden_layers: 1}}\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "mine.yaml").write_text(tiny)
    ...     card, upstream = convert(folder + "/mine.yaml", folder + "/converted")
    ...     sorted(path.name for path in card.parent.iterdir())
    ['card.yaml', 'model.safetensors']
    """
    source = card_of(source)
    destination = Path(destination).expanduser().resolve()
    recover(destination)
    _check_destination(destination, force)
    node, name, model, file = _loaded(source, upstream)
    network = getattr(model, "network", None)
    if not isinstance(network, torch.nn.Module) or not network.state_dict():
        raise ConversionError(
            f"'{upstream or source}' is a {type(model).__name__}, which has no "
            "weights: there is nothing to convert."
        )
    with Part(destination) as part:
        _check_destination(destination, force)  # another process may be faster
        part.path.mkdir()
        write_network(part.path / MODEL, model, class_of(node))
        is_custom = _copy_module(class_of(node), file, part.path)
        text = f"# Written by s3prl-sb convert {_public(source)}\n"
        text += card_text(name, node, MODEL)
        write_text(part.path / CARD, text)
        with trust.trusting(is_custom):  # the original has already run
            converted = _verified(part.path / CARD, model)
        part.publish()
    return destination / CARD, converted


def _loaded(source, upstream):
    """Returns the card's node, name, upstream and file (None: no card)."""
    if upstream is not None:
        options = {"source": _resolved(source)}
    elif is_card(source):
        upstream, options = source, {}
    if upstream is not None:
        node = card(upstream, **options)
        fixed = {k: v for k, v in AS_IT_IS.items() if k in node}
        model = load(upstream, **options, **fixed)
        return node, title_of(upstream), model, card_file(upstream)
    model = of_checkpoint(source)
    return new_node(f"!new:{own.plain_name(type(model))}"), _name(source), model, None


def _resolved(source):
    """Returns a source with its full path: paths in a card are relative to the card."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _name(source):
    """Returns the name of a card for a checkpoint."""
    last = re.split("[?#]", str(source))[0].rstrip("/").rsplit("/", 1)[-1]
    name = re.sub(r"\W+", "_", re.sub(r"\.[a-z]+$", "", last)).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".rstrip("_")


def _public(source):
    """Returns a source for a comment, without its folder and query."""
    text = str(source).split("?")[0]
    text = text if "://" in text else text.rstrip("/").rsplit("/", 1)[-1]
    return printable(text)


def _copy_module(tag, file, folder):
    """Copies a user-defined class and the modules that it imports from its folder;
    returns whether the class is user-defined."""
    name = file and beside(tag, file.parent.resolve())
    if name:
        own.copy(file.parent, name, folder)
    return bool(name)


def _verified(path, model):
    """Returns the upstream of a conversion, if its features equal the original's."""
    try:
        fixed = {k: v for k, v in AS_IT_IS.items() if k in card(path)}
        converted = load(path, **fixed)
    except Exception as error:  # a user-defined class may raise anything
        raise ConversionError(
            f"{type(model).__name__} cannot read what was converted, so nothing was "
            "written. Does it read its source through building.read_source? "
            f"{error}"
        ) from error
    for one, other in zip(noise_features(model), noise_features(converted)):
        # NaN equals NaN here.
        if not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
            raise ConversionError(
                f"{type(model).__name__} gives other features from what was "
                "converted, so nothing was written. Its config and network are not "
                "all that it takes."
            )
    return converted


# ------------------------------------------------------------------ destination
def _check_destination(folder, force):
    if folder.exists() and not folder.is_dir():
        raise ConversionError(f"'{folder}' is a file.")
    present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if present and not force:
        raise ConversionError(
            f"'{folder}' is not empty. --force replaces a conversion in it, and "
            "leaves other files."
        )
