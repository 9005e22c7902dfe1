"""Transformer and Conformer over frames, with SpeechBrain's layers.

Each is an :class:`~s3prl_sb.lobes.heads.contract.Encoder`. The positions of both have
no longest utterance.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from speechbrain.lobes.models.transformer import Conformer, Transformer
from speechbrain.nnet.attention import RelPosEncXL

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.networks.attention import sines

ACTIVATIONS = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU}


class TransformerEncoder(torch.nn.Module):
    """Projection, sinusoidal positions, and Transformer layers.

    Paper: Vaswani et al., "Attention Is All You Need",
    https://arxiv.org/abs/1706.03762.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Size of the layers, and ``output_size``: even, and a multiple of ``num_heads``.
    num_layers : int
        Number of layers.
    dropout : float
        Dropout probability after the positions, if there are any, and in each layer.
    num_heads : int
        Number of attention heads.
    ffn_size : int, optional
        Inner size of the feed-forward networks; default: 4 times ``hidden_size``.
    norm_first : bool
        Whether the layer norms come before attention and feed-forward, and another one
        after the last layer; otherwise they come after them, as in BERT.
    positions : bool
        Whether sinusoidal positions are added to the projection.
    activation : str
        "relu" or "gelu", of the feed-forward networks.
    scaled : bool
        Whether the projection is multiplied by the square root of ``hidden_size``
        before the positions are added, as in the paper and in ESPnet.

    Raises
    ------
    HeadError
        If the size does not suit the number of heads, or there is no such activation.

    Note
    ----
    ``norm_first=False, positions=False, activation="gelu"`` is the network of S3PRL's
    ``atis`` and ``audio_snips``, but for the epsilon of the norms (1e-12 there). In
    training, theirs has no dropout within the feed-forward networks, and all its layers
    begin with equal weights. In a batch of several utterances its mask does not remove
    the padding.

    Example
    -------
    >>> encoder = TransformerEncoder(24, hidden_size=8, num_layers=1)
    >>> encoder(torch.randn(2, 10, 24), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 10, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.1,
        num_heads: int = 4,
        ffn_size: int | None = None,
        norm_first: bool = True,
        positions: bool = True,
        activation: str = "relu",
        scaled: bool = False,
    ):
        super().__init__()
        _check(hidden_size, num_heads)
        if activation not in ACTIVATIONS:
            choices = " or ".join(ACTIVATIONS)
            raise HeadError(f"activation: {choices}, not '{activation}'.")
        self.projection = torch.nn.Linear(input_size, hidden_size)
        self.positions = positions
        self.scale = hidden_size**0.5 if scaled else 1.0
        self.dropout = torch.nn.Dropout(dropout if positions else 0.0)
        self.layers = Transformer.TransformerEncoder(
            num_layers=num_layers,
            nhead=num_heads,
            d_ffn=ffn_size or 4 * hidden_size,
            d_model=hidden_size,
            dropout=dropout,
            activation=ACTIVATIONS[activation],
            normalize_before=norm_first,
        )
        if not norm_first:  # the last layer ends in a norm
            self.layers.norm = torch.nn.Identity()
        self.output_size = hidden_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, hidden_size]."""
        padding = ~frame_mask(x, lens)
        x = self.projection(x.masked_fill(padding[..., None], 0.0)) * self.scale
        if self.positions:
            x = x + sines(torch.arange(x.shape[1]), x.shape[2]).to(x)
        return self.layers(self.dropout(x), src_key_padding_mask=padding)[0]


class ConformerEncoder(torch.nn.Module):
    """Projection and Conformer layers, with relative positions.

    Paper: Gulati et al., "Conformer", https://arxiv.org/abs/2005.08100.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Size of the layers, and ``output_size``: even, and a multiple of ``num_heads``.
    num_layers : int
        Number of layers.
    dropout : float
        Dropout probability after the projection and in each layer.
    num_heads : int
        Number of attention heads.
    ffn_size : int, optional
        Inner size of the feed-forward networks; default: 4 times ``hidden_size``.
    kernel_size : int
        Frames of the depthwise convolutions, an odd number.

    Raises
    ------
    HeadError
        If the size does not suit the number of heads, or the kernel is even.

    Note
    ----
    SpeechBrain's convolutions see the padding; here it is zero before each of them.
    Without padding the result is the same.

    Example
    -------
    >>> encoder = ConformerEncoder(24, hidden_size=8, num_layers=1)
    >>> encoder(torch.randn(2, 10, 24), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 10, 8])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 256,
        num_layers: int = 2,
        dropout: float = 0.1,
        num_heads: int = 4,
        ffn_size: int | None = None,
        kernel_size: int = 31,
    ):
        super().__init__()
        _check(hidden_size, num_heads)
        if kernel_size % 2 == 0:
            raise HeadError(f"kernel_size: an odd number, not {kernel_size}.")
        self.projection = torch.nn.Linear(input_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.positions = RelPosEncXL(hidden_size)
        self.layers = Conformer.ConformerEncoder(
            num_layers=num_layers,
            nhead=num_heads,
            d_ffn=ffn_size or 4 * hidden_size,
            d_model=hidden_size,
            dropout=dropout,
            kernel_size=kernel_size,
        )
        for layer in self.layers.layers:
            convolution = _MaskedConvolution(hidden_size, kernel_size, dropout=dropout)
            layer.convolution_module = convolution
        self.output_size = hidden_size

    def forward(self, x: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, input_size] and relative lengths [batch] to
        [batch, frames, hidden_size]."""
        padding = ~frame_mask(x, lens)
        x = self.dropout(self.projection(x.masked_fill(padding[..., None], 0.0)))
        positions = self.positions(x).to(x.dtype)
        return self.layers(x, src_key_padding_mask=padding, pos_embs=positions)[0]


class _MaskedConvolution(Conformer.ConvolutionModule):
    """Convolution module whose depthwise convolution has zeros beyond the utterance."""

    def forward(self, x, mask=None, dynchunktrain_config=None):
        """Maps [batch, frames, size] to the same; ``mask`` [batch, frames, 1] is True
        in the padding."""
        x = self.bottleneck(self.layer_norm(x).transpose(1, 2))
        x = self.conv(x.masked_fill(mask.transpose(1, 2), 0.0))
        return self.after_conv(x.transpose(1, 2))


def _check(hidden_size, num_heads):
    if hidden_size % 2 or hidden_size % num_heads:
        raise HeadError(
            f"hidden_size {hidden_size} and num_heads {num_heads}: the size must be "
            "even and a multiple of the number of heads."
        )
