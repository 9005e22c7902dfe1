"""VoxCeleb1 for speaker identification (SUPERB SID): 1,251 speakers.

The corpus (Nagrani et al. 2017, https://arxiv.org/abs/1706.08612) has each speaker's
interviews as ``{dev,test}/wav/<speaker>/<video>/<number>.wav``. Its split for
identification, ``iden_split.txt``, has a line for every recording: 1 (train), 2
(valid) or 3 (test), and the path. Every speaker is in all three.
"""

import logging
import os
import re

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed, hint
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, check_classes, skipped

logger = logging.getLogger(__name__)

download_voxceleb1 = behind_a_form(
    "VoxCeleb1",
    "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html",
    "apply for access with the form of its page, unpack dev and test as dev/wav "
    "and test/wav, and put iden_split.txt and veri_test.txt beside them.",
)
VERSION = "voxceleb1_sid/1"  # a change makes finished preparations stale
SPLIT_FILES = ("iden_split.txt", "veri_test_class.txt")  # the corpus', S3PRL's name
SPLIT_URL = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt"
CODES = dict(zip("123", SPLITS))
FOLDERS = ("dev/wav", "test/wav", "wav")  # as unpacked, or merged
LINE = re.compile(r"([123])\s+((id\d{5})/([^/\s]+)/[^/\s]+\.\w+)")


def prepare_voxceleb1_sid(
    data_folder: str | None,
    save_folder: str,
    split_file: str | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with ``dev/wav`` and ``test/wav``, or both merged as ``wav``.
    save_folder : str
        Folder for the manifests. A finished preparation by the same split is kept.
    split_file : str, optional
        Official split. Default: ``iden_split.txt`` (or ``veri_test_class.txt``)
        in ``data_folder``.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (the
        speaker, such as ``id10001``) and ``video``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.makedirs(folder + "/wav/id10001/video")
    ...     for n in "123":
    ...         wav = f"id10001/video/0000{n}.wav"
    ...         soundfile.write(f"{folder}/wav/{wav}", numpy.zeros(1600), 16000)
    ...         with open(folder + "/iden_split.txt", "a") as file:
    ...             _ = file.write(f"{n} {wav}\\n")
    ...     paths = prepare_voxceleb1_sid(folder, folder + "/save")
    ...     sorted(manifest.read(paths["test"]))
    ['id10001--video--00003']
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    data_folder = check_folder(data_folder, "of VoxCeleb1")
    split_file = find_list(
        data_folder, split_file, SPLIT_FILES, "split_file", SPLIT_URL
    )
    arguments = {
        "version": VERSION,
        "data_folder": data_folder,
        "split_file": split_file,
        "sha256": manifest.digest(split_file),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits, places = _read_split(split_file)
    check_classes(splits, places=lambda split: places)
    records = {name: r for split in splits.values() for name, r in split.items()}
    find_audio(records, data_folder, places)
    headers.add_durations(records.values())
    return manifest.finish(splits, save_folder, arguments)


def find_list(data_folder, path, names, key, url):
    """Returns the path of one of the corpus' lists.

    Arguments
    ---------
    data_folder : str
        The corpus.
    path : str, optional
        List that the user names.
    names : tuple of str
        Default names of the list in ``data_folder``.
    key, url : str
        Setting that takes another path, and address of the published list.

    Returns
    -------
    str
    """
    paths = [os.path.join(data_folder, name) for name in ([path] if path else names)]
    if path:  # relative to the current folder, or else to the corpus
        paths.insert(0, os.path.abspath(path))
    for candidate in paths:
        if os.path.isfile(candidate):
            return candidate
    kind = key.replace("_", " ")
    raise ManifestError(
        f"{paths[0]}: the {kind} is missing. Get it from {url}, put it there or set "
        f"{key}."
    )


def _read_split(path):
    """Returns ``{split: {id: record}}``, listed paths, and ``{id: "file:line"}``."""
    splits, places = {name: {} for name in SPLITS}, {}
    for place, line in manifest.lines(path):
        match = LINE.fullmatch(line.strip())
        if not match:
            raise ManifestError(
                f"{place}: malformed line {line.strip()!r}. Expected 1, 2 or 3 "
                "and a path: '1 id10001/1zcIwhmdeo4/00001.wav'"
            )
        code, wav, speaker, video = match.groups()
        name = os.path.splitext(wav)[0].replace("/", "--")
        if name in places:
            raise ManifestError(f"{place}: {wav} again, first {places[name]}")
        places[name] = place
        record = manifest.whole_file(wav, label=speaker, video=video)
        splits[CODES[code]][name] = record
    return splits, places


def audio_folders(data_folder):
    """Returns the folders that may have speakers."""
    folders = [os.path.join(data_folder, *f.split("/")) for f in FOLDERS]
    return [folder for folder in (*folders, data_folder) if os.path.isdir(folder)]


def find_audio(records, data_folder, places):
    """Makes the listed paths absolute; raises an error that lists missing files."""
    folders = audio_folders(data_folder)
    homes, missing = {}, []  # homes: {speaker: folders}, as a look-up per file is slow
    listed = Listed()
    for name, record in records.items():
        speaker = record["wav"].split("/")[0]
        if speaker not in homes:
            homes[speaker] = [
                f for f in folders if os.path.isdir(os.path.join(f, speaker))
            ]
        paths = [os.path.join(f, *record["wav"].split("/")) for f in homes[speaker]]
        path = next(filter(None, map(listed.find, paths)), None)
        if path is None:
            remark = next(filter(None, map(hint, paths)), "")
            missing.append(
                f"{places[name]}: missing audio file {record['wav']}{remark}"
            )
        record["wav"] = path
    if missing:
        way_out = (
            f"Unpack VoxCeleb1 so that {data_folder} holds dev/wav/<speaker> and "
            "test/wav/<speaker>, or wav/<speaker>."
        )
        raise ManifestError.listing(missing, way_out, len(records))
