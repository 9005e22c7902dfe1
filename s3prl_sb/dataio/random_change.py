"""Base class of pipes that change waveforms at random.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe, generator


class RandomChange(Pipe):
    """Changes some waveforms at random: refines ``sig``.

    The change of an utterance is a function of the seed, its id and its draw. A
    subclass has :meth:`change`.

    Arguments
    ---------
    probability : float
        Probability that an utterance is changed.
    seed : int
        Seed of the random choices without ``draws``.
    draws : int, optional
        Number of fixed forms of each utterance, the same for all seeds, so that
        features can be cached and shared. Default: another form at each use.
    """

    audio = timed = True
    kind = ""  #: name of the change, so that two of them draw different numbers

    def __init__(self, probability: float, seed: int, draws: int | None):
        self.probability = probability
        self.draws, self.seed = draws, None if draws else seed

    def variants(self, record: Mapping[str, Any]) -> int | None:
        """Returns the number of forms; None for an unlimited number."""
        return self.draws

    def add_to(self, dataset: ManifestDataset) -> None:
        """Refines ``sig``."""
        dataset.add_dynamic_item(self.add, ["sig", "id", "draw"], "sig")

    def add(self, sig: torch.Tensor, utterance: str, draw: int) -> torch.Tensor:
        """Changes the waveform of a draw, or leaves it as it is.

        Arguments
        ---------
        sig : torch.Tensor
            [samples].
        utterance : str
            Id of the utterance.
        draw : int
            Number of the draw.

        Returns
        -------
        torch.Tensor
            [samples].
        """
        if self.draws:
            draw %= self.draws
        random = generator(f"{self.seed}|{self.kind}", utterance, draw)
        if torch.rand(1, generator=random) >= self.probability:
            return sig
        return self.change(sig, random)

    def change(self, sig: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Changes a waveform.

        Arguments
        ---------
        sig : torch.Tensor
            [samples].
        random : torch.Generator
            Source of all that the change draws.

        Returns
        -------
        torch.Tensor
            [samples].
        """
        raise NotImplementedError
