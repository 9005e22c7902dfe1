"""What may be run of what comes from elsewhere: nothing, until the user says so.

A card, an export, a run's folder or a checkpoint is data. Code that comes with it is
run after one of these:

- ``--trust`` on the command line, or ``trust=True`` in Python, for once;
- the environment variable ``S3PRL_SB_TRUST=1``;
- ``s3prl-sb trust FOLDER``, once for all that lies in a folder of one's own.

Nothing within a file counts: whoever wrote the code wrote that too.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import os
import shlex
import stat
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.files import FileError, read_json, write_json

VARIABLE = "S3PRL_SB_TRUST"
#: Things that an error tells of, of all that would run.
SHOWN = 5
FLAG = "--trust"
_GIVEN = contextvars.ContextVar("trust", default=False)


class TrustError(UserError):
    """Something would run code that nobody has said to trust."""


@contextlib.contextmanager
def given(trust=True):
    """Whatever is loaded inside may run the code that comes with it.

    Arguments
    ---------
    trust : bool
        False: things are as they are outside.

    Example
    -------
    >>> with given():
    ...     is_trusted("/downloads/model")
    True
    """
    token = _GIVEN.set(bool(trust) or _GIVEN.get())
    try:
        yield
    finally:
        _GIVEN.reset(token)


def is_given():
    """Whether everything is trusted here, by the flag or by ``trust=True``.

    Returns
    -------
    bool
    """
    return _GIVEN.get()


def is_trusted(path):
    """Whether code that lies at a place may be run.

    Arguments
    ---------
    path : str or pathlib.Path
        A file or a folder.

    Returns
    -------
    bool
        Also true of what this package brings along.
    """
    if _GIVEN.get() or _by_environment():
        return True
    path = Path(path).expanduser().resolve()
    ours = [Path(__file__).parents[1], resources.folder("hparams")]
    places = [place.resolve() for place in ours]
    try:
        places += folders()
    except FileError:  # data need no trust; who asks for it reads why, in require
        pass
    return any(path.is_relative_to(place) for place in places)


def require(path, would_run):
    """Makes sure that code that lies at a place may be run.

    Arguments
    ---------
    path : str or pathlib.Path
        The file that asks for it.
    would_run : list of str
        What it is, such as "my_upstream.py beside it".

    Raises
    ------
    TrustError
        That says what would run and how to allow it.
    s3prl_sb.storage.files.FileError
        If it is not known which folders are trusted.

    Example
    -------
    >>> require("/downloads/card.yaml", ["model.py beside it"])
    Traceback (most recent call last):
    ...
    s3prl_sb.foreign.trust.TrustError: '/downloads/card.yaml' would run model.py …
    """
    if is_trusted(path):
        return
    folders()
    path = Path(path).expanduser().resolve()
    folder = path if path.is_dir() else path.parent
    told = [printable(one)[:200] for one in would_run]
    more = f", and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    raise TrustError(
        f"'{printable(path)}' would run {', '.join(told[:SHOWN])}{more}. Read it; if "
        f"you trust it, run `s3prl-sb trust {_quoted(folder)}` once,\n"
        f"or give --trust (in Python: trust=True), or set {VARIABLE}=1."
    )


def require_address(address, trust=False):
    """Makes sure that what an address gives may be run.

    Arguments
    ---------
    address : str
        No folder, which has a place that could be trusted.
    trust : bool
        As in Python: ``trust=True``.

    Raises
    ------
    TrustError
        If nobody has said so.
    """
    if not (trust or _GIVEN.get() or _by_environment()):
        raise TrustError(
            f"'{printable(address)}' is no folder here, and what is fetched from "
            "there would be run. Download it\nand give its folder; or give "
            f"trust=True, or set {VARIABLE}=1, if you trust whoever can write there."
        )


def taken(argv):
    """A command line without ``--trust``, and whether it was in it.

    Arguments
    ---------
    argv : list of str
        The command line.

    Returns
    -------
    argv : list of str
    trust : bool

    Example
    -------
    >>> taken(["train.yaml", "--trust", "--lr", "0.1"])
    (['train.yaml', '--lr', '0.1'], True)
    """
    return [argument for argument in argv if argument != FLAG], FLAG in argv


# ---------------------------------------------------------- folders for good
def configuration():
    """The file that the trusted folders are remembered in.

    Returns
    -------
    pathlib.Path
        In ``$XDG_CONFIG_HOME/s3prl_sb``, or in ``~/.config/s3prl_sb``.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative one is to be ignored: it would be anybody's whose folder we are in.
    base = base if os.path.isabs(base) else os.path.expanduser("~/.config")
    return Path(base) / "s3prl_sb" / "trusted.json"


