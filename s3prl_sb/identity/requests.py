"""Requests to servers: again after a failure that may pass, and many at once.

Authors
 * The s3prl_sb developers, 2026
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from s3prl_sb.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

TRIES = 5  # of a request
PAUSE = 0.5  # seconds before the second try, doubled for each further one
THREADS = 16
SLICE = 4096  # requests that wait for a thread


def retried(request: Callable[[], Result]) -> Result:
    """Makes a request, again after a failure that may pass.

    Arguments
    ---------
    request : callable
        The request.

    Returns
    -------
    object
        Result of ``request``.

    Raises
    ------
    Exception
        The last failure, after :data:`TRIES` tries or if it will not pass.
    """
    for number in range(TRIES):
        try:
            return request()
        except Exception as error:
            failure = _failure(error)
            if not _may_pass(failure) or number == TRIES - 1:
                raise failure from None
        time.sleep(PAUSE * 2**number)
    raise AssertionError("the last try returns or raises")


def in_threads(
    function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[Result]:
    """Yields the results of a function that waits for servers, in order.

    Arguments
    ---------
    function : callable
        Called with each item, in :data:`THREADS` threads.
    items : iterable
        Any number of items.

    Yields
    ------
    object
        Results of ``function``.

    Example
    -------
    >>> list(in_threads(abs, [-1, 2]))
    [1, 2]
    """
    rest = iter(items)
    with ThreadPoolExecutor(THREADS) as pool:
        while part := list(itertools.islice(rest, SLICE)):
            yield from pool.map(function, part)


def code(error: BaseException) -> int:
    """Returns the status code of HTTP in an error, 0 if there is none."""
    status = getattr(error, "status", 0)
    return status if isinstance(status, int) else 0


def _failure(error):
    """Returns the failure behind an error: fsspec's HTTP says of all of them that
    there is no such file."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and cause is not None:
        is_http = type(cause).__module__.startswith("aiohttp")
        if code(cause) not in ((404, 410) if is_http else (0, 404, 410)):
            return cause
    return error


def _may_pass(error):
    final = (FileNotFoundError, PermissionError, IsADirectoryError, ImportError)
    # A ValueError is of the URL, or of one that a server redirects to.
    if isinstance(error, (*final, UserError, NotImplementedError, ValueError)):
        return False
    if "Credential" in type(error).__name__:
        return False
    status = code(error)
    return status == 0 or status >= 500 or status in (408, 425, 429)
