"""The contract of every upstream, and the execution of ragged batches.

An upstream turns waveforms into a list of hidden states. Its promises, each
one checked by :func:`s3prl_sb.lobes.cards.check.check_upstream`:

1. *The same features in any company.* What an utterance gets does not depend
   on the rest of the batch nor on padding (1e-5 relative, fp32).
2. *S3PRL's numbers* for one utterance of the same checkpoint (1e-4 relative).
3. *Frozen is frozen.* ``freeze=True`` means eval mode, no gradient, no
   dropout, also after ``.train()``.
4. *All lengths.* Audio shorter than one frame is padded to one; empty or
   non-finite audio is an error that names the utterance.

The first promise is kept here once, for all families: no network ever sees
padding. A batch is cut into its true waveforms and these run in groups: of
equal length, stacked, or (``packed = True``) of any lengths, concatenated.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import inspect
import itertools

import torch

from s3prl_sb.audio.waveforms import AudioError, padded, waveforms
from s3prl_sb.identity import opened
from s3prl_sb.lobes.checkpoints import values
from s3prl_sb.lobes.networks import adapters
from s3prl_sb.lobes.networks.products import Products
from s3prl_sb.lobes.precision import single_precision
from s3prl_sb.lobes.upstreams import finiteness
from s3prl_sb.schema.constructors import flags, parameters
from s3prl_sb.terminal.messages import Counted

PRECISIONS = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


LONG = 1800  # seconds, from where on attention over all of it is the most of the work
_long = Counted(
    __name__,
    "%s gets audio of %.0f minutes: its attention looks at all of it, in time that "
    'grows with the square. Hours are quicker in chunks: --upstream_model "'
    '{chunk_seconds: 30}". Such models: %d',
)


class _Built(type):
    """Finishes an upstream when its whole ``__init__`` has run."""

    @single_precision()
    def __call__(cls, *args, **kwargs):
        # A card's "no" is a text, and would count as true.
        kwargs = flags(parameters(cls.__init__), kwargs, f"{cls.__name__}: ")
        for name, value in kwargs.items():
            if isinstance(value, dict):  # such as a card's config
                values.check_options({name: value}, cls.__name__)
        with opened.listening() as found, values.naming_checkpoint(cls, found):
            self = super().__call__(*args, **kwargs)
        self.opened_files = found
        # What a module was built from is part of its identity: the feature
        # cache must tell n_mels=40 from n_mels=80, whatever the class.
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

    A family sets ``stride``, ``num_layers`` and ``output_size``, and
    implements :meth:`frames` and :meth:`encode`.

    Arguments
    ---------
    freeze : bool
        Keep the module in eval mode, without gradients.
    precision : str
        "fp32", or "bf16" / "fp16" to hold a frozen network and its hidden
        states in half precision. To fine-tune in half precision use the
        Brain's ``--precision`` instead.
    adapter : dict, optional
        Of a Transformer that is not frozen: train only small adapters in it,
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

    sample_rate = 16000  #: Hz, of the waveforms that it takes
    stride: int  #: samples from one frame to the next
    num_layers: int  #: number of hidden states
    output_size: int  #: size of the hidden states
    packed = False  #: whether encode_packed() takes unequal lengths
    #: seconds of audio that run together at most, by device
    group_seconds = {"cpu": 64, "cuda": 600}

    def __init__(self, freeze=True, precision="fp32", adapter=None):
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

    # ------------------------------------------------------ for the families
    def frames(self, samples):
        """The exact number of frames of an utterance.

        Arguments
        ---------
        samples : int
            Its length in samples.

        Returns
        -------
        int
            At least 1: shorter audio is padded to one frame.
        """
        raise NotImplementedError

    def encode(self, wavs):
        """Hidden states of waveforms of equal length.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples], all of it audio, at least one frame long.

        Returns
        -------
        iterable of torch.Tensor
            ``num_layers`` hidden states [batch, frames, output_size].
        """
        raise NotImplementedError

    def encode_packed(self, wavs):
        """Hidden states of waveforms of any lengths.

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

    # ------------------------------------------------------- for the callers
    @single_precision()
    def forward(self, wavs, wav_lens=None):
        """Hidden states of a padded batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples] at ``sample_rate``, in [-1, 1]. A list, and one waveform,
            go to :meth:`extract`, which gives a dict.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths as SpeechBrain gives them.

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
        s3prl_sb.lobes.upstreams.finiteness.WeightsError
            If a frozen network makes of it what is not finite.
        """
        if not isinstance(wavs, torch.Tensor) or wavs.dim() < 2:
            if wav_lens is not None:
                raise ValueError("wav_lens are of a padded batch, [batch, samples].")
            return self.extract(wavs)
        if wav_lens is not None:
            wav_lens = torch.as_tensor(wav_lens)
        samples = self._samples(wavs, wav_lens)
        self._hint(max(samples) / self.sample_rate)
        frames = [self.frames(n) for n in samples]
        longest = max(frames)
        hidden_states = []
        trains = torch.is_grad_enabled() and not self.freeze
        products = Products() if self.freeze else contextlib.nullcontext()
        with torch.set_grad_enabled(trains), products:
            for group in self._groups(samples, wavs.device.type):
                pieces = [self._waveform(wavs[i, : samples[i]]) for i in group]
                rows = [torch.arange(frames[i]) + i * longest for i in group]
                rows = torch.cat(rows).to(wavs.device)
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
        if self.freeze:  # a trained one may diverge, of which the loss tells
            self._check_finite(hidden_states, wavs)
        lens = torch.tensor(frames, device=wavs.device) / longest
        return hidden_states, lens

    def extract(self, wavs, sample_rate=None):
        """Hidden states of unpadded waveforms, as S3PRL's users know it.

        Arguments
        ---------
        wavs : list, or one waveform
            Names of audio files; numpy arrays or tensors, [samples] or of several
            channels, floats or integers: all that
            :func:`s3prl_sb.audio.waveforms.waveforms` takes.
        sample_rate : int, optional
            Hz of the arrays and tensors, which are resampled. Default: the upstream's.

        Returns
        -------
        dict
            ``hidden_states``: list of [batch, frames, output_size];
            ``last_hidden_state``: the last of them; ``lens``: [batch],
            relative lengths in frames.

        Raises
        ------
        AudioError
            For an empty or non-finite waveform, and what is no waveform.
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
        wavs = waveforms(wavs, self.sample_rate, sample_rate)
        batch, lens = padded([wav.to(device) for wav in wavs])
        hidden_states, lens = self(batch, lens)
        return {
            "hidden_states": hidden_states,
            "last_hidden_state": hidden_states[-1],
            "lens": lens,
        }

    def train(self, mode=True):
        """Sets training mode, which a frozen upstream never enters."""
        return super().train(mode and not self.freeze)

    # -------------------------------------------------------------- ragged
    def _samples(self, wavs, wav_lens):
        """Checked true lengths, in samples."""
        if wavs.dim() != 2 or not wavs.is_floating_point():
            raise ValueError(
                "wavs must be a float tensor [batch, samples], got "
                f"{wavs.dtype} {list(wavs.shape)}"
            )
        if wav_lens is not None and wav_lens.shape != wavs.shape[:1]:
            raise ValueError(
                f"wav_lens must be [{len(wavs)}], one for each of wavs, got "
                f"{list(wav_lens.shape)}"
            )
        if wav_lens is None:
            samples = [wavs.shape[1]] * len(wavs)
        else:
            samples = (wav_lens.double() * wavs.shape[1]).round().int().tolist()
        for i, n in enumerate(samples):
            if not 0 < n <= wavs.shape[1]:
                reason = "is empty" if n == 0 else f"has length {n}"
                raise AudioError(i, f"{reason}, of {wavs.shape[1]} samples")
        finite = torch.isfinite(wavs).all(1)
        if not finite.all():
            index = finite.tolist().index(False)
            raise AudioError(index, "holds samples that are NaN or infinite")
        return samples

    def _hint(self, seconds):
        """Says once what helps where attention looks at hours of audio."""
        looks_at_all = getattr(self, "arguments", {}).get("chunk_seconds", 0) is None
        if looks_at_all and seconds > LONG:
            _long.warn(type(self).__name__, seconds / 60)

    def _check_finite(self, hidden_states, wavs):
        """Says whose fault it is if features are not finite."""
        try:
            finiteness.check(self, hidden_states, wavs)
        except finiteness.Loud as error:
            index = int(wavs.abs().amax(1).argmax())
            raise AudioError(index, str(error)) from error

    def _groups(self, samples, device="cpu"):
        """Indices of the utterances that run together."""
        most = self.group_seconds.get(device, 64) * self.sample_rate
        order = range(len(samples))
        if not self.packed:  # equal lengths side by side
            order = sorted(order, key=samples.__getitem__, reverse=True)
        groups, total = [], 0
        for i in order:
            fits = total + samples[i] <= most
            if (
                groups
                and fits
                and (self.packed or samples[i] == samples[groups[-1][0]])
            ):
                groups[-1].append(i)
                total += samples[i]
            else:
                groups.append([i])
                total = samples[i]
        return groups

    def _waveform(self, wav):
        """The waveform, padded with zeros up to the first frame."""
        missing = self.min_samples - len(wav)
        return torch.nn.functional.pad(wav, (0, missing)) if missing > 0 else wav

    @property
    def output_sizes(self):
        """The size of each hidden state; a family whose hidden states differ
        overrides it, and gives the last one's as ``output_size``."""
        return [self.output_size] * self.num_layers

    @property
    def min_samples(self):
        """Length of the shortest audio that needs no padding, in samples."""
        return 1

    def _device(self):
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((t.device for t in tensors), torch.device("cpu"))
