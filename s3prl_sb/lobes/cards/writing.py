"""Files of a network with its card: the format of ``s3prl-sb convert``.

The weights are in a safetensors file under our names, with the class and the
configuration as metadata, from which
:func:`~s3prl_sb.lobes.checkpoints.building.read_source` builds the network again. The
card names the class and its arguments.

Authors
 * The s3prl_sb developers, 2026
"""

import copy
import dataclasses
import io
import json
import os
from pathlib import Path
from typing import Any

import torch

from s3prl_sb import own
from s3prl_sb.foreign.tags import set_tag
from s3prl_sb.lobes.cards.families import SourceError
from s3prl_sb.storage.tensor_files import write_safetensors
from s3prl_sb.storage.yaml_texts import yaml_parser


class ConversionError(SourceError):
    """Error of a network that cannot be converted, with the reason."""


def new_node(tag: str) -> Any:
    """Returns the YAML node of an object without arguments.

    Arguments
    ---------
    tag : str
        ``!new:`` and a class.

    Returns
    -------
    ruamel.yaml.comments.CommentedMap

    Example
    -------
    >>> class_of(new_node("!new:torch.nn.Linear"))
    'torch.nn.Linear'
    """
    from ruamel.yaml.comments import CommentedMap

    return set_tag(CommentedMap(), tag)


def class_of(node: Any) -> str:
    """Returns the class of the node of a card, as its author writes it.

    Arguments
    ---------
    node : ruamel.yaml.comments.CommentedMap
        Node with a tag ``!new:``.

    Returns
    -------
    str
    """
    return own.plain_names(node.tag.value.removeprefix("!new:"))


def write_network(path: Path, upstream: Any, name: str | None = None) -> None:
    """Writes the network of an upstream, with its class and configuration.

    Arguments
    ---------
    path : pathlib.Path
        File to write.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream with ``config`` and ``network``.
    name : str, optional
        Name of the class. Default: that of the upstream's class.

    Raises
    ------
    ConversionError
        If the configuration does not fit into JSON.

    Example
    -------
    >>> import tempfile
    >>> from s3prl_sb.lobes.checkpoints.building import converted
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "apc.safetensors")
    ...     write_network(path, Apc(config={"hidden_size": 16}))
    ...     converted(path)["config"]["hidden_size"]
    16
    """
    metadata = {
        "class": name or own.plain_name(type(upstream)),
        "config": plain_config(upstream),
    }
    write_safetensors(path, separate(upstream.network.state_dict()), metadata)


def plain_config(upstream: Any) -> Any:
    """Returns the configuration of an upstream as JSON values.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream with ``config``, a dataclass or a dict.

    Returns
    -------
    object

    Raises
    ------
    ConversionError
        If it does not fit into JSON.
    """
    config = getattr(upstream, "config", None)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        config = dataclasses.asdict(config)
    try:
        return json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise ConversionError(
            f"The configuration of {type(upstream).__name__} does not fit into JSON: "
            f"{error}"
        ) from error


def separate(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns weights on the CPU, each tensor with its own storage.

    Arguments
    ---------
    weights : dict
        Names to tensors.

    Returns
    -------
    dict

    Example
    -------
    >>> half, _ = torch.zeros(4).chunk(2)
    >>> half.untyped_storage().nbytes()
    16
    >>> separate({"half": half})["half"].untyped_storage().nbytes()
    8
    """
    result, storages = {}, set()
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.nbytes() != tensor.nbytes or storage.data_ptr() in storages:
            tensor = tensor.clone()
        storages.add(tensor.untyped_storage().data_ptr())
        result[name] = tensor
    return result


def card_text(name: str, node: Any, source: str) -> str:
    """Returns the YAML text of a card.

    Arguments
    ---------
    name : str
        Name of the card.
    node : ruamel.yaml.comments.CommentedMap
        Class and arguments of the upstream.
    source : str
        File of the weights, relative to the card.

    Returns
    -------
    str

    Example
    -------
    >>> print(card_text("mine", new_node("!new:torch.nn.Linear"), "mine.safetensors"))
    mine: !new:torch.nn.Linear
        source: mine.safetensors
    <BLANKLINE>
    """
    result = new_node(f"!new:{class_of(node)}")
    result["source"] = source
    for key, value in node.items():
        # The network already has the content of other files, such as a dictionary, and
        # of the parts of a fusion.
        if key not in ("source", "upstreams") and not is_file(value):
            result[key] = value
    return yaml_text({name: result})


def yaml_text(value: Any) -> str:
    """Returns a value as YAML text, indented by four spaces.

    Arguments
    ---------
    value : object
        Plain values and nodes.

    Returns
    -------
    str
    """
    stream = io.StringIO()
    yaml = yaml_parser()
    yaml.indent(mapping=4, sequence=4, offset=2)
    yaml.dump(value, stream)
    return stream.getvalue()


def is_file(value: Any) -> bool:
    """Returns whether an argument names a file or an address, or a list of them.

    Arguments
    ---------
    value : object

    Returns
    -------
    bool

    Example
    -------
    >>> is_file("https://a.org/dict.txt"), is_file("waveform"), is_file(3)
    (True, False, False)
    """
    values = value if isinstance(value, list) else [value]
    texts = [v for v in values if isinstance(v, str) and v]
    return any(
        v.startswith(("http://", "https://", "hf://")) or _is_local_file(v)
        for v in texts
    )


def _is_local_file(text):
    """Returns whether a text names a file; one that cannot name any does not."""
    return os.path.isfile(os.path.expanduser(text))


def noise_features(upstream: Any) -> list[torch.Tensor]:
    """Returns the hidden states of two utterances of noise.

    Two upstreams with equal weights have equal ones.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream

    Returns
    -------
    list of torch.Tensor
        [2, frames, size] each.
    """
    # Rounding depends on the memory layout of the weights: copies have the same one.
    upstream = copy.deepcopy(upstream)
    samples, lens = int(1.3 * upstream.sample_rate), torch.tensor([1.0, 0.4])
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return upstream(0.1 * torch.randn(2, samples, generator=random), lens)[0]
