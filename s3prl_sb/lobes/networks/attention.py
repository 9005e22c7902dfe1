"""Self-attention over packed frames, with several kinds of positions.

Every utterance attends to itself alone. Without relative positions, a GPU runs one
kernel for all lengths (a jagged tensor). With relative positions, utterances run one
by one, and their queries in blocks, so that no matrix of frames x frames is held.

Paper: Vaswani et al., "Attention Is All You Need",
https://arxiv.org/abs/1706.03762. The classes cite the papers of the positions.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import nn

#: Number of scores that relative attention computes at a time: 16 MB in fp32.
BLOCK = 1 << 22


class SelfAttention(nn.Module):
    """Multi-head self-attention without positions.

    Arguments
    ---------
    size : int
        Size of the frames.
    num_heads : int
        Number of heads.
    dropout : float
        Dropout of the attention weights, in training mode.
    qkv_bias : bool
        Queries, keys and values have biases.

    Example
    -------
    >>> attention = SelfAttention(32, num_heads=4)
    >>> attention(torch.randn(10, 32), frames=[7, 3]).shape
    torch.Size([10, 32])
    """

    causal = False  #: whether frames attend to earlier ones and themselves alone

    def __init__(self, size, num_heads, dropout=0.0, qkv_bias=True):
        super().__init__()
        self.num_heads, self.dropout = num_heads, dropout
        self.query = nn.Linear(size, size, bias=qkv_bias)
        self.key = nn.Linear(size, size, bias=qkv_bias)
        self.value = nn.Linear(size, size, bias=qkv_bias)
        self.output = nn.Linear(size, size)

    def forward(self, x, frames):
        """Attends within each utterance.

        Arguments
        ---------
        x : torch.Tensor
            Packed frames [total_frames, size].
        frames : list of int
            Number of frames of each utterance.

        Returns
        -------
        torch.Tensor
            [total_frames, size].
        """
        q, k, v = self.query(x), self.key(x), self.value(x)
        return self.output(self.attend(q, k, v, frames))

    def attend(self, q, k, v, frames):
        """Packed queries, keys and values -> [total_frames, size]."""
        if len(set(frames)) == 1:
            qkv = (t.unflatten(0, (len(frames), -1)) for t in (q, k, v))
            return self.kernel(*map(self._heads, qkv)).flatten(0, 1)
        if q.is_cuda:
            return self.attend_jagged(q, k, v, frames)
        pieces = zip(*(t.split(frames) for t in (q, k, v)))
        return torch.cat(
            [self.kernel(*(self._heads(t[None]) for t in p))[0] for p in pieces]
        )

    def attend_jagged(self, q, k, v, frames):
        """Computes :meth:`attend` in one kernel, as GPUs idle between small ones."""
        offsets = _offsets(tuple(frames), q.device)
        jagged = (
            torch.nested.nested_tensor_from_jagged(
                t.unflatten(-1, (self.num_heads, -1)),
                offsets,
                min_seqlen=min(frames),  # reading them from the device would block
                max_seqlen=max(frames),
            ).transpose(1, 2)
            for t in (q, k, v)
        )
        x = F.scaled_dot_product_attention(
            *jagged, dropout_p=self._dropout, is_causal=self.causal
        )
        return x.transpose(1, 2).values().flatten(1)

    @property
    def _dropout(self):
        return self.dropout if self.training else 0.0

    def _heads(self, x):
        """[batch, frames, size] -> [batch, heads, frames, size of a head]."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def kernel(self, q, k, v, bias=None):
        """[batch, heads, frames, size of a head] each -> [batch, frames, size]; a bias
        has the mask of causal attention in it."""
        causal = self.causal and bias is None
        x = F.scaled_dot_product_attention(
            q, k, v, bias, dropout_p=self._dropout, is_causal=causal
        )
        return x.transpose(1, 2).flatten(2)


