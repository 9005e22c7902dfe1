"""Words of AMI's meetings, from its manual annotation in NXT's XML.

A folder has ``words/<meeting>.<agent>.words.xml``, a file a speaker, with elements
``<w starttime="…" endtime="…">word</w>``, and ``corpusResources/meetings.xml``, which
says the global name of each agent of a meeting, such as FEE005 of ES2002a's B. The
annotation is at https://groups.inf.ed.ac.uk/ami/download (ami_public_manual).

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path
from xml.etree import ElementTree

from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.scenes import Word
from s3prl_sb.errors import ManifestError

MEETINGS = "corpusResources/meetings.xml"
SUFFIX = ".words.xml"


def read_ami_words(folder: Path) -> dict[str, list[Word]] | None:
    """Returns the words of all meetings below a folder.

    Arguments
    ---------
    folder : pathlib.Path
        Folder with the annotation, at any depth.

    Returns
    -------
    dict or None
        ``{meeting: [(speaker, start, stop, word), …]}``, in capitals, without
        punctuation; None if there is no such annotation.

    Raises
    ------
    ManifestError
        With the file and the fix.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(read_ami_words(Path(folder)))
    None
    """
    files = sorted(folder.rglob(f"[!.]*{SUFFIX}"))
    if not files:
        return None
    names = _names(folder)
    words: dict[str, list[Word]] = {}
    for file in files:
        meeting, _, agent = file.name.removesuffix(SUFFIX).partition(".")
        speaker = names.get((meeting, agent))
        if speaker is None:
            raise ManifestError(
                f"{file}: {MEETINGS} has no agent {agent} of {meeting}. Unpack the "
                "annotation again."
            )
        words.setdefault(meeting, []).extend(
            (speaker, start, stop, word) for start, stop, word in _words(file)
        )
    return words


def _names(folder):
    """Returns ``{(meeting, agent): global name}``."""
    path = next(iter(sorted(folder.rglob(MEETINGS))), None)
    if path is None:
        raise ManifestError(
            f"{folder}: words, but no {MEETINGS}, which says the speakers. Unpack the "
            "annotation again."
        )
    return {
        (meeting.get("observation"), speaker.get("nxt_agent")): speaker.get(
            "global_name"
        )
        for meeting in _parsed(path).iter("meeting")
        for speaker in meeting.iter("speaker")
    }


def _parsed(path):
    try:
        return ElementTree.fromstring(manifest.read_text(path))
    except (ElementTree.ParseError, ValueError) as fault:
        raise ManifestError(
            f"{path}: not valid XML: {fault}. Unpack it again."
        ) from None


def _words(path):
    """Yields (start, stop, word) of the words with times in a file."""
    for element in _parsed(path).iter("w"):
        start, stop = element.get("starttime"), element.get("endtime")
        text = "".join((element.text or "").split()).upper()
        if None in (start, stop) or not text or element.get("punc") == "true":
            continue
        try:
            times = float(start), float(stop)
        except ValueError:
            raise ManifestError(
                f"{path}: '{text}' from {start} to {stop}: no times. Unpack it again."
            ) from None
        if times[0] < times[1]:
            yield (*times, text)
