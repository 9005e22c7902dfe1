"""Card of a pre-trained network: ``RUN/card.yaml``, for ``--upstream RUN/card.yaml``.

Beside it lie the weights of the network and those of the objective. Both files have a
digest of their content in their names, and the card, written last, names them: a run
that is killed at any moment leaves the older card with its files, or the new one.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from s3prl_sb import own
from s3prl_sb.errors import without_secrets
from s3prl_sb.lobes.cards.finding import names, title
from s3prl_sb.lobes.cards.objective_files import file_name, own_weights, write_objective
from s3prl_sb.lobes.cards.places import CARD, named
from s3prl_sb.lobes.cards.sums import summands
from s3prl_sb.lobes.cards.writing import (
    card_text,
    new_node,
    plain_config,
    separate,
    write_network,
    yaml_text,
)
from s3prl_sb.storage.files import write_text
from s3prl_sb.storage.parts import Part

#: Key of the facts in the card; keys with an underscore are no upstreams.
FACTS = "_pretraining"
#: Keys of recipes that name upstreams whose weights the network is made from.
ORIGINS = ("init", "teacher")
_DIGITS = 12


def write_card(
    network: Any,
    objective: torch.nn.Module,
    folder: str | Path,
    name: str,
    facts: dict[str, Any],
) -> Path:
    """Writes a pre-trained network as an upstream, with a card.

    Arguments
    ---------
    network : s3prl_sb.lobes.upstreams.base.Upstream
        The network, on any device; it is not changed.
    objective : torch.nn.Module
        Objective with this ``network``. Its other weights are written too.
    folder : str
        Folder of the run. Files of an earlier card in it are replaced.
    name : str
        Name of the card.
    facts : dict
        Facts about the training for people, plain values, such as ``steps``.

    Returns
    -------
    pathlib.Path
        The card.

    Raises
    ------
    s3prl_sb.lobes.cards.writing.ConversionError
        If the configuration of the network does not fit into JSON.

    Example
    -------
    >>> import tempfile
    >>> from s3prl_sb.lobes.upstreams import load
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> network = Apc(config={"hidden_size": 16})
    >>> parts = {"network": network, "head": torch.nn.Linear(16, 80)}
    >>> with tempfile.TemporaryDirectory() as run:
    ...     card = write_card(network, torch.nn.ModuleDict(parts), run, "mine", {})
    ...     [path.suffixes for path in sorted(card.parent.iterdir())]
    ...     load(str(card)).output_size
    [['.yaml'], ['.objective', '.safetensors'], ['.safetensors']]
    16
    """
    folder, word = Path(folder), re.sub(r"\W+", "_", name)
    stem = f"{word}-{_digest(network, objective)[:_DIGITS]}"
    source = f"{stem}.safetensors"
    _write(folder / source, lambda path: write_network(path, network))
    _write(folder / file_name(source), lambda path: write_objective(path, objective))
    kind = type(network)
    for place, module in own.loaded_from(f"{kind.__module__}."):
        own.copy(place, module, folder)
    about = {FACTS: {"objective": own.plain_name(type(objective)), **facts}}
    text = "# Written by pre-training with s3prl_sb.\n" + yaml_text(about)
    text += card_text(name, new_node(f"!new:{own.plain_name(kind)}"), source)
    write_text(folder / CARD, text)
    earlier = re.compile(rf"{word}-[0-9a-f]{{{_DIGITS}}}(\.objective)?\.safetensors")
    for file in folder.iterdir():
        if earlier.fullmatch(file.name) and not file.name.startswith(stem):
            file.unlink(missing_ok=True)
    return folder / CARD


def save_card(brain: Any, facts: dict[str, Any]) -> Path:
    """Writes the card of a run of pre-training into its folder.

    Arguments
    ---------
    brain : s3prl_sb.brains.pretraining.PretrainingBrain
        Its ``hparams`` have ``upstream_model``, ``upstream_name``, ``objective``,
        ``seed`` and ``output_folder``, and may have those of :data:`ORIGINS`.
    facts : dict
        Facts that the training has counted: steps, hours of audio, held-out loss.

    Returns
    -------
    pathlib.Path
        The card.
    """
    hparams = brain.hparams
    origins = {key: getattr(hparams, key, None) for key in ORIGINS}
    public = {key: public_name(name) for key, name in origins.items() if name}
    return write_card(
        hparams.upstream_model,
        hparams.objective,
        hparams.output_folder,
        hparams.upstream_name,
        {**facts, **public, "seed": hparams.seed},
    )


def public_name(name: str) -> str:
    """Returns the name of an upstream that others can read: a path of this machine
    becomes its last name.

    Arguments
    ---------
    name : str
        See :func:`~s3prl_sb.lobes.cards.loading.load`.

    Returns
    -------
    str

    Example
    -------
    >>> public_name("tera"), public_name("anna/tera@v1")
    ('tera', 'anna/tera@v1')
    >>> public_name("/home/anna/runs/mine.yaml")
    'mine (a local checkpoint)'
    """
    if name in names() or named(name) is not None or "://" in name:
        return without_secrets(name)
    if parts := summands(name):
        return "+".join(map(public_name, parts))
    return f"{title(name)} (a local checkpoint)"


def _write(path: Path, write: Callable[[Path], None]) -> None:
    """Writes a file atomically, unless it is there: its name has its content."""
    if not path.is_file():
        with Part(path) as part:
            write(part.path)
            part.publish()


def _digest(network, objective):
    """Returns a hash of all that the two files hold."""
    result = hashlib.sha256(repr(plain_config(network)).encode())
    for weights in (separate(network.network.state_dict()), own_weights(objective)):
        for name, tensor in sorted(weights.items()):
            result.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
            result.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return result.hexdigest()
