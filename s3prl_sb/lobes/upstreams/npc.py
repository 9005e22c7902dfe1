"""NPC: convolutions over the context of a frame that mask the frame itself.

Paper: Liu et al., "Non-Autoregressive Predictive Coding for Learning Speech
Representations from Local Dependencies", Interspeech 2021,
https://arxiv.org/abs/2011.00406. Reproduces S3PRL's ``upstream/npc``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.building import build, read_source
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.upstreams.apc import (
    AUDIO,
    Apc,
    OverKaldi,
    Quantizer,
    complete,
    defaults,
    read_s3prl,
)

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
#: S3PRL's names of the weights, and ours.
NAMES = {
    r"^(blocks\.\d+)\.conv\.": r"\1.convolution.",
    r"^(blocks\.\d+)\.bn1\.": r"\1.convolution_norm.",
    r"^(blocks\.\d+)\.bn2\.": r"\1.linear_norm.",
    r"^masked_convs\.(\d+)\.conv\.": r"masked.\1.before.",
    r"^ae_bottleneck\.": "bottleneck.",
}


class Block(nn.Module):
    """Convolution over three frames and linear layer.

    Arguments
    ---------
    input_size, size : int
        Sizes of the frames before and after it.
    dropout : float
        Dropout probability, in training mode.
    residual : bool
        Add the input before the last activation.
    batch_norm : bool
        Batch norm after the convolution and after the linear layer.
    activate : str
        "relu" or "tanh".

    Example
    -------
    >>> block = Block(80, 16, dropout=0.1, residual=False)
    >>> block(torch.randn(9, 80), [5, 4]).shape
    torch.Size([9, 16])
    """

    def __init__(
        self, input_size, size, dropout, residual, batch_norm=True, activate="relu"
    ):
        super().__init__()
        self.dropout, self.residual = dropout, residual
        self.activation = ACTIVATIONS[activate]
        self.convolution = nn.Conv1d(input_size, size, 3, padding=1)
        self.linear = nn.Linear(size, size)
        norm = FixedBatchNorm1d if batch_norm else nn.Identity
        self.convolution_norm, self.linear_norm = norm(size), norm(size)

    def forward(self, x, frames):
        """[total_frames, input_size] -> [total_frames, size]."""
        y = along_time(self.convolution, x, frames, 1)
        y = self.activation(self.convolution_norm(y))
        y = F.dropout(self.linear_norm(self.linear(y)), self.dropout, self.training)
        return self.activation(x + y if self.residual else y)


class MaskedConvolution(nn.Module):
    """Convolution without the frames around the one that it predicts.

    Only frames outside the mask have weights: two short kernels, before and after it.

    Arguments
    ---------
    size : int
        Size of the frames.
    kernel_size, mask_size : int
        Number of frames that it spans, and number of masked frames in the middle;
        both odd.

    Example
    -------
    >>> masked = MaskedConvolution(16, kernel_size=5, mask_size=3)
    >>> x = torch.zeros(9, 16)
    >>> x[4] = 1
    >>> seen = masked(x, [9]) != masked(torch.zeros(9, 16), [9])
    >>> seen.any(1).nonzero().flatten().tolist()
    [2, 6]
    """

    def __init__(self, size, kernel_size, mask_size):
        super().__init__()
        taps = (kernel_size - mask_size) // 2
        self.reach = kernel_size // 2
        self.before = nn.Conv1d(size, size, taps)
        self.after = nn.Conv1d(size, size, taps, bias=False)

    def forward(self, x, frames):
        """[total_frames, size] -> the same."""
        return torch.tanh(along_time(self._convolved, x, frames, self.reach))

    def _convolved(self, x):
        """[1, size, time] -> the same."""
        x = F.pad(x, (self.reach, self.reach))
        beyond = 2 * self.reach + 1 - self.before.kernel_size[0]
        return self.before(x[..., :-beyond]) + self.after(x[..., beyond:])


class ConvolutionalNetwork(nn.Module):
    """Network of NPC.

    Arguments
    ---------
    input_size : int
        Size of the features.
    n_blocks, hidden_size : int
        Number of blocks, and size of all hidden states.
    kernel_size, mask_size : int
        Kernel and mask of the masked convolutions. As each block widens the
        receptive field by one frame on either side, the i-th mask is 2 i frames
        longer than ``mask_size``.
    dropout, residual, batch_norm, activate
        Options of the blocks; the first one has no residual.
    disable_cross_layer : bool
        Use a masked convolution after the last block only.
    dim_bottleneck : int, optional
        Size of a linear layer at the end.
    codebook_size, code_dim : list of int, optional
        Of the :class:`~s3prl_sb.lobes.upstreams.apc.Quantizer` at the end.

    Example
    -------
    >>> network = ConvolutionalNetwork(80, n_blocks=2, hidden_size=16)
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 16], [9, 16], [9, 16], [9, 16], [9, 16]]
    """

    def __init__(
        self,
        input_size,
        n_blocks=4,
        hidden_size=512,
        kernel_size=15,
        mask_size=5,
        dropout=0.1,
        residual=True,
        batch_norm=True,
        activate="relu",
        disable_cross_layer=False,
        dim_bottleneck=None,
        codebook_size=[64, 64, 64, 64],
        code_dim=None,
    ):
        super().__init__()
        if activate not in ACTIVATIONS:
            raise ValueError(f"activate must be one of: {', '.join(ACTIVATIONS)}")
        longest = mask_size + 2 * n_blocks
        if not (kernel_size % 2 == mask_size % 2 == 1 and longest < kernel_size):
            raise ValueError(
                f"kernel_size {kernel_size} and mask_size {mask_size} must be odd, "
                f"and the mask of the last of {n_blocks} blocks, {longest}, shorter "
                "than the kernel"
            )
        self.blocks, self.masked = nn.ModuleList(), nn.ModuleDict()
        for i in range(n_blocks):
            sizes = (hidden_size if i else input_size, hidden_size, dropout)
            self.blocks.append(Block(*sizes, residual and i > 0, batch_norm, activate))
            if i == n_blocks - 1 or not disable_cross_layer:
                self.masked[str(i)] = MaskedConvolution(
                    hidden_size, kernel_size, mask_size + 2 * (i + 1)
                )
        self.bottleneck = self.quantizer = None
        if dim_bottleneck:
            self.bottleneck = nn.Linear(hidden_size, dim_bottleneck, bias=False)
        if codebook_size:
            size = dim_bottleneck or hidden_size
            self.quantizer = Quantizer(codebook_size, size, code_dim)

    def forward(self, x, frames):
        """Yields the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Features [total_frames, input_size].
        frames : list of int
            Number of frames of each utterance.

        Yields
        ------
        torch.Tensor
            The output of each block, followed by its masked convolution; at last
            the sum of the masked ones. [total_frames, hidden_size].
        """
        total = 0
        for i, block in enumerate(self.blocks):
            x = block(x, frames)
            yield x
            if str(i) in self.masked:
                masked = self.masked[str(i)](x, frames)
                total = total + masked
                yield masked
        yield total if self.bottleneck is None else self.bottleneck(total)


class Npc(OverKaldi):
    """NPC.

    Its hidden states are the output of each block and of its masked convolution, and
    at last the sum of the masked ones, before the quantization.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own architecture
        and features. None: a random network of ``config``.
    config : dict, optional
        Arguments of :class:`ConvolutionalNetwork` that differ from NPC's, and
        under ``audio`` those of
        :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`; only without
        ``source``.
    freeze, precision
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`.
    seed : int
        Seed of the random weights.

    Note
    ----
    In S3PRL the frames at the end of an utterance see the padding of a batch, which is
    not zero after the first block. Here they see zeros. In fine-tuning, batch norms
    keep the statistics of pre-training: otherwise an utterance's features would depend
    on the rest of the batch.

    Example
    -------
    >>> upstream = Npc(config={"hidden_size": 32})
    >>> hidden_states, lens = upstream(torch.randn(2, 16000))
    >>> len(hidden_states), hidden_states[0].shape
    (9, torch.Size([2, 98, 32]))
    >>> upstream.codes(torch.randn(2, 16000))[0].shape
    torch.Size([2, 98, 4])
    """

    #: What ``config`` changes.
    base = {**defaults(ConvolutionalNetwork), "audio": AUDIO}

    def __init__(self, source=None, config=None, freeze=True, precision="fp32", seed=0):
        weights = None
        if source is None:
            config = complete(self.base, config or {})
        else:
            config, weights = read_source(source, read_npc)
        super().__init__(config["audio"], freeze, precision)
        self.config = config
        sizes = {key: value for key, value in config.items() if key != "audio"}
        self.network = build(
            lambda: ConvolutionalNetwork(self.features.output_size, **sizes),
            weights,
            source,
            seed,
        )
        if self.network.quantizer is not None:  # comes after the hidden states
            self.network.quantizer.requires_grad_(False)
        self.num_layers = len(self.output_sizes)
        self.output_size = self.output_sizes[-1]

    @property
    def output_sizes(self):
        """The size of each hidden state."""
        size, network = self.config["hidden_size"], self.network
        count = len(network.blocks) + len(network.masked)
        return [size] * count + [self.config["dim_bottleneck"] or size]

    codes = Apc.codes


def read_npc(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str
        The file.

    Returns
    -------
    config : dict
        All entries of the configuration of :class:`Npc`.
    weights : dict
        Weights of :class:`ConvolutionalNetwork`.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    config, theirs = read_s3prl(path, "NPC", "blocks.", Npc.base)
    weights = {}
    for name, tensor in theirs.items():
        for pattern, ours in NAMES.items():
            name = re.sub(pattern, ours, name)
        if re.search(r"^blocks\.\d+\.linear\.weight", name):  # a convolution of one frame
            tensor = tensor.flatten(1)
        masked = re.match(r"^masked\.(\d+)\.before\.weight", name)
        if masked:
            mask = config["mask_size"] + 2 * (int(masked[1]) + 1)
            taps = (config["kernel_size"] - mask) // 2
            after = name.replace("before", "after")
            weights[after] = tensor[..., -taps:].contiguous()
            tensor = tensor[..., :taps].contiguous()
        if not name.endswith(".conv_mask"):  # implied by the short kernels
            weights[name] = tensor
    return config, weights
