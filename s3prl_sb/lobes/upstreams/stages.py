"""The second half of the contract of an upstream: its encoding in steps.

An objective of pre-training looks into the middle of a network: it masks frames before
the encoder sees them, or predicts what the frames were. A family that can be
pre-trained therefore offers its encoding in steps, on packed frames
[total_frames, size] of several utterances::

    x, frames = upstream.local(wavs)           # acoustic features, or convolutions
    x = upstream.embed(x)                       # input of the encoder
    states = upstream.contextualize(x, frames)  # the hidden states

Together they are :meth:`~s3prl_sb.lobes.upstreams.base.Upstream.encode_packed`.
:func:`~s3prl_sb.lobes.cards.check.check_upstream` checks them. No objective knows a
family, and no family an objective.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.networks.batch_norm import FixedBatchNorm1d


class FrozenNetworkError(UserError, ValueError):
    """Error of a network that cannot be pre-trained because it is frozen."""


class Stages:
    """Mix-in of the families whose encoding has steps.

    A family implements :meth:`local` and :meth:`contextualize`, sets
    ``local_size`` and ``embedded_size``, and overrides what else differs.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> upstream = load("hubert_small_random")
    >>> x, frames = upstream.local([torch.randn(8000), torch.randn(4000)])
    >>> list(x.shape) == [sum(frames), upstream.local_size], frames
    (True, [24, 12])
    >>> states = upstream.contextualize(upstream.embed(x), frames)
    >>> len(list(states)) == upstream.num_layers
    True
    """

    packed = True
    local_size: int  #: size of the local frames
    embedded_size: int  #: size of the input of the encoder
    #: module that quantizes the last hidden state in pre-training, of VQ-APC and NPC
    quantizer: torch.nn.Module | None = None
    #: layers of a teacher that the last hidden states predict, of DistilHuBERT
    predicted_layers: Sequence[int] = ()

    def local(self, wavs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[int]]:
        """Returns the frames that see nothing but their own part of the waveform.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i], none shorter than ``min_samples``.

        Returns
        -------
        x : torch.Tensor
            [total_frames, local_size]: acoustic features, or the output of
            convolutions over the waveform.
        frames : list of int
            Number of frames of each utterance.
        """
        raise NotImplementedError

    def normed(self, x: torch.Tensor) -> torch.Tensor:
        """Returns local frames as the encoder normalizes them; here as they are."""
        return x

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the input of the encoder, [total_frames, embedded_size], of local
        frames; here the frames themselves. A masked frame may be replaced here."""
        return x

    def contextualize(
        self, x: torch.Tensor, frames: list[int]
    ) -> Iterable[torch.Tensor]:
        """Returns the hidden states.

        Arguments
        ---------
        x : torch.Tensor
            Input of the encoder, [total_frames, embedded_size].
        frames : list of int
            Number of frames of each utterance.

        Returns
        -------
        iterable of torch.Tensor
            ``num_layers`` hidden states [total_frames, size].
        """
        raise NotImplementedError

    def encode_packed(self, wavs: Sequence[torch.Tensor]) -> Iterable[torch.Tensor]:
        """See :meth:`~s3prl_sb.lobes.upstreams.base.Upstream.encode_packed`."""
        x, frames = self.local(wavs)
        return self.contextualize(self.embed(x), frames)

    def begin_pretraining(self) -> None:
        """Makes everything trainable that fine-tuning keeps as it is: convolutions
        over the waveform, quantizers, the statistics of batch norms.

        Afterwards the last hidden state (or those of ``predicted_layers``) and the
        ``quantizer`` depend on every weight that is trained; a family switches off
        the others. The statistics are those of all true frames of a batch. A network
        that is loaded again keeps them.

        Raises
        ------
        FrozenNetworkError
            If the upstream is frozen.
        """
        network: Any = self
        if network.freeze:
            raise FrozenNetworkError(
                f"upstream_model: this {type(self).__name__} is frozen, where "
                "pre-training changes it. Add freeze: False to its arguments."
            )
        network.requires_grad_(True)
        for module in network.modules():
            if isinstance(module, FixedBatchNorm1d):
                module.learn()


class FeatureStages(Stages):
    """Steps of a family over acoustic features: its local frames are the features.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.apc import Apc
    >>> upstream = Apc(config={"hidden_size": 32})
    >>> x, frames = upstream.local([torch.randn(8000)])
    >>> x.shape, frames
    (torch.Size([48, 80]), [48])
    """

    features: Any
    network: Any

    @property
    def local_size(self) -> int:  # type: ignore[override]
        """Size of the features."""
        return self.features.output_size

    @property
    def embedded_size(self) -> int:  # type: ignore[override]
        """Size of the features, which are the input of the encoder."""
        return self.features.output_size

    @property
    def quantizer(self) -> torch.nn.Module | None:  # type: ignore[override]
        """Quantizer of the network, if it has one."""
        return getattr(self.network, "quantizer", None)

    def local(self, wavs: Sequence[torch.Tensor]) -> tuple[torch.Tensor, list[int]]:
        """See :meth:`Stages.local`."""
        pieces = [self.input_features(wav) for wav in wavs]  # type: ignore[attr-defined]
        x = torch.cat(pieces).to(next(self.network.parameters()).dtype)
        return x, [len(piece) for piece in pieces]

    def contextualize(
        self, x: torch.Tensor, frames: list[int]
    ) -> Iterable[torch.Tensor]:
        """See :meth:`Stages.contextualize`."""
        return self.network(x, frames)


class EncoderStages(FeatureStages):
    """Steps of a family whose network is a
    :class:`~s3prl_sb.lobes.networks.feature_encoder.FeatureEncoder`.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.decoar2 import Decoar2
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> upstream = Decoar2(config=tiny)
    >>> upstream.local_size, upstream.embedded_size
    (80, 32)
    """

    @property
    def embedded_size(self) -> int:  # type: ignore[override]
        """Size of the projected features."""
        return self.network.config.hidden_size

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """See :meth:`Stages.embed`."""
        return self.network.embed(x)

    def contextualize(
        self, x: torch.Tensor, frames: list[int]
    ) -> Iterable[torch.Tensor]:
        """See :meth:`Stages.contextualize`."""
        return self.network.encoder(x, frames)
