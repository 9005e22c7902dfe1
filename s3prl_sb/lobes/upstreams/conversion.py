"""Any supported checkpoint as safetensors with a card: ``s3prl-sb convert``.

A conversion is a folder of two files. ``model.safetensors`` holds the weights
under our names, and the configuration as metadata, from which
:func:`~s3prl_sb.lobes.upstreams.building.read_source` builds the network
again. ``card.yaml`` names the class and its arguments, so that the folder
serves wherever the name of an upstream does: ``--upstream folder/card.yaml``.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import dataclasses
import inspect
import io
import json
import os
import re
from pathlib import Path

import torch

from s3prl_sb import own, resources, trust
from s3prl_sb.errors import printable
from s3prl_sb.files import write_safetensors, write_text
from s3prl_sb.foreign import UPSTREAM, find_class
from s3prl_sb.lobes.upstreams import UnknownUpstream, card, card_file, load, names
from s3prl_sb.lobes.upstreams import title as title_of
from s3prl_sb.lobes.upstreams.building import converted
from s3prl_sb.lobes.upstreams.checkpoints import read_json
from s3prl_sb.lobes.upstreams.fetch import fetch
from s3prl_sb.parts import Part, recover
from s3prl_sb.yaml_texts import yaml_parser

MODEL, CARD = "model.safetensors", "card.yaml"
#: How an upstream is loaded to be converted: as its checkpoint is.
AS_IT_IS = {"freeze": True, "precision": "fp32", "adapter": None}
#: Modules that read folders of transformers whose ``model_type`` is not their name.
TRANSFORMERS = ("ast", "huggingface")


class ConversionError(ValueError):
    """What cannot be converted, and why."""


def convert(source, destination, upstream=None, force=False):
    """Writes a checkpoint as safetensors with a card, and verifies both.

    Arguments
    ---------
    source : str
        The checkpoint: a file, a folder, an address or an id of Hugging Face.
        Or the name or the file of a card, for its own checkpoint.
    destination : str
        Folder to make. It appears when it is whole.
    upstream : str, optional
        Name or file of a card of the checkpoint's family; its other arguments
        go along. Default: the first class that can read the checkpoint, see
        :func:`classes`.
    force : bool
        Whether an earlier conversion there may be replaced.

    Returns
    -------
    card : pathlib.Path
        What to give as ``--upstream``.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        As loaded from it.

    Raises
    ------
    ConversionError
        If nothing can read the checkpoint, or it does not come back the same.

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
        _check_destination(destination, force)  # another may have come first
        part.path.mkdir()
        about = {"class": _tag(node), "config": _config(model)}
        _save(network, about, part.path / MODEL)
        is_own = _copy_module(_tag(node), file, part.path)
        text = f"# Written by s3prl-sb convert {_told(source)}\n{_yaml(name, node)}"
        write_text(part.path / CARD, text)
        with trust.given(is_own):  # it has just been run from elsewhere
            again = _verified(part.path / CARD, model)
        part.publish()
    return destination / CARD, again


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
    ConversionError
        If nothing can read the checkpoint, or what can takes no such option.

    Example
    -------
    >>> open_source("mel", n_mels=40).output_size
    40
    """
    if not isinstance(source, (list, tuple)):
        if not source or not isinstance(source, (str, os.PathLike)):
            raise ConversionError(
                f"source: {source!r} names no model. Give a card (`s3prl-sb upstreams` "
                "lists them), a file, a folder, an address or an id of Hugging Face."
            )
        source = os.fspath(source)
        if _is_card(source):
            return load(source, trust=trust, **options)
    return _of_checkpoint(source, **options)


def _is_card(source):
    lies_here = Path(source).expanduser().exists()
    return (not lies_here and source in names()) or re.search(
        r"\.ya?ml(:\w+)?$", source
    ) is not None


def _of_checkpoint(source, **options):
    """The upstream of a file or a folder without a card."""
    path = _fetched(source)
    about = converted(path) if path.is_file() else None
    asked = classes(source)
    if about and about["class"] not in asked:  # a file may not say what is imported
        raise ConversionError(
            f"'{path}' says that it is of {about['class']!r}, which no published card "
            "has. Give the card of that class: --upstream card.yaml."
        )
    return _first_that_reads(path, [about["class"]] if about else asked, options)


def _loaded(source, upstream):
    """Card's node, name, upstream and file (None: no card) of a checkpoint."""
    if upstream is not None:
        options = {"source": _resolved(source)}
    elif _is_card(source):
        upstream, options = source, {}
    if upstream is not None:
        node = card(upstream, **options)
        fixed = {k: v for k, v in AS_IT_IS.items() if k in node}
        model = load(upstream, **options, **fixed)
        return node, title_of(upstream), model, card_file(upstream)
    model = _of_checkpoint(source)
    kind = type(model)
    node = _node(f"!new:{kind.__module__}.{kind.__qualname__}")
    return node, _name(source), model, None


