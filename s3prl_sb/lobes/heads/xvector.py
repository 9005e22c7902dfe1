"""X-vectors: speaker embeddings of utterances.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.heads.statistics_pooling import statistics


class XVector(torch.nn.Module):
    """SUPERB's speaker embedding network.

    It has a linear projection, convolutions with a ReLU each (a time-delay network),
    mean and standard deviation over the true frames, and two affine layers with a
    ReLU each. The output of the first affine layer is the embedding; the second is
    used in training only.

    Paper: Snyder et al., "X-vectors", ICASSP 2018,
    https://www.danielpovey.com/files/2018_icassp_xvectors.pdf.

    Arguments
    ---------
    input_size : int
        Size of the features.
    hidden_size : int
        Size of the projection and of all convolutions but the last.
    pooled_size : int
        Size of the last convolution.
    output_size : int
        Size of the embedding.
    kernel_sizes, dilations : list of int
        Kernel size and dilation of each convolution.

    Note
    ----
    The network is S3PRL's: no batch normalization, and a standard deviation with
    n - 1 in its denominator. S3PRL averages over one padded frame too many; here only
    true frames count, so an embedding does not depend on the rest of the batch. An
    utterance shorter than the context of the convolutions is extended by its last
    frame; S3PRL fails on it.

    SpeechBrain's ``StatisticsPooling`` adds random noise, so it is not used.

    Example
    -------
    >>> head = XVector(input_size=768).eval()
    >>> head(torch.randn(2, 50, 768), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 512])
    >>> sum(p.numel() for n, p in head.named_parameters() if "projection" not in n)
    5716444
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 512,
        pooled_size: int = 1500,
        output_size: int = 512,
        kernel_sizes: Sequence[int] = (5, 3, 3, 1, 1),
        dilations: Sequence[int] = (1, 2, 3, 1, 1),
    ):
        super().__init__()
        if len(kernel_sizes) != len(dilations) or not kernel_sizes:
            raise ValueError(
                f"kernel_sizes {list(kernel_sizes)} and dilations {list(dilations)}: "
                "give one of each for every convolution"
            )
        self.projection = torch.nn.Linear(input_size, hidden_size)
        sizes = [hidden_size] * len(kernel_sizes) + [pooled_size]
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv1d(sizes[i], sizes[i + 1], kernel, dilation=dilation)
            for i, (kernel, dilation) in enumerate(zip(kernel_sizes, dilations))
        )
        spans = ((k - 1) * d for k, d in zip(kernel_sizes, dilations))
        self.context = 1 + sum(spans)  # input frames of an output frame
        self.embedding = torch.nn.Linear(2 * pooled_size, output_size)
        self.last = torch.nn.Linear(output_size, output_size)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns embeddings; in training, the input of the loss.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, output_size].
        """
        x = self.embed(features, lens)
        return F.relu(self.last(x)) if self.training else x

    def embed(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns embeddings, [batch, output_size], in training too; for the arguments
        see :meth:`forward`."""
        frames = frame_mask(features, lens).sum(1)
        features, frames = self._extended(features, frames)
        x = self.projection(features).transpose(1, 2)
        for convolution in self.convolutions:
            x = F.relu(convolution(x))
        return F.relu(self.embedding(statistics(x, frames - self.context + 1)))

    def _extended(self, features, frames):
        """Repeats the last frame of utterances shorter than the context."""
        if int(frames.min()) >= self.context:
            return features, frames
        size = max(features.shape[1], self.context)
        index = torch.arange(size, device=features.device).expand(len(features), -1)
        index = index.minimum(frames[:, None] - 1)
        features = features.take_along_dim(index[..., None], dim=1)
        return features, frames.clamp_min(self.context)


class XVectorClassifier(XVector):
    """X-vectors and a linear classifier.

    :class:`XVector` returns embeddings, for tasks that compare them; this network
    returns logits, in training and in evaluation.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_classes : int
        Number of classes, or the size of an embedding.
    embedding_size : int
        Size of the layer before the classifier.
    hidden_size, pooled_size, kernel_sizes, dilations
        See :class:`XVector`.

    Example
    -------
    >>> head = XVectorClassifier(input_size=24, num_classes=12)
    >>> head(torch.randn(2, 50, 24), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 12])
    """

    def __init__(
        self,
        input_size: int,
        num_classes: int,
        embedding_size: int = 512,
        hidden_size: int = 512,
        pooled_size: int = 1500,
        kernel_sizes: Sequence[int] = (5, 3, 3, 1, 1),
        dilations: Sequence[int] = (1, 2, 3, 1, 1),
    ):
        super().__init__(
            input_size,
            hidden_size,
            pooled_size,
            embedding_size,
            kernel_sizes,
            dilations,
        )
        self.last = torch.nn.Linear(embedding_size, num_classes)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns logits, [batch, num_classes]; for the arguments see
        :class:`XVector`."""
        return self.last(self.embed(features, lens))
