"""Progress bars of what is read and moved.

Authors
 * The s3prl_sb developers, 2026
"""

#: Nothing depends on what is shown, see :mod:`s3prl_sb.identity.code`.
COMPUTES = False


def bar(iterable=None, **options):
    """Returns a progress bar as wide as the terminal.

    Arguments
    ---------
    iterable : iterable, optional
        What to go through.
    **options
        Of ``tqdm``.

    Returns
    -------
    tqdm.tqdm

    Example
    -------
    >>> list(bar([1, 2], disable=True))
    [1, 2]
    """
    from tqdm import tqdm

    return tqdm(iterable, **{"dynamic_ncols": True, **options})
