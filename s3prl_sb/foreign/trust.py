"""Trust in untrusted code: none of it runs until the user allows it.

A card, an export, a run's folder or a checkpoint is data. Code that comes with it only
runs after one of these:

- ``--trust`` on the command line, or ``trust=True`` in Python, for one call;
- the environment variable ``S3PRL_SB_TRUST=1``;
- ``s3prl-sb trust FOLDER``, permanently for everything in a folder of the user.

A file cannot give trust to itself.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import contextvars
import os
import re
import shlex
import stat
from pathlib import Path

from s3prl_sb import resources
from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.files import FileError, read_json, write_json

VARIABLE = "S3PRL_SB_TRUST"
#: Number of items in an error that would run.
SHOWN = 5
FLAG = "--trust"
_COMMIT = re.compile("[0-9a-f]{40}")  # name of a snapshot of the hub
_TRUSTS_ALL = contextvars.ContextVar("trust", default=False)


class TrustError(UserError):
    """A file would run code that the user has not trusted."""


@contextlib.contextmanager
def trusting(trust=True):
    """Allows everything loaded in a block to run the code that comes with it.

    Arguments
    ---------
    trust : bool
        False leaves the trust unchanged.

    Example
    -------
    >>> with trusting():
    ...     is_trusted("/downloads/model")
    True
    """
    token = _TRUSTS_ALL.set(bool(trust) or _TRUSTS_ALL.get())
    try:
        yield
    finally:
        _TRUSTS_ALL.reset(token)


def trusts_all():
    """Returns whether everything is trusted, by the flag or by ``trust=True``.

    Returns
    -------
    bool
    """
    return _TRUSTS_ALL.get()


def is_trusted(path):
    """Returns whether code of a file or folder may run.

    Arguments
    ---------
    path : str or pathlib.Path
        A file or a folder.

    Returns
    -------
    bool
        Always true for the files of this package.
    """
    if _TRUSTS_ALL.get() or _by_environment():
        return True
    path = _place(path)
    ours = [Path(__file__).parents[1], resources.folder("hparams")]
    places = [place.resolve() for place in ours]
    try:
        places += folders()
    except FileError:  # data need no trust; require() reports the error
        pass
    return any(path.is_relative_to(place) for place in places)


def require(path, would_run):
    """Raises an error unless code of a file or folder may run.

    Arguments
    ---------
    path : str or pathlib.Path
        File that would run the code.
    would_run : list of str
        Descriptions of the code, such as "my_upstream.py beside it".

    Raises
    ------
    TrustError
        If it is not trusted; says what would run and how to allow it.
    s3prl_sb.storage.files.FileError
        If the list of trusted folders cannot be read.

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
    path = _place(path)
    folder = path if path.is_dir() else path.parent
    items = [printable(item)[:200] for item in would_run]
    more = f", and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    raise TrustError(
        f"'{printable(path)}' would run {', '.join(items[:SHOWN])}{more}. Read it; if "
        f"you trust it, run `s3prl-sb trust {_quoted(folder)}` once,\n"
        f"or give --trust (in Python: trust=True), or set {VARIABLE}=1."
    )


def require_address(address, trust=False):
    """Raises an error unless code from an address may run.

    Arguments
    ---------
    address : str
        Address that is not a local folder, which could be trusted by its path.
    trust : bool
        The argument ``trust`` of a Python call.

    Raises
    ------
    TrustError
        If it is not trusted.
    """
    if not (trust or _TRUSTS_ALL.get() or _by_environment()):
        raise TrustError(
            f"'{printable(address)}' is no folder here, and what is fetched from "
            "there would be run. Download it\nand give its folder; or give "
            f"trust=True, or set {VARIABLE}=1, if you trust whoever can write there."
        )


