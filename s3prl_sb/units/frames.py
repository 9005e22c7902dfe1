"""Frames of one hidden state, for k-means: gathered in a file on the disk.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch

from s3prl_sb.audio.waveforms import AudioError
from s3prl_sb.dataio.features import compute
from s3prl_sb.lobes.pretext.draws import generator
from s3prl_sb.terminal import progress, quantities
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.growing import GrowingFiles
from s3prl_sb.units.speech import Speech, Unreadable, waveforms

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

FILE, DTYPE = "frames.f16", "float16"
#: Hours that are enough for k-means: the amount HuBERT's second iteration used, a tenth
#: of LibriSpeech.
ENOUGH = 96.0
BAR = "{l_bar}{bar}| {n:.0f}/{total} s of audio [{elapsed}<{remaining}]"


def layer_of(upstream: "Upstream", layer: int | None, name: str) -> int:
    """Returns the number of a hidden state, and checks that it exists.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream.
    layer : int, optional
        Number of the hidden state. Default: the only one.
    name : str
        Name of the upstream, for errors.

    Raises
    ------
    UnitsError
        If it does not exist, or is not given where there are several.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> layer_of(load("mfcc"), None, "mfcc")
    0
    """
    count = upstream.num_layers
    if layer is None and count == 1:
        return 0
    if layer is None or not 0 <= layer < count:
        problem = "is not given" if layer is None else f"{layer} does not exist"
        there = f"hidden states 0 to {count - 1}" if count > 1 else "hidden state 0"
        raise UnitsError(f"--layer {problem}: {name} has {there}.")
    return layer


def features(
    upstream: "Upstream", layer: int, wav: torch.Tensor, device: str = "cpu"
) -> torch.Tensor:
    """Returns the frames of one hidden state of an utterance.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream on the device.
    layer : int
        Number of the hidden state.
    wav : torch.Tensor
        [samples].
    device : str
        Device of the upstream.

    Returns
    -------
    torch.Tensor
        [frames, size], float32, on the CPU.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> features(load("mfcc"), 0, torch.randn(16000)).shape
    torch.Size([98, 39])
    """
    # Alone, so that the bits do not depend on a batch.
    return compute(upstream, [wav], "frames", [layer], "float32", device)[0][:, 0]


def chosen_rows(speech: Speech, share: float | None, seed: int) -> list[int]:
    """Returns the rows of whole utterances that k-means is fitted on.

    Arguments
    ---------
    speech : Speech
        The list.
    share : float, optional
        Share of its utterances. Default: all of them, but at most 96 hours.
    seed : int
        Seed of the choice.

    Returns
    -------
    list of int
        In the order of the list.
    """
    if share is None:
        hours = sum(map(speech.seconds, range(len(speech)))) / 3600
        share = min(1.0, ENOUGH / max(hours, 1e-9))
    if not 0 < share <= 1:
        raise UnitsError(f"--share {share} is not between 0 and 1.")
    order = generator(seed, 0, 0, "utterances of k-means").permutation(len(speech))
    return sorted(order[: math.ceil(share * len(speech))].tolist())


def most_frames(upstream: "Upstream", speech: Speech, rows: list[int]) -> int:
    """Returns the number of frames of some utterances, by their lengths in the list.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream.
    speech : Speech
        The list.
    rows : list of int
        Rows of the utterances.

    Returns
    -------
    int
        There are fewer if some of them cannot be read.
    """
    rate = upstream.sample_rate
    lengths = (math.ceil(speech.seconds(row) * rate) for row in rows)
    return sum(map(upstream.frames, lengths))


def gather(
    upstream: "Upstream",
    layer: int,
    speech: Speech,
    rows: list[int],
    folder: Path,
    plan: Mapping[str, Any],
    device: str = "cpu",
    progressbar: bool = True,
) -> numpy.ndarray:
    """Computes the frames of some utterances, or the rest after an interruption.

    Arguments
    ---------
    upstream, layer, device
        See :func:`features`.
    speech : Speech
        The list.
    rows : list of int
        Rows of the utterances.
    folder : Path
        Folder of the file of frames.
    plan : dict
        JSON values that the frames depend on.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    numpy.ndarray
        [frames, size], float16, memory-mapped.

    Raises
    ------
    UnitsError
        If the disk is too small, features do not fit into float16, or too many
        utterances cannot be read.
    """
    size = upstream.output_sizes[layer]
    seconds = list(map(speech.seconds, rows))
    with GrowingFiles(folder, {FILE: DTYPE}, plan) as files:
        failed = files.facts.get("failed", 0)
        unreadable = Unreadable(len(rows), speech.unreadable_share, failed)
        done = files.position
        frames = sum(seconds[done:]) * upstream.sample_rate / upstream.stride
        _check_disk(folder, int(frames * size * 2))
        bar = progress.bar(
            desc="Computing features",
            total=math.ceil(sum(seconds)),
            initial=sum(seconds[:done]),
            unit="s of audio",
            bar_format=BAR,
            disable=not progressbar,
        )
        with bar:
            read = waveforms(speech, rows[done:], upstream.sample_rate, unreadable)
            for number, (row, wav) in enumerate(read, done):
                try:
                    if wav is not None:
                        files.append(FILE, _half(upstream, layer, wav, device))
                except AudioError as error:
                    unreadable.skip(speech.name(row), error)
                if files.is_due() or number + 1 == len(rows):
                    files.commit(number + 1, failed=unreadable.failed)
                bar.update(seconds[number])
        return files.array(FILE).reshape(-1, size)


def _half(upstream, layer, wav, device):
    frames = features(upstream, layer, wav, device).half()
    if not torch.isfinite(frames).all():
        raise UnitsError(
            f"Hidden state {layer} has numbers beyond 65504, which are not kept in "
            "float16. Choose another layer, or an upstream that normalizes it."
        )
    return frames.numpy()


def _check_disk(folder, needed):
    free = shutil.disk_usage(folder).free
    if needed > free:
        texts = (quantities.count(number, "B") for number in (needed, free))
        raise UnitsError(
            "The features for k-means take {}, and '{}' has {} left. Choose a smaller "
            "--share, or another --output.".format(next(texts), folder, next(texts))
        )
