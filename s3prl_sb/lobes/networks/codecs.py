"""Network of a neural codec: an encoder, and the quantizer of its latents.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn

from s3prl_sb.lobes.networks.initialization import initialize
from s3prl_sb.lobes.networks.precision import KeepsPrecision, full_precision


class CodecNetwork(KeepsPrecision):
    """Encoder and quantizer of a codec, for one waveform at a time.

    It stays in fp32 when it is cast, as rounding would change codes. For the same
    reason each waveform runs separately: its codes are exactly the same in any batch.

    Arguments
    ---------
    encoder : s3prl_sb.lobes.networks.codec_encoders.Strided
        Maps a waveform [samples] to hidden states [frames, size]; the last one are the
        latents.
    quantizer : torch.nn.Module
        Maps latents to codes [frames, quantizers] and a list of vectors, see
        :mod:`~s3prl_sb.lobes.networks.codebooks`.
    quantizers : int, optional
        Number of codebooks, the first ones. None: all.
    each_quantizer : bool
        Return the vectors of each codebook as hidden states, too.

    Example
    -------
    >>> from s3prl_sb.lobes.checkpoints.building import build
    >>> from s3prl_sb.lobes.networks.codebooks import Codebook, ResidualQuantizer
    >>> class Encoder(nn.Module):
    ...     semantic, sizes = None, [4]
    ...     renew = lambda self: None
    ...     forward = lambda self, wav: [wav.view(-1, 4)]
    >>> make = lambda: CodecNetwork(
    ...     Encoder(), ResidualQuantizer(Codebook(8, 4) for _ in range(3)))
    >>> network = build(make).half()
    >>> states, codes = network(torch.randn(40)), network.codes(torch.randn(40))
    >>> len(states), states[-1].shape, states[-1].dtype, codes.shape
    (2, torch.Size([10, 4]), torch.float32, torch.Size([10, 3]))
    """

    def __init__(self, encoder, quantizer, quantizers=None, each_quantizer=False):
        super().__init__()
        self.encoder, self.quantizer = encoder, quantizer
        if quantizers is not None and not 1 <= quantizers <= quantizer.count:
            raise ValueError(
                f"quantizers: {quantizers} is none of 1 to {quantizer.count}, the "
                "number of codebooks of this codec."
            )
        self.count = quantizer.count if quantizers is None else quantizers
        self.each = each_quantizer
        # The papers update codebooks with statistics or with losses of their own, and
        # leave the network of other authors inside as it is.
        quantizer.requires_grad_(False)
        if encoder.semantic is not None:
            encoder.semantic.requires_grad_(False)
        # Also if the weights are loaded into a module around this one.
        self.register_load_state_dict_post_hook(_renew)

    @property
    def sizes(self):
        """Size of each hidden state."""
        sizes = self.encoder.sizes
        return sizes + sizes[-1:] * (1 + self.each * self.count)

    def forward(self, wav):
        """[samples] -> hidden states [frames, size]: those of the encoder, vectors of
        each codebook if they were asked for, and the sum of the vectors."""
        with full_precision():
            states = self.encoder(wav)
            latents = states[-1]
            with torch.no_grad():
                _, vectors = self.quantizer(latents, self.count)
                total = torch.stack(vectors).sum(0)
            # The straight-through gradient, as in training of all of them.
            total = total + (latents - latents.detach())
            return [*states, *(vectors if self.each else ()), total]

    def codes(self, wav):
        """[samples] -> codes [frames, quantizers]."""
        with torch.no_grad(), full_precision():
            return self.quantizer(self.encoder(wav)[-1], self.count)[0]

    def reset_parameters(self, seed=0):
        """Sets random weights; activations and scales start as those of the authors."""
        initialize(self, seed)
        for module in [self.quantizer, *self.encoder.children()]:
            if module is not self.encoder.semantic:
                _widen(module)
        for module in self.modules():
            kind = type(module).__name__
            if kind == "Snake1d":
                nn.init.ones_(module.alpha)
            elif kind == "MimiLayerScale":
                nn.init.constant_(module.scale, 0.01)
        self.renew()

    def renew(self):
        """Computes what no checkpoint has, such as the frequencies of positions."""
        self.encoder.renew()
        if self.encoder.semantic is not None:
            self.encoder.semantic.renew_positions()

    def train(self, mode=True):
        """Sets training mode, except for the network that is never trained."""
        super().train(mode)
        if self.encoder.semantic is not None:
            self.encoder.semantic.eval()
        return self


def _renew(network, keys):
    """Computes what the weights that have been loaded do not have."""
    network.renew()


def _widen(network):
    """Scales linear layers from 0.02 to keep the variance, so that codes differ."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.weight.data.mul_(50 * module.in_features**-0.5)