def taken(argv):
    """Removes ``--trust`` from a command line, and returns whether it was there.

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


# -------------------------------------------------- permanently trusted folders
def configuration():
    """Returns the file with the list of trusted folders.

    Returns
    -------
    pathlib.Path
        In ``$XDG_CONFIG_HOME/s3prl_sb``, or in ``~/.config/s3prl_sb``.
    """
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # A relative path is ignored: it would belong to the owner of the current folder.
    base = base if os.path.isabs(base) else os.path.expanduser("~/.config")
    return Path(base) / "s3prl_sb" / "trusted.json"


def folders():
    """Returns the permanently trusted folders.

    Returns
    -------
    list of pathlib.Path
        Real paths, each trusted with everything in it.

    Raises
    ------
    s3prl_sb.storage.files.FileError
        If the list cannot be read, or is writable for everybody.
    """
    path = configuration()
    fix = "Delete it and trust the folders again."
    try:
        paths = read_json(path, "a list of trusted folders", fix, kind=list)
        others_write = os.stat(path).st_mode & stat.S_IWOTH
    except FileNotFoundError:
        return []
    if others_write:
        raise FileError(f"Anybody may write '{path}', and have code run by you. {fix}")
    return [Path(folder) for folder in paths if os.path.isabs(str(folder))]


def add(folder):
    """Trusts a folder permanently.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder; links in its path are resolved now.

    Returns
    -------
    pathlib.Path
        Real path of the folder.

    Raises
    ------
    TrustError
        If it does not exist, or is writable for everybody.
    """
    path = Path(folder).expanduser().resolve()
    if not path.is_dir():
        raise TrustError(f"There is no folder '{folder}'. Trust is given to folders.")
    if path.parent == path or path.stat().st_mode & stat.S_IWOTH:
        raise TrustError(
            f"Not only you can write in '{path}'. Trust a folder of your own in it."
        )
    _change(lambda paths: [*paths, path] if path not in paths else paths)
    return path


def remove(folder):
    """Ends the trust in a folder.

    Arguments
    ---------
    folder : str or pathlib.Path
        The folder, or its real path; it need not exist any more.

    Returns
    -------
    pathlib.Path
        Real path of the folder.

    Raises
    ------
    TrustError
        If it is not trusted; lists the trusted folders.
    """
    path = Path(folder).expanduser().resolve()
    trusted = folders()
    if path not in trusted:
        listed = ", ".join(map(str, trusted)) or "there are none"
        raise TrustError(f"'{path}' is not among the trusted folders: {listed}.")
    _change(lambda paths: [other for other in paths if other != path])
    return path


def add_arguments(parser):
    """Adds the arguments of ``s3prl-sb trust``.

    Arguments
    ---------
    parser : argparse.ArgumentParser
        Parser of the verb.
    """
    parser.add_argument("folder", nargs="*", help="with all that is in it")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="print what is trusted")
    action.add_argument("--remove", action="store_true", help="trust them no longer")


def main(arguments):
    """Changes or prints the trusted folders.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`add_arguments`.
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
    """Rewrites the list, under a lock so that no concurrent change is lost."""
    from s3prl_sb.storage.locks import Lock

    path = configuration()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with Lock(f"{path}.lock"):
        write_json(path, [str(folder) for folder in change(folders())])
        path.chmod(0o600)  # also with a lax umask


def _quoted(folder):
    """Quotes a folder for a shell."""
    text = str(folder)
    return shlex.quote(text) if text.isprintable() else "FOLDER"


def _place(path):
    """Returns the real path of a file or folder.

    A file of a snapshot in the cache of the Hugging Face hub is a link to one named by
    its content, which all revisions share. It belongs to its snapshot, whose name is
    the commit: trust in one revision is none in the next.
    """
    path = Path(path).expanduser()
    real, inside = path.resolve(), path.parent.resolve() / path.name
    for folder in inside.parents:
        if _COMMIT.fullmatch(folder.name) and folder.parent.name == "snapshots":
            blobs = folder.parents[1] / "blobs"
            return inside if real.parent == blobs.resolve() else real
    return real


def _by_environment():
    return os.environ.get(VARIABLE, "").strip().lower() in ("1", "true", "yes", "on")
