"""The sample rate of a checkpoint, from what it says and what is asked for.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.lobes.checkpoints.reading import CheckpointError

#: Of a checkpoint that says nothing, and of nearly all that say something.
USUAL = 16000


def agreed(asked, stated, source=None):
    """The rate of the waveforms that a network takes.

    Arguments
    ---------
    asked : int or None
        That of a card, Hz.
    stated : int or None
        That of the checkpoint, or of a random network's configuration, Hz.
    source : str, optional
        The checkpoint, for errors.

    Returns
    -------
    int
        Hz; :data:`USUAL` if nobody says.

    Raises
    ------
    CheckpointError
        If the two contradict each other, or one is no rate.

    Example
    -------
    >>> agreed(None, 8000), agreed(24000, None), agreed(None, None)
    (8000, 24000, 16000)
    >>> agreed(16000, 8000, "x.pt")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.checkpoints.values.CheckpointError: 'x.pt' is of 8000 Hz, and …
    """
    where = "The configuration" if source is None else f"'{source}'"
    asked = _whole(asked, f"sample_rate: {asked!r} is no number of Hz.")
    stated = _whole(stated, f"{where} has a sample rate of {stated!r}, which is no Hz.")
    if None not in (asked, stated) and asked != stated:
        raise CheckpointError(
            f"{where} is of {stated} Hz, and sample_rate: {asked} contradicts it. "
            "Leave sample_rate out: the checkpoint decides."
        )
    return asked or stated or USUAL


def stated_in(*options):
    """What options in fairseq's manner say, the first that says something.

    Arguments
    ---------
    *options : dict
        Of tasks and models.

    Returns
    -------
    int or None
        Hz.

    Example
    -------
    >>> stated_in({"normalize": True}, {"sample_rate": 8000}), stated_in({})
    (8000, None)
    """
    rates = (found.get("sample_rate") for found in options)
    return next((rate for rate in rates if rate is not None), None)


def _whole(rate, fault):
    if rate is None:
        return None
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if whole < 1 or whole != rate or isinstance(rate, bool):
        raise CheckpointError(fault)
    return whole
