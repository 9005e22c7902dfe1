"""Serves a page that follows its runs, to browsers of this machine.

It serves the page and its status, and nothing else. A request under another name than
that of the server, as DNS rebinding makes them, is refused.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import ipaddress
import json
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from markupsafe import Markup

from s3prl_sb.errors import UserError
from s3prl_sb.report import making, page, progress
from s3prl_sb.report.blocks import Options, Section
from s3prl_sb.report.escaping import readable, shown
from s3prl_sb.storage.files import FileError
from s3prl_sb.terminal import columns

PAUSE = 2.0  # seconds between two looks at the folders, at least
MOST, NEXT = 200, 5  # jobs that the status names: those begun, and those that wait
CHUNK = 1 << 16  # bytes that a slow reader has Handler.timeout for
LOCAL = ("localhost", "127.0.0.1", "::1")


class Status(NamedTuple):
    """The place of the jobs in the page, which its script fills.

    Arguments
    ---------
    text : str
        The jobs in a few words.
    """

    text: str

    def html(self) -> Markup:
        """Returns the place as HTML."""
        return Markup(
            '<p id="live-status" role="status">{}</p><div id="live-jobs"></div>'
        ).format(self.text)


@dataclasses.dataclass
class Follower:
    """A page that is made again when its runs change.

    Arguments
    ---------
    folders : list of str
        Folders of runs or benchmarks.
    options : Options
        Options of the reader.
    title : str, optional
        Title of the page.
    published : bool
        Whether to show published numbers also for runs that do not compare with them.
    """

    folders: Sequence[str]
    options: Options = Options()
    title: str | None = None
    published: bool = False
    page: bytes = b""
    status: bytes = b"{}"
    version: str = ""
    remembered: dict = dataclasses.field(default_factory=dict)

    def look(self) -> None:
        """Looks at the folders; makes the page again if a run or a table is new."""
        found = progress.scan(self.folders)
        if found.version != self.version or not self.page:
            self.page = self._make(found).encode()
            self.version = found.version
        begun = [job for job in found.jobs if job.state not in ("done", "waiting")]
        waiting = [job for job in found.jobs if job.state == "waiting"]
        jobs = [readable(job._asdict()) for job in (*begun[:MOST], *waiting[:NEXT])]
        status = {"version": self.version, "text": found.text(), "jobs": jobs}
        self.status = json.dumps(status).encode()

    def _make(self, found):
        status = Status(found.text())
        try:
            return making.make(
                self.folders,
                self.options,
                self.title,
                self.published,
                live=found.version,
                status=status,
                remembered=self.remembered,
            ).html
        except FileError as error:  # nothing has ended yet
            section = Section("Jobs", "jobs", [status])
            lead = Markup('<p class="lead">{}</p>').format(shown(error))
            title = self.title or making.title_of(self.folders)
            return page.render([page.part(section)], title, lead, live=found.version)

    def follow(self, ended: threading.Event) -> None:
        """Looks again and again, until an event is set.

        Arguments
        ---------
        ended : threading.Event
            The event.
        """
        pause, said = PAUSE, ""
        while not ended.wait(pause):
            start = time.monotonic()
            try:
                self.look()
            except Exception as error:  # the next look may find whole files
                if said != (said := f"s3prl-sb: {error}"):
                    print(columns.visible(said), file=sys.stderr)
            pause = max(PAUSE, 3 * (time.monotonic() - start))


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of the page and of its status."""

    server_version = "s3prl-sb"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 20  # seconds that a silent connection is kept
    follower: Follower
    names: Sequence[str] = LOCAL

    def do_GET(self) -> None:
        """Sends the page or the status."""
        self._answer(True)

    def do_HEAD(self) -> None:
        """Sends the headers of the page or of the status."""
        self._answer(False)

    def _answer(self, with_body):
        kinds = {
            "/": ("text/html; charset=utf-8", self.follower.page),
            "/status.json": ("application/json", self.follower.status),
        }
        kind, body = "text/plain; charset=utf-8", b"There is no such page.\n"
        status = HTTPStatus.NOT_FOUND
        path = self.path.partition("?")[0]
        if not self._is_ours(self.headers.get("Host", "")):
            status = HTTPStatus.MISDIRECTED_REQUEST
            body = b"This is not the name of this server.\n"
        elif path in kinds:
            status, (kind, body) = HTTPStatus.OK, kinds[path]
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            for start in range(0, len(body), CHUNK):  # each within the time limit
                self.wfile.write(body[start : start + CHUNK])

    def _is_ours(self, host):
        """Returns whether a request is for this server by a name that it has."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or ("*" in self.names and _is_address(name))

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing about requests."""


def _is_address(name):
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Server(ThreadingHTTPServer):
    """A server whose connections end with it."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing: the reader has closed the page."""


def make_server(follower: Follower, host: str, port: int) -> Server:
    """Returns a server of a page, which does not yet answer.

    Arguments
    ---------
    follower : Follower
        The page.
    host : str
        Address to listen at.
    port : int
        Port; 0 for any that is free.

    Returns
    -------
    Server

    Raises
    ------
    UserError
        If the port is taken, or the address is not of this machine.
    """
    if not 0 <= port <= 65535:
        raise UserError(
            f"--serve {port}: ports are 0 to 65535; 0 takes one that is free"
        )
    names = list(LOCAL)
    if not is_loopback(host):
        names += ["*", host.lower(), socket.gethostname().lower()]
    handler = type("PageHandler", (Handler,), {"follower": follower, "names": names})
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = type("PageServer", (Server,), {"address_family": family})
        return server(address[:2], handler)
    except OSError as error:
        raise UserError(
            f"--serve {port} at {host}: {error}. Give another port: --serve 0 takes "
            "one that is free."
        ) from error


def is_loopback(host: str) -> bool:
    """Returns whether an address is of this machine alone.

    Example
    -------
    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if _is_address(host):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def serve(
    folders: Sequence[str],
    options: Options,
    title: str | None,
    published: bool,
    host: str,
    port: int,
    opens: bool = False,
) -> None:
    """Serves a page until Ctrl-C.

    Arguments
    ---------
    folders : list of str
        Folders of runs or benchmarks.
    options, title, published
        See :class:`Follower`.
    host, port
        See :func:`make_server`.
    opens : bool
        Whether to open the page in a browser.
    """
    for folder in folders:
        if not Path(folder).is_dir():
            raise FileError(f"'{folder}' is no folder")
    follower = Follower(folders, options, title, published)
    server = make_server(follower, host, port)
    follower.look()
    name = host if is_loopback(host) else socket.gethostname()
    name = f"[{name}]" if ":" in name else name
    address = f"http://{name}:{server.server_address[1]}/"
    if not is_loopback(host):
        print(
            "Whoever reaches this machine can read the page: names, paths, results.",
            file=sys.stderr,
        )
    print(f"{address} follows the runs. Ctrl-C ends it.", flush=True)
    ended = threading.Event()
    follow = functools.partial(follower.follow, ended)
    threading.Thread(target=follow, daemon=True, name="follower").start()
    if opens:
        import webbrowser

        webbrowser.open(address)
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print("\nEnded.", file=sys.stderr)
    finally:
        ended.set()
        server.server_close()
