"""Accuracy, over utterances or over classes, F1 scores, and confusions.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def confusion_matrix(predicted, true, num_classes):
    """Counts true against predicted classes.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [utterances], class indices.
    num_classes : int
        Number of classes.

    Returns
    -------
    torch.Tensor
        [num_classes, num_classes], int64; a row is a true class.

    Example
    -------
    >>> import torch
    >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    cells = true * num_classes + predicted
    counts = torch.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def accuracy(predicted, true):
    """Returns the share of utterances whose predicted class is right.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [utterances], class indices.

    Returns
    -------
    float

    Example
    -------
    >>> import torch
    >>> accuracy(torch.tensor([0, 1]), torch.tensor([0, 0]))
    0.5
    """
    if len(true) == 0:
        raise ValueError("the accuracy of no utterances is not defined")
    return (predicted == true).double().mean().item()


def balanced_accuracy(predicted, true):
    """Returns the mean recall of the classes, so that each class counts equally.

    It is the expected accuracy on a sample in which all classes are equally frequent.
    Classes without an utterance do not count.

    Paper: Brodersen et al., "The balanced accuracy and its posterior distribution",
    ICPR 2010, https://doi.org/10.1109/ICPR.2010.764.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [utterances], class indices.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no utterances.

    Example
    -------
    >>> import torch
    >>> balanced_accuracy(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    0.5
    """
    if len(true) == 0:
        raise ValueError("the balanced accuracy of no utterances is not defined")
    utterances = torch.bincount(true)
    right = torch.bincount(true[predicted == true], minlength=len(utterances))
    there = utterances > 0
    return (right[there].double() / utterances[there]).mean().item()


def macro_f1(predicted, true):
    """Returns the mean F1 score of the classes, so that each class counts equally.

    The F1 score of a class is the harmonic mean of its precision and its recall, and 0
    if no utterance of it is found. Classes that are neither true nor predicted do not
    count.

    Arguments
    ---------
    predicted, true : torch.Tensor
        [utterances], class indices.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If there are no utterances.

    Example
    -------
    >>> import torch
    >>> round(macro_f1(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])), 4)
    0.6667
    """
    if len(true) == 0:
        raise ValueError("the F1 score of no utterances is not defined")
    total = torch.bincount(torch.cat([predicted, true]))
    right = torch.bincount(true[predicted == true], minlength=len(total))
    there = total > 0
    return (2 * right[there].double() / total[there]).mean().item()