class RotaryAttention(SelfAttention):
    """Self-attention with rotary positions, as in fairseq's conformers: the input of
    the query's and the key's projection is rotated, not their output.

    Paper: Su et al., "RoFormer", https://arxiv.org/abs/2104.09864.
    """

    def forward(self, x, frames):
        """[total_frames, size] -> the same, as :class:`SelfAttention`."""
        rotated = self._rotated(x, frames)
        q, k, v = self.query(rotated), self.key(rotated), self.value(x)
        return self.output(self.attend(q, k, v, frames))

    def _rotated(self, x, frames):
        angles = _angles(max(frames), x.shape[-1] // self.num_heads)
        angles = torch.cat([angles[:count] for count in frames]).to(x.device)
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        heads = x.unflatten(-1, (self.num_heads, -1))
        left, right = heads.chunk(2, dim=-1)
        rotated = torch.cat([-right, left], dim=-1)
        return (heads * cos[:, None] + rotated * sin[:, None]).flatten(1)


class RelativeAttention(SelfAttention):
    """Base class of attention with a bias for each query and key.

    It runs one utterance after the other, a block of queries at a time. A subclass
    implements :meth:`bias`.
    """

    def forward(self, x, frames):
        """[total_frames, size] -> the same, as :class:`SelfAttention`."""
        q, k, v = self.query(x), self.key(x), self.value(x)
        blocks = self._blocks(x, self.prepare(q), k, v, frames)
        if torch.is_grad_enabled():
            return self.output(torch.cat(list(blocks)))
        # Small results kept between large blocks would keep the memory of these.
        result, start = torch.empty_like(q), 0
        for block in blocks:
            result[start : start + len(block)] = block
            start += len(block)
        return self.output(result)

    def _blocks(self, x, q, k, v, frames):
        """Yields the result before the output's projection, in blocks of queries."""
        for x_i, *qkv in zip(*(t.split(frames) for t in (x, q, k, v))):
            q_i, k_i, v_i = (self._heads(t[None]) for t in qkv)
            count = len(x_i)
            rows = max(1, BLOCK // (self.num_heads * count))
            for i in range(0, count, rows):
                q_block = q_i[:, :, i : i + rows]
                bias = self.bias(x_i[i : i + rows], q_block[0], i, count)
                if self.causal:
                    queries = torch.arange(i, i + bias.shape[1], device=x.device)
                    keys = torch.arange(count, device=x.device)
                    bias = bias.masked_fill(keys > queries[:, None], float("-inf"))
                yield self.kernel(q_block, k_i, v_i, bias[None])[0]

    def prepare(self, q):
        """Returns the queries for the kernel, [total_frames, size]."""
        return q

    def bias(self, x, q, first, count):
        """Returns the bias of the scores of a block of queries.

        Arguments
        ---------
        x : torch.Tensor
            Input frames of the queries, [rows, size].
        q : torch.Tensor
            Prepared queries, [heads, rows, size of a head].
        first : int
            Index of the first query's frame.
        count : int
            Number of frames of the utterance.

        Returns
        -------
        torch.Tensor
            [heads, rows, count].
        """
        raise NotImplementedError


class GatedRelativeAttention(RelativeAttention):
    """Attention of WavLM: a bias for the bucket of the distance, gated by the query's
    frame, or by the query itself as in BEATs.

    Papers: Chen et al., "WavLM", https://arxiv.org/abs/2110.13900; "BEATs",
    https://arxiv.org/abs/2212.09058.

    Arguments
    ---------
    size, num_heads, dropout
        See :class:`SelfAttention`.
    buckets : BucketedDistances
        Table that all layers share; only the first one registers it.
    first : bool
        Whether this is the first layer.
    gate_input : str
        Input of the gate: "frames", the input of the layer, or "queries".
    """

    def __init__(self, size, num_heads, dropout, buckets, first, gate_input="frames"):
        super().__init__(size, num_heads, dropout)
        self.gate_input = gate_input
        self.gate = nn.Linear(size // num_heads, 8)
        self.gate_scale = nn.Parameter(torch.ones(num_heads))
        if first:
            self.buckets = buckets
        self._shared = [buckets]  # in a list, so that it is not registered again

    def bias(self, x, q, first, count):
        """[heads, rows, count], see :class:`RelativeAttention`."""
        heads = q
        if self.gate_input == "frames":
            heads = x.unflatten(-1, (self.num_heads, -1)).transpose(0, 1)
        gates = torch.sigmoid(self.gate(heads).unflatten(-1, (2, 4)).sum(-1))
        update, reset = gates.unbind(-1)  # [heads, rows]
        scale = self.gate_scale[:, None].to(x.dtype)
        gate = update * (reset * scale - 1) + 2
        return gate[..., None] * self._shared[0](first, len(x), count)


class BucketedDistances(nn.Module):
    """Learned bias for each head and each bucket of distances, as in T5.

    Paper: Raffel et al., https://arxiv.org/abs/1910.10683.

    Arguments
    ---------
    num_heads : int
        Number of heads.
    num_buckets : int
        Number of buckets: half for keys before the query, half for keys after it.
        Half of each hold a single distance, the others are ever wider.
    max_distance : int
        Distance from which on all are in the last bucket.

    Example
    -------
    >>> BucketedDistances(4, 320, 800)(first=5, rows=2, count=9).shape
    torch.Size([4, 2, 9])
    """

    def __init__(self, num_heads, num_buckets, max_distance):
        super().__init__()
        self.num_buckets, self.max_distance = num_buckets, max_distance
        self.table = nn.Embedding(num_buckets, num_heads)

    def forward(self, first, rows, count):
        """Returns [heads, rows, count]: the bias of queries ``first`` to
        ``first + rows`` for all keys."""
        device = self.table.weight.device
        distances = torch.arange(1 - first - rows, count - first, device=device)
        values = self.table(self.bucket(distances)).T  # [heads, rows + count - 1]
        return values.unfold(1, count, 1).flip(1)  # nearest key of the last row first

    def bucket(self, distances):
        """Maps distances (key minus query) to buckets."""
        half = self.num_buckets // 2
        exact = half // 2
        far = distances.abs().clamp_min(1).float() / exact
        far = exact + far.log() / math.log(self.max_distance / exact) * (half - exact)
        far = far.long().clamp_max(half - 1)
        near = distances.abs()
        return torch.where(near < exact, near, far) + half * (distances > 0)


class TransformerXLAttention(RelativeAttention):
    """Attention of Transformer-XL: projected sines of the distance and two learned
    biases of the query.

    Paper: Dai et al., https://arxiv.org/abs/1901.02860.
    """

    def __init__(self, size, num_heads, dropout=0.0):
        super().__init__(size, num_heads, dropout)
        self.position = nn.Linear(size, size, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(size))
        self.position_bias = nn.Parameter(torch.zeros(size))

    def prepare(self, q):
        """Adds the bias for contents to the queries."""
        return q + self.content_bias

    def bias(self, x, q, first, count):
        """[heads, rows, count], see :class:`RelativeAttention`."""
        rows, size = len(x), x.shape[1]
        # Query minus key, descending from the first key and the last query.
        distances = torch.arange(first + rows - 1, first - count, -1)
        places = self.position(sines(distances, size).to(x.device, x.dtype))
        places = self._heads(places[None])[0]
        difference = self.position_bias - self.content_bias
        q = q + difference.view(self.num_heads, 1, -1)
        scores = (q @ places.transpose(1, 2)) / math.sqrt(q.shape[-1])
        # Row i begins i places earlier: a view whose row stride is one less.
        heads, rows, width = scores.shape
        stride = (rows * width, width - 1, 1)
        return scores.contiguous().as_strided((heads, rows, count), stride, rows - 1)


def sines(positions, size):
    """Returns sines in even, cosines in odd columns, [n, size].

    Arguments
    ---------
    positions : torch.Tensor
        Whole numbers, [n].
    size : int
        Size of the frames.

    Returns
    -------
    torch.Tensor
    """
    rates = torch.exp(torch.arange(0, size, 2) * -(math.log(10000.0) / size))
    angles = positions[:, None].float() * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


@functools.lru_cache(maxsize=4)
def _offsets(frames, device):
    """Returns the bounds of utterances, sent to the device once for all layers."""
    with torch.inference_mode(False):  # kept for training, too
        return torch.tensor([0, *frames]).cumsum(0).to(device)


@functools.lru_cache(maxsize=4)
def _angles(count, size):
    """Returns the angles of rotary positions, [count, size], in two equal halves."""
    with torch.inference_mode(False):  # kept for training, too
        rates = 10000.0 ** -(torch.arange(0, size, 2).float() / size)
        return (torch.arange(count)[:, None] * rates).repeat(1, 2)
