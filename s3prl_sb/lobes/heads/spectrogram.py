"""Prediction of a mel spectrogram from features: the network of voice conversion.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.heads.spectrogram_encoders import (
    ConvolutionalEncoder,
    LinearEncoder,
)
from s3prl_sb.lobes.networks.projected_lstm import ProjectedLSTM

#: Seed of the prenet's dropout in evaluation.
SEED = 0
CLOSE = 1e-6  # frames
ENCODERS = ("convolutional", "linear")


class SpectrogramPredictor(nn.Module):
    """Taco2-AR: an encoder over features, and a decoder that predicts log mel frames.

    The decoder sees its last frame through a prenet with dropout: the true frame in
    training (teacher forcing), its own prediction otherwise. With ``encoder: linear``
    and ``prenet_layers: 0`` it is S3PRL's *simple-AR*; without ``autoregressive`` its
    *simple* network.

    Papers: Shen et al., "Tacotron 2", https://arxiv.org/abs/1712.05884; Huang et al.,
    "S3PRL-VC", https://arxiv.org/abs/2110.06280.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_mels : int
        Number of mel bands.
    ratio : float
        Mel frames in one frame of the features.
    hidden_size : int
        Size of the encoder's output and of the decoder.
    encoder : str
        "convolutional": a linear layer, three convolutions and a BLSTM; or "linear".
    channels : int
        Size of the convolutions.
    autoregressive : bool
        Whether the decoder sees its last frame.
    prenet_layers : int
        Layers of the prenet; with 0 it is dropout alone.
    prenet_size : int
        Size of the prenet.
    recurrent_layers : int
        Layers of the decoder.
    dropout : float
        Probability to drop a value in the convolutions and in the prenet.
    recurrent_dropout : float
        Probability to drop a value in the decoder.
    layer_norm : bool
        Whether the decoder has layer norms.
    speaker_size : int
        Size of embeddings of the target speaker; 0: there is one target speaker.

    Note
    ----
    As in S3PRL, frames of features are repeated or left out to get the rate of mel
    frames, and the prenet's dropout stays on in evaluation. S3PRL draws it at random
    there; here it is the same for every utterance, drawn from a fixed seed, so that an
    utterance is always converted alike. In S3PRL the convolutions and batch norms see
    the padding of a batch; here an utterance does not depend on its batch. Training
    begins with predictions around the mean frame, in S3PRL around zero, far from it.

    Example
    -------
    >>> head = SpectrogramPredictor(24, num_mels=5, ratio=1.5, hidden_size=8)
    >>> features, lens = torch.randn(2, 10, 24), torch.tensor([1.0, 0.5])
    >>> head(features, lens).shape, head.frames(features, lens).tolist()
    (torch.Size([2, 15, 5]), [15, 7])
    """

    mean: torch.Tensor  #: of each mel band over the training set
    deviation: torch.Tensor  #: standard deviation, the same

    def __init__(
        self,
        input_size: int,
        num_mels: int = 80,
        ratio: float = 1.0,
        hidden_size: int = 1024,
        encoder: str = "convolutional",
        channels: int = 512,
        autoregressive: bool = True,
        prenet_layers: int = 2,
        prenet_size: int = 256,
        recurrent_layers: int = 2,
        dropout: float = 0.5,
        recurrent_dropout: float = 0.2,
        layer_norm: bool = False,
        speaker_size: int = 0,
    ):
        super().__init__()
        if encoder not in ENCODERS:
            raise ValueError(f"encoder '{encoder}': there are {', '.join(ENCODERS)}")
        self.ratio, self.autoregressive = ratio, autoregressive
        #: Arguments that follow from the data and the upstream.
        self.sizes = {
            "num_mels": num_mels,
            "ratio": ratio,
            "speaker_size": speaker_size,
        }
        self.encoder: nn.Module = LinearEncoder(input_size, hidden_size)
        if encoder == "convolutional":
            sizes = input_size, hidden_size, channels
            self.encoder = ConvolutionalEncoder(*sizes, dropout)
        self.speaker: nn.Linear | None = None
        if speaker_size:
            self.speaker = nn.Linear(hidden_size + speaker_size, hidden_size)
        self.prenet: Prenet | None = None
        last = 0
        if autoregressive:
            self.prenet = Prenet(num_mels, prenet_layers, prenet_size, dropout)
            last = self.prenet.output_size
        inputs = [hidden_size + last] + [hidden_size] * (recurrent_layers - 1)
        rest = recurrent_dropout, layer_norm, autoregressive
        self.decoder = nn.ModuleList(
            ProjectedLSTM(size, hidden_size, *rest) for size in inputs
        )
        self.output = nn.Linear(hidden_size, num_mels)
        self.register_buffer("mean", torch.zeros(num_mels))
        self.register_buffer("deviation", torch.ones(num_mels))

    def set_statistics(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Sets mean and standard deviation of the mel bands, [num_mels] each, before
        training, which begins with frames around the mean."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)
        with torch.no_grad():
            self.output.bias.copy_(mean)

    def normalized(self, mels: torch.Tensor) -> torch.Tensor:
        """Returns log mel frames of zero mean and unit variance."""
        return (mels - self.mean) / self.deviation

    def forward(
        self,
        features: torch.Tensor,
        lens: torch.Tensor,
        targets: torch.Tensor | None = None,
        speakers: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predicts the log mel frames of a batch.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.
        targets : torch.Tensor, optional
            [batch, mel frames, num_mels], true log mel frames for teacher forcing.
            Default: the decoder sees its own predictions.
        speakers : torch.Tensor, optional
            [batch, speaker_size], embeddings of the target speakers.

        Returns
        -------
        torch.Tensor
            [batch, mel frames, num_mels], float32, not normalized; for the numbers of
            true frames see :meth:`frames`.
        """
        frames = self.frames(features, lens)
        features = resampled(features, int(frames.max()), self.ratio)
        states = self.encoder(features, frames)
        if self.speaker is not None:
            if speakers is None:
                raise ValueError("there are several target speakers: give speakers")
            each = F.normalize(speakers.to(states.dtype))
            each = each[:, None].expand(-1, states.shape[1], -1)
            states = self.speaker(torch.cat([states, each], -1))
        if not self.autoregressive:
            mels = self._decoded(states)
        elif targets is None:
            mels = self._free(states)
        else:
            mels = self._decoded(self._forced(states, targets))
        return mels.float()

    def frames(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Returns the numbers of mel frames of utterances, at least 1.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, ...].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch].
        """
        frames = (lens.double() * features.shape[1]).round()
        # A product such as 16 * 1.875 may be a little below its true value.
        return (frames * self.ratio + CLOSE).floor().clamp_min(1).long()

    def _decoded(self, x):
        for layer in self.decoder:
            x = layer(x)
        return self.output(x)

    def _forced(self, states, targets):
        """Returns the decoder's input where it sees the true frames before."""
        targets = self.normalized(targets)[:, : states.shape[1] - 1]
        missing = states.shape[1] - 1 - targets.shape[1]
        before = F.pad(targets, (0, 0, 1, missing))
        kept = self.prenet.kept(states.shape[1], states)
        return torch.cat([states, self.prenet(before.to(states.dtype), kept)], -1)

    def _free(self, states):
        """Decodes frame by frame, all utterances of the batch together."""
        kept = self.prenet.kept(states.shape[1], states)
        before = states.new_zeros(len(states), self.mean.shape[0])
        memory, mels = [layer.start(states) for layer in self.decoder], []
        for frame, state in enumerate(states.unbind(1)):
            masks = None if kept is None else kept[:, frame]
            x = torch.cat([state, self.prenet(before, masks)], -1)
            for i, layer in enumerate(self.decoder):
                memory[i] = layer.step(x, memory[i])
                x = memory[i][0]
            mels.append(self.output(x))
            before = self.normalized(mels[-1].float()).to(states.dtype)
        return torch.stack(mels, 1)


