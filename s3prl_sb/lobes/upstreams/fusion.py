"""Several upstreams as one: their hidden states side by side, on one grid of frames.

The winners of HEAR (Turian et al., https://arxiv.org/abs/2203.03022) concatenated the
features of several models.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from s3prl_sb.audio.resampling import resample
from s3prl_sb.lobes.cards.fusion_parts import FusionError, built, described, read
from s3prl_sb.lobes.upstreams.base import Upstream


class Fusion(Upstream):
    """Several upstreams as one.

    The frames are those of the part with the shortest stride. Another part's frame is
    repeated for all frames whose centre is in its time, its last one up to the end.
    The sample rate is the highest of the parts; each part gets the utterance resampled
    to its own.

    Arguments
    ---------
    source : str, optional
        File of ``s3prl-sb convert`` with all parts. None: the parts' own sources.
    upstreams : list or dict, optional
        Two parts or more, only without ``source``: names of cards, card files,
        checkpoints, ``{upstream: NAME, …}`` with arguments of the upstream, or
        functions that build an upstream. The keys of a dict are labels of the parts.
    freeze, precision, adapter
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`. A part with the argument
        ``freeze: True`` stays frozen in an unfrozen fusion.
    pairs : bool
        Whether hidden state k has the k-th of every part side by side. A part with
        fewer hidden states repeats some of them, evenly over the depth. False: all
        hidden states of the first part, then all of the second; each part has its own
        columns, and zeros in those of the others.
    normalize : bool
        Whether to apply layer norm without parameters to each part's hidden states, so
        that a part with larger values does not dominate.
    seed : int
        Seed of the random weights of parts without a source.

    Raises
    ------
    FusionError
        If the parts do not fit together, or one cannot be built; names the part.

    Note
    ----
    With ``pairs``, a cache takes as much space as those of the parts together,
    ``layers: last`` is both last hidden states, and a weighted sum has one weight for
    each depth. Without, a weighted sum is the concatenation of one sum for each part
    with its own weights; a cache is larger by the zeros, and the last hidden state has
    the last part alone.

    Example
    -------
    >>> fusion = Fusion(upstreams=["mel", {"upstream": "fbank", "deltas": 0}])
    >>> hidden_states, lens = fusion(torch.randn(2, 16000), torch.tensor([1.0, 0.5]))
    >>> hidden_states[0].shape, fusion.columns["fbank"]
    (torch.Size([2, 101, 160]), slice(80, 160, None))
    """

    packed = True

    def __init__(
        self,
        source: str | None = None,
        upstreams: list | dict | None = None,
        freeze: bool = True,
        precision: str = "fp32",
        *,
        pairs: bool = True,
        normalize: bool = False,
        adapter: dict | None = None,
        seed: int = 0,
    ):
        super().__init__(freeze, precision, adapter)
        self.pairs, self.normalize = pairs, normalize
        # The parts are as they are trained; the base class freezes them all.
        shared = {"freeze": False, "seed": seed}
        if source is None:
            parts = built(upstreams, shared)
        else:
            parts = read(source, shared)
        _check(parts, pairs)
        for part in parts.values():
            part.precision = precision
        self.network = torch.nn.ModuleDict(parts)
        self._set_grid()
        self._set_states()

    # ------------------------------------------------------------ the parts
    @property
    def parts(self) -> list[Upstream]:
        """The upstreams."""
        return list(self.network.values())

    @property
    def config(self) -> dict[str, Any]:
        """Classes and configurations of the parts, for ``s3prl-sb convert``."""
        return {"parts": {k: described(p) for k, p in self.network.items()}}

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of each part in the last hidden state, by its label."""
        starts = [0]
        for part in self.parts:
            starts.append(starts[-1] + part.output_size)
        return {
            label: slice(*pair)
            for label, *pair in zip(self.network, starts, starts[1:])
        }

    # ------------------------------------------------------------- contract
    @property
    def output_sizes(self) -> list[int]:
        """See :attr:`Upstream.output_sizes`."""
        if not self.pairs:
            return [self.output_size] * self.num_layers
        return [
            sum(
                part.output_sizes[self._depth(k, part.num_layers)]
                for part in self.parts
            )
            for k in range(self.num_layers)
        ]

    def frames(self, samples: int) -> int:
        """See :meth:`Upstream.frames`."""
        return self._finest.frames(self._samples_of(self._finest, samples))

    def encode_packed(self, wavs: Sequence[torch.Tensor]) -> Iterable[torch.Tensor]:
        """See :meth:`Upstream.encode_packed`."""
        frames = [self.frames(len(wav)) for wav in wavs]
        states, rows = [], []  # of each part, before and for the grid
        for part in self.parts:
            own_wavs = [resample(w, self.sample_rate, part.sample_rate) for w in wavs]
            counts = [part.frames(len(wav)) for wav in own_wavs]
            rows.append(self._rows(part, counts, frames, wavs[0].device))
            states.append(_encoded(part, own_wavs))
        return self._joined(states, rows)

    # ----------------------------------------------------------------- grid
    def _set_grid(self):
        """Sets the sample rate and the stride, a whole number of samples."""
        parts = self.parts
        self.__dict__["_finest"] = finest = min(
            parts, key=lambda part: part.stride / part.sample_rate
        )
        rate = max(part.sample_rate for part in parts)
        rate *= finest.sample_rate // math.gcd(finest.sample_rate, finest.stride * rate)
        self.sample_rate = rate
        self.stride = finest.stride * rate // finest.sample_rate
        self.group_seconds = {
            device: min(part.group_seconds.get(device, seconds) for part in parts)
            for device, seconds in Upstream.group_seconds.items()
        }

    def _samples_of(self, part, samples):
        """Returns the length of an utterance at the sample rate of a part."""
        return -(-samples * part.sample_rate // self.sample_rate)

    def _rows(self, part, counts, frames, device):
        """Returns the frame of a part for every frame of packed utterances; None if
        they are the same."""
        if counts == frames and part.stride * self.sample_rate == (
            self.stride * part.sample_rate
        ):
            return None
        rows, start = [], 0
        # The centre of frame i is at (i + 1/2) strides.
        step = self.stride * part.sample_rate
        whole = 2 * part.stride * self.sample_rate
        for count, total in zip(counts, frames):
            centres = (2 * torch.arange(total) + 1) * step
            rows.append((centres // whole).clamp(max=count - 1) + start)
            start += count
        return torch.cat(rows).to(device)

    def _placed(self, state, rows):
        """Returns a hidden state of a part on the grid."""
        if self.normalize:
            state = torch.nn.functional.layer_norm(state, state.shape[-1:])
        return state if rows is None else state[rows]

    # --------------------------------------------------------------- states
    def _set_states(self):
        counts = [part.num_layers for part in self.parts]
        self.num_layers = max(counts) if self.pairs else sum(counts)
        self.output_size = sum(part.output_size for part in self.parts)

    def _depth(self, layer, count):
        """Returns which of ``count`` hidden states a hidden state has."""
        above = max(self.num_layers - 1, 1)  # rounded, so that the ends are the ends
        return (2 * layer * (count - 1) + above) // (2 * above)

    def _joined(self, states, rows):
        """Yields the hidden states; those of the parts are dropped after their use."""
        if not self.pairs:
            for columns, row in zip(self.columns.values(), rows):
                around = columns.start, self.output_size - columns.stop
                for state in states.pop(0):
                    yield torch.nn.functional.pad(self._placed(state, row), around)
            return
        for k in range(self.num_layers):
            pieces = []
            for each, row in zip(states, rows):
                depth = self._depth(k, len(each))
                each[:depth] = [None] * depth
                pieces.append(self._placed(each[depth], row))
            yield torch.cat(pieces, dim=1)


def _encoded(part, wavs) -> list[torch.Tensor]:
    """Returns the hidden states of packed utterances, in the groups of the part."""
    part._hint(max(map(len, wavs)) / part.sample_rate)
    pieces = [part._waveform(wav) for wav in wavs]
    groups = part._groups([len(wav) for wav in wavs], wavs[0].device.type)
    context = torch.no_grad() if part.freeze else contextlib.nullcontext()
    with context:  # one part after the other, so that no contexts of theirs overlap
        encoded = [list(part.encode_packed([pieces[i] for i in g])) for g in groups]
    order = [i for group in groups for i in group]
    if len(groups) == 1 and order == sorted(order):
        return encoded[0]
    counts = [[part.frames(len(wavs[i])) for i in group] for group in groups]
    joined = []
    for _ in range(part.num_layers):
        states = [group.pop(0) for group in encoded]
        cut = [s for state, n in zip(states, counts) for s in state.split(n)]
        joined.append(torch.cat([cut[order.index(i)] for i in range(len(wavs))]))
    return joined


def _check(parts, pairs):
    if len(parts) < 2:
        raise FusionError(f"A fusion is of two upstreams or more, not of {len(parts)}.")
    for label, part in parts.items():
        name = f"Part '{label}' of the fusion"
        if not re.fullmatch(r"\w+", label):
            raise FusionError(f"{name}: a label has letters, digits and _ only.")
        if hasattr(torch.nn.ModuleDict, label):  # such as type, train, half
            raise FusionError(
                f"{name}: '{label}' has a meaning for torch. Give another label: "
                f"upstreams: {{my_{label}: …, …}}."
            )
        if not isinstance(part, Upstream):
            raise FusionError(f"{name} is a {type(part).__name__} and no upstream.")
        if isinstance(part, Fusion):
            raise FusionError(f"{name} is a fusion itself: name its parts instead.")
        if part.precision != "fp32":
            raise FusionError(f"{name}: give the precision of the fusion instead.")
        if part.input_size:
            raise FusionError(f"{name} takes features of an ark, and no waveforms.")
        if not pairs and len(set(part.output_sizes)) > 1:
            raise FusionError(
                f"{name} has hidden states of the sizes {part.output_sizes}, which "
                "have no columns in common. Give pairs: True."
            )
