"""Quantizers of neural codecs: residual codebooks and rounded scalars.

Each takes the frames of an utterance, and returns codes and the vectors that they stand
for, whose sum approximates the frames.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn


class Codebook(nn.Module):
    """Vectors, of which each frame gets the nearest.

    Arguments
    ---------
    count, size : int
        Number of the vectors, and their size.
    frame_size : int, optional
        Size of the frames, if they are projected to the codebook's size and the vectors
        back, with biases.
    cosine : bool
        Compare directions only.

    Example
    -------
    >>> codebook = Codebook(count=4, size=2)
    >>> _ = codebook.vectors.data.copy_(torch.tensor([[0, 0], [1, 0], [0, 1], [1, 1]]))
    >>> codes, vectors = codebook(torch.tensor([[0.9, 0.2], [0.4, 0.8]]))
    >>> codes.tolist(), vectors.tolist()
    ([1, 2], [[1.0, 0.0], [0.0, 1.0]])
    """

    def __init__(self, count, size, frame_size=None, cosine=False):
        super().__init__()
        self.cosine = cosine
        self.vectors = nn.Parameter(torch.empty(count, size))
        self.project_in = self.project_out = None
        if frame_size is not None:
            self.project_in = nn.Linear(frame_size, size)
            self.project_out = nn.Linear(size, frame_size)

    def nearest(self, x):
        """[frames, size] -> codes [frames]."""
        vectors = self.vectors
        if self.cosine:
            return (F.normalize(x) @ F.normalize(vectors).T).argmax(1)
        return (x @ vectors.T - vectors.pow(2).sum(1) / 2).argmax(1)

    def forward(self, x):
        """[frames, size] -> codes [frames], vectors [frames, size]."""
        codes = self.nearest(x if self.project_in is None else self.project_in(x))
        vectors = self.vectors[codes]
        if self.project_out is not None:
            vectors = self.project_out(vectors)
        return codes, vectors


class ResidualQuantizer(nn.Module):
    """Codebooks in a row: each codes what those before it have left over.

    Zeghidour et al., "SoundStream", https://arxiv.org/abs/2107.03312.

    Arguments
    ---------
    layers : iterable of Codebook
        The codebooks.
    project : (int, int), optional
        Sizes of the frames and of the codebooks, between which the frames and the sum
        of the vectors are projected without biases.

    Example
    -------
    >>> from s3prl_sb.lobes.checkpoints.building import build
    >>> make = lambda: ResidualQuantizer(Codebook(8, 4) for _ in range(3))
    >>> codes, vectors = build(make)(torch.randn(10, 4), 2)
    >>> codes.shape, len(vectors), vectors[0].shape
    (torch.Size([10, 2]), 2, torch.Size([10, 4]))
    """

    def __init__(self, layers, project=None):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.input_proj = self.output_proj = None
        if project is not None:
            self.input_proj = nn.Linear(*project, bias=False)
            self.output_proj = nn.Linear(*reversed(project), bias=False)

    @property
    def count(self):
        """Number of codebooks."""
        return len(self.layers)

    def forward(self, x, count=None):
        """Quantizes frames.

        Arguments
        ---------
        x : torch.Tensor
            [frames, size].
        count : int, optional
            Number of codebooks, the first ones. None: all.

        Returns
        -------
        codes : torch.Tensor
            [frames, count].
        vectors : list of torch.Tensor
            Vectors of each codebook, [frames, size].
        """
        rest = x if self.input_proj is None else self.input_proj(x)
        codes, vectors = [], []
        for layer in self.layers[:count]:
            code, vector = layer(rest)
            rest = rest - vector
            codes.append(code)
            vectors.append(vector)
        if self.output_proj is not None:
            vectors = [self.output_proj(vector) for vector in vectors]
        return torch.stack(codes, 1), vectors


class SplitQuantizer(nn.Module):
    """Residual quantizers side by side, such as Mimi's semantic and acoustic ones.

    Arguments
    ---------
    parts : iterable of ResidualQuantizer
        Quantizers that all code the same frames.

    Example
    -------
    >>> from s3prl_sb.lobes.checkpoints.building import build
    >>> def make(count):
    ...     return ResidualQuantizer((Codebook(8, 2) for _ in range(count)), (4, 2))
    >>> quantizer = build(lambda: SplitQuantizer([make(1), make(3)]))
    >>> codes, vectors = quantizer(torch.randn(10, 4))
    >>> codes.shape, vectors[0].shape
    (torch.Size([10, 4]), torch.Size([10, 4]))
    """

    def __init__(self, parts):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    @property
    def count(self):
        """Number of codebooks."""
        return sum(part.count for part in self.parts)

    def forward(self, x, count=None):
        """See :meth:`ResidualQuantizer.forward`."""
        left = self.count if count is None else count
        codes, vectors = [], []
        for part in self.parts:
            if left > 0:
                code, vector = part(x, left)
                codes.append(code)
                vectors.extend(vector)
                left -= part.count
        return torch.cat(codes, 1), vectors


class ScalarQuantizer(nn.Module):
    """Finite scalar quantization: a few projected values, each rounded to its levels.

    Mentzer et al., https://arxiv.org/abs/2309.15505. The code of a frame numbers the
    combinations of levels.

    Arguments
    ---------
    levels : list of int
        Number of levels of each value.
    size : int
        Size of the frames.

    Note
    ----
    Values are bounded twice, as in X-Codec 2, with which it was trained.

    Example
    -------
    >>> from s3prl_sb.lobes.checkpoints.building import build
    >>> quantizer = build(lambda: ScalarQuantizer([4, 3], size=8))
    >>> codes, vectors = quantizer(torch.randn(10, 8))
    >>> codes.shape, vectors[0].shape, int(codes.max()) < 12
    (torch.Size([10, 1]), torch.Size([10, 8]), True)
    """

    count = 1  #: number of codebooks
    MARGIN = 1e-3  # so that values never reach the ends of the hyperbolic tangent

    def __init__(self, levels, size):
        super().__init__()
        self.levels = list(levels)
        self.project_in = nn.Linear(size, len(self.levels))
        self.project_out = nn.Linear(len(self.levels), size)

    def bound(self, x):
        """Bounds values to the range of their levels, whose steps are 1."""
        levels = x.new_tensor(self.levels)
        reach = (levels - 1) * (1 + self.MARGIN) / 2
        offset = (levels % 2 == 0) / 2  # an even number has no level at 0
        return (x + (offset / reach).atanh()).tanh() * reach - offset

    def forward(self, x, count=None):
        """See :meth:`ResidualQuantizer.forward`; there is one codebook."""
        rounded = self.bound(self.bound(self.project_in(x))).round()
        middle = [level // 2 for level in self.levels]
        code, base = 0, 1
        for value, half, level in zip(rounded.unbind(1), middle, self.levels):
            code = code + (value.long() + half) * base
            base *= level
        return code[:, None], [self.project_out(rounded / x.new_tensor(middle))]
