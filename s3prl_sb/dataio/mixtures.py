"""Mixtures with their sources, for enhancement and separation.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.manifest import Records
from s3prl_sb.errors import ManifestError


class MixtureAndSources(Pipe):
    """Stacks a mixture and its sources: item ``waveforms``, [samples, 1 + sources].

    The mixture is ``sig`` as the pipes before have made it, noise included; the sources
    are ``source_waves``, see :class:`~s3prl_sb.dataio.sources.LoadSources`. Cached
    features replace ``sig`` in an example, but not this item, which loads the audio.

    Example
    -------
    >>> MixtureAndSources().stack(torch.ones(5), torch.zeros(2, 5)).shape
    torch.Size([5, 3])
    """

    def add_to(self, dataset: ManifestDataset) -> None:
        """Adds the item ``waveforms``."""
        dataset.add_dynamic_item(self.stack, ["sig", "source_waves"], "waveforms")

    def stack(self, sig: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        """Returns [samples, 1 + sources] of [samples] and [sources, samples]."""
        return torch.cat([sig[None], sources]).T


def sources_of(splits: Mapping[str, Records]) -> int:
    """Returns the number of sources of mixtures.

    Arguments
    ---------
    splits : dict
        ``{split: {id: record}}``, whose records have ``sources``.

    Returns
    -------
    int

    Raises
    ------
    ManifestError
        If two mixtures have different numbers of sources.

    Example
    -------
    >>> sources_of({"test": {"a": {"sources": ["s1.wav", "s2.wav"]}}})
    2
    """
    counts: dict[int, str] = {}
    for records in splits.values():
        for name, record in records.items():
            counts.setdefault(len(record["sources"]), name)
    if len(counts) != 1:
        found = ", ".join(f"'{name}' has {count}" for count, name in counts.items())
        raise ManifestError(
            f"sources: {found}. Give every mixture the same number, in all three sets."
        )
    return next(iter(counts))
