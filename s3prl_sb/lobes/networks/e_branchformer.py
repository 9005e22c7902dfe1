"""Layer of an E-Branchformer, over packed frames.

Paper: Kim et al., "E-Branchformer: Branchformer with Enhanced Merging for Speech
Recognition", https://arxiv.org/abs/2210.00077.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.causal_convolution import same_length
from s3prl_sb.lobes.networks.conformer import FeedForward
from s3prl_sb.lobes.networks.front_end import gelu
from s3prl_sb.lobes.networks.packing import along_time
from s3prl_sb.lobes.networks.recomputation import RecomputableLayer


class ConvolutionalGate(nn.Module):
    """Feed-forward whose second half, convolved along time, gates its first (cgMLP).

    Arguments
    ---------
    config : TransformerConfig
        Sizes and dropout.
    """

    def __init__(self, config):
        super().__init__()
        size, half = config.hidden_size, config.gate_size // 2
        self.config = config
        self.norm = nn.LayerNorm(size, config.norm_eps)
        self.enter = nn.Linear(size, 2 * half)
        self.gate_norm = nn.LayerNorm(half, config.norm_eps)
        self.depthwise, self.reach = same_length(
            half, config.convolution_kernel, groups=half, causal=config.causal
        )
        self.leave = nn.Linear(half, size)

    def forward(self, x, frames):
        """[total_frames, hidden_size] -> the same."""
        p = self.config.dropout
        x, gate = gelu(self.enter(self.norm(x))).chunk(2, dim=-1)
        gate = along_time(self.depthwise, self.gate_norm(gate), frames, self.reach)
        x = F.dropout(x * gate, p, self.training)
        return F.dropout(self.leave(x), p, self.training)


class EBranchformerLayer(RecomputableLayer):
    """Half a feed-forward, attention beside a gated convolution, both merged by a
    convolution, half a feed-forward, norm.

    Arguments
    ---------
    config : TransformerConfig
        Sizes and dropout.
    attention : torch.nn.Module
        Module from packed frames to packed frames.

    Example
    -------
    >>> from s3prl_sb.lobes.networks.attention import SelfAttention
    >>> from s3prl_sb.lobes.networks.transformer import TransformerConfig
    >>> config = TransformerConfig(hidden_size=32, ffn_size=64, num_heads=4,
    ...     layer="e_branchformer", gate_size=64)
    >>> layer = EBranchformerLayer(config, SelfAttention(32, 4)).eval()
    >>> layer(torch.randn(10, 32), [7, 3])[0].shape
    torch.Size([10, 32])
    """

    def __init__(self, config, attention):
        super().__init__()
        size, both = config.hidden_size, 2 * config.hidden_size
        self.config = config
        self.first_ffn = FeedForward(config)
        self.attention_norm = nn.LayerNorm(size, config.norm_eps)
        self.attention = attention
        self.gate = ConvolutionalGate(config)
        self.depthwise, self.reach = same_length(
            both, config.merge_kernel, groups=both, causal=config.causal
        )
        self.merge = nn.Linear(both, size)
        self.second_ffn = FeedForward(config)
        self.norm = nn.LayerNorm(size, config.norm_eps)

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
        p = self.config.dropout
        x = x + 0.5 * self.first_ffn(x)
        attended = self.attention(self.attention_norm(x), frames)
        attended = F.dropout(attended, p, self.training)
        both = torch.cat([attended, self.gate(x, frames)], dim=-1)
        both = both + along_time(self.depthwise, both, frames, self.reach)
        x = x + F.dropout(self.merge(both), p, self.training)
        ffn = self.second_ffn(x)
        return self.norm(x + 0.5 * ffn), ffn
