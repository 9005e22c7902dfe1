"""Logistic regressions on a few examples of each label.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy as np
import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.at_once import as_logits
from s3prl_sb.lobes.heads.pooling import MeanPooling, precise


class FewShotProbes(torch.nn.Module):
    """Logistic regressions on a few examples of each class, drawn several times.

    As in MAEB (the audio benchmark of mteb), each repeat draws a few training examples
    of every class and fits a logistic regression by L-BFGS, with scikit-learn's
    objective: the sum of the cross-entropy, and half the squared norm of the weights.
    With any number of labels, each label has a regression, against all others.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    per_class : int
        Examples of each class; all of a class that has fewer.
    repeats : int
        Number of draws.
    max_iterations : int
        Iterations of L-BFGS.

    Example
    -------
    >>> head = FewShotProbes(2, num_classes=2, per_class=1, repeats=3)
    >>> vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> head.fit(vectors, torch.tensor([0, 0, 1]), seed=1)
    >>> head(torch.tensor([[[5.0, 0.0]], [[0.1, 1.0]]]), torch.ones(2)).argmax(-1)
    tensor([0, 1])
    """

    linear = True
    has_many: torch.Tensor

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        per_class: int = 8,
        repeats: int = 10,
        max_iterations: int = 100,
    ):
        super().__init__()
        self.per_class, self.max_iterations = per_class, max_iterations
        self.pooling = MeanPooling(input_size)
        shape = repeats, num_classes
        self.weight = torch.nn.Parameter(torch.randn(*shape, input_size) * 0.01)
        self.bias = torch.nn.Parameter(torch.zeros(shape))
        self.register_buffer("has_many", torch.tensor(False))

    def reserve(self, examples: int) -> None:
        """Does nothing: the training set is not kept."""

    def sizes(self) -> dict[str, int]:
        """Returns the arguments that an export needs besides those of the recipe."""
        return {}

    def vectors(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the means over time, see :meth:`NearestNeighbors.vectors`."""
        return self.pooling(precise(features), lens)

    @torch.no_grad()
    def fit(self, vectors: torch.Tensor, targets: torch.Tensor, seed: int = 0) -> None:
        """Fits all logistic regressions.

        Arguments
        ---------
        vectors : torch.Tensor
            [examples, input_size].
        targets : torch.Tensor
            [examples], classes; or [examples, num_classes], 1 for each label.
        seed : int
            Seed of the draws.
        """
        self.has_many.fill_(targets.dim() == 2)
        if targets.dim() == 1:
            targets = F.one_hot(targets, self.bias.shape[1])
        points, labels = vectors.double().cpu().numpy(), targets.double().cpu().numpy()
        for repeat in range(len(self.bias)):
            chosen = few_of_each(labels, self.per_class, (seed, repeat))
            weight, bias = logistic_regression(
                points[chosen], labels[chosen], bool(self.has_many), self.max_iterations
            )
            self.weight[repeat] = torch.from_numpy(weight)
            self.bias[repeat] = torch.from_numpy(bias)

    def each(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the logits of each classifier.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [repeats, batch, num_classes].
        """
        with torch.autocast(features.device.type, enabled=False):
            vectors = self.vectors(features, lens)
            return (
                torch.einsum("bd,rcd->rbc", vectors, self.weight) + self.bias[:, None]
            )

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the probabilities of each classifier.

        Arguments
        ---------
        logits : torch.Tensor
            [repeats, batch, num_classes].

        Returns
        -------
        torch.Tensor
            [repeats, batch, num_classes].
        """
        return logits.sigmoid() if self.has_many else logits.softmax(-1)

    def together(self, logits: torch.Tensor) -> torch.Tensor:
        """Returns the mean probabilities, as logits.

        Arguments
        ---------
        logits : torch.Tensor
            [repeats, batch, num_classes].

        Returns
        -------
        torch.Tensor
            [batch, num_classes].
        """
        return as_logits(self.probabilities(logits).mean(0), self.has_many)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the mean probabilities of all classifiers, as logits.

        Arguments
        ---------
        features, lens
            See :meth:`each`.

        Returns
        -------
        torch.Tensor
            [batch, num_classes].
        """
        return self.together(self.each(features, lens))


def few_of_each(labels: np.ndarray, count: int, seed: tuple[int, ...]) -> np.ndarray:
    """Draws a few examples of each label.

    Arguments
    ---------
    labels : numpy.ndarray
        [examples, labels], 1 for each label of an example.
    count : int
        Examples of each label; all of a label that has fewer.
    seed : tuple of int
        Seed of the draw.

    Returns
    -------
    numpy.ndarray
        Sorted indices, each once.

    Example
    -------
    >>> labels = np.eye(3)[[0, 0, 0, 1, 2, 2]]
    >>> labels[few_of_each(labels, 2, (0, 1))].argmax(1).tolist()
    [0, 0, 1, 2, 2]
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    drawn = [order[column[order] > 0][:count] for column in labels.T]
    return np.unique(np.concatenate(drawn))


def logistic_regression(
    points: np.ndarray,
    labels: np.ndarray,
    has_many: bool = False,
    max_iterations: int = 100,
) -> tuple[np.ndarray, np.ndarray]:
    """Fits a logistic regression as scikit-learn does with its default settings.

    Arguments
    ---------
    points : numpy.ndarray
        [examples, size], float64.
    labels : numpy.ndarray
        [examples, labels], 1 for each label of an example.
    has_many : bool
        Whether an example has any number of labels: one regression a label. Otherwise
        it has one; of two classes, only the weights of the second are free.
    max_iterations : int
        Iterations of L-BFGS.

    Returns
    -------
    weight : numpy.ndarray
        [labels, size].
    bias : numpy.ndarray
        [labels].

    Example
    -------
    >>> points = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> weight, bias = logistic_regression(points, np.eye(2)[[0, 0, 1, 1]])
    >>> weight.round(3).tolist()
    [[0.0], [0.958]]
    """
    from scipy.optimize import minimize  # it takes long to import
    from scipy.special import expit, log_softmax

    (examples, size), count = points.shape, labels.shape[1]
    first = 1 if count == 2 and not has_many else 0  # class 0 of two has no weights

    def objective(flat):
        weight = np.zeros((count, size + 1))
        weight[first:] = flat.reshape(count - first, size + 1)
        logits = points @ weight[:, :-1].T + weight[:, -1]
        if has_many:
            loss = (np.logaddexp(0, logits) - labels * logits).sum()
            error = expit(logits) - labels
        else:
            logarithms = log_softmax(logits, axis=1)
            loss = -(labels * logarithms).sum()
            error = np.exp(logarithms) - labels
        loss += (weight[:, :-1] ** 2).sum() / 2
        gradient = np.hstack([error.T @ points, error.sum(0)[:, None]])
        gradient[:, :-1] += weight[:, :-1]
        return loss / examples, gradient[first:].ravel() / examples

    start = np.zeros((count - first) * (size + 1))
    options = {
        "maxiter": max_iterations,
        "gtol": 1e-4,
        "ftol": 64 * np.finfo(float).eps,
    }
    best = minimize(objective, start, jac=True, method="L-BFGS-B", options=options).x
    weight = np.zeros((count, size + 1))
    weight[first:] = best.reshape(count - first, size + 1)
    return weight[:, :-1], weight[:, -1]
