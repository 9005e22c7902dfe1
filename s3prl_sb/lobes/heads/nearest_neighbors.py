"""Classification by the nearest examples of the training set.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.at_once import as_logits
from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.pooling import MeanPooling, precise

#: Dimension of the training set [examples, size] over which it is normalized.
NORMALIZED = {"examples": 1, "features": 0}


class NearestNeighbors(torch.nn.Module):
    """The nearest training examples vote by their similarity; nothing is trained.

    As in X-ARES (Zhang et al. 2025, https://arxiv.org/abs/2505.16369), the similarity
    is a scalar product of normalized vectors, and the weight of a neighbor a softmax
    over those of all neighbors.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes.
    neighbors : int
        Number of neighbors that vote.
    temperature : float
        Temperature of the softmax.
    examples : int
        Number of examples of the training set.
    normalized : str
        "examples": each training example has norm 1, so that the similarity is the
        cosine. "features": each feature has norm 1 over the training set, as in X-ARES.

    Raises
    ------
    HeadError
        If ``normalized`` is neither of them.

    Note
    ----
    X-ARES normalizes the transposed training set, and so its features instead of its
    examples; similarities are then small, all neighbors have nearly the same weight,
    and long vectors are near to everything. Its published numbers are such numbers.

    The training set is part of the head, in float32: a checkpoint holds it. X-ARES
    has neighbors for one label a clip. With any number of labels, a neighbor votes for
    all of its own.

    Example
    -------
    >>> head = NearestNeighbors(2, num_classes=2, neighbors=2, examples=3)
    >>> vectors = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    >>> head.fit(vectors, torch.tensor([0, 0, 1]))
    >>> head(torch.tensor([[[5.0, 0.0]], [[0.1, 1.0]]]), torch.ones(2)).argmax(-1)
    tensor([0, 1])
    """

    linear = True
    memory: torch.Tensor
    labels: torch.Tensor
    has_many: torch.Tensor

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        neighbors: int = 10,
        temperature: float = 0.07,
        examples: int = 1,
        normalized: str = "examples",
    ):
        super().__init__()
        if normalized not in NORMALIZED:
            raise HeadError(f"normalized: {' or '.join(NORMALIZED)}, not {normalized}.")
        self.dimension = NORMALIZED[normalized]
        self.num_classes, self.neighbors = num_classes, neighbors
        self.pooling = MeanPooling(input_size)
        # A parameter, as an optimizer needs one; nothing trains it here
        self.temperature = torch.nn.Parameter(torch.tensor(float(temperature)))
        self.input_size = input_size
        self.reserve(examples)

    def reserve(self, examples: int) -> None:
        """Makes room for a training set.

        Arguments
        ---------
        examples : int
            Number of examples.
        """
        self.register_buffer("memory", torch.zeros(examples, self.input_size))
        labels = torch.zeros(examples, self.num_classes, dtype=torch.bool)
        self.register_buffer("labels", labels)
        self.register_buffer("has_many", torch.tensor(False))

    def sizes(self) -> dict[str, int]:
        """Returns the arguments that an export needs besides those of the recipe."""
        return {"examples": len(self.labels)}

    def vectors(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the means over time.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, input_size].
        """
        return self.pooling(precise(features), lens)

    @torch.no_grad()
    def fit(self, vectors: torch.Tensor, targets: torch.Tensor, seed: int = 0) -> None:
        """Keeps the training set.

        Arguments
        ---------
        vectors : torch.Tensor
            [examples, input_size].
        targets : torch.Tensor
            [examples], classes; or [examples, num_classes], 1 for each label.
        seed : int
            Not used: nothing is drawn.
        """
        self.has_many.fill_(targets.dim() == 2)
        if targets.dim() == 1:
            targets = F.one_hot(targets, self.num_classes)
        self.memory.copy_(F.normalize(vectors, dim=self.dimension))
        self.labels.copy_(targets > 0)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the shares of the votes, as logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, num_classes]: a softmax of classes, or a sigmoid of each label,
            gives the shares.
        """
        with torch.autocast(features.device.type, enabled=False):
            vectors = F.normalize(self.vectors(features, lens), dim=1)
            count = min(self.neighbors, len(self.labels))
            similar, nearest = (vectors @ self.memory.T).topk(count, dim=1)
            weights = (similar / self.temperature).softmax(1)
            votes = (weights[..., None] * self.labels[nearest]).sum(1)
            return as_logits(votes, self.has_many)
