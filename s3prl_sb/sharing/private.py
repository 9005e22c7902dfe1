"""Private facts in files that leave this machine: folders, its name, keys.

Facts about a run have paths of data and of outputs. They are replaced by the last name
of the path, or by an ellipsis if that is the user's. Files that cannot be rewritten,
such as weights or own code, are searched, and refused if they hold one.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import mmap
import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from s3prl_sb.errors import UserError, printable, without_secrets

#: A text that is a path from the root, from a home folder, of Windows, or of a share.
PATH = re.compile(r"(?:file:/{2,3})?(?:/|~[\w.-]*/|[A-Za-z]:[\\/]|\\\\)[^\n]+")
#: A path of two folders at least in a longer text: in quotes, or up to a blank.
QUOTED = re.compile(
    r"(?<!\w)(['\"])((?:file://)?(?:~[\w.-]*|[A-Za-z]:)?[\\/][^'\"\n]*[\\/][^'\"\n]*)\1"
)
INSIDE = re.compile(
    r"(?<![\w/.~])(?:file://)?(?:~[\w.-]*|[A-Za-z]:)?[\\/][^\s'\"<>|,;(){}\[\]\\/]+"
    r"[\\/][^\s'\"<>|,;(){}\[\]]*"
)
#: What keys of services and private keys begin with, and how they go on.
KEYS = {
    b"hf_": rb"[A-Za-z0-9]{30}",
    b"AKIA": rb"[0-9A-Z]{16}\b",
    b"AIza": rb"[A-Za-z0-9_-]{35}",
    b"gh": rb"[pousr]_[A-Za-z0-9]{36}",
    b"github_pat_": rb"[A-Za-z0-9_]{30}",
    b"glpat-": rb"[A-Za-z0-9_-]{20}",
    b"sk-": rb"[A-Za-z0-9_-]{40}",
    b"xox": rb"[abprs]-[A-Za-z0-9-]{20}",
    b"-----BEGIN ": rb"[A-Z ]*PRIVATE KEY",
}
#: Shortest folder that is searched in weights: shorter ones occur by chance.
SHORTEST = 8
HIDDEN = "…"
#: Instruction for the user about a binary file.
BINARY = (
    "`s3prl-sb convert` writes the weights of an upstream alone; train with its card."
)


class PrivateError(UserError, ValueError):
    """A file that holds a private fact, and cannot be rewritten."""


class Private:
    """The private facts of this machine.

    Arguments
    ---------
    folders : list of str
        Folders besides the home and the current one, such as that of the run.
    host : str, optional
        Name of this machine; default: its own.
    token : str, optional
        Key that must not be in any file.

    Example
    -------
    >>> private = Private(["/home/Anna M/runs"], host="lab-7")
    >>> private.scrubbed({"csv": "/data/a b.csv", "why": "no '/home/Anna M/runs/x'"})
    {'csv': 'a b.csv', 'why': "no 'x'"}
    """

    def __init__(
        self,
        folders: Iterable[str | Path] = (),
        host: str | None = None,
        token: str | None = None,
    ):
        places = [Path(os.path.expanduser(folder)) for folder in folders]
        for own in (Path.home, Path.cwd):
            try:
                places.append(own())
            except (OSError, RuntimeError):  # there is none
                continue
        texts = {str(each) for p in places for each in (p.absolute(), p.resolve())}
        #: The folders, the longest first. The root and its folders are nobody's.
        self.folders = sorted(
            (text for text in texts if len(Path(text).parts) > 2 or text == _home()),
            key=len,
            reverse=True,
        )
        host = socket.gethostname() if host is None else host
        # A word such as "tiny" may be a name of anything else, too.
        is_odd = len(host) > 3 and re.search(r"[\d.-]", host)
        self.host = re.compile(rf"\b{re.escape(host)}\b") if is_odd else None
        #: The host as it is searched in files: there "gpu1" may be a variable.
        self.machine = host.encode() if is_odd and not host.isidentifier() else b""
        self.token = token
        #: Names of the user, as the last names of folders.
        names = Path(_home() or "/").name, os.environ.get("USER") or ""
        self.users = set(names) - {""}

    def text(self, text: str) -> str:
        """Replaces the private facts of a text.

        Arguments
        ---------
        text : str
            A text about a run.

        Returns
        -------
        str
            Paths become their last names.
        """
        text = without_secrets(text)
        if PATH.fullmatch(text) and text.strip("/\\"):
            return self._last(text)
        for folder in self.folders:
            rest = r"(?:[\\/][^\s'\",:;{}\[\]()|<>]*)?(?![\w.-])"
            pattern = re.escape(folder) + rest
            text = re.sub(pattern, lambda match: self._last(match[0]), text)
        text = QUOTED.sub(lambda m: f"{m[1]}{self._last(m[2])}{m[1]}", text)
        text = INSIDE.sub(lambda match: self._last(match[0]), text)
        for user in self.users:
            text = re.sub(rf"(?<![\w.-]){re.escape(user)}(?=@)", HIDDEN, text)
        return self.host.sub(HIDDEN, text) if self.host else text

    def _last(self, path):
        """Returns the last name of a path, unless it is that of the user."""
        name = re.split(r"[\\/]", path.rstrip("/\\"))[-1]
        return HIDDEN if not name or name.removeprefix("~") in self.users else name

    def scrubbed(self, value: Any) -> Any:
        """Replaces the private facts in a value of JSON.

        Arguments
        ---------
        value : object
            Dicts, lists and scalars. The paths among its texts are folders of this
            machine, too, wherever else they occur.

        Returns
        -------
        object
        """
        known = paths_in(value)
        whole = Private.__new__(Private)
        whole.folders = sorted({*self.folders, *known}, key=len, reverse=True)
        whole.host, whole.token, whole.users = self.host, self.token, self.users
        return whole._scrubbed(value)

    def _scrubbed(self, value):
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._scrubbed(each) for each in value]
        if isinstance(value, dict):
            pairs = ((self._scrubbed(k), self._scrubbed(v)) for k, v in value.items())
            new: dict = {}
            for key, inner in pairs:
                while key in new:  # two paths with one last name
                    key = f"{key}'"
                new[key] = inner
            return new
        return value

    def check(
        self,
        files: Mapping[str, Path | bytes],
        fix: str = "Take it out, and export the run again.",
    ) -> None:
        """Checks that no file holds a private fact.

        Arguments
        ---------
        files : dict
            Names to contents or paths.
        fix : str
            Instruction for the user about a file of text, a sentence.

        Raises
        ------
        PrivateError
            For the first one; names the file, the line and the fix.
        """
        for name, content in files.items():
            if isinstance(content, bytes):
                self._check(name, content, fix)
            elif content.stat().st_size:
                with open(content, "rb") as file:
                    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                        self._check(name, data, fix)

    def _check(self, name, data, fix):
        is_text = b"\0" not in data[: 1 << 16]
        if not is_text:
            fix = BINARY

        def line(place):
            return data[:place].count(b"\n") + 1 if is_text else None

        for start, rest in KEYS.items():
            for place in _places(data, start):
                is_start = place == 0 or not data[place - 1 : place].isalnum()
                end = place + len(start)
                if is_start and re.match(rest, data[end : end + 99]):
                    raise _error(name, line(place), fix, "a key of a service")
        if self.token and (place := data.find(self.token.encode())) >= 0:
            raise _error(name, line(place), fix, "your token of the hub")
        for folder in self.folders:
            if not is_text and len(folder) < SHORTEST:
                continue
            for form in _forms(folder):
                for place in _places(data, form):
                    # In a pickle any byte may stand before and after a text.
                    if is_text and not _is_whole(data, place, len(form)):
                        continue
                    what = f"'{printable(folder)}', a folder of this machine"
                    raise _error(name, line(place), fix, what)
        if self.machine and (is_text or len(self.machine) >= SHORTEST):
            for place in _places(data, self.machine):
                if not is_text or _is_whole(data, place, len(self.machine), rb"\w"):
                    what = f"'{self.machine.decode()}', the name of this machine"
                    raise _error(name, line(place), fix, what)

    def first_in(self, value: Any) -> str | None:
        """Returns the first text in a value of JSON that holds a private fact.

        Arguments
        ---------
        value : object
            Dicts, lists and scalars. A path of one folder, such as ``/s``, may be
            anything else.

        Returns
        -------
        str or None

        Example
        -------
        >>> Private(host="").first_in({"a": ["/s", "gelu"], "b": "/data/x/dict.txt"})
        '/data/x/dict.txt'
        """
        for text in _texts(value):
            is_short = text.startswith(("/", "\\")) and len(Path(text).parts) <= 2
            if not is_short and self.text(text) != text:
                return text
        return None


def _error(name, line, fix, what):
    where = f"'{printable(name)}'" + ("" if line is None else f", line {line},")
    return PrivateError(f"{where} holds {what}, for everybody to read. {fix}")


def paths_in(value: Any) -> list[str]:
    """Returns the texts in a value of JSON that are paths of two folders at least.

    Arguments
    ---------
    value : object
        Dicts, lists and scalars.

    Returns
    -------
    list of str

    Example
    -------
    >>> paths_in({"a": ["/data/x", "/", "see /data/y", 3]})
    ['/data/x']
    """
    found = {text for text in _texts(value) if PATH.fullmatch(text)}
    return sorted(text for text in found if len(Path(text).parts) > 2)


def _places(data, text):
    """Yields where a text is in data; much faster than a pattern in long ones."""
    place = data.find(text)
    while place >= 0:
        yield place
        place = data.find(text, place + 1)


def _is_whole(data, place, length, inside=rb"[\w.-]"):
    """Returns whether a folder in a text is not a part of a longer name."""
    end = place + length
    around = data[max(place - 1, 0) : place], data[end : end + 1]
    return not any(re.match(inside, each) for each in around)


def _forms(text):
    """Returns a path as bytes: as it is, in JSON, and in JSON within JSON, which the
    metadata of safetensors are."""
    once = json.dumps(text)[1:-1]
    twice = json.dumps(once)[1:-1]
    return dict.fromkeys([os.fsencode(text), once.encode(), twice.encode()])


def _home():
    try:
        return str(Path.home())
    except RuntimeError:
        return None


def _texts(value):
    """Yields the texts in a value of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            for each in pair:
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
