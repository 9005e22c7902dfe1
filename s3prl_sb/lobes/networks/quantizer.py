"""Vector quantization of VQ-APC and NPC.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn


class Quantizer(nn.Module):
    """Chooses a code for each part of a frame.

    Arguments
    ---------
    codebook_size : list of int
        Number of codes for each part.
    size : int
        Size of the frames.
    code_dim : list of int, optional
        Size of each part. None: equal parts.

    Example
    -------
    >>> quantizer = Quantizer([64, 64], size=32)
    >>> codes = quantizer(torch.randn(10, 32))
    >>> codes.shape, quantizer.codebooks[0](codes[:, 0]).shape
    (torch.Size([10, 2]), torch.Size([10, 16]))
    """

    def __init__(self, codebook_size, size, code_dim=None):
        super().__init__()
        self.code_dim = code_dim or [size // len(codebook_size)] * len(codebook_size)
        if len(self.code_dim) != len(codebook_size) or sum(self.code_dim) != size:
            raise ValueError(
                f"code_dim {self.code_dim} must have one entry for each of "
                f"codebook_size {codebook_size}, and {size} as the sum"
            )
        sizes = list(zip(self.code_dim, codebook_size))
        self.logits = nn.ModuleList(nn.Linear(dim, count) for dim, count in sizes)
        self.codebooks = nn.ModuleList(nn.Embedding(n, dim) for dim, n in sizes)

    def forward(self, x):
        """[…, size] -> codes […, parts]."""
        parts = zip(self.logits, x.split(self.code_dim, -1))
        return torch.stack([logits(part).argmax(-1) for logits, part in parts], -1)


def utterance_codes(upstream, wavs, wav_lens=None):
    """Returns the codes of an upstream with vector quantization.

    Their vectors are ``network.quantizer.codebooks[part](codes[…, part])``.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Its last hidden state goes into ``network.quantizer``.
    wavs : torch.Tensor
        [batch, samples].
    wav_lens : torch.Tensor, optional
        [batch], relative lengths.

    Returns
    -------
    codes : torch.Tensor
        [batch, frames, parts], whole numbers from 0, and -1 after the end
        of an utterance.
    lens : torch.Tensor
        [batch], relative lengths in frames.

    Raises
    ------
    ValueError
        If the network has no vector quantization.
    """
    quantizer = upstream.network.quantizer
    if quantizer is None:
        raise ValueError(f"This {type(upstream).__name__} has no vector quantization.")
    with torch.no_grad():
        hidden_states, lens = upstream(wavs, wav_lens)
        codes = quantizer(hidden_states[-1])
    frames = torch.arange(codes.shape[1], device=codes.device)
    ended = frames >= (lens * codes.shape[1]).round()[:, None]
    return codes.masked_fill(ended[..., None], -1), lens
