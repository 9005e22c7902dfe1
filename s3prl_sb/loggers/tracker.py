"""Logger of another program: what it gets of a training, and when.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import logging
import numbers
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from speechbrain.utils.train_logger import TrainLogger

from s3prl_sb.errors import without_secrets
from s3prl_sb.identity import digest
from s3prl_sb.loggers.journal import Journal

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False

logger = logging.getLogger(__name__)

STEP = "updates"  # name of the horizontal axis


def _tolerant(method):
    """Turns an error of the service into a warning, and leaves it alone from then."""

    @functools.wraps(method)
    def wrapped(self, *args, **kwargs):
        if self.has_failed:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # a service may raise anything
            self.has_failed = True
            text = without_secrets(f"{type(error).__name__}: {error}")
            logger.warning(
                "%s gets nothing more of this run, which goes on: %s",
                self.service,
                text.partition("\n")[0],
            )

    return wrapped


class Tracker(TrainLogger):
    """Logger that passes a training to a service, and never ends it.

    The run of the service begins with the first point. Every ``every``-th update it
    gets the loss of the batch, the norm of the gradient and the learning rate; at each
    validation the measures, the mean training loss and the weights of the layers; at
    the end the measures of the test with their intervals, pictures and sounds. A run
    that is killed and run again continues the same run of the service, and no point is
    there twice. An error of the service is a warning, after which it gets nothing more.

    One of several processes has it, and no other one: its methods wait for nobody,
    unlike those that SpeechBrain's ``main_process_only`` decorates.

    A subclass has :meth:`start` and :meth:`send`. Its library has ``Image`` and
    ``Audio``.

    Arguments
    ---------
    folder : str
        Folder of the run; the journal and what the service writes go into ``loggers``
        in it.
    settings : dict
        Settings of the run, plain values.
    every : int
        Number of updates between two points of the training curves.
    project, name, group : str, optional
        Names in the service.
    **options
        Other arguments of the service.

    Note
    ----
    SpeechBrain's ``WandBLogger`` is not used: it counts epochs and knows no updates,
    begins when its YAML is read, and an error of the service ends the training, in fact
    with another error (it raises a call of the exception).
    """

    service = ""  #: name of the service
    library: Callable[[], Any]  #: returns its module

    def __init__(
        self,
        folder: str | Path,
        settings: Mapping[str, Any],
        every: int = 100,
        project: str | None = None,
        name: str | None = None,
        group: str | None = None,
        **options: Any,
    ):
        self.folder = Path(folder) / "loggers"
        self.settings = plain(settings)
        self.every = every
        self.names = {"project": project, "name": name, "group": group}
        self.options = options
        self.journal = Journal(self.folder / f"{self.service}.jsonl")
        self.step = 0
        self.identity: str | None = None  # of the run in the service
        self.run: Any = None
        self.has_failed = False

    def start(self) -> Any:
        """Begins or continues the run :attr:`identity`, and returns it."""
        raise NotImplementedError

    def send(self, values: dict[str, Any], step: int) -> None:
        """Sends values of an update."""
        raise NotImplementedError

    def media(self, pictures: Sequence[Path], sounds: Sequence[tuple[str, Path]]):
        """Returns pictures and sounds of the library, by their names."""
        library = self.library()
        shown = {f"pictures/{p.stem}": library.Image(str(p)) for p in pictures}
        heard = {f"sounds/{name}": library.Audio(str(path)) for name, path in sounds}
        return {**shown, **heard}

    @_tolerant
    def resume(self, step: int) -> None:
        """Begins or continues after an update.

        Arguments
        ---------
        step : int
            Number of the update.
        """
        self.step = step
        if self.run is None:
            self.identity = self.journal.open(digest(self.settings), step)

    @_tolerant
    def begin_again(self) -> None:
        """Begins another run: this one is replaced by another training."""
        self._end()
        self.identity = self.journal.begin(digest(self.settings))

    def log_step(self, step: int, facts: Mapping[str, Any]) -> None:
        """Logs an update.

        Arguments
        ---------
        step : int
            Number of the update.
        facts : dict
            Names to numbers, or to words, which no curve has.
        """
        self._log("step", step, {f"{k}/step": v for k, v in curves(facts)})

    def log_stats(
        self,
        stats_meta,
        train_stats=None,
        valid_stats=None,
        test_stats=None,
        verbose=False,
    ):
        """Logs a validation; see SpeechBrain's ``TrainLogger``.

        ``stats_meta`` has the steps. The measures of the test come with
        :meth:`log_results`.
        """
        if "steps" in stats_meta:
            splits = {"train": train_stats, "valid": valid_stats}
            values = {
                f"{name}/{split}": value
                for split, stats in splits.items()
                for name, value in curves(stats or {})
            }
            self._log("validation", stats_meta["steps"], values)

    def log_weights(
        self, step: int, layers: Sequence[int], weights: Sequence[float]
    ) -> None:
        """Logs the weight of each hidden state in the features.

        Arguments
        ---------
        step : int
            Updates so far.
        layers : list of int
            Indices of the hidden states.
        weights : list of float
            Weight of each.
        """
        if len(layers) > 1:
            pairs = zip(layers, weights)
            values = {f"layer_weight/{layer:02d}": weight for layer, weight in pairs}
            self._log("weights", step, values)

    @_tolerant
    def log_results(
        self,
        settings: Mapping[str, Any],
        metrics: Mapping[str, float],
        pictures: Sequence[Path],
        step: int,
        split: str = "test",
        sounds: Sequence[tuple[str, Path]] = (),
        intervals: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        """Logs the results of a run, and ends it. The same results are logged once.

        Arguments
        ---------
        settings : dict
            Settings of the run; the service has had them at the start.
        metrics : dict
            Names to numbers.
        pictures : list of pathlib.Path
            Files of pictures.
        step : int
            Updates of the checkpoint.
        split : str
            Split of the metrics.
        sounds : list of (str, pathlib.Path)
            Names and WAV files.
        intervals : dict, optional
            Metrics to the limits of their intervals.
        """
        # The curves of validations have other points of these names.
        values = results(metrics, "best" if split == "valid" else split, intervals)
        if self.identity is None:
            self.identity = self.journal.open(digest(self.settings), step)
        if self.journal.once("results", digest([values, step])):
            run = self._started()
            media = self.media(pictures, sounds)
            self.send({**values, **media}, max(step, self.step))
            self.conclude(run, values)
        self._end()

    def conclude(self, run: Any, values: dict[str, float]) -> None:
        """Sets the results as the values that tables of runs show; here nothing."""

    def flush(self) -> None:
        """Does nothing: every point is sent at once."""

    @_tolerant
    def close(self) -> None:
        """Ends the run for now."""
        self._end()

    @_tolerant
    def _log(self, kind, step, values):
        if self.identity is None:
            self.identity = self.journal.open(digest(self.settings), step)
        if values and self.journal.is_new(kind, step):
            self._started()
            self.send({key: float(value) for key, value in values.items()}, step)
            self.step = max(step, self.step)

    def _started(self):
        if self.run is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.run = self.start()
            shown = ", ".join(f"{k} '{v}'" for k, v in self.names.items() if v)
            logger.info("Logs to %s: %s", self.service, shown)
        return self.run

    def _end(self):
        if self.run is not None:
            run, self.run = self.run, None
            self.finish_run(run)

    def finish_run(self, run: Any) -> None:
        """Ends a run of the service.

        Arguments
        ---------
        run : object
            Output of :meth:`start`.
        """
        run.finish()


def results(
    metrics: Mapping[str, float],
    split: str,
    intervals: Mapping[str, Sequence[float]] | None = None,
) -> dict[str, float]:
    """Names the metrics of a split, and the limits of their intervals.

    Arguments
    ---------
    metrics : dict
        Names to numbers.
    split : str
        Split of the metrics.
    intervals : dict, optional
        Metrics to pairs of limits.

    Returns
    -------
    dict

    Example
    -------
    >>> results({"wer": 0.5}, "test", {"wer": [0.4, 0.6]})
    {'wer/test': 0.5, 'wer_low/test': 0.4, 'wer_high/test': 0.6}
    """
    values = {f"{name}/{split}": float(value) for name, value in metrics.items()}
    for name, (low, high) in (intervals or {}).items():
        values[f"{name}_low/{split}"] = float(low)
        values[f"{name}_high/{split}"] = float(high)
    return values


def plain(value: Any) -> Any:
    """Returns a setting as plain data, without the secrets of addresses.

    Arguments
    ---------
    value : object
        Value of a key.

    Returns
    -------
    object
        Numbers, texts, lists and dicts; without anything else that these hold.

    Example
    -------
    >>> plain({"lr": 0.1, "data": ["https://me:secret@host/a"], "object": object()})
    {'lr': 0.1, 'data': ['https://***@host/a']}
    """
    if isinstance(value, Mapping):
        kept = {str(k): inner for k, inner in value.items() if _is_plain(inner)}
        return {key: plain(inner) for key, inner in kept.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value if _is_plain(inner)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)  # ruamel.yaml has its own classes
    if isinstance(value, numbers.Real):
        return float(value)
    return without_secrets(str(value))


def _is_plain(value):
    kinds = (Mapping, list, tuple, str, numbers.Real)  # a flag is a number
    return value is None or isinstance(value, kinds)


def curves(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Lists the facts of an update or a validation that are numbers, not words.

    Example
    -------
    >>> curves({"loss": 0.5, "rate": "warm-up"})
    [('loss', 0.5)]
    """
    return [(key, value) for key, value in facts.items() if not isinstance(value, str)]
