"""Upstreams of any source: a card, or a checkpoint of any family.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from s3prl_sb.lobes.cards.families import SourceError, of_checkpoint
from s3prl_sb.lobes.cards.finding import names
from s3prl_sb.lobes.cards.loading import load
from s3prl_sb.lobes.cards.places import IS_FILE, card_of
from s3prl_sb.lobes.cards.sums import summands

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream


def open_source(source, trust: bool = False, **options) -> "Upstream":
    """Builds the upstream of a card, or of a checkpoint of any family.

    Arguments
    ---------
    source : str or list of str
        Name or file of a card, or a folder with ``card.yaml``, also on the Hugging Face
        hub as ``owner/name``; or a checkpoint: a file, a folder, an address, an
        id of Hugging Face, or a list of mirrors. The first class that can read a
        checkpoint gets it, see :func:`~s3prl_sb.lobes.cards.families.classes`.
    trust : bool
        See :func:`s3prl_sb.lobes.upstreams.load`.
    **options
        Arguments of the class, or arguments of the card to replace.

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream

    Raises
    ------
    SourceError
        If no class can read the checkpoint, or the class has no such option.

    Example
    -------
    >>> open_source("mel", n_mels=40).output_size
    40
    """
    if not isinstance(source, (list, tuple)):
        if not source or not isinstance(source, (str, os.PathLike)):
            raise SourceError(
                f"source: {source!r} names no model. Give a card (`s3prl-sb upstreams` "
                "lists them), a file, a folder, an address or an id of Hugging Face."
            )
        source = card_of(os.fspath(source))
        if is_card(source):
            return load(source, trust=trust, **options)
    return of_checkpoint(source, **options)


def is_card(source: str) -> bool:
    """Returns whether a source is the name or the file of a card."""
    is_path = Path(source).expanduser().exists()
    is_name = not is_path and (source in names() or bool(summands(source)))
    return is_name or IS_FILE.search(source) is not None
