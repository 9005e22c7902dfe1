"""Layer of a Conformer, over packed frames.

Paper: Gulati et al., "Conformer: Convolution-augmented Transformer for Speech
Recognition", https://arxiv.org/abs/2005.08100.

Authors
 * The s3prl_sb developers, 2026
"""

import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d
from s3prl_sb.lobes.networks.causal_convolution import same_length
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.networks.recomputation import RecomputableLayer


class FeedForward(nn.Module):
    """Norm, expansion, Swish, contraction.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and dropout.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.expand = nn.Linear(config.hidden_size, config.ffn_size)
        self.contract = nn.Linear(config.ffn_size, config.hidden_size)

    def forward(self, x):
        """[total_frames, hidden_size] -> the same."""
        p = self.config.dropout
        x = F.dropout(F.silu(self.expand(self.norm(x))), p, self.training)
        return F.dropout(self.contract(x), p, self.training)


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise and pointwise convolution.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and dropout.
    """

    def __init__(self, config):
        super().__init__()
        size, kernel = config.hidden_size, config.convolution_kernel
        self.config = config
        self.norm = nn.LayerNorm(size, config.norm_eps)
        self.enter = nn.Linear(size, 2 * size, bias=False)
        self.depthwise, self.reach = same_length(
            size, kernel, groups=size, causal=config.causal, bias=False
        )
        self.batch_norm = FixedBatchNorm1d(size)
        self.leave = nn.Linear(size, size, bias=False)

    def forward(self, x, frames):
        """[total_frames, hidden_size] -> the same."""
        x = F.glu(self.enter(self.norm(x)), dim=-1)
        x = along_time(self.depthwise, x, frames, self.reach)
        x = self.leave(F.silu(self.batch_norm(x)))
        return F.dropout(x, self.config.dropout, self.training)


class ConformerLayer(RecomputableLayer):
    """Half a feed-forward, attention, convolution, half a feed-forward, norm.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and dropout.
    attention : torch.nn.Module
        Module from packed frames to packed frames.

    Example
    -------
    >>> import torch
    >>> from s3prl_sb.lobes.networks.attention import RotaryAttention
    >>> from s3prl_sb.lobes.networks.transformer import TransformerConfig
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_heads=4)
    >>> layer = ConformerLayer(config, RotaryAttention(32, 4)).eval()
    >>> layer(torch.randn(10, 32), [7, 3])[0].shape
    torch.Size([10, 32])
    """

    def __init__(self, config, attention):
        super().__init__()
        self.config = config
        self.first_ffn = FeedForward(config)
        self.attention_norm = nn.LayerNorm(config.hidden_size, config.norm_eps)
        self.attention = attention
        self.convolution = ConvolutionModule(config)
        self.second_ffn = FeedForward(config)
        self.norm = nn.LayerNorm(config.hidden_size, config.norm_eps)

    def forward(self, x, frames):
        """Runs the layer.

        Arguments
        ---------
        x : torch.Tensor
            [total_frames, hidden_size].
        frames : list of int
            Number of frames of each utterance.

        Returns
        -------
        x : torch.Tensor
            [total_frames, hidden_size].
        ffn : torch.Tensor
            Output of the second feed-forward alone, [total_frames, hidden_size].
        """
        x = x + 0.5 * self.first_ffn(x)
        attended = self.attention(self.attention_norm(x), frames)
        x = x + F.dropout(attended, self.config.dropout, self.training)
        x = x + self.convolution(x, frames)
        ffn = self.second_ffn(x)
        return self.norm(x + 0.5 * ffn), ffn
