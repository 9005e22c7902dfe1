"""Kaldi's lists of the entries of arks: ``utterance path/feats.ark:1234``.

Kaldi also runs commands in such lists. Here they are refused.

Reference: https://kaldi-asr.org/doc/io.html.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import ark_names, locations
from s3prl_sb.storage.files import read_text, write_text
from s3prl_sb.terminal.messages import excerpt


def read(path: str | Path) -> dict[str, str]:
    """Reads a list of entries.

    Arguments
    ---------
    path : str
        The scp. Relative paths start at its folder; if nothing is there, at the
        folders around it, as Kaldi's paths start where its scripts run.

    Returns
    -------
    dict
        ``{utterance: "path.ark:offset"}``, with absolute paths.

    Raises
    ------
    ManifestError
        With the file and the line.
    """
    names: dict[str, str] = {}
    roots: dict[str, str] = {}
    for number, line in enumerate(
        read_text(path, "a list of features").splitlines(), 1
    ):
        place = f"{path}:{number}"
        if not line.strip():
            continue
        key, *rest = line.split(None, 1)
        name = rest[0].strip() if rest else ""
        if name.endswith("|"):
            raise ManifestError(
                f"{place}: '{key}' is the output of a command, {excerpt(name)}, and "
                "commands in files are not run. Run it with copy-feats, and list the "
                "ark that it writes."
            )
        if not ark_names.is_entry(name):
            raise ManifestError(
                f"{place}: {excerpt(name)} is no entry PATH.ark:OFFSET. Write the "
                "features with copy-feats scp:feats.scp ark,scp:all.ark,all.scp."
            )
        if key in names:
            raise ManifestError(f"{place}: '{key}' again. Keep one of them.")
        ark, offset = ark_names.split(name)
        if ark not in roots:
            roots[ark] = located(ark, Path(path).absolute().parent)
        names[key] = f"{roots[ark]}:{offset}"
    if not names:
        raise ManifestError(f"{path}: names no features. Get a sound copy of it.")
    return names


def located(name: str, folder: Path) -> str:
    """Returns the absolute path of a file, or name of an entry, in a list.

    Arguments
    ---------
    name : str
        Absolute, or relative to the folder or to one around it.
    folder : pathlib.Path
        Folder of the list, absolute.

    Returns
    -------
    str
        In the folder, if there is no such file anywhere.
    """
    if locations.is_url(name):
        return name
    file = locations.container(name)
    ending = name[len(file) :]
    for root in (folder, *folder.parents):
        if (root / file).is_file():
            return os.path.normpath(root / file) + ending
    return os.path.normpath(folder / file) + ending


def write(path: str | Path, names: dict[str, str]) -> None:
    """Writes a list of entries, sorted as Kaldi wants it, atomically."""
    keys = sorted(names, key=str.encode)
    write_text(path, "".join(f"{key} {names[key]}\n" for key in keys))
