"""Vector quantization of VQ-APC and NPC, and codes of any upstream.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
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

    @property
    def codebook_sizes(self):
        """Number of codes for each part."""
        return [codebook.num_embeddings for codebook in self.codebooks]

    def quantized(self, x, noise=None, temperature=1.0):
        """Returns the vectors of codes, through which gradients reach the logits.

        The forward pass takes the vector of one code, the backward pass the gradient
        of the soft-max over all codes (hard Gumbel soft-max, straight-through).

        Arguments
        ---------
        x : torch.Tensor
            [frames, size].
        noise : torch.Tensor, optional
            [frames, codes of all parts], Gumbel noise, which is added to the logits.
            None: the most likely code.
        temperature : float
            Divisor of logits and noise in the soft-max.

        Returns
        -------
        vectors : torch.Tensor
            [frames, size].
        codes : torch.Tensor
            [frames, parts], whole numbers.

        Example
        -------
        >>> quantizer = Quantizer([64, 64], size=32)
        >>> x = torch.randn(10, 32, requires_grad=True)
        >>> vectors, codes = quantizer.quantized(x)
        >>> torch.equal(codes, quantizer(x)), vectors.shape
        (True, torch.Size([10, 32]))
        >>> vectors.sum().backward()
        >>> bool((x.grad != 0).all())
        True
        """
        pieces = x.split(self.code_dim, -1)
        noises = [0.0] * len(pieces)
        if noise is not None:
            noises = noise.split(self.codebook_sizes, -1)
        vectors, codes = [], []
        layers = zip(self.logits, self.codebooks, pieces, noises)
        for logits, codebook, piece, noise in layers:
            soft = ((logits(piece).float() + noise) / temperature).softmax(-1)
            codes.append(soft.argmax(-1))
            hard = F.one_hot(codes[-1], soft.shape[-1]).to(soft.dtype)
            choice = hard - soft.detach() + soft
            vectors.append(F.linear(choice, codebook.weight.T))
        return torch.cat(vectors, -1), torch.stack(codes, -1)


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


def waveform_codes(upstream, wavs, wav_lens=None):
    """Returns the codes of an upstream that quantizes one waveform at a time.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Its method ``codes_of`` returns the codes [frames, parts] of a waveform
        [samples] that is at least one frame long.
    wavs : torch.Tensor
        [batch, samples], as for ``forward``.
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
    AudioError
        For an empty or non-finite waveform.
    """
    samples = upstream._samples(wavs, wav_lens)
    cut = [upstream._waveform(wav[:count]) for wav, count in zip(wavs, samples)]
    codes = [upstream.codes_of(wav) for wav in cut]
    lens = torch.tensor([len(rows) for rows in codes], device=wavs.device)
    codes = nn.utils.rnn.pad_sequence(codes, batch_first=True, padding_value=-1)
    return codes, lens / lens.max()
