"""Check that the pipes of a recipe have the sample rate of the upstream.

The checkpoint determines the rate of the upstream. A waveform does not carry its rate,
so that a wrong one would go unnoticed.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.errors import UserError


class RateError(UserError, ValueError):
    """Pipes and upstream with different sample rates."""


def check_rates(upstream, pipes, key="sample_rate"):
    """Checks that pipes produce the sample rate of an upstream.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream.
    pipes : iterable of callable
        Pipes; those without a ``sample_rate`` are ignored.
    key : str
        Key of the recipe, for the error.

    Raises
    ------
    RateError
        With the pipe and both rates.

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
        rate = getattr(pipe, "sample_rate", wanted)
        if wanted is not None and rate != wanted:
            raise RateError(
                f"{type(pipe).__name__} is of {rate} Hz, and the upstream, "
                f"{type(upstream).__name__}, takes {wanted} Hz. In the recipe's YAML "
                f"write '{key}: !ref <upstream_model.sample_rate>', and leave "
                f"--{key} out."
            )


def check_recipe(hparams):
    """Checks all pipes of a recipe, see :func:`check_rates`.

    Arguments
    ---------
    hparams : dict
        Loaded keys of a recipe. Without ``upstream_model`` nothing is checked.

    Raises
    ------
    RateError
        With the pipe and both rates.
    """
    for key, pipes in hparams.items():
        if str(key).endswith("pipes") and isinstance(pipes, (list, tuple)):
            check_rates(hparams.get("upstream_model"), pipes)
