"""Networks of BYOL-S: CvT and ResNet-ish.

Both take a log mel spectrogram as an image and return one vector: the mean plus the
maximum over time. Papers: Wu et al., "CvT: Introducing
Convolutions to Vision Transformers", ICCV 2021,
https://arxiv.org/abs/2103.15808; Hershey et al., "CNN Architectures for
Large-Scale Audio Classification", ICASSP 2017, https://arxiv.org/abs/1609.09430.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm2d
from s3prl_sb.lobes.networks.byol_networks import N_MELS, mean_and_max

HEAD_SIZE = 64  # of CvT's attention


def _size(pixels, kernel, stride):
    """Returns the output size of a convolution with padding kernel // 2."""
    return 1 + (pixels + 2 * (kernel // 2) - kernel) // stride


class ChannelNorm(nn.Module):
    """Layer norm over the channels of an image; epsilon is added to the deviation."""

    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.reset_parameters()

    def reset_parameters(self):
        """Initializes the norm as the identity."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        """[batch, channels, height, width] -> the same."""
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        # The root of zero, where all channels are equal, has an infinite gradient.
        x = (x - mean) / (variance.clamp_min(1e-12).sqrt() + self.eps)
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class ConvolutionalProjection(nn.Sequential):
    """Depthwise convolution, batch norm, and a linear map."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            FixedBatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )


class CvtLayer(nn.Module):
    """Self-attention with keys and values at half the resolution, and feed-forward."""

    def __init__(self, channels, heads, expansion):
        super().__init__()
        size = heads * HEAD_SIZE
        self.attention_norm = ChannelNorm(channels)
        self.query = ConvolutionalProjection(channels, size)
        self.key_value = ConvolutionalProjection(channels, 2 * size, stride=2)
        self.output = nn.Conv2d(size, channels, 1)
        self.ffn_norm = ChannelNorm(channels)
        self.expand = nn.Conv2d(channels, channels * expansion, 1)
        self.contract = nn.Conv2d(channels * expansion, channels, 1)

    def forward(self, x):
        """[batch, channels, height, width] -> the same."""
        y = self.attention_norm(x)
        query, (key, value) = self.query(y), self.key_value(y).chunk(2, 1)
        qkv = (t.unflatten(1, (-1, HEAD_SIZE)).flatten(3) for t in (query, key, value))
        y = F.scaled_dot_product_attention(*(t.transpose(2, 3) for t in qkv))
        y = y.transpose(2, 3).flatten(1, 2).unflatten(2, x.shape[2:])
        x = x + self.output(y)
        return x + self.contract(F.gelu(self.expand(self.ffn_norm(x))))


class Cvt(nn.Module):
    """Convolutional vision transformer.

    Arguments
    ---------
    channels, depths, heads : list of int
        Size, number of layers, and number of attention heads of each stage.
    expansion : int
        Ratio of the feed-forward's size to that of the stage.

    Example
    -------
    >>> network = Cvt(channels=[4, 8], depths=[1, 1], heads=[1, 1])
    >>> network(torch.randn(5, 64, 101)).shape
    torch.Size([5, 64])
    """

    def __init__(
        self, channels=(64, 256, 512), depths=(1, 1, 1), heads=(1, 3, 6), expansion=4
    ):
        super().__init__()
        stages, mels = [], N_MELS
        for i, (inputs, size, depth, n) in enumerate(
            zip([1, *channels], channels, depths, heads)
        ):
            kernel, stride = (3, 2) if i else (7, 4)
            embedding = nn.Conv2d(inputs, size, kernel, stride, kernel // 2)
            layers = [CvtLayer(size, n, expansion) for _ in range(depth)]
            stages.append(nn.Sequential(embedding, ChannelNorm(size), *layers))
            mels = _size(mels, kernel, stride)
        self.stages = nn.Sequential(*stages)
        self.output_size = mels * channels[-1]

    def forward(self, x):
        """[windows, mels, frames] -> [windows, output_size]"""
        return mean_and_max(self.stages(x[:, None]))


class ResidualBlock(nn.Module):
    """Two convolutions with a shortcut, which is projected if sizes differ."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = FixedBatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = FixedBatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                FixedBatchNorm2d(outputs),
            )

    def forward(self, x):
        """[batch, inputs, height, width] -> [batch, outputs, other height, width]."""
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.downsample(x)).relu()


class ResNetish(nn.Module):
    """ResNet for spectrograms: the first convolution has stride 1.

    Arguments
    ---------
    channels, depths : list of int
        Size and number of blocks of each stage. All but the first halve the
        resolution.

    Example
    -------
    >>> network = ResNetish(channels=[4, 8], depths=[1, 2])
    >>> network(torch.randn(5, 64, 101)).shape
    torch.Size([5, 128])
    """

    def __init__(self, channels=(64, 128, 256, 512), depths=(3, 4, 6, 3)):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels[0], 7, padding=3, bias=False)
        self.bn1 = FixedBatchNorm2d(channels[0])
        stages, mels = [], _size(N_MELS, 3, 2)
        for i, (inputs, size, depth) in enumerate(
            zip([channels[0], *channels], channels, depths)
        ):
            stride = 2 if i else 1
            blocks = [ResidualBlock(inputs, size, stride)]
            blocks += [ResidualBlock(size, size) for _ in range(depth - 1)]
            stages.append(nn.Sequential(*blocks))
            mels = _size(mels, 3, stride)
        self.stages = nn.Sequential(*stages)
        self.output_size = mels * channels[-1]

    def forward(self, x):
        """[windows, mels, frames] -> [windows, output_size]"""
        x = self.bn1(self.conv1(x[:, None])).relu()
        return mean_and_max(self.stages(F.max_pool2d(x, 3, 2, 1)))
