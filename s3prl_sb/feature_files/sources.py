"""Utterances to extract: a table, a data folder of Kaldi, a folder of audio, a file.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path

from s3prl_sb.audio.audio_names import as_id, is_audio
from s3prl_sb.audio.headers import add_durations
from s3prl_sb.dataio import kaldi_folders, manifest
from s3prl_sb.dataio.recordings import recordings_in
from s3prl_sb.dataio.tables import load_table
from s3prl_sb.errors import ManifestError
from s3prl_sb.identity import ark_names, locations
from s3prl_sb.storage import arks


def records_of(source: str, input_size: int = 0) -> dict[str, dict]:
    """Returns the records of a source.

    Arguments
    ---------
    source : str
        A CSV, TSV or JSON table; a data folder of Kaldi, or a list of it; a folder of
        audio, searched at any depth, whose ids are paths without the extension; or an
        audio file, also a URL or the member of a tar.
    input_size : int
        That of the upstream: one over features reads ``feats.scp`` of a data folder,
        others ``wav.scp``.

    Returns
    -------
    dict
        ``{id: record}``, see :mod:`s3prl_sb.dataio.manifest`.

    Raises
    ------
    ManifestError
        If there is no audio; names the file and the fix.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(folder + "/ann")
    ...     soundfile.write(folder + "/ann/a.wav", numpy.zeros(8000), 16000)
    ...     records = records_of(folder)
    >>> list(records), records["ann/a"]["duration"]
    (['ann/a'], 0.5)
    """
    if not locations.is_file(source):
        name = os.path.basename(locations.default_id(source))
        alone = {name: manifest.whole_file(source)}
        add_durations(alone.values())
        return alone
    if not os.path.exists(source):
        raise ManifestError(f"{source}: no such file or folder.")
    if kaldi_folders.is_folder(source):
        source = str(Path(source) / _list(source, input_size))
    if os.path.isfile(source) and not is_audio(source):
        records: dict[str, dict] = load_table(source)
        if input_size:
            _check_sizes(records, source, input_size)
        return records
    root = Path(source).absolute()
    paths = [str(root)]
    if root.is_dir():
        try:
            paths = recordings_in(root, "audio")
        except ValueError as error:
            raise ManifestError(f"{error}. Give a folder of audio files.") from error
    else:
        root = root.parent
    records = {}
    for path in paths:
        name = as_id(os.path.splitext(os.path.relpath(path, root))[0])
        if name in records:
            raise ManifestError(
                f"{path}: the same name as {records[name]['wav']}, but for the "
                "extension. Rename one of them, or list both in a table with ids."
            )
        records[name] = manifest.whole_file(path)
    add_durations(records.values())
    return records


def _check_sizes(records, source, input_size):
    """Raises ManifestError for entries of arks with frames of another size."""
    for name, record in records.items():
        if not ark_names.is_entry(record["wav"]):
            continue
        size = arks.shape(record["wav"])[1]
        if size != input_size:
            raise ManifestError(
                f"{source}: '{name}' ({record['wav']}) has frames of {size} values, "
                f"and the upstream takes {input_size}. Of features_from_ark, give the "
                f'size: --upstream_model "{{size: {size}}}".'
            )


def _list(folder, input_size):
    wanted = "feats.scp" if input_size else "wav.scp"
    if not (Path(folder) / wanted).is_file():
        raise ManifestError(
            f"{folder}: has no {wanted}. "
            + (
                "This upstream reads features: give a data folder that has it, or a "
                "table whose wav names entries of arks."
                if input_size
                else "Its feats.scp is for upstreams over features, such as "
                "features_from_ark."
            )
        )
    return wanted
