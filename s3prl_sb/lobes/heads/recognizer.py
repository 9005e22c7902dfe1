"""Universal recognizer: who speaks when, what each says, and which sounds happen when.

Nearest works: UAED (https://arxiv.org/abs/2409.08552) finds speakers and events from
two upstreams side by side, without words; the All-in-One Transformer
(https://doi.org/10.21437/Interspeech.2020-2757) finds words and events, without
speakers.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.heads.contract import HeadError
from s3prl_sb.lobes.heads.named_encoders import made_encoder
from s3prl_sb.lobes.heads.parts import Part, output_size
from s3prl_sb.lobes.heads.pooling import frame_mask
from s3prl_sb.lobes.heads.recurrent import RaggedLSTM
from s3prl_sb.terminal.messages import near

#: The three kinds of output of a recognizer.
KINDS = ("speakers", "words", "events")


class SceneOutput(NamedTuple):
    """Output of a recognizer for a batch; None for what it does not predict.

    Arguments
    ---------
    activity : torch.Tensor or None
        [batch, frames, speakers], logits that each speaker speaks.
    events : torch.Tensor or None
        [batch, frames, labels], logits that each sound is heard.
    words : torch.Tensor or None
        [batch, speakers, frames, tokens], log-probabilities of CTC's tokens in the
        track of each speaker; one track without ``activity``.
    vectors : torch.Tensor or None
        [batch, speakers, size], mean of the trunk's frames in which a speaker is
        active alone.
    lens : torch.Tensor
        [batch], relative lengths.
    """

    activity: torch.Tensor | None
    events: torch.Tensor | None
    words: torch.Tensor | None
    vectors: torch.Tensor | None
    lens: torch.Tensor


class Trunk(torch.nn.Module):
    """Encoder over the features of one or more upstreams.

    Layer norm of the features of each upstream, a linear layer over all of them, and
    an encoder over frames.

    Arguments
    ---------
    part_sizes : list of int
        Size of the features of each upstream, which are side by side.
    projection_size : int
        Size of the linear layer's output.
    encoder : str, dict, callable or torch.nn.Module
        See :class:`~s3prl_sb.lobes.heads.composed.FrameHead`.
    **options
        Arguments of the encoder.

    Example
    -------
    >>> trunk = Trunk([16, 8], 12, "rnn", hidden_size=4)
    >>> trunk(torch.randn(2, 10, 24), torch.ones(2)).shape, trunk.output_size
    (torch.Size([2, 10, 8]), 8)
    """

    def __init__(
        self,
        part_sizes: Sequence[int],
        projection_size: int = 256,
        encoder: Part = "rnn",
        **options,
    ):
        super().__init__()
        self.part_sizes = list(part_sizes)
        self.norms = torch.nn.ModuleList(map(torch.nn.LayerNorm, self.part_sizes))
        self.projection = torch.nn.Linear(sum(self.part_sizes), projection_size)
        self.encoder = made_encoder(encoder, projection_size, **options)
        self.output_size = output_size(self.encoder, projection_size)

    def forward(self, features: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        """Maps [batch, frames, size] and relative lengths [batch] to
        [batch, frames, output_size]."""
        parts = features.split(self.part_sizes, dim=2)
        normed = [norm(part) for norm, part in zip(self.norms, parts)]
        return self.encoder(self.projection(torch.cat(normed, 2)), lens)


class TrackWords(torch.nn.Module):
    """CTC over the track of each speaker, with the same weights for all speakers.

    The frames of a track are those of the trunk, multiplied by the probability that
    the speaker speaks, and scaled and shifted by a vector of the speaker, so that
    speakers who speak at once have different tracks.

    Arguments
    ---------
    input_size : int
        Size of the trunk's frames and of the vectors.
    num_tokens : int
        Number of CTC's tokens.
    hidden_size : int
        Size of a track's frames, and number of LSTM units in each direction.
    dropout : float
        Dropout probability after the LSTM.

    Example
    -------
    >>> words = TrackWords(8, num_tokens=5, hidden_size=4)
    >>> frames, gates = torch.randn(2, 10, 8), torch.rand(2, 10, 3)
    >>> words(frames, gates, torch.randn(2, 3, 8), torch.ones(2)).shape
    torch.Size([2, 3, 10, 5])
    """

    def __init__(
        self,
        input_size: int,
        num_tokens: int,
        hidden_size: int = 128,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.projection = torch.nn.Linear(input_size, hidden_size)
        self.scale = torch.nn.Linear(input_size, hidden_size)
        self.shift = torch.nn.Linear(input_size, hidden_size)
        self.activity = torch.nn.Linear(2, hidden_size, bias=False)
        self.lstm = RaggedLSTM(hidden_size, hidden_size, bidirectional=True)
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = torch.nn.Linear(2 * hidden_size, num_tokens)

    def forward(
        self,
        frames: torch.Tensor,
        gates: torch.Tensor,
        vectors: torch.Tensor,
        lens: torch.Tensor,
    ) -> torch.Tensor:
        """Returns log-probabilities of the tokens.

        Arguments
        ---------
        frames : torch.Tensor
            [batch, frames, input_size].
        gates : torch.Tensor
            [batch, frames, speakers], probabilities that each speaker speaks.
        vectors : torch.Tensor
            [batch, speakers, input_size].
        lens : torch.Tensor
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, speakers, frames, num_tokens].
        """
        own = gates.transpose(1, 2).unsqueeze(3)
        others = strongest_other(gates).transpose(1, 2).unsqueeze(3)
        tracks = self.projection(frames).unsqueeze(1) * own
        tracks = tracks * (1 + self.scale(vectors)).unsqueeze(2)
        tracks = tracks + self.shift(vectors).unsqueeze(2)
        tracks = tracks + self.activity(torch.cat([own, others], 3))
        batch, speakers = tracks.shape[:2]
        lens = lens.repeat_interleave(speakers)
        hidden = self.lstm(tracks.flatten(0, 1), lens)
        logits = self.classifier(self.dropout(hidden)).unflatten(0, (batch, speakers))
        return F.log_softmax(logits.float(), dim=-1)


class SceneRecognizer(torch.nn.Module):
    """Trunk with up to three heads: speakers, words and events.

    All frames are on one grid, whatever the strides of the upstreams are. Padding and
    the rest of the batch change nothing.

    Arguments
    ---------
    input_size : int
        Size of the features.
    num_speakers : int
        Number of tracks: most speakers in a recording.
    num_events : int
        Number of labels of events.
    num_tokens : int
        Number of CTC's tokens.
    part_sizes : list of int, optional
        Sizes of the features of several upstreams side by side, each of which has a
        layer norm. Default: one upstream.
    heads : list of str
        Predicted kinds, of :data:`KINDS`. Without "speakers", the words are those of
        one track.
    shared : bool
        Whether the heads share a trunk. False: each has its own one; words then get
        their gates from a network that they do not train.
    encoder : str, dict, callable or torch.nn.Module
        Encoder of a trunk, see :class:`~s3prl_sb.lobes.heads.composed.FrameHead`.
    projection_size : int
        Size between the features and the encoder.
    word_size : int
        Number of LSTM units of the words, in each direction.
    dropout : float
        Dropout probability after the encoder and the LSTM of the words.
    **options
        Further arguments of the encoder.

    Raises
    ------
    HeadError
        For an unknown kind of output, or none.

    Example
    -------
    >>> sizes = {"num_speakers": 3, "num_events": 10, "num_tokens": 30}
    >>> head = SceneRecognizer(24, **sizes, hidden_size=8)
    >>> output = head(torch.randn(2, 50, 24), torch.tensor([1, 0.4]))
    >>> output.activity.shape, output.events.shape, output.words.shape
    (torch.Size([2, 50, 3]), torch.Size([2, 50, 10]), torch.Size([2, 3, 50, 30]))
    """

    def __init__(
        self,
        input_size: int,
        num_speakers: int,
        num_events: int = 1,
        num_tokens: int = 1,
        part_sizes: Sequence[int] | None = None,
        heads: Sequence[str] = KINDS,
        shared: bool = True,
        encoder: Part = "rnn",
        projection_size: int = 256,
        word_size: int = 128,
        dropout: float = 0.0,
        **options,
    ):
        super().__init__()
        self.kinds = checked_kinds(heads)
        self.shared = bool(shared)
        sizes = list(part_sizes or [input_size])
        if sum(sizes) != input_size:
            raise HeadError(f"part_sizes {sizes}: their sum is not {input_size}.")
        trunks = {
            name: Trunk(sizes, projection_size, encoder, dropout=dropout, **options)
            for name in (("all",) if self.shared else self.kinds)
        }
        self.trunks = torch.nn.ModuleDict(trunks)
        width = next(iter(trunks.values())).output_size
        if "speakers" in self.kinds:
            self.activity = torch.nn.Linear(width, num_speakers)
        if "events" in self.kinds:
            self.events = torch.nn.Linear(width, num_events)
        if "words" in self.kinds:
            self.words = TrackWords(width, num_tokens, word_size, dropout)

    def forward(
        self,
        features: torch.Tensor,
        lens: torch.Tensor,
        truth: torch.Tensor | None = None,
    ) -> SceneOutput:
        """Returns the output of each head.

        Arguments
        ---------
        features : torch.Tensor
            [batch, frames, input_size].
        lens : torch.Tensor
            [batch], relative lengths.
        truth : torch.Tensor, optional
            [batch, frames, speakers], who speaks, for the tracks of the words;
            negative where it is unknown. There, and by default, it is predicted.

        Returns
        -------
        SceneOutput
        """
        frames = {name: trunk(features, lens) for name, trunk in self.trunks.items()}
        if self.shared:
            frames = dict.fromkeys(self.kinds, frames["all"])
        mask = frame_mask(features, lens).unsqueeze(2)
        activity, vectors, gates = None, None, mask.float()
        if "speakers" in self.kinds:
            activity = self.activity(frames["speakers"])
            # The gates are no way for the loss of words to change the activity.
            gates = activity.detach().float().sigmoid() * mask
            vectors = track_vectors(frames["speakers"], gates)
        if truth is not None:
            gates = torch.where(truth >= 0, truth, gates) * mask
        events = self.events(frames["events"]) if "events" in self.kinds else None
        words = None
        if "words" in self.kinds:
            heard = frames["words"]
            words = self.words(heard, gates, track_vectors(heard, gates), lens)
        return SceneOutput(activity, events, words, vectors, lens)


def checked_kinds(heads: Sequence[str]) -> tuple[str, ...]:
    """Returns the kinds of output in the order of :data:`KINDS`.

    Arguments
    ---------
    heads : list of str
        Kinds in any order.

    Returns
    -------
    tuple of str

    Raises
    ------
    HeadError
        For an unknown kind, or none.

    Example
    -------
    >>> checked_kinds(["events", "speakers"])
    ('speakers', 'events')
    """
    unknown = [name for name in heads if name not in KINDS]
    if unknown:
        raise HeadError(f"heads: no head '{unknown[0]}'. {near(unknown[0], KINDS)}")
    if not heads:
        raise HeadError(f"heads: give at least one of {', '.join(KINDS)}.")
    return tuple(kind for kind in KINDS if kind in heads)


def strongest_other(gates: torch.Tensor) -> torch.Tensor:
    """Returns the largest probability among the other speakers.

    Arguments
    ---------
    gates : torch.Tensor
        [batch, frames, speakers], probabilities.

    Returns
    -------
    torch.Tensor
        [batch, frames, speakers]; zeros where there is one speaker.

    Example
    -------
    >>> strongest_other(torch.tensor([[[0.5, 0.75, 0.25]]])).tolist()
    [[[0.75, 0.5, 0.75]]]
    """
    speakers = gates.shape[2]
    own = torch.eye(speakers, dtype=torch.bool, device=gates.device)
    each = gates.unsqueeze(2).expand(-1, -1, speakers, -1)
    return each.masked_fill(own, 0.0).amax(3)


def track_vectors(frames: torch.Tensor, gates: torch.Tensor) -> torch.Tensor:
    """Returns the mean frame of each speaker, weighted by the probability that this
    speaker speaks alone.

    Arguments
    ---------
    frames : torch.Tensor
        [batch, frames, size].
    gates : torch.Tensor
        [batch, frames, speakers], probabilities; 0 in the padding.

    Returns
    -------
    torch.Tensor
        [batch, speakers, size].

    Example
    -------
    >>> frames = torch.tensor([[[1.0], [3.0], [8.0]]])
    >>> gates = torch.tensor([[[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]])
    >>> track_vectors(frames, gates).flatten().tolist()
    [1.0, 8.0]
    """
    alone = gates * (1 - strongest_other(gates))
    weights = alone / alone.sum(1, keepdim=True).clamp_min(1e-6)
    return torch.einsum("btd,bts->bsd", frames.float(), weights)
