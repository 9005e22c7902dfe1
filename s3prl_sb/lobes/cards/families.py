"""Families of checkpoints that have no card: each class is asked whether it reads one.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from s3prl_sb import own
from s3prl_sb.errors import UserError
from s3prl_sb.foreign import UPSTREAM, find_class
from s3prl_sb.lobes.cards.finding import UnknownUpstream, locate, published
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.lobes.checkpoints.fetch import fetch, fetch_chosen
from s3prl_sb.lobes.checkpoints.huggingface_architecture import needed_files
from s3prl_sb.lobes.checkpoints.reading import read_json

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

#: Modules that read folders of Hugging Face with a ``model_type`` of another name.
TRANSFORMERS = ("ast", "codecs", "huggingface")


class SourceError(UserError, ValueError):
    """Error of a source that no family can read, with the reasons."""


def classes(source: str) -> list[str]:
    """Returns the classes of the published cards, in the order to try them.

    Classes come first if their name is part of the checkpoint's name, of its folder's
    name or of the ``model_type`` of a Hugging Face folder, longer names before shorter
    ones. The others follow by the names of their modules. The class of the library
    transformers comes last, because it also reads files of other families.

    Arguments
    ---------
    source : str
        The checkpoint.

    Returns
    -------
    list of str
        Dotted names. For a Hugging Face folder, only the classes that may read it.

    Example
    -------
    >>> classes("ckpts/tera_960hr.ckpt")[0]
    's3prl_sb.lobes.upstreams.mockingjay.Tera'
    """
    config = Path(source).expanduser() / "config.json"
    kind = read_json(config).get("model_type") if config.is_file() else None
    hint = str(kind or "".join(str(source).split("/")[-2:])).lower()
    hint = re.sub("[^a-z0-9]", "", hint)

    def parts(tag):
        return tag.lower().replace("_", "").split(".")[-2:]

    def match(tag):
        return max((len(part) for part in parts(tag) if part in hint), default=0)

    def order(tag):
        module, name = parts(tag)
        # Files of wav2vec 2.0's relatives are tried as wav2vec 2.0 first, the base of
        # all of them. A module with several classes has the name of the first.
        rank = {"wav2vec2": 0, "huggingface": 2}.get(module, 1)
        return -match(tag), name not in hint, rank, module, name != module, name

    cards = "".join(file.read_text("utf-8") for file in published())
    tags = sorted(set(re.findall(r"^\w+:.*!new:([\w.]+)", cards, re.M)), key=order)
    if not kind:
        return tags
    return [tag for tag in tags if match(tag) or parts(tag)[0] in TRANSFORMERS]


def of_checkpoint(source, **options) -> "Upstream":
    """Builds the upstream of a checkpoint without a card.

    Arguments
    ---------
    source : str or list of str
        See :func:`~s3prl_sb.lobes.checkpoints.fetch.fetch`.
    **options
        Arguments of the class.

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream

    Raises
    ------
    SourceError
        If no class can read the checkpoint, or the class has no such option.
    """
    path = _local_path(source)
    metadata = converted(path) if path.is_file() else None
    # The folder of an id says more than the id.
    tags = classes(path if (path / "config.json").is_file() else source)
    if metadata and metadata["class"] not in tags:  # a file must not choose imports
        raise SourceError(
            f"'{path}' says that it is of {metadata['class']!r}, which no published "
            "card has. Give the card of that class: --upstream card.yaml."
        )
    return _first_that_reads(path, [metadata["class"]] if metadata else tags, options)


def _local_path(source):
    try:
        return fetch(fetch_chosen(source, needed_files)).absolute()
    except FileNotFoundError as error:
        try:
            locate(source)
        except UnknownUpstream as unknown:
            raise SourceError(f"{error} Nor is it a card: {unknown}") from error
        raise


def class_of(source: str) -> str:
    """Returns the dotted name of the class that reads a checkpoint without a card.

    Arguments
    ---------
    source : str
        See :func:`of_checkpoint`, also for the errors.

    Returns
    -------
    str
    """
    path = _local_path(source)
    return _class_of(str(path), path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _class_of(path, changed):
    with torch.random.fork_rng(devices=[]):  # its weights are random at first
        return own.plain_name(type(of_checkpoint(path)))


def _first_that_reads(path, tags, options):
    """Builds an upstream of the first class that reads a file and has the options."""
    refusals = {}
    for tag in tags:
        try:
            kind = find_class(tag, UPSTREAM)
            parameters = inspect.signature(kind.__init__).parameters
            if "source" not in parameters:
                continue
            unknown = ", ".join(sorted(options.keys() - parameters))
            if not unknown:
                return kind(source=str(path), **options)
            text = f"takes no {unknown}"
        except Exception as error:  # a class can fail anywhere on a wrong format
            text = " ".join(str(error).replace(f"'{path}'", "it").split())
            if type(error).__module__ == "builtins":
                text = f"{type(error).__name__}: {text}"
        refusals.setdefault(text, []).append(tag.rpartition(".")[2])
    # Classes that only take files say nothing useful about a folder.
    absent = [text for text in refusals if text.startswith("No checkpoint at it")]
    for text in absent if len(absent) < len(refusals) else ():
        del refusals[text]
    if len(refusals) == 1:
        ((text, kinds),) = refusals.items()
        raise SourceError(f"'{path}', {' or '.join(kinds)}: {text}")
    raise SourceError(
        f"No family can read '{path}'. They say (with --upstream CARD one says all):\n"
        + "\n".join(
            f"- {', '.join(kinds)}: {text[:160]}" for text, kinds in refusals.items()
        )
    )
