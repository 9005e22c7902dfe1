"""Standing of a pre-training, saved with its checkpoints.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

from speechbrain.utils.checkpoints import (
    mark_as_loader,
    mark_as_saver,
    register_checkpoint_hooks,
)
from speechbrain.utils.distributed import if_main_process

from s3prl_sb.brains import distributed
from s3prl_sb.brains.pretraining_sums import Sums
from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.files import read_json, write_text

logger = logging.getLogger(__name__)

#: Held-out alarms in a row after which a training has collapsed.
COLLAPSED = 3
#: Utterances of a long list before which a few unreadable ones are no share of it.
FIRST = 1000


class Unreadable(UserError):
    """More audio than tolerated that cannot be read."""


class OtherProcesses(UserError):
    """A checkpoint within an epoch, of another number of processes."""


class Collapsed(UserError):
    """A pre-training whose network no longer learns anything."""


@register_checkpoint_hooks
class Standing:
    """Facts about a pre-training that a resumed run continues with.

    Arguments
    ---------
    rows : int
        Utterances of the training set.
    share : float
        Share of the utterances that may be unreadable.

    Attributes
    ----------
    seconds : float
        Audio learned from until the last validation.
    history : list of dict
        ``step``, and the measures of ``train`` and ``valid``, of each validation.
    alarms : int
        Validations in a row that raised an alarm.
    failed : dict
        Names of unreadable utterances to reasons.
    sums : Sums
        Sums over the batches since the last validation.

    Example
    -------
    >>> standing = Standing(rows=10, share=0.1)
    >>> standing.read(tried=4, failed=[("a.wav", "it is empty")])
    >>> standing.read(tried=4, failed=[("b.wav", "it is empty")])
    Traceback (most recent call last):
    ...
    s3prl_sb.brains.pretraining_standing.Unreadable: 2 of 8 utterances cannot be read, …
    """

    def __init__(self, rows: int = 0, share: float = 0.01):
        self.rows, self.share = rows, share
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        self.seconds, self.alarms, self.tried = 0.0, 0, 0
        self.history: list[dict[str, Any]] = []
        self.failed: dict[str, str] = {}
        self.sums = self._saved = Sums()

    def gather(self) -> None:
        """Takes over what the other processes have counted, for the next checkpoint.

        All processes call it together.
        """
        self._saved = Sums(distributed.summed(self.sums.values))
        self.failed = distributed.merged(self.failed)

    def read(self, tried: int, failed: list[tuple[str, str]]) -> None:
        """Counts the utterances of a batch, and names each unreadable one once.

        Arguments
        ---------
        tried : int
            Number of utterances that all processes have opened.
        failed : list of tuple
            Names of those that cannot be read, and reasons.

        Raises
        ------
        Unreadable
            For more than the tolerated share.
        """
        self.tried += tried
        told = {printable(str(name)): printable(str(why)) for name, why in failed}
        new = {name: why for name, why in told.items() if name not in self.failed}
        for name, why in new.items():
            logger.warning("'%s' is skipped: %s", name, why)
        self.failed.update(new)
        opened = max(self.tried, min(FIRST, self.rows))
        if new and len(self.failed) > self.share * opened:
            name, why = list(new.items())[0]
            raise Unreadable(
                f"{len(self.failed)} of {self.tried} utterances cannot be read, such "
                f"as '{name}': {why}. Repair or remove them, or raise "
                f"unreadable_share (now {self.share:g})."
            )

    def write_failed(self, path: Path) -> None:
        """Writes the names of unreadable utterances, if there are any.

        Arguments
        ---------
        path : pathlib.Path
            Text file with a name, a tab and a reason in each line.
        """
        if self.failed:
            lines = [f"{name}\t{why}\n" for name, why in sorted(self.failed.items())]
            write_text(path, "".join(lines))

    def sound(self, alarms: list[str]) -> list[str]:
        """Logs the alarms of a validation, and counts validations with alarms.

        Arguments
        ---------
        alarms : list of str
            Alarms, which are returned.

        Returns
        -------
        list of str
        """
        for alarm in alarms:
            logger.warning("%s", alarm)
        self.alarms = self.alarms + 1 if alarms else 0
        return alarms

    def check_collapse(self, alarms: list[str]) -> None:
        """Ends a training that has collapsed.

        Arguments
        ---------
        alarms : list of str
            Alarms of the last validation.

        Raises
        ------
        Collapsed
            From the third validation in a row with an alarm on.
        """
        if self.alarms >= COLLAPSED:
            raise Collapsed(
                f"The training has collapsed: {self.alarms} validations in a row "
                f"raised an alarm. {' '.join(alarms)} To train on nevertheless: "
                "--stop_on_collapse False."
            )

    @mark_as_saver
    def _save(self, path):
        names = ("seconds", "alarms", "tried", "history", "failed", "processes")
        state = {name: getattr(self, name) for name in names}
        text = json.dumps({**state, "sums": self._saved.as_lists()})
        Path(path).write_text(text, encoding="utf-8")

    @mark_as_loader
    def _load(self, path, end_of_epoch):
        state = read_json(path, "the standing of a pre-training", kind=dict)
        sums, begun = state.pop("sums"), state.pop("processes", self.processes)
        if begun != self.processes and not end_of_epoch:
            raise OtherProcesses(
                f"'{Path(path).parent}' is within an epoch, and the number of "
                f"processes was {begun}, not {self.processes}. Train with {begun} "
                "until the next validation, or delete this checkpoint."
            )
        # They are of all processes, and are added up again.
        self.sums = Sums(sums if if_main_process() else None)
        for name, value in state.items():
            setattr(self, name, value)