def resampled(features: torch.Tensor, frames: int, ratio: float) -> torch.Tensor:
    """Repeats or leaves out frames to get another rate of frames.

    Arguments
    ---------
    features : torch.Tensor
        [batch, frames, size].
    frames : int
        Number of new frames.
    ratio : float
        New frames in one frame.

    Returns
    -------
    torch.Tensor
        [batch, new frames, size].

    Example
    -------
    >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])
    >>> resampled(x, 6, 2.0).flatten().tolist()
    [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    """
    index = (torch.arange(frames).double() / ratio + CLOSE).floor().long()
    index = index.clamp_max(features.shape[1] - 1)
    return features.index_select(1, index.to(features.device))


class Prenet(nn.Module):
    """Bottleneck over the last mel frame, with dropout that is always on.

    Arguments
    ---------
    input_size : int
        Size of the frames.
    layers : int
        Number of layers with ReLU; with 0 the dropout is applied to the input.
    size : int
        Size of each layer.
    dropout : float
        Probability to drop a value.

    Example
    -------
    >>> prenet = Prenet(5, layers=2, size=4)
    >>> prenet(torch.randn(2, 7, 5)).shape
    torch.Size([2, 7, 4])
    """

    def __init__(
        self, input_size: int, layers: int = 2, size: int = 256, dropout: float = 0.5
    ):
        super().__init__()
        sizes = [input_size, *[size] * layers]
        self.layers = nn.ModuleList(map(nn.Linear, sizes, sizes[1:]))
        self.probability, self.output_size = dropout, sizes[-1]

    def kept(self, frames: int, like: torch.Tensor) -> torch.Tensor | None:
        """Returns the masks of evaluation, [layers, frames, output_size]; None in
        training, where they are drawn. Frame f has the same mask in all utterances."""
        if self.training or not self.probability:
            return None
        generator = torch.Generator().manual_seed(SEED)
        shape = frames, max(len(self.layers), 1), self.output_size
        kept = torch.rand(shape, generator=generator) >= self.probability
        return kept.to(like).transpose(0, 1) / (1 - self.probability)

    def forward(
        self, x: torch.Tensor, kept: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Maps [..., input_size] to [..., output_size], see :meth:`kept`."""
        if not self.layers:
            return self._dropped(x, kept, 0)
        for i, layer in enumerate(self.layers):
            x = self._dropped(layer(x).relu(), kept, i)
        return x

    def _dropped(self, x, kept, layer):
        if kept is None:
            return F.dropout(x, self.probability, self.training)
        return x * kept[layer]
