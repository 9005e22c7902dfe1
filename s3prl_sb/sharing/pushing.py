"""Upload of an export to the Hugging Face hub, with a model card.

All files arrive in one commit: a repository has the earlier export or the new one. What
arrived before an interruption is not sent again.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import s3prl_sb
from s3prl_sb.brains.results import INTERFACE
from s3prl_sb.errors import UserError, printable
from s3prl_sb.inference.exporting import MARK, export
from s3prl_sb.inference.finished import ExportError
from s3prl_sb.inference.loading import interface_of, is_run
from s3prl_sb.inference.published import SETTINGS
from s3prl_sb.inference.reading import WHAT, foreign_parts, loadables_of
from s3prl_sb.sharing import licences, model_card
from s3prl_sb.sharing.contents import CARD, RESULTS, contents_of
from s3prl_sb.sharing.private import Private, paths_in
from s3prl_sb.storage import checksums, hub
from s3prl_sb.storage.files import naming, read_json, read_text, read_yaml
from s3prl_sb.storage.repositories import Repository, repository
from s3prl_sb.terminal import quantities
from s3prl_sb.terminal.messages import few

UPSTREAM = "card.yaml"  # of pre-training, and of s3prl-sb convert
#: Files that every repository may have, and an export never replaces unasked.
OF_THE_HUB = {CARD, ".gitattributes"}


class PushError(UserError, ValueError):
    """A repository that an export cannot be put into."""


class Upload(NamedTuple):
    """Files and facts that go to the hub.

    Arguments
    ---------
    files : dict
        Names to paths or contents; without the card.
    facts : model_card.Export
        Facts for the card.
    """

    files: dict[str, Path | bytes]
    facts: model_card.Export

    @property
    def message(self) -> str:
        """Message of the commit."""
        results = self.facts.results
        title = f"{results.get('task')} with {results.get('upstream')}"
        return printable(f"{title}, by s3prl_sb {s3prl_sb.__version__}")

    def listing(self) -> str:
        """Returns the names and sizes of the files, a line each."""
        sizes = {
            name: len(content) if isinstance(content, bytes) else content.stat().st_size
            for name, content in self.files.items()
        }
        lines = [
            f"{quantities.count(size, 'B'):>9}  {printable(name)}"
            for name, size in sorted(sizes.items())
        ]
        return "\n".join([*lines, f"{quantities.count(sum(sizes.values()), 'B'):>9}"])


@contextlib.contextmanager
def prepared(
    source: str | Path,
    name: str,
    licence: str | None = None,
    licence_accepted: bool = False,
) -> Iterator[Upload]:
    """Collects and checks what goes to the hub, without a network.

    Arguments
    ---------
    source : str
        Folder of an export; or of a run, which is exported first.
    name : str
        ``owner/name``, optionally with ``@REVISION``, as the card says to load it.
    licence, licence_accepted
        See :func:`push`.

    Yields
    ------
    Upload
        Valid within the block.

    Raises
    ------
    s3prl_sb.errors.UserError
        If the export is not whole, holds private facts, or may not be passed on.
    """
    from huggingface_hub import get_token

    source = Path(source)
    if (source / UPSTREAM).is_file() and not (source / INTERFACE).is_file():
        raise PushError(
            f"'{source}' holds a pre-trained upstream, and push is for trained tasks. "
            f"Upload {UPSTREAM} and the\n.safetensors that it names with `hf upload`; "
            "who downloads them gives --upstream FOLDER."
        )
    with tempfile.TemporaryDirectory() as made:
        folder = source
        if source.is_dir() and is_run(source):
            folder = export(source, Path(made) / "export")
        interface = interface_of(_local(folder)).__name__
        results = read_json(folder / RESULTS, "the results of a run", kind=dict)
        known: list[str | Path] = [source, folder, source.absolute().parent]
        known += paths_in(results)
        files = contents_of(folder, Private(known, token=get_token()))
        entries = read_yaml(folder / SETTINGS, WHAT, kind=dict)
        for module in loadables_of(entries):
            if f"{module}.ckpt" not in files:
                raise ExportError(f"'{folder}' has no {module}.ckpt: export it again.")
        code = [file for file in files if file.endswith(".py")]
        if not code and foreign_parts(entries, folder):
            code = [SETTINGS]
        with naming(folder / RESULTS, "the results of a run"):
            terms = licences.terms_of(results, files)
            stated = licences.decided(terms, licence, licence_accepted)
            content = Private(known).scrubbed(results)
            facts = model_card.Export(name, interface, content, terms, code, stated)
            model_card.card(facts)  # its faults are found before anything is sent
        yield Upload(files, facts)


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
    """Puts an export on the Hugging Face hub.

    Arguments
    ---------
    source : str
        Folder of an export; or of a run, which is exported first.
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
        If the export cannot be shared, see :func:`prepared`, or the hub refuses it.
    """
    place = named(name, revision)
    with prepared(source, str(place), licence, licence_accepted) as upload:
        pauses = iter(hub.PAUSES)
        while True:
            try:
                return _push(place, upload, private, message, card, force)
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


def text_of_card(upload: Upload, own: str | Path | None) -> str:
    """Returns the model card of an upload.

    Arguments
    ---------
    upload : Upload
    own : str, optional
        Markdown file with text of the author's own.

    Returns
    -------
    str
    """
    return model_card.card(upload.facts, None if own is None else read_text(own))


def _push(place, upload, private, message, card, force):
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    if hub.offline():
        raise ConnectionError("offline")
    api = HfApi(library_name="s3prl_sb", library_version=s3prl_sb.__version__)
    if card is not None:
        text_of_card(upload, card)  # its faults are found before anything is made
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
    earlier = _earlier(last, there, place, upload.files, force)
    if card is None and CARD in there:
        card = last / CARD
    files = {**upload.files, CARD: text_of_card(upload, card).encode()}
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
    return made.oid


#: Files of a repository that are read before it changes.
BEFORE = {CARD, SETTINGS, checksums.FILE}


def _earlier(last, there, place, files, force):
    """Returns the names of the files of an earlier export in a repository. Others that
    the upload would replace are an error."""
    is_ours = SETTINGS in there and MARK in read_text(last / SETTINGS)
    listed = (checksums.listed(last) if is_ours else None) or {}
    earlier = {*listed, checksums.FILE, SETTINGS} & there if is_ours else set()
    replaced = sorted((there & set(files)) - earlier - OF_THE_HUB)
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
        raise ExportError(f"There is no folder '{folder}'.")
    return folder
