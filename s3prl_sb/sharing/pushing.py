"""Upload of an export or an upstream to the Hugging Face hub, with a model card.

All files arrive in one commit: a repository has the earlier upload or the new one. What
arrived before an interruption is not sent again.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import functools
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import s3prl_sb
from s3prl_sb.brains.results import INTERFACE
from s3prl_sb.errors import printable
from s3prl_sb.inference.exporting import MARK, export
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.inference.loading import interface_of, is_run
from s3prl_sb.inference.published import SETTINGS
from s3prl_sb.inference.reading import WHAT, foreign_parts, loadables_of
from s3prl_sb.lobes.cards.places import CARD as UPSTREAM
from s3prl_sb.lobes.cards.places import IS_FILE, downloaded_card
from s3prl_sb.sharing import licences, model_card, upstreams
from s3prl_sb.sharing.contents import contents_of
from s3prl_sb.sharing.licences import AN_EXPORT as KIND
from s3prl_sb.sharing.private import Private, paths_in
from s3prl_sb.sharing.uploads import CARD, RESULTS, PushError, Upload, own_text
from s3prl_sb.sharing.upstreams import prepared_upstream
from s3prl_sb.storage import checksums, hub
from s3prl_sb.storage.files import naming, read_json, read_text, read_yaml
from s3prl_sb.storage.repositories import Repository, repository
from s3prl_sb.terminal.messages import few

#: Files that every repository may have, and an export never replaces unasked.
OF_THE_HUB = {CARD, ".gitattributes"}


@contextlib.contextmanager
def prepared(
    source: str | Path,
    name: str,
    licence: str | None = None,
    licence_accepted: bool = False,
    card: str | Path | None = None,
) -> Iterator[Upload]:
    """Collects and checks what goes to the hub, without a network.

    Arguments
    ---------
    source : str
        Folder of an export; of a run, which is exported first; or of a pre-trained
        upstream, or its card.
    name : str
        ``owner/name``, optionally with ``@REVISION``, as the card says to load it.
    licence, licence_accepted, card
        See :func:`push`.

    Yields
    ------
    s3prl_sb.sharing.uploads.Upload
        Valid within the block.

    Raises
    ------
    s3prl_sb.errors.UserError
        If it is not whole, holds private facts, or may not be passed on.
    """
    from huggingface_hub import get_token

    source, token = Path(source).expanduser(), get_token()
    terms = licence, licence_accepted
    with tempfile.TemporaryDirectory() as made:
        file = _card_of(source)
        if file is not None:
            yield prepared_upstream(file, name, Path(made), token, *terms, card)
            return
        folder = source
        if source.is_dir() and is_run(source):
            folder = export(source, Path(made) / "export")
        yield _of_export(_local(folder), source, name, token, terms, card)


def _card_of(source):
    """Returns the card of an upstream, or None for anything else."""
    if IS_FILE.search(source.name) and not source.is_dir():
        return source
    settings = source / SETTINGS  # pre-training has some, too
    is_task = (source / INTERFACE).is_file()
    is_export = settings.is_file() and MARK in read_text(settings)
    file = source / UPSTREAM
    return file if file.is_file() and not (is_task or is_export) else None


def _of_export(folder, source, name, token, terms, card):
    """Returns the upload of an export, made of a source."""
    interface = interface_of(folder).__name__
    results = read_json(folder / RESULTS, "the results of a run", kind=dict)
    known: list[str | Path] = [source, folder, source.absolute().parent]
    known += paths_in(results)
    private = Private(known, token=token)
    files = contents_of(folder, private)
    entries = read_yaml(folder / SETTINGS, WHAT, kind=dict)
    for module in loadables_of(entries):
        if f"{module}.ckpt" not in files:
            raise ExportError(f"'{folder}' has no {module}.ckpt: export it again.")
    code = [file for file in files if file.endswith(".py")]
    if not code and foreign_parts(entries, folder):
        code = [SETTINGS]
    with naming(folder / RESULTS, "the results of a run"):
        weights = licences.terms_of(results, files)
        stated = licences.decided(weights, *terms)
        content = Private(known).scrubbed(results)
        facts = model_card.Export(name, interface, content, weights, code, stated)
        model_card.card(facts)  # its faults are found before anything is sent
    return Upload(
        KIND,
        files,
        f"{content.get('task')} with {content.get('upstream')}",
        functools.partial(model_card.card, facts),
        f"s3prl-sb predict {name} a.wav",
        own_text(card, private),
    )


def push(
    source: str | Path,
    name: str,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    card: str | Path | None = None,
    licence: str | None = None,
    licence_accepted: bool = False,
    force: bool = False,
) -> str:
    """Puts an export or a pre-trained upstream on the Hugging Face hub.

    Arguments
    ---------
    source : str
        Folder of an export; of a run, which is exported first; or of a pre-trained
        upstream, or its card.
    name : str
        ``owner/name`` of the repository, which is made if it does not exist.
    private : bool
        Whether a new repository is private.
    revision : str, optional
        Branch, which is made if it does not exist; default: the main one.
    message : str, optional
        Message of the commit.
    card : str, optional
        Markdown file with text of your own for the model card. Default: that of the
        card in the repository, if there is one.
    licence : str, optional
        Licence of the export by its name on the hub, such as "apache-2.0".
    licence_accepted : bool
        Whether the licence of the upstream's weights, if they are in the export, lets
        you pass them on. Needed where the catalogue does not know that it does.
    force : bool
        Whether to replace files of a repository without an export.

    Returns
    -------
    str
        Name of the commit. That of the last one, if nothing has changed.

    Raises
    ------
    s3prl_sb.errors.UserError
        If it cannot be shared, see :func:`prepared`, or the hub refuses it.
    """
    place = named(name, revision)
    terms = licence, licence_accepted
    with prepared(source, str(place), *terms, card) as upload:
        return send(upload, place, private, message, force)


def send(
    upload: Upload,
    place: Repository,
    private: bool = False,
    message: str | None = None,
    force: bool = False,
) -> str:
    """Sends an upload to a repository, in one commit.

    Arguments
    ---------
    upload : s3prl_sb.sharing.uploads.Upload
        Value that :func:`prepared` yields.
    place : s3prl_sb.storage.repositories.Repository
    private, message, force
        See :func:`push`, also for the result and the errors.

    Returns
    -------
    str
    """
    pauses = iter(hub.PAUSES)
    while True:
        try:
            return _send(place, upload, private, message, force)
        except Exception as error:  # the library raises a dozen unrelated classes
            pause = next(pauses, None) if hub.passes(error) else None
            if pause is None or hub.offline():
                raise hub.explained(error, place, "write") from error
        time.sleep(pause)


def named(name: str, revision: str | None = None) -> Repository:
    """Returns the repository of a name; a name of another form is a PushError."""
    place = repository(name, revision)
    if place is None:
        raise PushError(
            f"'{printable(name)}' is no name of a repository: it is owner/name, of "
            "letters, digits, '-', '_' and '.'."
        )
    if re.fullmatch("[0-9a-f]{40}", place.revision or ""):
        raise PushError(
            f"'{place.revision}' is a commit, which never changes: name a branch."
        )
    return place


def _send(place, upload, private, message, force):
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if hub.offline():
        raise ConnectionError("offline")
    api = HfApi(library_name="s3prl_sb", library_version=s3prl_sb.__version__)
    upload.card()  # its faults are found before anything is made
    api.whoami()
    api.create_repo(place.name, private=private or None, exist_ok=True)
    if place.revision is not None:
        api.create_branch(place.name, branch=place.revision, exist_ok=True)
    info = api.model_info(place.name, revision=place.revision)
    if private and info.private is False:
        raise PushError(
            f"'{place.name}' is there, and public: make it private in its settings, "
            "or choose another name."
        )
    there = {file.rfilename for file in info.siblings or ()}
    last, read = Path(), there & BEFORE
    if read:
        last = hub.download(place._replace(revision=info.sha), read)
    earlier = _earlier(last, there, place, upload, force)
    card = upload.card(read_text(last / CARD) if CARD in there else None)
    files = {**upload.files, CARD: card.encode()}
    operations: list[Any] = [
        CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
        for name, content in files.items()
    ]
    operations += [CommitOperationDelete(name) for name in sorted(earlier - set(files))]
    made = api.create_commit(
        place.name,
        operations,
        commit_message=message or upload.message,
        revision=place.revision,
        parent_commit=info.sha,
    )
    downloaded_card.cache_clear()  # the name means another commit now
    return made.oid


#: Files that show what a repository holds, with the words in them and its kind.
MARKS = {SETTINGS: (MARK, KIND), UPSTREAM: (upstreams.MARK, upstreams.KIND)}
#: Files of a repository that are read before it changes.
BEFORE = {CARD, checksums.FILE, *MARKS}


def _earlier(last, there, place, upload, force):
    """Returns the names of the files of an earlier upload in a repository. Others that
    the upload would replace are an error, and so is an upload of another kind."""
    kinds = [
        kind
        for name, (mark, kind) in MARKS.items()
        if name in there and mark in read_text(last / name)
    ]
    listed = (checksums.listed(last) if kinds else None) or {}
    earlier = {*listed, checksums.FILE} & there if kinds else set()
    if kinds and upload.kind not in kinds and not force:
        raise PushError(
            f"'{place}' holds {kinds[0]}, and this is {upload.kind}: choose another "
            "name; or give --force, which replaces its files."
        )
    replaced = sorted((there & set(upload.files)) - earlier - OF_THE_HUB)
    if replaced and not force:
        names = few([f"'{printable(name)}'" for name in replaced], 3)
        raise PushError(
            f"'{place}' holds something else, with {names}: choose another name; or "
            "give --force, which replaces these files."
        )
    return earlier


def _local(folder):
    """Returns a folder if it is one: a push never begins on the hub."""
    if not folder.is_dir():
        raise ExportError(
            f"There is no folder '{folder}'. Give an export, a run, or the folder of a "
            f"pre-trained upstream with its {UPSTREAM}."
        )
    return folder
