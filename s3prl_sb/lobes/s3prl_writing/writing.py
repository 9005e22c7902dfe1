"""Checkpoints in S3PRL's layout: ``s3prl-sb convert --layout s3prl``.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path
from typing import Any

import torch

from s3prl_sb.lobes.cards.conversion import AS_IT_IS
from s3prl_sb.lobes.cards.families import of_checkpoint
from s3prl_sb.lobes.cards.loading import card, load
from s3prl_sb.lobes.cards.objective_files import read_objective
from s3prl_sb.lobes.cards.places import card_of
from s3prl_sb.lobes.cards.sources import is_card
from s3prl_sb.lobes.cards.writing import ConversionError, noise_features
from s3prl_sb.lobes.s3prl_writing import acoustic, waveform
from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import AudioAlbert, Mockingjay, Tera
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.storage.parts import Part

#: Families with a layout of S3PRL, and the functions that make it.
WRITERS: dict[type, Any] = {
    Mockingjay: acoustic.mockingjay_state,
    Tera: acoustic.mockingjay_state,
    AudioAlbert: acoustic.mockingjay_state,
    Apc: acoustic.apc_state,
    Npc: acoustic.npc_state,
    DistilHubert: waveform.distiller_state,
    Hubert: waveform.hubert_state,
    Wav2Vec2: waveform.wav2vec2_state,
}
#: Largest difference of hidden states that rounding makes: weight norm is computed.
TOLERANCE = 1e-4


def s3prl_state(upstream: Any, heads: HeadWeights) -> dict[str, Any]:
    """Returns the content of a checkpoint in S3PRL's layout.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        An upstream of :data:`WRITERS`.
    heads : HeadWeights
        Weights of the objective.

    Returns
    -------
    dict
        Plain values, and tensors on the CPU.

    Raises
    ------
    ConversionError
        If S3PRL has no layout for the family, the network or the head.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> state = s3prl_state(Apc(config={"hidden_size": 8}), HeadWeights(random=True))
    >>> list(state)
    ['config', 'model', 'Upstream_Config']
    """
    writer = WRITERS.get(type(upstream))
    if writer is None:
        raise ConversionError(
            f"S3PRL has no layout that is written for {type(upstream).__name__}. "
            f"Written are: {', '.join(kind.__name__ for kind in WRITERS)}."
        )
    return _plain(writer(upstream, heads))


def write_s3prl(
    source: str, destination: str, random_head: bool = False, force: bool = False
) -> tuple[Path, Any, list[str]]:
    """Writes a checkpoint in S3PRL's layout, and verifies it.

    Arguments
    ---------
    source : str
        Folder of a run of pre-training, a card, or a checkpoint of any family. The
        weights of the objective are read where they lie beside the card.
    destination : str
        File to write.
    random_head : bool
        Whether to make random weights where S3PRL requires some that are not there.
        Hidden states do not depend on them.
    force : bool
        Whether to replace an existing file.

    Returns
    -------
    path : pathlib.Path
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream loaded from the file.
    random_names : list of str
        Names of the weights that are random.

    Raises
    ------
    ConversionError
        If the layout cannot be written, or our reader gives other features from it.

    Example
    -------
    >>> import tempfile
    >>> tiny = "mine: !new:s3prl_sb.lobes.upstreams.apc.Apc\\n"
    >>> tiny += "    config: {hidden_size: 8}\\n"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "mine.yaml").write_text(tiny)
    ...     there = folder + "/apc.ckpt"
    ...     _, _, names = write_s3prl(folder + "/mine.yaml", there, random_head=True)
    ...     names
    ['postnet.weight', 'postnet.bias']
    """
    path = Path(destination).expanduser()
    _check_destination(path, force)
    source, saved = card_of(source), None
    if is_card(source):
        given = card(source)
        fixed: dict[str, Any] = {k: v for k, v in AS_IT_IS.items() if k in given}
        upstream, saved = load(source, **fixed), read_objective(source)
    else:
        upstream = of_checkpoint(source)
    heads = HeadWeights(random=random_head)
    if saved is not None:
        heads = HeadWeights(saved.weights, random_head, saved.arguments)
    state = s3prl_state(upstream, heads)
    with Part(path) as part:
        torch.save(state, part.path)
        _verify(part.path, upstream)
        part.publish()
    return path, upstream, heads.random_names


def _check_destination(path: Path, force: bool) -> None:
    if path.is_dir():
        raise ConversionError(
            f"'{path}' is a folder, and S3PRL's checkpoint is one file: give its name, "
            f"such as '{path / 'states.ckpt'}'."
        )
    if path.exists() and not force:
        raise ConversionError(f"'{path}' is there. --force replaces it.")


def _verify(path: Path, upstream: Any) -> None:
    """Raises an error if the file has other features than the upstream."""
    written = type(upstream)(source=str(path))
    for one, other in zip(
        noise_features(upstream), noise_features(written), strict=True
    ):
        if not torch.allclose(one, other, TOLERANCE, TOLERANCE, equal_nan=True):
            raise ConversionError(
                f"The layout of S3PRL gives other features than this "
                f"{type(upstream).__name__}, so nothing was written. It has options "
                "that the layout does not keep."
            )


def _plain(value: Any) -> Any:
    """Returns dicts and tensors that share no memory."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().contiguous().clone()
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    return value
