"""Base class of all loaded experiments.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy

from s3prl_sb.audio.waveforms import batched
from s3prl_sb.dataio.dataset import ManifestDataset, changes_audio
from s3prl_sb.dataio.timeline import Timeline
from s3prl_sb.errors import UserError
from s3prl_sb.foreign.trust import require_address
from s3prl_sb.inference.published import folder_of
from s3prl_sb.inference.reading import check_all_loaded, read
from s3prl_sb.lobes.checkpoints import finiteness
from s3prl_sb.lobes.heads.subsampling import factor_of, subsampled_lens
from s3prl_sb.lobes.networks.precision import full_precision

if TYPE_CHECKING:
    from typing_extensions import Self

OnError = Callable[[str, Exception], None] | None


class Probabilities(NamedTuple):
    """Probabilities of classes over an audio file.

    Arguments
    ---------
    values : torch.Tensor
        [frames, classes], on the CPU; of a whole utterance [1, classes].
    names : list of str
        Names of the classes.
    seconds : float, optional
        Length of a frame; None: the prediction is of the whole utterance.
    """

    values: torch.Tensor
    names: list[str]
    seconds: float | None = None


class NoProbabilities(UserError, ValueError):
    """A model whose prediction consists of no probabilities of classes."""


class NoTimeline(UserError, ValueError):
    """A model whose prediction has no times."""


class SpeechModel(Pretrained):
    """Trained experiment with upstream, featurizer and head; base class of the tasks.

    A subclass implements :meth:`records`, the predictions for audio files, and
    :meth:`line`, the format of ``s3prl-sb predict``.
    """

    MODULES_NEEDED = ["upstream", "featurizer", "head"]
    HPARAMS_NEEDED = ["audio_pipes"]
    #: Folder that :meth:`records` writes waveforms into, of tasks that predict them.
    output: Path | None = None

    @classmethod
    def from_hparams(
        cls,
        source: str | Path,
        savedir: str | None = None,
        overrides: dict | None = None,
        trust: bool = False,
        revision: str | None = None,
        **kwargs: Any,
    ) -> "Self":
        """Loads an export.

        Arguments
        ---------
        source : str
            Folder of an export of :func:`~s3prl_sb.inference.export`, ``owner/name``
            of one on the Hugging Face hub, or another address that SpeechBrain can
            fetch one from. Such an address needs trust, since SpeechBrain runs what its
            ``hyperparams.yaml`` names.
        savedir : str, optional
            Folder for the files that SpeechBrain fetches; default: none.
        overrides : dict, optional
            Overrides of its ``hyperparams.yaml``.
        trust : bool
            Whether its own code may run, see :mod:`s3prl_sb.foreign.trust`.
        revision : str, optional
            Branch, tag or commit on the hub.
        **kwargs
            Arguments of SpeechBrain's ``from_hparams``, e.g.
            ``run_opts={"device": "cuda"}``.

        Returns
        -------
        SpeechModel

        Raises
        ------
        s3prl_sb.foreign.trust.TrustError
            If it would run code and is not trusted.
        s3prl_sb.storage.files.FileError
            If a file is damaged or missing, or a module has no weights.
        """
        folder = folder_of(source, revision)
        if folder.is_dir():
            return read(cls, folder, overrides, trust, **kwargs)
        require_address(source, trust)
        if savedir is None:
            kwargs.setdefault("local_strategy", LocalStrategy.NO_LINK)
        model = super().from_hparams(
            source, savedir=savedir, overrides=dict(overrides or {}), **kwargs
        )
        pretrainer = getattr(model.hparams, "pretrainer", None)
        check_all_loaded(model, getattr(pretrainer, "loadables", {}), source)
        return model

    def load_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> torch.Tensor:
        """Loads an audio file with the pipes of the experiment's test set.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        torch.Tensor
            [samples].
        """
        record = {"wav": str(path), "start": start, "stop": stop}
        pipes = [p for p in self.hparams.audio_pipes if changes_audio(p)]
        return ManifestDataset({Path(path).name: record}, pipes, ["sig"])[0]["sig"]

    def features(
        self, wavs: torch.Tensor | list, wav_lens: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes features, without gradients.

        Arguments
        ---------
        wavs : torch.Tensor or list
            [batch, samples] at the upstream's rate; or waveforms or names of files, see
            :func:`s3prl_sb.audio.waveforms.waveforms`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        features : torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.
        """
        states, lens = self.hidden_states(wavs, wav_lens)
        with self.as_tested():
            return self.mods.featurizer(states), lens

    def head_output(
        self, wavs: torch.Tensor | list, wav_lens: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Computes the output of the head, without gradients.

        Arguments
        ---------
        wavs, wav_lens
            See :meth:`features`.

        Returns
        -------
        output : torch.Tensor
            [batch, …], float32.
        lens : torch.Tensor
            [batch], relative lengths of the output, if it has frames.
        """
        features, lens = self.features(wavs, wav_lens)
        head = self.mods.head
        with self.as_tested():
            output = head(features, lens).float()
        return output, subsampled_lens(lens, features.shape[1], factor_of(head))

    def hidden_states(
        self, wavs: torch.Tensor | list, wav_lens: torch.Tensor | None = None
    ) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Computes the hidden states of the upstream, without gradients.

        Arguments
        ---------
        wavs, wav_lens
            See :meth:`features`.

        Returns
        -------
        hidden_states : list of torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.

        Raises
        ------
        s3prl_sb.lobes.checkpoints.finiteness.WeightsError
            If they are not finite, for example in half precision.
        """
        upstream = self.mods.upstream
        batch, batch_lens = batched(
            wavs, wav_lens, upstream.sample_rate, upstream.input_size
        )
        with self.as_tested():
            states, lens = upstream(batch.to(self.device), batch_lens)
            if not upstream.freeze:  # a frozen one checks them itself
                finiteness.check(upstream, states, batch)
        return states, lens

    @contextlib.contextmanager
    def as_tested(self) -> Iterator[None]:
        """Computes in a block like the test of a run: without gradients, and with
        float32 products unless ``run_opts`` have another ``precision``."""
        with torch.no_grad(), full_precision(), self.inference_ctx:
            yield

    def each(
        self,
        paths: Iterable[str],
        compute: Callable[[str], Any],
        failed: OnError = None,
    ) -> Iterator[tuple[str, Any]]:
        """Applies a function to audio files, one after another.

        Arguments
        ---------
        paths : list of str
            Audio files.
        compute : callable
            Function of a path.
        failed : callable, optional
            Called with the path and the error if the function fails, and the next file
            follows; default: the error is raised.

        Yields
        ------
        (str, object)
            A path, and the result of the function.
        """
        for path in paths:
            try:
                result = compute(path)
            except Exception as error:  # files may cause any error
                if failed is None:
                    raise
                failed(path, error)
            else:
                yield path, result

    def probabilities_file(
        self, path: str | Path, start: float | None = None, stop: float | None = None
    ) -> Probabilities:
        """Returns the probabilities of all classes of an audio file: over time, if the
        task has frames.

        Arguments
        ---------
        path, start, stop
            See :meth:`load_file`.

        Returns
        -------
        Probabilities

        Raises
        ------
        NoProbabilities
            If the model predicts something else.
        """
        raise NoProbabilities(
            f"A {type(self).__name__} predicts no probabilities of classes to draw or "
            "write; s3prl-sb predict prints what it does predict."
        )

    def frame_length(self, wav: torch.Tensor, frames: int) -> float:
        """Returns the length of a frame of the head's output.

        Arguments
        ---------
        wav : torch.Tensor
            [samples].
        frames : int
            Number of frames of the output.

        Returns
        -------
        float
            Seconds.
        """
        upstream = self.mods.upstream
        total = upstream.frames(len(wav)) * upstream.stride / upstream.sample_rate
        return total / frames

    def records(self, paths: Iterable[str], failed: OnError = None) -> Iterable[dict]:
        """Returns the predictions for audio files.

        Arguments
        ---------
        paths : list of str
            Audio files.
        failed : callable, optional
            See :meth:`each`.

        Returns
        -------
        iterable of dict
            JSON values for each file or pair of files.
        """
        raise NotImplementedError

    def line(self, record: dict) -> str:
        """Formats one of :meth:`records` as text, in one or more lines.

        Arguments
        ---------
        record : dict
            A record.

        Returns
        -------
        str
        """
        raise NotImplementedError

    def timeline(self, record: dict) -> Timeline:
        """Returns one of :meth:`records` as a timeline.

        Arguments
        ---------
        record : dict
            A record; it has a ``recording``.

        Returns
        -------
        list of Item

        Raises
        ------
        NoTimeline
            If the model predicts nothing with times.
        """
        raise NoTimeline(
            f"A {type(self).__name__} predicts no timeline: leave out --format, --plot "
            "and --html. s3prl-sb predict prints what it does predict."
        )

    def files(self, records: list[dict]) -> dict[str, str]:
        """Returns further files of a task, in its usual formats, in addition to
        ``predictions.csv`` and ``predictions.json``.

        Arguments
        ---------
        records : list of dict
            Output of :meth:`records`.

        Returns
        -------
        dict
            Names to texts.
        """
        return {}

    def lines(self, paths: Iterable[str], failed: OnError = None) -> Iterator[str]:
        """Returns the predictions for audio files as text.

        Arguments
        ---------
        paths : list of str
            Audio files.
        failed : callable, optional
            See :meth:`each`.

        Returns
        -------
        iterable of str
            Lines, as ``s3prl-sb predict`` prints them.
        """
        for record in self.records(paths, failed):
            yield from filter(None, self.line(record).split("\n"))