def _resolved(source):
    """Paths in a card count from the card, those given here from where we are."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.exists() else source


def _fetched(source):
    try:
        return fetch(source).absolute()
    except FileNotFoundError as error:
        try:
            card(source)
        except UnknownUpstream as unknown:
            raise ConversionError(f"{error} Nor is it a card: {unknown}") from error
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
        raise ConversionError(f"'{path}', {' or '.join(kinds)}: {text}")
    raise ConversionError(
        f"No family can read '{path}'. They say (with --upstream CARD one says all):\n"
        + "\n".join(
            f"- {', '.join(kinds)}: {text[:160]}" for text, kinds in refusals.items()
        )
    )


def _node(tag):
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.tag import Tag

    node = CommentedMap()
    node.yaml_set_ctag(Tag(suffix=tag))
    return node


def _tag(node):
    """The class of a card, as its author writes it."""
    return own.plain_names(node.tag.value.removeprefix("!new:"))


def _name(source):
    """The name of a card for a checkpoint."""
    last = re.split("[?#]", str(source))[0].rstrip("/").rsplit("/", 1)[-1]
    name = re.sub(r"\W+", "_", re.sub(r"\.[a-z]+$", "", last)).strip("_")
    return name if name[:1].isalpha() else f"model_{name}".rstrip("_")


def _told(source):
    """A source in a comment, without what may be private in it."""
    told = str(source).split("?")[0]
    told = told if "://" in told else told.rstrip("/").rsplit("/", 1)[-1]
    return printable(told)


def _config(model):
    config = getattr(model, "config", None)
    config = dataclasses.asdict(config) if dataclasses.is_dataclass(config) else config
    try:
        return json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise ConversionError(
            f"The configuration of {type(model).__name__} does not fit into JSON: "
            f"{error}"
        ) from error


def _save(network, about, path):
    """Weights, each in a storage of its own."""
    weights, storages = {}, set()
    for name, tensor in network.state_dict().items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.nbytes() != tensor.nbytes or storage.data_ptr() in storages:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        weights[name] = tensor
    write_safetensors(path, weights, about)


def _yaml(name, node):
    """The text of a card of the conversion."""
    result = _node(f"!new:{_tag(node)}")
    result["source"] = MODEL
    for key, value in node.items():
        # Other files, a dictionary say, are in the network by now.
        if key != "source" and not _is_file(value):
            result[key] = value
    stream = io.StringIO()
    yaml = yaml_parser()
    yaml.indent(mapping=4, sequence=4, offset=2)
    yaml.dump({name: result}, stream)
    return stream.getvalue()


def _is_file(value):
    values = value if isinstance(value, list) else [value]
    return any(
        isinstance(v, str)
        and (re.match("https?://", v) or (v and Path(v).expanduser().is_file()))
        for v in values
    )


def _copy_module(tag, file, folder):
    """Takes along the class of a card of one's own, with all that it imports from its
    folder; whether there is one."""
    source = file.parent.resolve() if file else None
    name = (
        own.place(source, tag) if source and not tag.startswith("s3prl_sb.") else None
    )
    if name is not None:
        own.copy(source, name, folder)
    return name is not None


def _verified(path, model):
    """The upstream of a conversion, if its features are the original's."""
    try:
        fixed = {k: v for k, v in AS_IT_IS.items() if k in card(path)}
        again = load(path, **fixed)
    except Exception as error:  # a class of one's own may raise anything
        raise ConversionError(
            f"{type(model).__name__} cannot read what was converted, so nothing was "
            "written. Does it read its source through building.read_source? "
            f"{error}"
        ) from error
    for one, other in zip(_features(model), _features(again)):
        # Not a number is one here.
        if not torch.allclose(one, other, rtol=0, atol=0, equal_nan=True):
            raise ConversionError(
                f"{type(model).__name__} gives other features from what was "
                "converted, so nothing was written. Its config and network are not "
                "all that it takes."
            )
    return again


def _features(upstream):
    """Hidden states of noise."""
    # Rounding depends on where weights lie; those of a copy lie as any others'.
    upstream = copy.deepcopy(upstream)
    samples, lens = int(1.3 * upstream.sample_rate), torch.tensor([1.0, 0.4])
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return upstream(0.1 * torch.randn(2, samples, generator=random), lens)[0]


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
