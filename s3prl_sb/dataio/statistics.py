"""Mean and standard deviation of features that do not fit in memory.

Authors
 * The s3prl_sb developers, 2026
"""

LEAST = 1e-9  # smallest standard deviation


class Moments:
    """Mean and variance, updated by one utterance at a time, without loss of accuracy.

    Sums of squares about the mean of each utterance are merged in float64 (Chan et al.
    1983, https://doi.org/10.1080/00031305.1983.10483115).

    Example
    -------
    >>> import torch
    >>> moments = Moments()
    >>> for utterance in torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]]):
    ...     moments.add(utterance)
    >>> moments.mean.item(), round(moments.deviation().item(), 3)
    (2.5, 1.291)
    """

    def __init__(self):
        self.count, self.mean, self.squares = 0, None, None

    def add(self, frames):
        """Adds an utterance.

        Arguments
        ---------
        frames : torch.Tensor
            [frames, size], any dtype.
        """
        frames = frames.double()
        other = Moments()
        other.count, other.mean = len(frames), frames.mean(0)
        other.squares = (frames - other.mean).pow(2).sum(0)
        self.merge(other)

    def merge(self, other):
        """Adds the statistics of another object.

        Arguments
        ---------
        other : Moments
            The other object; it is not changed.
        """
        if self.count == 0:
            self.count, self.mean, self.squares = other.count, other.mean, other.squares
            return
        total = self.count + other.count
        delta = other.mean - self.mean
        self.squares = (
            self.squares + other.squares + delta**2 * (self.count * other.count / total)
        )
        self.mean = self.mean + delta * (other.count / total)
        self.count = total

    def deviation(self):
        """Returns the sample standard deviation.

        Returns
        -------
        torch.Tensor
            [size], float32, at least 1e-9.
        """
        variance = self.squares / max(1, self.count - 1)
        return variance.sqrt().clamp_min(LEAST).float()


class Standardize:
    """Subtracts a mean and divides by a deviation.

    Arguments
    ---------
    mean, deviation : torch.Tensor
        [size].

    Example
    -------
    >>> import torch
    >>> Standardize(torch.ones(2), torch.tensor([1.0, 2.0]))(torch.tensor([[3.0, 3.0]]))
    tensor([[2., 1.]])
    """

    def __init__(self, mean, deviation):
        self.mean, self.deviation = mean, deviation

    def __call__(self, features):
        """Standardizes [..., size]."""
        return (features - self.mean) / self.deviation