def folders():
    """The folders that are trusted for good, and all in them.

    Returns
    -------
    list of pathlib.Path
        Real paths.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the list cannot be read, or anybody may have written it.
    """
    path = configuration()
    fix = "Delete it and trust the folders again."
    try:
        found = read_json(path, "a list of trusted folders", fix, kind=list)
        others_write = os.stat(path).st_mode & stat.S_IWOTH
    except FileNotFoundError:
        return []
    if others_write:
        raise FileError(f"Anybody may write '{path}', and have code run by you. {fix}")
    return [Path(folder) for folder in found if os.path.isabs(str(folder))]


def add(folder):
    """Trusts a folder for good.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder; links in its path are followed now.

    Returns
    -------
    pathlib.Path
        Its real path.

    Raises
    ------
    TrustError
        If there is no such folder, or it is one that anybody writes into.
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise TrustError(f"There is no folder '{folder}'. Trust is given to folders.")
    if path.parent == path or path.stat().st_mode & stat.S_IWOTH:
        raise TrustError(
            f"Not only you can write in '{path}'. Trust a folder of your own in it."
        )
    _change(lambda known: [*known, path] if path not in known else known)
    return path


def remove(folder):
    """Trusts a folder no longer.

    Arguments
    ---------
    folder : str or pathlib.Path
        As it was given, or its real path; it need not be there any more.

    Returns
    -------
    pathlib.Path
        Its real path.

    Raises
    ------
    TrustError
        If it is not among the trusted ones, with these.
    """
    path = Path(folder).expanduser().resolve()
    known = folders()
    if path not in known:
        listed = ", ".join(map(str, known)) or "there are none"
        raise TrustError(f"'{path}' is not among the trusted folders: {listed}.")
    _change(lambda known: [other for other in known if other != path])
    return path


def add_arguments(parser):
    """The arguments of ``s3prl-sb trust``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Of the verb.
    """
    parser.add_argument("folder", nargs="*", help="with all that is in it")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="print what is trusted")
    action.add_argument("--remove", action="store_true", help="trust them no longer")


def main(arguments):
    """Changes or prints the folders that are trusted.

    Arguments
    ---------
    arguments : argparse.Namespace
        With what :func:`add_arguments` has added.
    """
    if not arguments.folder and not arguments.list:
        raise TrustError("Which folder? `s3prl-sb trust .` trusts the current one.")
    for folder in arguments.folder:
        if arguments.remove:
            print(f"no longer trusted: {remove(folder)}")
        else:
            print(f"trusted: {add(folder)}")
    if arguments.list:
        for folder in folders():
            print(folder)


def _change(change):
    """Rewrites the list; two programs that do so at once both count."""
    from s3prl_sb.storage.locks import Lock

    path = configuration()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lock(f"{path}.lock"):
        write_json(path, [str(folder) for folder in change(folders())])
        path.chmod(0o600)  # whatever the umask is


def _quoted(folder):
    """A folder as a shell takes it, whatever it is called."""
    text = str(folder)
    return shlex.quote(text) if text.isprintable() else "FOLDER"


def _by_environment():
    return os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")
