"""Target speakers of any-to-any conversion: embeddings of their enrolled utterances.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from typing import Any

import torch

from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.errors import ManifestError


def check_enrolled(records: Mapping[str, Mapping[str, Any]]) -> None:
    """Checks that every utterance has a target speaker.

    Arguments
    ---------
    records : dict
        ``{id: record}`` with ``enroll``.

    Raises
    ------
    ManifestError
        If one has none; it names the utterance.
    """
    for name, record in records.items():
        if not record.get("enroll"):
            raise ManifestError(
                f"'{name}' has no enrolled speech of its target speaker: name files in "
                "the column enroll, or convert to one speaker, with speaker_embedding: "
                "null. Of the corpora, vctk has any target speaker."
            )


class EnrolledSpeaker(Pipe):
    """Pipe that adds the item ``speaker_embedding``, [size]: the mean over ``enroll``.

    Arguments
    ---------
    embeddings : dict
        Names of audio files to embeddings, [size] each.

    Example
    -------
    >>> table = {"a.wav": torch.tensor([1.0, 3.0]), "b.wav": torch.tensor([3.0, 5.0])}
    >>> records = {"x": {"enroll": ["a.wav", "b.wav"]}}
    >>> dataset = ManifestDataset(records, [EnrolledSpeaker(table)])
    >>> dataset[0]["speaker_embedding"]
    tensor([2., 4.])
    """

    reads = ("enroll",)

    def __init__(self, embeddings: Mapping[str, torch.Tensor]):
        self.embeddings = embeddings
        self.size = len(next(iter(embeddings.values()), ()))  #: of an embedding

    def add_to(self, dataset: ManifestDataset) -> None:
        """Checks that every utterance has a target speaker, and adds the item."""
        check_enrolled(dataset.data)
        dataset.add_dynamic_item(self.mean, ["enroll"], "speaker_embedding")

    def mean(self, enroll: list[str]) -> torch.Tensor:
        """Returns the mean of the embeddings of some files."""
        return torch.stack([self.embeddings[path] for path in enroll]).mean(0)
