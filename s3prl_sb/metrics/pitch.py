"""Metrics of the pitch of notes.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch

OCTAVE = 12  # semitones


def chroma_accuracy(
    predicted: torch.Tensor, true: torch.Tensor, labels: Sequence[str]
) -> float:
    """Returns the share of notes whose chroma is right: octaves do not matter.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [notes], indices of labels.
    labels : list of str
        Pitches as MIDI numbers: 60 is C4.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no notes, or a label is no whole number.

    Example
    -------
    >>> labels = ["60", "61", "72"]
    >>> chroma_accuracy(torch.tensor([2, 1]), torch.tensor([0, 0]), labels)
    0.5
    """
    if len(true) == 0:
        raise ValueError("the chroma accuracy of no notes is not defined")
    return has_chroma(predicted, true, labels).double().mean().item()


def has_chroma(
    predicted: torch.Tensor, true: torch.Tensor, labels: Sequence[str]
) -> torch.Tensor:
    """Returns which notes have the right chroma.

    Arguments
    ---------
    predicted, true, labels
        See :func:`chroma_accuracy`.

    Returns
    -------
    torch.Tensor
        [notes], bool.
    """
    chromas = torch.tensor([int(label) % OCTAVE for label in labels])
    return chromas[predicted] == chromas[true]
