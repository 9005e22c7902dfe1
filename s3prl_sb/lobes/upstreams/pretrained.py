"""The protocol of a family: a configuration, a network, and readers of checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch

from s3prl_sb.lobes.checkpoints.building import build, read_source, sizes_only
from s3prl_sb.lobes.checkpoints.reading import load_weights
from s3prl_sb.lobes.upstreams.base import Upstream


class FrontEnd(Protocol):
    """Part of a network that turns samples into frames."""

    stride: int
    min_samples: int

    def frames(self, samples: int) -> int:
        """Returns the number of frames of an utterance."""


class PretrainedUpstream(Upstream):
    """Base class of upstreams with a network, a configuration and checkpoints.

    A family sets :attr:`Config` and :attr:`Network` and implements :meth:`read`. A
    network with other arguments than the configuration needs :meth:`make_network`
    instead of :attr:`Network`. The family's ``__init__`` calls this one, then sets
    ``num_layers``, ``output_size`` and, without a :attr:`front_end`,
    ``stride``. It takes ``**options`` for the arguments that it passes on;
    arguments that the methods below need are set as attributes before the call.
    Arguments before ``*`` come before ``freeze`` and ``precision`` in a call.

    The network maps waveforms to hidden states; with :meth:`make_features`, it
    maps packed features [total_frames, size] and a list of the frames of each
    utterance. Without ``packed = True`` the family implements :meth:`encode`.

    Arguments
    ---------
    source : str or list of str, optional
        Checkpoint: a file, a folder, an address, an id of Hugging Face, or a list
        of mirrors. It brings its own configuration. None: a random network.
    config : dict, optional
        Entries of :attr:`Config` that differ from its defaults; only without
        ``source``.
    freeze, precision, adapter
        See :class:`Upstream`.
    seed : int
        Seed of the random weights.

    Example
    -------
    >>> @dataclasses.dataclass
    ... class BankConfig:
    ...     filters: int = 8
    >>> class Bank(PretrainedUpstream):
    ...     Config, stride, num_layers = BankConfig, 160, 1
    ...     def __init__(self, source=None, config=None, **options):
    ...         super().__init__(source, config, **options)
    ...         self.output_size = self.config.filters
    ...     def make_network(self):
    ...         return torch.nn.Conv1d(1, self.config.filters, 160, 160)
    ...     def frames(self, samples):
    ...         return max(samples, 160) // 160
    ...     def encode(self, wavs):
    ...         return [self.network(wavs[:, None]).mT]
    >>> hidden_states, lens = Bank(config={"filters": 4})(torch.randn(2, 1600))
    >>> hidden_states[0].shape
    torch.Size([2, 10, 4])
    """

    Config: ClassVar[type]  #: dataclass of the configuration
    config: Any  #: instance of ``Config``
    Network: ClassVar[type]  #: class of the network, built from the configuration
    features: Any  #: result of :meth:`make_features`
    #: entries in which a random network differs from the defaults of ``Config``
    defaults: ClassVar[dict[str, Any]] = {}
    #: first words of the error for an unknown entry of ``config``
    unknown_entry: ClassVar[str] = "Unknown entry of config"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            spell_out_options(cls)

    def __init__(
        self,
        source: str | list[str] | None = None,
        config: dict | None = None,
        freeze: bool = True,
        precision: str = "fp32",
        *,
        adapter: dict | None = None,
        seed: int = 0,
    ):
        super().__init__(freeze, precision, adapter)
        if not isinstance(config, Mapping | None):
            raise ValueError(f"config is a dict of entries, not {config!r}.")
        entries, weights = self.load_source(source, config or {})
        self.config = self.make_config(entries)
        self.features = self.make_features()
        self.network = self.build_network(weights, source, seed)
        if self.front_end is not None:
            self.stride = self.front_end.stride

    @classmethod
    def from_weights(
        cls,
        config: dict,
        weights: dict[str, torch.Tensor],
        name: str | None = None,
        **options: Any,
    ) -> "PretrainedUpstream":
        """Builds an upstream with weights that are in memory.

        Arguments
        ---------
        config : dict
            Entries of :attr:`Config`.
        weights : dict
            Names of the network's parameters and buffers to tensors.
        name : str, optional
            Origin of the weights, for errors.
        **options
            Other arguments of the class.

        Raises
        ------
        CheckpointError
            If the weights do not fit.
        """
        with sizes_only():
            upstream = cls(config=config, **options)
        load_weights(upstream.network, weights, name)
        return upstream

    # ------------------------------------------------------ for the families
    def read(self, path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
        """Returns configuration and weights of a checkpoint in the family's formats.

        Arguments
        ---------
        path : pathlib.Path
            File or folder.

        Returns
        -------
        config : dict
            Entries of :attr:`Config`; values that JSON can hold.
        weights : dict
            Names of the network's parameters and buffers to tensors.

        Raises
        ------
        CheckpointError
            If the file belongs to another family.
        """
        raise NotImplementedError

    def make_network(self) -> torch.nn.Module:
        """Returns the network of ``self.config`` (and ``self.features``).

        It runs on the "meta" device, see
        :func:`~s3prl_sb.lobes.checkpoints.building.build`.
        """
        return self.Network(self.config)

    def build_network(
        self,
        weights: dict[str, torch.Tensor] | None,
        source: str | list[str] | None,
        seed: int,
    ) -> torch.nn.Module:
        """Returns the network with these weights, or with random ones."""
        options = {"config": self.config}
        return build(self.make_network, weights, source, seed, options)

    def make_features(self) -> FrontEnd | None:
        """Returns the acoustic features under the network; None: waveforms."""
        return None

    def input_features(self, wav: torch.Tensor) -> torch.Tensor:
        """Returns the features of one waveform, [frames, size]."""
        return next(iter(self.features.encode(wav[None])))[0]

    def load_source(
        self, source: str | list[str] | None, config: dict
    ) -> tuple[dict, dict[str, torch.Tensor] | None]:
        """Returns the entries of the configuration, and the weights (None: random)."""
        if source is None:
            return {**self.defaults, **config}, None
        return self.read_source(source)

    def read_source(
        self, source: str | list[str]
    ) -> tuple[dict, dict[str, torch.Tensor]]:
        """Returns configuration and weights of a checkpoint or a conversion."""
        return read_source(source, self.read)

    def make_config(self, entries: dict) -> Any:
        """Returns the configuration with these entries.

        Raises
        ------
        ValueError
            For unknown entries, with the known ones.
        """
        names = [field.name for field in dataclasses.fields(self.Config)]
        self.check_entries(entries, names)
        return self.Config(**entries)

    def check_entries(self, entries: dict, names: Iterable[str]) -> None:
        """Raises ValueError for unknown entries of the configuration."""
        unknown = [str(name) for name in entries if name not in names]
        if unknown:
            raise ValueError(
                f"{self.unknown_entry}: {', '.join(unknown)}. Known: {', '.join(names)}"
            )

    @property
    def front_end(self) -> FrontEnd | None:
        """Part that turns samples into frames; None: the family counts itself."""
        if self.features is not None:
            return self.features
        return getattr(self.network, "front_end", None)

    # ------------------------------------------------------------- contract
    @property
    def min_samples(self) -> int:
        """See :attr:`Upstream.min_samples`."""
        return 1 if self.front_end is None else self.front_end.min_samples

    def frames(self, samples: int) -> int:
        """See :meth:`Upstream.frames`."""
        if self.front_end is None:
            raise NotImplementedError
        return self.front_end.frames(max(samples, self.min_samples))

    def encode(self, wavs: torch.Tensor) -> Iterable[torch.Tensor]:
        """See :meth:`Upstream.encode`."""
        for state in self.encode_packed(list(wavs)):
            yield state.unflatten(0, (len(wavs), -1))

    def encode_packed(self, wavs: Sequence[torch.Tensor]) -> Iterable[torch.Tensor]:
        """See :meth:`Upstream.encode_packed`."""
        if not self.packed:
            return super().encode_packed(wavs)
        if self.features is None:
            return self.network(wavs)
        pieces = [self.input_features(wav) for wav in wavs]
        x = torch.cat(pieces).to(next(self.network.parameters()).dtype)
        return self.network(x, [len(piece) for piece in pieces])


def spell_out_options(cls: type) -> None:
    """Replaces ``**options`` in the signature of ``cls.__init__`` by the arguments of
    the ``__init__`` that it calls, so that cards are checked against all of them, and
    positional arguments may be any that are not keyword-only there."""
    init, inherited_init, *_ = (
        vars(base)["__init__"] for base in cls.__mro__ if "__init__" in vars(base)
    )
    *own, last = inspect.signature(init).parameters.values()
    names = {p.name for p in own}
    inherited = inspect.signature(inherited_init).parameters.values()
    spelled = [*own, *(p for p in inherited if p.name not in names)]
    variadic = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in spelled)
    if last.kind is not last.VAR_KEYWORD or variadic:
        return
    spelled.sort(key=lambda p: p.kind)  # stable: keyword-only arguments go last
    signature = inspect.Signature(spelled)

    @functools.wraps(init)
    def by_name(*args, **kwargs):
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{cls.__name__}.__init__() {error}") from None
        init(**arguments)

    vars(by_name)["__signature__"] = signature
    setattr(cls, "__init__", by_name)
