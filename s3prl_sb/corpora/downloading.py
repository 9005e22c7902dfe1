"""Downloads of corpora: resumed, verified, unpacked safely.

A corpus is a list of :class:`Published` files. Each is downloaded next to its
destination (an interrupted transfer resumes), compared with its published hash, and
unpacked in a separate folder; then its content is moved to its place, and a stamp is
written. If :func:`download` is killed at any moment, another call resumes it.

Authors
 * The s3prl_sb developers, 2026
"""

import gzip
import hashlib
import http.client
import logging
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Callable, NamedTuple, NoReturn, Optional

from s3prl_sb.storage import remote_files
from s3prl_sb.storage.files import FileError, read_json, write_json
from s3prl_sb.storage.locks import Lock
from s3prl_sb.terminal import progress

logger = logging.getLogger(__name__)

WORK = ".downloads"  # in the destination: unfinished files, and the stamps
CHUNK = 1 << 20  # bytes read at once
GB = 1e9
UNPACKED = 1.4  # largest size of the content of an archive, relative to the archive
ARCHIVES = (".tar.gz", ".tgz", ".tar", ".zip")
#: Exceptions of unpacking a file that is not an archive, or is truncated.
BROKEN = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)


class DownloadError(OSError):
    """Error of a download; its message has the reason and the way out."""


class Published(NamedTuple):
    """Published file of a corpus.

    Arguments
    ---------
    url : str
        Its address.
    gigabytes : float
        Approximate size, for the check that there is room.
    sha256 : str, optional
        Its hash, if there is one.
    md5sums : str, optional
        Address of a published list of hashes that has it, ``<md5>  <file name>`` a
        line.
    folder : str
        Place of its content in the destination.
    name : str, optional
        File name; default: the last part of the address.
    """

    url: str
    gigabytes: float
    sha256: Optional[str] = None
    md5sums: Optional[str] = None
    folder: str = ""
    name: Optional[str] = None

    @property
    def file_name(self):
        """Its name on the disk."""
        return self.name or self.url.split("?")[0].rsplit("/", 1)[-1]


def behind_a_form(corpus: str, page: str, way: str) -> Callable:
    """Returns the ``download_<corpus>`` of a corpus that has a form to fill in first.

    Arguments
    ---------
    corpus : str
        Its name.
    page : str
        Address of the form.
    way : str
        Instructions, as the predicate of a sentence.

    Returns
    -------
    callable
        Function of a destination that raises :class:`DownloadError`.
    """

    def refuse(destination: str) -> NoReturn:
        raise DownloadError(f"{corpus} cannot be downloaded just so: {way} ({page})")

    refuse.__doc__ = f"Says how to get {corpus}."
    return refuse


def download(files, destination):
    """Downloads and unpacks files, except those that are there already.

    Arguments
    ---------
    files : list of Published
        Archives (.tar.gz, .tgz, .tar, .zip) are unpacked, other files are kept.
    destination : str
        Folder that gets their content.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    DownloadError
        If there is no room, a file is not the published one, or an archive would
        write outside the destination.
    """
    destination = Path(destination).expanduser().resolve()
    work = destination / WORK
    new = not destination.exists()
    with Lock(work / "lock"):  # a second one waits
        try:
            _download(files, destination, work)
        except DownloadError:
            if {path.name for path in work.iterdir()} <= {"lock"}:  # nothing to keep
                shutil.rmtree(work)
                if new and not any(destination.iterdir()):
                    destination.rmdir()
            raise
    return destination


def _download(files, destination, work):
    missing = [file for file in files if not _is_done(file, destination)]
    _check_room(missing, destination)
    for file in missing:
        archive = _fetch(file, work)
        moved = _unpack(file, archive, destination)
        write_json(_stamp(file, destination), {"url": file.url, "files": moved})
        archive.unlink(missing_ok=True)


def _key(file):
    """Returns 16 characters that identify an address."""
    return hashlib.sha256(file.url.encode()).hexdigest()[:16]


def _stamp(file, destination):
    return destination / WORK / f"{_key(file)}-{file.file_name}.json"


def _is_done(file, destination):
    """Returns whether a file was unpacked, and its content still exists."""
    try:
        moved = read_json(_stamp(file, destination), kind=dict)["files"]
    except (FileError, KeyError):
        return False
    return all((destination / name).exists() for name in moved)


def _check_room(files, destination):
    if not files:
        return
    # The content and the largest archive: an archive is deleted after unpacking.
    sizes = [file.gigabytes * GB for file in files]
    needed = sum(sizes) * UNPACKED + max(sizes)
    needed -= sum(p.stat().st_size for p in (destination / WORK).glob("*.part"))
    free = shutil.disk_usage(destination).free
    if needed > free:
        raise DownloadError(
            f"Unpacking {', '.join(file.file_name for file in files)} takes about "
            f"{needed / GB:.1f} GB, and '{destination}' has room for {free / GB:.1f} "
            "GB. Make room, or choose another folder."
        )


# ---------------------------------------------------------------------- transfer
def _fetch(file, work):
    """Returns the downloaded and verified file."""
    target = work / f"{_key(file)}-{file.file_name}"
    if target.exists():  # it gets this name after verification
        return target
    part = target.with_name(target.name + ".part")
    _transfer(file.url, part)
    _verify(file, part, work)
    os.replace(part, target)
    remote_files.record(part).unlink(missing_ok=True)
    return target


