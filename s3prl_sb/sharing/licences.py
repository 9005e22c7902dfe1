"""Licences of the weights in an export, and of the export.

Most exports have the trained head alone: their upstream is frozen, and is downloaded
from where it was published when they are loaded. An export of a fine-tuned upstream, or
of one that was loaded from a local file, has weights of the upstream, which its licence
has to allow. The catalogue of cards knows the licences of published weights.

Authors
 * The s3prl_sb developers, 2026
"""

import re
from collections.abc import Collection
from typing import Any, NamedTuple

from s3prl_sb.errors import UserError
from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.lobes.cards.catalogue import NOT_STATED, about, is_free, is_restricted
from s3prl_sb.lobes.cards.finding import names
from s3prl_sb.lobes.cards.fusing import parts_of
from s3prl_sb.lobes.cards.loading import card
from s3prl_sb.sharing.markdown import plain as in_markdown

#: Licences that the hub knows, by their names there.
KNOWN = (
    "mit apache-2.0 bsd-2-clause bsd-3-clause cc0-1.0 cc-by-4.0 cc-by-sa-4.0 "
    "cc-by-nc-4.0 cc-by-nc-sa-4.0 cc-by-nc-nd-4.0 gpl-3.0 agpl-3.0 lgpl-3.0 mpl-2.0 "
    "openrail unlicense other"
).split()
NO_WEIGHTS = "no weights"
FLAG = "--weights_licence_accepted"
AN_EXPORT = "an export"


class LicenceError(UserError, ValueError):
    """Weights that may not be passed on, as far as is known."""


class Terms(NamedTuple):
    """Terms of the upstream's weights.

    Arguments
    ---------
    licence : str
        Licence in the words of the catalogue, "not stated" or "no weights".
    is_inside : bool
        Whether the export has weights of the upstream.
    upstream : str
        Name of the upstream.
    """

    licence: str
    is_inside: bool
    upstream: str


def terms_of(results: dict[str, Any], files: Collection[str]) -> Terms:
    """Returns the terms of the upstream's weights of an export.

    Arguments
    ---------
    results : dict
        Content of its ``results.json``.
    files : collection of str
        Names of its files.

    Returns
    -------
    Terms

    Example
    -------
    >>> model = {"source": None, "trained": "fine-tuned"}
    >>> results = {"upstream": "mine", "upstream_model": model}
    >>> terms_of(results, ["upstream.ckpt"])
    Terms(licence='no weights', is_inside=False, upstream='mine')
    """
    name = str(results.get("upstream"))
    model = results.get("upstream_model") or {}
    source = model.get("source")
    if not source:  # nobody else's weights
        return Terms(NO_WEIGHTS, False, name)
    is_copied = any(file.startswith("upstream_source") for file in files)
    is_tuned = "upstream.ckpt" in files and model.get("trained") == "fine-tuned"
    licence = about(name)["licence"] if _is_published(name, source) else None
    return Terms(licence or NOT_STATED, is_copied or is_tuned, name)


def _is_published(name, source):
    """Returns whether a source is that of the card of a name."""
    if name not in names():
        return False
    node = card(name)
    parts = {label: plain(p.get("source")) for label, p in parts_of(node).items()}
    return source in (plain(node.get("source")), parts)


def decided(
    terms: Terms,
    licence: str | None = None,
    is_accepted: bool = False,
    what: str = AN_EXPORT,
) -> dict[str, str]:
    """Returns the licence of an upload, as the front matter of its card has it.

    Arguments
    ---------
    terms : Terms
        Terms of the upstream's weights.
    licence : str, optional
        Licence that the user gives the upload.
    is_accepted : bool
        Whether the user answers for passing the weights on.
    what : str
        Kind of the upload.

    Returns
    -------
    dict
        ``license``, and ``license_name`` for one that the hub does not know. Empty if
        nobody has stated one.

    Raises
    ------
    LicenceError
        If the weights in it may not be passed on, or not under that licence.

    Example
    -------
    >>> decided(Terms("CC-BY-NC-4.0", False, "hf_mms"), "mit")
    {'license': 'mit'}
    >>> decided(Terms("CC-BY-NC-4.0", True, "hf_mms"), is_accepted=True)
    {'license': 'cc-by-nc-4.0'}
    """
    if not terms.is_inside:
        return _entry(licence)
    if not is_free(terms.licence) and not is_accepted:
        restricted = is_restricted(terms.licence)
        known = (
            f"restricts their use: {terms.licence}" if restricted else "is not known"
        )
        hint = ""
        if what == AN_EXPORT:
            hint = (
                " An export with a frozen upstream,\n"
                "loaded from where it is published, holds none of its weights."
            )
        raise LicenceError(
            f"This is {what} with weights of the upstream '{terms.upstream}', or made "
            f"from them, whose licence {known}.\nRead it, and give {FLAG} if it lets "
            f"you pass them on,\nor if they are your own.{hint}"
        )
    theirs = None if terms.licence == NOT_STATED else terms.licence
    if licence and is_restricted(theirs) and not is_restricted(licence):
        raise LicenceError(
            f"--license {licence} grants more than the licence of the weights in it, "
            f"{theirs}. Leave it out."
        )
    return _entry(licence or theirs)


def licence_of_model(licence: dict[str, str]) -> str:
    """Returns a sentence about the licence of a model.

    Arguments
    ---------
    licence : dict
        See :func:`decided`.

    Returns
    -------
    str
    """
    stated = licence.get("license_name") or licence.get("license")
    if not stated:
        return "The licence of this model is not stated."
    return f"Licence of this model: {in_markdown(stated)}."


def _entry(licence):
    if not licence:
        return {}
    if licence.lower() in KNOWN:
        return {"license": licence.lower()}
    return {"license": "other", "license_name": re.sub(r"\W+", "-", licence).lower()}
