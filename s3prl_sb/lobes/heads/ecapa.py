"""ECAPA-TDNN.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN

from s3prl_sb.lobes.heads.pooling import frame_mask


class ECAPA(ECAPA_TDNN):
    """SpeechBrain's ECAPA-TDNN, over true frames.

    Its last layer returns the logits, or an embedding.

    Paper: Desplanques et al., "ECAPA-TDNN", https://arxiv.org/abs/2005.07143.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes, or the size of an embedding.
    channels : list of int
        Size of each layer; the last one is pooled.
    kernel_sizes, dilations : list of int
        Kernel size and dilation of each layer.
    attention_channels : int
        Size of the layer that scores the frames of the pooling.
    res2net_scale : int
        Number of groups of channels in a Res2Net block.
    se_channels : int
        Inner size of the squeeze-and-excitation blocks.
    dropout : float
        Probability to drop a channel.

    Note
    ----
    SpeechBrain's convolutions and batch norms see the padding of a batch. Here, in
    evaluation, utterances of one length run together, without padding. In training, the
    frames of an utterance repeat in its padding, so that the statistics of a batch norm
    are those of speech; squeeze and excitation and the pooling only count true frames.
    An utterance shorter than the context of a convolution is extended in the same way.
    A batch of one utterance does not change the last batch norm, which has one value of
    each channel then and normalizes it by its running statistics.

    Example
    -------
    >>> head = ECAPA(24, 12, channels=[16, 16, 16, 16, 48], attention_channels=8)
    >>> head(torch.randn(2, 50, 24), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        channels: Sequence[int] = (512, 512, 512, 512, 1536),
        kernel_sizes: Sequence[int] = (5, 3, 3, 3, 1),
        dilations: Sequence[int] = (1, 2, 3, 4, 1),
        attention_channels: int = 128,
        res2net_scale: int = 8,
        se_channels: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__(
            input_size,
            lin_neurons=num_classes,
            channels=channels,
            kernel_sizes=kernel_sizes,
            dilations=dilations,
            attention_channels=attention_channels,
            res2net_scale=res2net_scale,
            se_channels=se_channels,
            groups=[1] * len(channels),
            dropout=dropout,
        )
        reflected = [(k - 1) * d // 2 for k, d in zip(kernel_sizes, dilations)]
        self.min_frames = 1 + max(reflected)  # that can be reflected at both ends

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, num_classes].
        """
        frames = frame_mask(features, lens).sum(1)
        self.asp_bn.train(self.training and len(features) > 1)
        if self.training:
            return self._encode(features, frames, features.shape[1])
        lengths = frames.unique().tolist()
        groups = [(frames == length).nonzero()[:, 0] for length in lengths]
        outputs = [
            self._encode(features[group], frames[group], length)
            for group, length in zip(groups, lengths)
        ]
        return torch.cat(outputs)[torch.cat(groups).argsort()]

    def _encode(self, features, frames, length):
        """Runs the network on utterances whose frames repeat up to a length."""
        length = max(length, self.min_frames)
        index = torch.arange(length, device=features.device) % frames[:, None]
        features = features.take_along_dim(index[..., None], dim=1)
        # SpeechBrain counts the frames below the product of a relative length and the
        # length: half a frame less, rounding cannot add one.
        lens = (frames.clamp_min(self.min_frames) - 0.5) / length
        return super().forward(features, lens)[:, 0]
