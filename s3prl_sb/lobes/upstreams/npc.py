"""NPC: convolutions over the context of a frame that mask the frame itself.

Paper: Liu et al., "Non-Autoregressive Predictive Coding for Learning Speech
Representations from Local Dependencies", Interspeech 2021,
https://arxiv.org/abs/2011.00406. Reproduces S3PRL's ``upstream/npc``.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import re

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.checkpoints.renaming import our_name
from s3prl_sb.lobes.checkpoints.s3prl_layout import AUDIO, read_s3prl
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.networks.quantizer import Quantizer, utterance_codes
from s3prl_sb.lobes.upstreams.features import KaldiFeatures
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream
from s3prl_sb.lobes.upstreams.stages import FeatureStages

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


@dataclasses.dataclass
class NpcConfig:
    """Configuration of NPC.

    Arguments
    ---------
    n_blocks, hidden_size : int
        Number of :class:`Block`, and the size of all hidden states.
    kernel_size, mask_size : int
        Kernel and mask of the masked convolutions, in frames. As each block widens
        the receptive field by one frame on either side, the i-th mask is 2 i frames
        longer than ``mask_size``.
    dropout, residual, batch_norm, activate
        Arguments of the blocks; the first has no residual.
    disable_cross_layer : bool
        Put a masked convolution only after the last block.
    dim_bottleneck : int, optional
        Size of a linear layer at the end.
    codebook_size, code_dim : list of int, optional
        Arguments of the :class:`~s3prl_sb.lobes.networks.quantizer.Quantizer` at
        the end. None or empty: no quantizer.
    audio : dict
        Arguments of :class:`~s3prl_sb.lobes.upstreams.features.KaldiFeatures`
        that differ from NPC's.
    """

    n_blocks: int = 4
    hidden_size: int = 512
    kernel_size: int = 15
    mask_size: int = 5
    dropout: float = 0.1
    residual: bool = True
    batch_norm: bool = True
    activate: str = "relu"
    disable_cross_layer: bool = False
    dim_bottleneck: int | None = None
    codebook_size: list | None = dataclasses.field(default_factory=lambda: [64] * 4)
    code_dim: list | None = None
    audio: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self.audio = {**AUDIO, **self.audio}


class ConvolutionalNetwork(nn.Module):
    """Convolutional network of NPC.

    Arguments
    ---------
    input_size : int
        Size of the features.
    config : NpcConfig
        Sizes and options.

    Example
    -------
    >>> network = ConvolutionalNetwork(80, NpcConfig(n_blocks=2, hidden_size=16))
    >>> [list(state.shape) for state in network(torch.randn(9, 80), [5, 4])]
    [[9, 16], [9, 16], [9, 16], [9, 16], [9, 16]]
    """

    def __init__(self, input_size, config):
        super().__init__()
        if config.activate not in ACTIVATIONS:
            raise ValueError(f"activate must be one of: {', '.join(ACTIVATIONS)}")
        kernel_size, mask_size = config.kernel_size, config.mask_size
        longest = mask_size + 2 * config.n_blocks
        if not (kernel_size % 2 == mask_size % 2 == 1 and longest < kernel_size):
            raise ValueError(
                f"kernel_size {kernel_size} and mask_size {mask_size} must be odd, "
                f"and the mask of the last of {config.n_blocks} blocks, {longest}, "
                "shorter than the kernel"
            )
        self.blocks, self.masked = nn.ModuleList(), nn.ModuleDict()
        size = config.hidden_size
        for i in range(config.n_blocks):
            sizes = (size if i else input_size, size, config.dropout)
            options = (config.residual and i > 0, config.batch_norm, config.activate)
            self.blocks.append(Block(*sizes, *options))
            if i == config.n_blocks - 1 or not config.disable_cross_layer:
                mask = mask_size + 2 * (i + 1)
                self.masked[str(i)] = MaskedConvolution(size, kernel_size, mask)
        self.bottleneck = self.quantizer = None
        if config.dim_bottleneck:
            self.bottleneck = nn.Linear(size, config.dim_bottleneck, bias=False)
        if config.codebook_size:
            size = config.dim_bottleneck or size
            self.quantizer = Quantizer(config.codebook_size, size, config.code_dim)

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
            [total_frames, hidden_size]: the output of each block, followed by that
            of its masked convolution; last the sum of the masked ones.
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


def read_npc(path):
    """Reads a checkpoint of S3PRL.

    Arguments
    ---------
    path : str

    Returns
    -------
    config : dict
        Entries of :class:`NpcConfig`.
    weights : dict
        Weights of :class:`ConvolutionalNetwork`.

    Raises
    ------
    CheckpointError
        If the file belongs to another family.
    """
    config, theirs = read_s3prl(path, "NPC", "blocks.")
    mask_size = config.get("mask_size", NpcConfig.mask_size)
    kernel_size = config.get("kernel_size", NpcConfig.kernel_size)
    weights = {}
    for name, tensor in theirs.items():
        name = our_name(name, NAMES)
        if re.search(r"^blocks\.\d+\.linear\.weight", name):  # kernels of one frame
            tensor = tensor.flatten(1)
        masked = re.match(r"^masked\.(\d+)\.before\.weight", name)
        if masked:
            mask = mask_size + 2 * (int(masked[1]) + 1)
            taps = (kernel_size - mask) // 2
            weights[name.replace("before", "after")] = tensor[..., -taps:].contiguous()
            tensor = tensor[..., :taps].contiguous()
        if not name.endswith(".conv_mask"):  # the short kernels replace it
            weights[name] = tensor
    return config, weights


class Npc(FeatureStages, PretrainedUpstream):
    """NPC.

    Its hidden states are the output of each block and that of its masked
    convolution, and last the sum of the masked ones, before the quantization.

    Arguments
    ---------
    source : str, optional
        Checkpoint of S3PRL, or its address. It brings its own architecture
        and features. None: a random network of ``config``.
    config : dict, optional
        Entries of :class:`NpcConfig`; only without ``source``.
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

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

    Config = NpcConfig
    read = staticmethod(read_npc)
    codes = utterance_codes

    def __init__(self, source=None, config=None, **options):
        super().__init__(source, config, **options)
        if self.network.quantizer is not None:  # it follows the last hidden state
            self.network.quantizer.requires_grad_(False)
        self.num_layers = len(self.output_sizes)
        self.output_size = self.output_sizes[-1]

    def make_features(self):
        """Returns the Kaldi features."""
        return KaldiFeatures(**self.config.audio)

    def make_network(self):
        """Returns the convolutional network."""
        return ConvolutionalNetwork(self.features.output_size, self.config)

    @property
    def output_sizes(self):
        """Size of each hidden state."""
        size, network = self.config.hidden_size, self.network
        count = len(network.blocks) + len(network.masked)
        return [size] * count + [self.config.dim_bottleneck or size]
