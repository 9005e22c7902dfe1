"""Loggers of Weights & Biases and of Trackio.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import io
from types import ModuleType

from s3prl_sb.errors import MissingExtra
from s3prl_sb.loggers.tracker import STEP, Tracker

#: Nothing depends on what is logged, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False
#: Seconds to wait for the server at the start, and for the upload at the end.
PATIENCE = 60
#: Settings of wandb: it sends nothing of the machine and the code, and writes what it
#: gets within a second, so that a kill does not lose more.
SETTINGS = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "finish_timeout": PATIENCE,
    "host": "-",
    "init_timeout": PATIENCE,
    "save_code": False,
    "silent": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_save_requirements": False,
    "x_transaction_log_flush_interval": 1.0,
}


def wandb() -> ModuleType:
    """Returns the library of Weights & Biases.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise MissingExtra("logger: wandb: pip install 's3prl_sb[wandb]'") from error
    return wandb


def trackio() -> ModuleType:
    """Returns Trackio.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import trackio
    except ImportError as error:
        raise MissingExtra(
            "logger: trackio: pip install 's3prl_sb[trackio]'"
        ) from error
    return trackio


class WandbLogger(Tracker):
    """Logger of Weights & Biases.

    The environment decides who logs and where: ``WANDB_API_KEY`` or ``wandb login``,
    ``WANDB_BASE_URL``, ``WANDB_MODE=offline``. Neither the command line nor the code,
    the console or the names of the machine and its packages are sent.

    Arguments
    ---------
    *args, **kwargs
        See :class:`~s3prl_sb.loggers.tracker.Tracker`. Options: ``entity``, ``tags``,
        ``notes`` and ``mode`` of ``wandb.init``.

    Note
    ----
    wandb writes once a second: a kill loses the points of that second.
    """

    service, library = "wandb", staticmethod(wandb)

    def start(self):
        """Begins or continues the run, and returns it."""
        library = self.library()
        kind = library.Settings  # versions have different fields
        fields = getattr(kind, "model_fields", SETTINGS)
        settings = {k: v for k, v in SETTINGS.items() if k in fields}
        run = library.init(
            **{**self.names, **self.options},
            id=self.identity,
            resume="allow",
            dir=str(self.folder),
            config=self.settings,
            settings=kind(**settings),
        )
        run.define_metric(STEP)
        run.define_metric("*", step_metric=STEP)
        return run

    def send(self, values, step):
        """Sends values of an update.

        The steps of the service itself count the points: they may not go back, as
        those of a run that resumes do.
        """
        self.run.log({STEP: step, **values})

    def conclude(self, run, values):
        """Sets the results as the summary, in place of the last points."""
        run.summary.update(values)


class TrackioLogger(Tracker):
    """Logger of Trackio, on this machine or in a Space.

    It logs to ``$TRACKIO_DIR``, by default Trackio's folder in the cache of Hugging
    Face, and with ``space_id`` to a Space of the user who has logged in.

    Arguments
    ---------
    *args, **kwargs
        See :class:`~s3prl_sb.loggers.tracker.Tracker`. Options: ``space_id`` and
        ``private`` of ``trackio.init``.

    Note
    ----
    Trackio writes twice a second: a kill loses the points of that half second.
    """

    service, library = "trackio", staticmethod(trackio)

    def start(self):
        """Begins or continues the run, and returns it."""
        # Trackio knows a run by its name, which is also a path.
        name = f"{self.names['name']} {self.identity[:8]}".replace("/", "-")
        names = {**self.names, "name": name}
        config = {key.lstrip("_"): value for key, value in self.settings.items()}
        with contextlib.redirect_stdout(io.StringIO()):
            return self.library().init(
                **names,
                **self.options,
                resume="allow",
                config=config,
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def send(self, values, step):
        """Sends values of an update."""
        self.run.log(values, step=step)

    def finish_run(self, run):
        """Ends the run; Trackio prints that it does, and again at the exit."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.library().finish()


SERVICES = {each.service: each for each in (WandbLogger, TrackioLogger)}
#: Options of each service, and their kinds.
OPTIONS = {
    "wandb": {"entity": str, "tags": list, "notes": str, "mode": str},
    "trackio": {"space_id": str, "private": bool},
}
