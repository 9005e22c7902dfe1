"""Opening any source: the card it is, or the family that can read it.

Authors
 * The s3prl_sb developers, 2026
"""

import inspect
import os
import re
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.foreign import UPSTREAM, find_class
from s3prl_sb.lobes.cards.finding import UnknownUpstream, names
from s3prl_sb.lobes.cards.loading import card, load
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.lobes.checkpoints.fetch import fetch
from s3prl_sb.lobes.checkpoints.reading import read_json

#: Modules that read folders of transformers whose ``model_type`` is not their name.
TRANSFORMERS = ("ast", "huggingface")


class SourceError(ValueError):
    """A source that nothing can read, and why."""


def classes(source):
    """The classes of the published cards, in the order in which they are asked.

    First those whose name is in the checkpoint's or its folder's, or in the
    ``model_type`` of a folder of Hugging Face, the longest before others; then by the
    names of their modules. Last that of the library transformers, which reads much
    that the others do too.

    Arguments
    ---------
    source : str
        The checkpoint.

    Returns
    -------
    list of str
        Their dotted names. Of a folder of Hugging Face those alone that may read it.

    Example
    -------
    >>> classes("ckpts/tera_960hr.ckpt")[0]
    's3prl_sb.lobes.upstreams.mockingjay.Tera'
    """
    config = Path(source).expanduser() / "config.json"
    kind = read_json(config).get("model_type") if config.is_file() else None
    told = str(kind or "".join(str(source).split("/")[-2:])).lower()
    told = re.sub("[^a-z0-9]", "", told)

    def parts(tag):
        return tag.lower().replace("_", "").split(".")[-2:]

    def match(tag):
        return max((len(part) for part in parts(tag) if part in told), default=0)

    def order(tag):
        module, name = parts(tag)
        # Whose kin says no more is wav2vec 2.0's, which all of that kin are built on;
        # a module of several classes is called after the first of them.
        rank = {"wav2vec2": 0, "huggingface": 2}.get(module, 1)
        return -match(tag), name not in told, rank, module, name != module, name

    files = (resources.folder("hparams") / "upstreams").glob("*.yaml")
    cards = "".join(file.read_text("utf-8") for file in files)
    found = sorted(set(re.findall(r"^\w+:.*!new:([\w.]+)", cards, re.M)), key=order)
    if not kind:
        return found
    return [tag for tag in found if match(tag) or parts(tag)[0] in TRANSFORMERS]


def open_source(source, trust=False, **options):
    """The upstream of a card or of any checkpoint, whatever its family.

    Arguments
    ---------
    source : str or list of str
        The name or the file of a card; or a checkpoint: a file, a folder, an
        address or an id of Hugging Face, or several of the same, which goes to
        the first class that can read it, see :func:`classes`.
    trust : bool
        As for :func:`s3prl_sb.lobes.upstreams.load`.
    **options
        Arguments of the class, or those of the card to replace.

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream

    Raises
    ------
    SourceError
        If nothing can read the checkpoint, or what can takes no such option.

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
        source = os.fspath(source)
        if is_card(source):
            return load(source, trust=trust, **options)
    return of_checkpoint(source, **options)


def is_card(source):
    """Whether a source is the name or the file of a card."""
    lies_here = Path(source).expanduser().exists()
    return (not lies_here and source in names()) or re.search(
        r"\.ya?ml(:\w+)?$", source
    ) is not None


def of_checkpoint(source, **options):
    """The upstream of a checkpoint without a card: as :func:`open_source`."""
    path = _fetched(source)
    about = converted(path) if path.is_file() else None
    asked = classes(source)
    if about and about["class"] not in asked:  # a file may not say what is imported
        raise SourceError(
            f"'{path}' says that it is of {about['class']!r}, which no published card "
            "has. Give the card of that class: --upstream card.yaml."
        )
    return _first_that_reads(path, [about["class"]] if about else asked, options)


def _fetched(source):
    try:
        return fetch(source).absolute()
    except FileNotFoundError as error:
        try:
            card(source)
        except UnknownUpstream as unknown:
            raise SourceError(f"{error} Nor is it a card: {unknown}") from error
        raise


def _first_that_reads(path, asked, options):
    """An upstream of the first class that accepts a file, and takes the options."""
    refusals = {}
    for tag in asked:
        try:
            kind = find_class(tag, UPSTREAM)
            known = inspect.signature(kind.__init__).parameters
            if "source" not in known:
                continue
            unknown = ", ".join(sorted(options.keys() - known))
            if not unknown:
                return kind(source=str(path), **options)
            text = f"takes no {unknown}"
        except Exception as error:  # of the wrong format a class may trip over
            text = " ".join(str(error).replace(f"'{path}'", "it").split())
            if type(error).__module__ == "builtins":
                text = f"{type(error).__name__}: {text}"
        refusals.setdefault(text, []).append(tag.rpartition(".")[2])
    # Where there is a folder, those that take files alone have nothing to say of it.
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
