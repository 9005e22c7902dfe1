"""One sample rate from the file to the upstream.

An upstream knows its rate, from its checkpoint. What a recipe's pipes make of audio
must be of that rate: a waveform does not say which it is of, and features of the wrong
one look like features.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError


class RateError(UserError, ValueError):
    """Pipes of one sample rate before an upstream of another."""


def check_rates(upstream, pipes, key="sample_rate"):
    """Makes sure that pipes give waveforms of the rate that an upstream takes.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Whose ``sample_rate`` counts.
    pipes : iterable of callable
        Those that have a ``sample_rate`` themselves are looked at.
    key : str
        Of the recipe, for the error.

    Raises
    ------
    RateError
        That names the pipe, and both rates.

    Example
    -------
    >>> from s3prl_sb.dataio.pipes import LoadAudio
    >>> from s3prl_sb.lobes.upstreams import load
    >>> check_rates(load("mel"), [LoadAudio(8000)])
    Traceback (most recent call last):
    ...
    s3prl_sb.dataio.rates.RateError: LoadAudio is of 8000 Hz, and the upstream …
    """
    wanted = getattr(upstream, "sample_rate", None)
    for pipe in pipes:
        found = getattr(pipe, "sample_rate", wanted)
        if wanted is not None and found != wanted:
            raise RateError(
                f"{type(pipe).__name__} is of {found} Hz, and the upstream, "
                f"{type(upstream).__name__}, takes {wanted} Hz. In the recipe's YAML "
                f"write '{key}: !ref <upstream_model.sample_rate>', and leave "
                f"--{key} out."
            )


def check_recipe(hparams):
    """The same for all pipes of a recipe, before anything is prepared.

    Arguments
    ---------
    hparams : dict
        Keys of a recipe, made. Without ``upstream_model`` nothing is looked at.

    Raises
    ------
    RateError
        As for :func:`check_rates`.
    """
    for key, pipes in hparams.items():
        if str(key).endswith("pipes") and isinstance(pipes, (list, tuple)):
            check_rates(hparams.get("upstream_model"), pipes)
