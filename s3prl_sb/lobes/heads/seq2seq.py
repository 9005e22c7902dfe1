"""Transformer encoder and decoder that write a text while they attend to the features.

The layers are SpeechBrain's. Decoding is in :mod:`s3prl_sb.lobes.seq2seq_decoding`.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from speechbrain.lobes.models.transformer import Transformer

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.networks.attention import sines


class ConvSubsampler(torch.nn.Module):
    """Strided convolutions with gated linear units: four times fewer frames.

    Paper: Synnaeve et al., https://arxiv.org/abs/1911.08460.

    Arguments
    ---------
    input_size : int
        Size of the features.
    output_size : int
        Size of the output.
    channels : int
        Channels of the convolutions before the last one; the unit halves them.
    kernel_sizes : list of int
        Frames of each convolution, odd numbers.
    strides : list of int
        Stride of each.

    Raises
    ------
    HeadError
        If the lists do not fit together, a kernel is even, or a stride no number
        from 1 on.

    Note
    ----
    Every layer sees zeros beyond the end of an utterance. In fairseq the second one
    sees what the first made of the padding, so that a frame depends on the batch.

    Example
    -------
    >>> subsample = ConvSubsampler(24, 8, channels=16)
    >>> x, counts = subsample(torch.randn(2, 10, 24), torch.tensor([10, 5]))
    >>> x.shape, counts
    (torch.Size([2, 3, 8]), tensor([3, 2]))
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        channels: int = 1024,
        kernel_sizes: Sequence[int] = (5, 5),
        strides: Sequence[int] = (2, 2),
    ):
        super().__init__()
        if len(kernel_sizes) != len(strides) or not strides:
            raise HeadError(
                f"kernel_sizes {list(kernel_sizes)} and strides {list(strides)}: give "
                "one number of each for a convolution."
            )
        if any(size % 2 == 0 for size in kernel_sizes):
            raise HeadError(f"kernel_sizes: odd numbers, not {list(kernel_sizes)}.")
        if min(strides) < 1:
            raise HeadError(f"strides: whole numbers from 1 on, not {list(strides)}.")
        sizes = [channels] * (len(strides) - 1) + [2 * output_size]
        inputs = [input_size, *(size // 2 for size in sizes)]
        self.strides = list(strides)
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv1d(i, o, kernel, stride, padding=kernel // 2)
            for i, o, kernel, stride in zip(inputs, sizes, kernel_sizes, strides)
        )

    def forward(
        self, x: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns fewer frames and their true numbers.

        Arguments
        ---------
        x : torch.Tensor
            [batch, frames, input_size].
        counts : torch.Tensor
            [batch], true numbers of frames.

        Returns
        -------
        x : torch.Tensor
            [batch, fewer frames, output_size].
        counts : torch.Tensor
            [batch].
        """
        for convolution, stride in zip(self.convolutions, self.strides):
            x = x.masked_fill(padding_mask(x, counts)[..., None], 0.0)
            x = F.glu(convolution(x.mT), dim=1).mT
            counts = (counts - 1) // stride + 1
        return x, counts


class Seq2SeqTransformer(torch.nn.Module):
    """Network of SUPERB-SG's speech translation: fairseq's ``s2t_transformer``.

    Convolutions that keep a frame of four, a Transformer encoder and a Transformer
    decoder, with layer norms before attention and feed-forward. Padding and the rest
    of the batch change nothing, and there is no longest utterance or text.

    Papers: Vaswani et al., https://arxiv.org/abs/1706.03762; Wang et al., "fairseq
    S2T", https://arxiv.org/abs/2010.05171.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of tokens of the target. Token 0 is the padding.
    num_sources : int
        Number of tokens of the source text that a linear layer over the encoder
        recognizes by CTC, its blank being token 0; 0: no such layer.
    hidden_size : int
        Size of the layers: even, and a multiple of ``num_heads``.
    encoder_layers, decoder_layers : int
        Numbers of layers.
    num_heads : int
        Number of attention heads.
    ffn_size : int
        Inner size of the feed-forward networks.
    dropout : float
        Dropout probability after the positions and in each layer.
    channels, kernel_sizes, strides
        See :class:`ConvSubsampler`.

    Raises
    ------
    HeadError
        If the arguments do not fit together.

    Note
    ----
    fairseq's sinusoids begin at position 2 and have all sines before all cosines;
    S3PRL cuts utterances after 6,000 frames.

    Example
    -------
    >>> head = Seq2SeqTransformer(24, 5, hidden_size=8, num_heads=2, ffn_size=8)
    >>> prefix = torch.tensor([[1, 3, 4], [1, 4, 4]])
    >>> logits, source_logits, counts = head(
    ...     torch.randn(2, 10, 24), torch.tensor([1.0, 0.5]), prefix)
    >>> logits.shape, source_logits, counts
    (torch.Size([2, 3, 5]), None, tensor([3, 2]))
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        num_sources: int = 0,
        hidden_size: int = 512,
        encoder_layers: int = 3,
        decoder_layers: int = 3,
        num_heads: int = 8,
        ffn_size: int = 2048,
        dropout: float = 0.1,
        channels: int = 1024,
        kernel_sizes: Sequence[int] = (5, 5),
        strides: Sequence[int] = (2, 2),
    ):
        super().__init__()
        if hidden_size % 2 or num_heads < 1 or hidden_size % num_heads:
            raise HeadError(
                f"hidden_size {hidden_size} and num_heads {num_heads}: the size must "
                "be even and a multiple of the number of heads."
            )
        self.num_classes, self.hidden_size = num_classes, hidden_size
        self.num_heads = num_heads
        self.subsample = ConvSubsampler(
            input_size, hidden_size, channels, kernel_sizes, strides
        )
        self.dropout = torch.nn.Dropout(dropout)
        layers = {
            "nhead": num_heads,
            "d_ffn": ffn_size,
            "d_model": hidden_size,
            "dropout": dropout,
            "normalize_before": True,
        }
        self.encoder = Transformer.TransformerEncoder(encoder_layers, **layers)
        self.embedding = Transformer.NormalizedEmbedding(hidden_size, num_classes)
        self.decoder = Transformer.TransformerDecoder(decoder_layers, **layers)
        self.output = torch.nn.Linear(hidden_size, num_classes, bias=False)
        self.source_output = (
            torch.nn.Linear(hidden_size, num_sources) if num_sources else None
        )
        self._initialize()

    def _initialize(self):
        """Initializes the weights as fairseq does."""
        for module in (self.encoder, self.decoder):
            for weight in module.parameters():
                if weight.dim() > 1:
                    torch.nn.init.xavier_uniform_(weight)
        table = self.embedding.emb.Embedding.weight
        for weight in (table, self.output.weight):
            torch.nn.init.normal_(weight, std=self.hidden_size**-0.5)
        with torch.no_grad():
            table[0] = 0.0  # of the padding

    def forward(
        self, features: torch.Tensor, lens: torch.Tensor, prefix: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Returns the logits of the token after each prefix of the target.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.
        prefix : torch.Tensor
            [batch, tokens], the start token and the target without its last token.

        Returns
        -------
        logits : torch.Tensor
            [batch, tokens, num_classes].
        source_logits : torch.Tensor or None
            [batch, fewer frames, num_sources], of CTC.
        counts : torch.Tensor
            [batch], true numbers of these frames.
        """
        memory, counts = self.encode(features, lens)
        source_logits = None
        if self.source_output is not None:
            source_logits = self.source_output(memory)
        return self.decode(prefix, memory, counts), source_logits, counts

    def encode(
        self, features: torch.Tensor, lens: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns what the decoder attends to.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        memory : torch.Tensor
            [batch, fewer frames, hidden_size].
        counts : torch.Tensor
            [batch], true numbers of its frames, at least one.
        """
        counts = (lens * features.shape[1]).round().long().clamp_min(1)
        x, counts = self.subsample(features, counts.to(features.device))
        x = self.with_positions(x * self.hidden_size**0.5)
        padding = padding_mask(x, counts)
        return self.encoder(self.dropout(x), src_key_padding_mask=padding)[0], counts

    def decode(
        self, prefix: torch.Tensor, memory: torch.Tensor, counts: torch.Tensor
    ) -> torch.Tensor:
        """Returns the logits of the token after each prefix.

        Arguments
        ---------
        prefix : torch.Tensor
            [batch, tokens].
        memory, counts
            Result of :meth:`encode`.

        Returns
        -------
        torch.Tensor
            [batch, tokens, num_classes].
        """
        tokens = prefix.shape[1]
        # True where attention is not allowed. Padding is at the end of the prefix,
        # where no true token looks.
        future = torch.ones(tokens, tokens, dtype=torch.bool, device=memory.device)
        x = self.dropout(self.with_positions(self.embedding(prefix)))
        x = self.decoder(
            x,
            memory,
            tgt_mask=future.triu(1),
            memory_key_padding_mask=padding_mask(memory, counts),
        )[0]
        return self.output(x)

    def with_positions(self, x: torch.Tensor, first: int = 0) -> torch.Tensor:
        """Adds sinusoidal positions.

        Arguments
        ---------
        x : torch.Tensor
            [batch, positions, hidden_size].
        first : int
            Position of the first one.

        Returns
        -------
        torch.Tensor
        """
        positions = torch.arange(first, first + x.shape[1])
        return x + sines(positions, x.shape[2]).to(x)


def padding_mask(x: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Returns a mask of the padding.

    Arguments
    ---------
    x : torch.Tensor
        [batch, frames, ...].
    counts : torch.Tensor
        [batch], true numbers of frames.

    Returns
    -------
    torch.Tensor
        [batch, frames], bool.

    Example
    -------
    >>> padding_mask(torch.zeros(2, 3, 1), torch.tensor([3, 2]))[1]
    tensor([False, False,  True])
    """
    return torch.arange(x.shape[1], device=x.device) >= counts[:, None]