def _transfer(url, part):
    """Downloads an address to a part, or resumes it."""
    if remote_files.offline():
        raise DownloadError(
            f"Offline (S3PRL_SB_OFFLINE), and {url} is not here. Switch it off, or "
            "download and unpack the corpus elsewhere."
        )
    try:
        remote_files.download(url, part, name=part.name[17:-5])
    except remote_files.RemoteFileError as error:
        raise DownloadError(str(error)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DownloadError(
            f"Cannot download {url}: {error}. Run again to resume."
        ) from error


def _verify(file, part, work):
    """Compares a file with its published hashes; deletes it if they differ."""
    wanted = {}
    if file.md5sums:
        wanted["md5"] = _published_md5(file, work)
    if file.sha256:
        wanted["sha256"] = file.sha256
    for kind, value in _hashes(part, wanted).items():
        if value != wanted[kind]:
            remote_files.discard(part)
            raise DownloadError(
                f"{file.url} gives another file than the published one: its {kind} is "
                f"{value}, not {wanted[kind]}. It was deleted; run again, and if that "
                "does not help, the file has changed at its source."
            )


def _published_md5(file, work):
    """Returns the hash of a file in the published list."""
    part = work / f"{hashlib.sha256(file.md5sums.encode()).hexdigest()[:16]}-md5.part"
    remote_files.discard(part)  # an earlier list may be out of date
    _transfer(file.md5sums, part)
    text = part.read_text("utf-8", "replace")
    remote_files.discard(part)
    for line in text.splitlines():
        value, _, name = line.strip().partition(" ")
        if name.strip(" *").rsplit("/", 1)[-1] == file.url.rsplit("/", 1)[-1]:
            return value.lower()
    raise DownloadError(f"{file.md5sums} has no line for {file.file_name}.")


def _hashes(path, kinds):
    """Computes several hashes of a file, which is read once."""
    hashes = {kind: hashlib.new(kind) for kind in kinds}
    bar = progress.bar(
        desc=f"Verifying {path.name[17:-5]}",
        total=path.stat().st_size,
        unit="B",
        unit_scale=True,
        disable=not kinds or path.stat().st_size < 100 * CHUNK,
    )
    with open(path, "rb") as file, bar:
        while chunk := file.read(CHUNK) if kinds else b"":
            for each in hashes.values():
                each.update(chunk)
            bar.update(len(chunk))
    return {kind: each.hexdigest() for kind, each in hashes.items()}


# --------------------------------------------------------------------- unpacking
def _unpack(file, archive, destination):
    """Moves a file's content to its place; returns its paths, for the stamp."""
    folder = destination / file.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not file.file_name.endswith(ARCHIVES):
        os.replace(archive, folder / file.file_name)
        return [os.path.join(file.folder, file.file_name)]
    # A killed attempt may have left half a file: start again
    apart = archive.with_name(f"{_key(file)}-unpacked")
    shutil.rmtree(apart, ignore_errors=True)
    apart.mkdir()
    try:
        extract(archive, apart)
    except BROKEN as error:
        archive.unlink()
        reason = str(error).splitlines()[0].rstrip(":")
        raise DownloadError(
            f"{file.url} gives no whole archive ({reason}). It was deleted; run again."
        ) from error
    content = {path.relative_to(apart) for path in apart.glob("*/*")}
    content |= {path.relative_to(apart) for path in apart.iterdir() if path.is_file()}
    _merge(apart, folder)
    shutil.rmtree(apart)
    paths = {PurePosixPath(file.folder, *path.parts).parts[:2] for path in content}
    return sorted("/".join(parts) for parts in paths)


def extract(archive, folder):
    """Unpacks the plain files and folders of a tar or zip, inside the folder.

    Links and devices, which no corpus needs, are left out.

    Arguments
    ---------
    archive : pathlib.Path
        Archive to unpack.
    folder : pathlib.Path
        Empty folder for its content.

    Raises
    ------
    DownloadError
        If a member's path leads outside.
    """
    folder, is_zip = Path(folder), str(archive).endswith(".zip")
    title = f"Unpacking {re.sub('^[0-9a-f]{16}-', '', Path(archive).name)}"
    bar = progress.bar(desc=title, unit="file", delay=1)
    left_out = []
    with zipfile.ZipFile(archive) if is_zip else tarfile.open(archive) as opened, bar:
        for member in opened.infolist() if is_zip else opened:
            name = member.filename if is_zip else member.name
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name:
                raise DownloadError(
                    f"{archive} is not safe: its member '{name}' leads outside the "
                    "folder. It was not unpacked."
                )
            is_folder = member.is_dir() if is_zip else member.isdir()
            if is_folder:
                (folder / path).mkdir(parents=True, exist_ok=True)
            elif is_zip and (member.external_attr >> 28) not in (0, 8):
                left_out.append(name)  # 8: the type of a plain file
            elif not is_zip and not member.isreg():
                left_out.append(name)
            else:
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                source = opened.open(member) if is_zip else opened.extractfile(member)
                with source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file, CHUNK)
            bar.update()
        while not is_zip and opened.fileobj.read(CHUNK):
            pass  # gzip's checksum is at the end
    if left_out:
        message = "%s: %d members that are no plain files are left out, such as %s"
        logger.warning(message, archive, len(left_out), left_out[0])


def _merge(source, target):
    """Moves a folder's content into another folder, and replaces files there."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir() and place.is_dir():
            _merge(path, place)
        elif path.is_dir() == place.is_dir() or not place.exists():
            os.replace(path, place)
        else:
            raise DownloadError(f"'{place}' is in the way. Move it elsewhere.")
