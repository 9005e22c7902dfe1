"""The contract of every upstream, and the base class that keeps it.

An upstream turns waveforms into a list of hidden states. Its promises, each
one checked by :func:`s3prl_sb.lobes.cards.check.check_upstream`:

1. *The same features in any company.* The features of an utterance depend
   neither on the rest of the batch nor on padding (1e-5 relative, fp32).
2. *S3PRL's numbers* for one utterance of the same checkpoint (1e-4 relative).
3. *Frozen is frozen.* ``freeze=True`` means eval mode, no gradient, no
   dropout, also after ``.train()``.
4. *All lengths.* Audio shorter than one frame is padded to one; empty or
   non-finite audio is an error that names the utterance.

:class:`Upstream` keeps the first promise for all families: no network ever
sees padding. It cuts a batch into its true waveforms, which run in groups: of
equal length, stacked, or (``packed = True``) of any lengths, concatenated.
Families with a checkpoint derive from
:class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import inspect
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict

import torch

from s3prl_sb.audio.waveforms import AudioError, features, padded, waveforms
from s3prl_sb.identity import opened
from s3prl_sb.lobes.checkpoints import finiteness, values
from s3prl_sb.lobes.networks import adapters, ragged
from s3prl_sb.lobes.networks.precision import single_precision
from s3prl_sb.lobes.networks.products import Products
from s3prl_sb.schema.constructors import flags, parameters
from s3prl_sb.terminal.messages import Counted

__all__ = ["PRECISIONS", "AudioError", "Upstream"]

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

LONG = 1800  # seconds; above, attention over the whole audio dominates the time
_long = Counted(
    __name__,
    "%s gets audio of %.0f minutes: its attention looks at all of it, in time that "
    'grows with the square. Hours are quicker in chunks: --upstream_model "'
    '{chunk_seconds: 30}". Such models: %d',
)


class ExtractedFeatures(TypedDict):
    """Result of :meth:`Upstream.extract`."""

    hidden_states: list[torch.Tensor]
    last_hidden_state: torch.Tensor
    lens: torch.Tensor


class _Built(type):
    """Metaclass that finishes an upstream after the whole ``__init__`` has run."""

    @single_precision()
    def __call__(cls, *args, **kwargs):
        # The "no" of a card is a text, which would count as true.
        kwargs = flags(parameters(cls.__init__), kwargs, f"{cls.__name__}: ")
        for name, value in kwargs.items():
            if isinstance(value, dict):  # such as a card's config
                values.check_options({name: value}, cls.__name__)
        with opened.listening() as files, values.naming_checkpoint(cls, files):
            self = super().__call__(*args, **kwargs)
        self.opened_files = files
        # The arguments are part of the identity: the feature cache must
        # distinguish n_mels=40 from n_mels=80, whatever the class.
        bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        bound.apply_defaults()
        self.arguments = dict(list(bound.arguments.items())[1:])
        if self.adapter is not None:
            adapters.insert(self, **self.adapter)
        self.trainable = {n for n, p in self.named_parameters() if p.requires_grad}
        if self.freeze:
            self.requires_grad_(False)
            self.to(PRECISIONS[self.precision])
        return self.train()


class Upstream(torch.nn.Module, metaclass=_Built):
    """Base class of all upstreams.

    A subclass sets ``stride``, ``num_layers`` and ``output_size``, and
    implements :meth:`frames` and :meth:`encode`. For a network with a
    configuration and checkpoints, derive from
    :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Arguments
    ---------
    freeze : bool
        Keep the module in eval mode, without gradients.
    precision : str
        "fp32", or "bf16" / "fp16" to hold a frozen network and its hidden
        states in half precision. To fine-tune in half precision use the
        Brain's ``--precision`` instead.
    adapter : dict, optional
        Trains only small adapters in an unfrozen Transformer,
        ``{"kind": "lora", "rank": 8}``; all options:
        :func:`s3prl_sb.lobes.networks.adapters.insert`.

    Example
    -------
    >>> class Energy(Upstream):
    ...     stride, num_layers, output_size = 160, 1, 1
    ...     def frames(self, samples):
    ...         return max(1, samples // 160)
    ...     def encode(self, wavs):
    ...         return [wavs.unfold(1, 160, 160).pow(2).mean(2, keepdim=True)]
    >>> hidden_states, lens = Energy()(torch.randn(2, 1600), torch.tensor([1, 0.5]))
    >>> hidden_states[0].shape, lens.tolist()
    (torch.Size([2, 10, 1]), [1.0, 0.5])
    """

    sample_rate: int = 16000  #: sample rate of the waveforms, in Hz
    stride: int  #: samples from one frame to the next
    num_layers: int  #: number of hidden states
    output_size: int  #: size of the hidden states
    #: values of a sample; 0: waveforms. Upstreams over the features of other programs
    #: take "waveforms" [batch, frames, input_size] at the rate of their frames.
    input_size: int = 0
    packed: bool = False  #: whether encode_packed() takes unequal lengths
    #: maximum number of seconds of audio that run together, by device
    group_seconds: dict[str, int] = {"cpu": 64, "cuda": 600}
    # set by the metaclass
    arguments: dict[str, Any]  #: arguments of ``__init__``, defaults included
    trainable: set[str]  #: names of the parameters that ``freeze=False`` trains

    def __init__(
        self,
        freeze: bool = True,
        precision: str = "fp32",
        adapter: dict | None = None,
    ):
        super().__init__()
        if precision not in PRECISIONS:
            raise ValueError(
                f"Unknown precision '{precision}'. Known: " + ", ".join(PRECISIONS)
            )
        if precision != "fp32" and not freeze:
            raise ValueError(
                f"precision: {precision} is for a frozen upstream. To "
                "fine-tune, keep fp32 weights and run the recipe with "
                f"--precision={precision}."
            )
        if adapter is not None and freeze:
            raise ValueError("adapter: is for training; set freeze: False as well.")
        self.adapter = adapter
        self.freeze = freeze
        self.precision = precision

    # ---------------------------------------------------- for the subclasses
    def frames(self, samples: int) -> int:
        """Returns the number of frames of an utterance.

        Arguments
        ---------
        samples : int
            Length of the utterance in samples.

        Returns
        -------
        int
            At least 1: shorter audio is padded to one frame.
        """
        raise NotImplementedError

    def encode(self, wavs: torch.Tensor) -> Iterable[torch.Tensor]:
        """Returns the hidden states of waveforms of equal length.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples], without padding, at least one frame long.

        Returns
        -------
        iterable of torch.Tensor
            ``num_layers`` hidden states [batch, frames, output_size].
        """
        raise NotImplementedError

    def encode_packed(self, wavs: Sequence[torch.Tensor]) -> Iterable[torch.Tensor]:
        """Returns the hidden states of waveforms of any lengths.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i].

        Returns
        -------
        iterable of torch.Tensor
            ``num_layers`` hidden states [frames_0 + frames_1 + …, output_size],
            utterances one after the other.
        """
        for state in self.encode(torch.stack(list(wavs))):
            yield state.flatten(0, 1)

    @property
    def output_sizes(self) -> list[int]:
        """Size of each hidden state. A family with hidden states of different
        sizes overrides it; its ``output_size`` is that of the last."""
        return [self.output_size] * self.num_layers

    @property
    def min_samples(self) -> int:
        """Length of the shortest audio that needs no padding, in samples."""
        return 1

    # ------------------------------------------------------- for the callers
    @single_precision()
    def forward(
        self,
        wavs: torch.Tensor | Sequence,
        wav_lens: torch.Tensor | None = None,
    ) -> tuple[list[torch.Tensor], torch.Tensor] | ExtractedFeatures:
        """Returns the hidden states of a padded batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples] at ``sample_rate``, in [-1, 1]. For a list of waveforms,
            or a single one, :meth:`extract` runs instead and returns a dict.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths as SpeechBrain defines them.

        Returns
        -------
        hidden_states : list of torch.Tensor
            ``num_layers`` tensors [batch, frames, output_size], zero after
            the end of an utterance.
        lens : torch.Tensor
            [batch], relative lengths in frames.

        Raises
        ------
        AudioError
            For an empty or non-finite waveform.
        s3prl_sb.lobes.checkpoints.finiteness.WeightsError
            If a frozen network computes features that are not finite.
        """
        if not isinstance(wavs, torch.Tensor) or wavs.dim() < 2:
            if wav_lens is not None:
                raise ValueError("wav_lens are of a padded batch, [batch, samples].")
            return self.extract(wavs)
        samples = self._samples(wavs, wav_lens)
        self._hint(max(samples) / self.sample_rate)
        frames = [self.frames(n) for n in samples]
        longest = max(frames)
        hidden_states: list[torch.Tensor] = []
        trains = torch.is_grad_enabled() and not self.freeze
        products = Products() if self.freeze else contextlib.nullcontext()
        with torch.set_grad_enabled(trains), products:
            for group in self._groups(samples, wavs.device.type):
                pieces = [self._waveform(wavs[i, : samples[i]]) for i in group]
                places = [torch.arange(frames[i]) + i * longest for i in group]
                rows = torch.cat(places).to(wavs.device)
                for layer, state in enumerate(self.encode_packed(pieces)):
                    if len(state) != len(rows):
                        raise ValueError(
                            f"encode() gives {len(state)} frames where frames() "
                            f"says {len(rows)}"
                        )
                    if layer == len(hidden_states):
                        shape = (len(wavs), longest, state.shape[-1])
                        hidden_states.append(state.new_zeros(shape))
                    hidden_states[layer].flatten(0, 1).index_copy_(0, rows, state)
        if self.freeze:  # a trained network may diverge; the loss shows it
            self._check_finite(hidden_states, wavs)
        lens = torch.tensor(frames, device=wavs.device) / longest
        return hidden_states, lens

    def extract(self, wavs: Any, sample_rate: int | None = None) -> ExtractedFeatures:
        """Returns the hidden states of unpadded waveforms, as S3PRL's upstreams do.

        Arguments
        ---------
        wavs : list, or one waveform
            Names of audio files; numpy arrays or tensors, [samples] or with several
            channels, floats or integers: all types that
            :func:`s3prl_sb.audio.waveforms.waveforms` takes.
        sample_rate : int, optional
            Sample rate of the arrays and tensors in Hz; they are resampled. Default:
            the upstream's.

        Returns
        -------
        dict
            ``hidden_states``: list of [batch, frames, output_size];
            ``last_hidden_state``: the last of them; ``lens``: [batch],
            relative lengths in frames.

        Raises
        ------
        AudioError
            For an empty or non-finite waveform, or an object that is not a waveform.
        s3prl_sb.audio.loading.AudioFileError
            For a file that cannot be read.

        Example
        -------
        >>> from s3prl_sb.lobes.upstreams import load
        >>> features = load("fbank").extract([torch.randn(16000)])
        >>> features["hidden_states"][0].shape
        torch.Size([1, 98, 240])
        """
        device = self._device()
        if self.input_size:
            wavs = features(wavs, self.sample_rate)
        else:
            wavs = waveforms(wavs, self.sample_rate, sample_rate)
        batch, lens = padded([wav.to(device) for wav in wavs])
        hidden_states, lens = self(batch, lens)
        return {
            "hidden_states": hidden_states,
            "last_hidden_state": hidden_states[-1],
            "lens": lens,
        }

    def train(self, mode: bool = True) -> "Upstream":
        """Sets training mode, which a frozen upstream never enters."""
        return super().train(mode and not self.freeze)

    # -------------------------------------------------------------- ragged
    def _samples(self, wavs, wav_lens):
        return ragged.true_lengths(wavs, wav_lens, self.input_size)

    def _groups(self, samples, device="cpu"):
        most = self.group_seconds.get(device, 64) * self.sample_rate
        return ragged.groups(samples, most, self.packed)

    def _waveform(self, wav):
        """Returns the waveform, padded with zeros up to the first frame."""
        missing = self.min_samples - len(wav)
        return torch.nn.functional.pad(wav, (0, missing)) if missing > 0 else wav

    def _hint(self, seconds):
        """Recommends chunks, once, if attention runs over hours of audio."""
        whole = getattr(self, "arguments", {}).get("chunk_seconds", 0) is None
        if whole and seconds > LONG:
            _long.warn(type(self).__name__, seconds / 60)

    def _check_finite(self, hidden_states, wavs):
        """Raises the error that fits if features are not finite."""
        try:
            finiteness.check(self, hidden_states, wavs)
        except finiteness.Loud as error:
            index = int(wavs.abs().flatten(1).amax(1).argmax())
            raise AudioError(index, str(error)) from error

    def _device(self):
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))
