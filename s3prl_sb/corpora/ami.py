"""AMI, and other meetings of three or more speakers with RTTM annotation.

The AMI corpus (Carletta et al. 2006, https://groups.inf.ed.ac.uk/ami/corpus) is 100
hours of meetings, mostly of four. Its annotation for diarization is spread in files of
NIST's formats, in either of two layouts:

* ``<name>.{train,development,test}.{rttm,uem,lst}`` (pyannote.database);
* ``only_words/rttms/{train,dev,test}/<meeting>.rttm``, ``uems/…/<meeting>.uem`` and
  ``lists/{train,dev,test}.meetings.txt`` (https://github.com/BUTSpeechFIT/AMI-diarization-setup),
  which :func:`download_ami` fetches.

A ``.lst`` file names the recordings of a set, a ``.uem`` file what of them is
annotated; both may be absent. Audio is found by its name, ``<recording>.wav`` or
``<recording>.Mix-Headset.wav``, at any depth.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import only_audio
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import DownloadError, Published, download
from s3prl_sb.corpora.recordings import TOLERANCE, check_speech, make_records
from s3prl_sb.dataio import manifest, tables
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rttm import read_uem, rttm_rows
from s3prl_sb.identity.content import hash_files

VERSION = "ami_sd/2"  # a change makes finished preparations stale
NAMES = {
    "train": ("train", "trn"),
    "valid": ("development", "dev", "valid"),
    "test": ("test", "eval", "tst"),
}
ANNOTATION = "only_words"  # of the two in AMI-diarization-setup
MICROPHONE = ".Mix-Headset"

COMMIT = "2509d8933721023fab4def2618aabd5c28eb82e9"  # of the annotation
SETUP = Published(
    f"https://github.com/BUTSpeechFIT/AMI-diarization-setup/archive/{COMMIT}.zip",
    0.02,
    name="AMI-diarization-setup.zip",
)
MIRROR = "https://groups.inf.ed.ac.uk/ami/AMICorpusMirror/amicorpus"


def prepare_ami_sd(
    data_folder: str | None, save_folder: str, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder with annotation and audio, see the top of this module.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as in
        :mod:`s3prl_sb.corpora.recordings`.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("train", "development", "test"):
    ...         soundfile.write(f"{folder}/{name}1.wav", numpy.zeros(16000), 16000)
    ...         line = f"SPEAKER {name}1 1 0.1 0.5 <NA> <NA> ann <NA> <NA>"
    ...         _ = Path(folder, f"AMI.{name}.rttm").write_text(line)
    ...     paths = prepare_ami_sd(folder, folder + "/save")
    ...     manifest.read(paths["test"])["test1"]["segments"]
    [['ann', 0.1, 0.6]]
    """
    if skip_prep:
        return tables.skipped(manifest.paths_in(save_folder))
    folder = Path(check_folder(data_folder, "of the meetings"))
    rttms, uems = _by_split(folder, ".rttm"), _by_split(folder, ".uem")
    lists = _by_split(folder, ".lst")
    for split, files in _by_split(folder, ".meetings.txt").items():
        lists[split] += files
    for split, files in rttms.items():
        if not files:
            raise ManifestError(
                f"{folder}: no .rttm file of the {split} set: <name>.{NAMES[split][0]}"
                f".rttm, or rttms/{NAMES[split][0]}/<meeting>.rttm"
            )
    files = [f for kind in (rttms, uems, lists) for f in sum(kind.values(), [])]
    arguments = {
        "version": VERSION,
        "data_folder": str(folder),
        "sha256": {str(file): manifest.digest(file) for file in files},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    audio = _audio(folder)
    splits = {s: _read(s, rttms[s], uems[s], lists[s], audio) for s in NAMES}
    check_speech(splits, {split: files[0] for split, files in rttms.items()})
    tables.warn_of_leaks(splits, {split: f"the {split} set" for split in NAMES})
    return manifest.finish(splits, save_folder, arguments, required=())


def _by_split(folder, ending):
    """Returns ``{split: files}``, by the name of a file or of its folder."""
    by_split = {split: [] for split in NAMES}
    files = sorted(folder.rglob(f"[!.]*{ending}"))  # not ._x of macOS
    chosen = [file for file in files if ANNOTATION in file.parts]
    for file in files:
        # Keep one of two annotations, and every file that exists once, such as a UEM
        if chosen and file not in chosen and "rttms" in file.parts:
            continue
        name = file.name.removesuffix(ending).rpartition(".")[2]
        for split, names in NAMES.items():
            if name in names or file.parent.name in names:
                by_split[split].append(file)
    return by_split


def _audio(folder):
    """Returns ``{recording: paths}`` of all audio files."""
    paths = {}
    for file in only_audio(sorted(folder.rglob("[!.]*")), folder):
        for name in {file.stem, file.stem.removesuffix(MICROPHONE)}:
            paths.setdefault(name, []).append(str(file))
    return paths


def _read(split, rttms, uems, lists, audio):
    """Reads the records of a split."""
    annotations = {}  # {recording: {file: {segment: place}}}
    for file in rttms:
        for name, *segment, number in rttm_rows(file):
            lines = annotations.setdefault(name, {}).setdefault(file, {})
            lines.setdefault(tuple(segment), f"{file}:{number}")
    rows = [
        (name, *segment, place)
        for name, lines in _agreed(annotations, "segments").items()
        for segment, place in lines.items()
    ]
    annotated = {}  # {recording: {file: {region: place}}}
    for file in uems:
        for name, spans in read_uem(file).items():
            lines = dict.fromkeys(spans, str(file))
            annotated.setdefault(name, {})[file] = lines
    agreed = _agreed(annotated, "regions")
    regions = {name: list(lines) for name, lines in agreed.items()}
    places = {}  # of the recordings
    for file in lists:
        for place, line in manifest.lines(file):
            places.setdefault(line.strip(), place)
    if not lists:
        for row in rows:
            places.setdefault(row[0], row[4])
    missing = [
        f"{place}: '{name}' has no audio file {name}.wav or {name}{MICROPHONE}.wav"
        for name, place in places.items()
        if name not in audio
    ]
    if missing:
        way_out = f"Put them below data_folder, or drop them from the {split} set."
        raise ManifestError.listing(missing, way_out, len(places))
    if not places:
        raise ManifestError(f"{(*lists, *rttms)[0]}: no recordings")
    files = {n: (_only(audio[n], n), place) for n, place in places.items()}
    # A list may leave out annotated recordings
    kept = [row for row in rows if row[0] in files]
    return make_records(files, kept, regions)


def _agreed(annotations, kind):
    """Returns ``{recording: {entry: place}}``; raises an error if two files disagree.

    AMI-diarization-setup has each segment twice, by set and by meeting. The check also
    catches the output of a system below data_folder, which is not the reference.
    """
    for name, files in annotations.items():
        (first, lines), *others = files.items()
        for other, different in others:
            if lines.keys() != different.keys():
                alone = min(lines.keys() ^ different.keys(), key=str)
                place = lines.get(alone) or different.get(alone)
                raise ManifestError(
                    f"{place}: two files tell of '{name}', and their {kind} differ: "
                    f"{first} and {other}. Keep the reference, and put the other "
                    "outside of data_folder."
                )
    return {name: next(iter(files.values())) for name, files in annotations.items()}


def _only(paths, name):
    """Returns the audio file of a recording; raises an error if several differ."""
    if len(paths) > 1 and len(set(hash_files(paths).values())) > 1:
        raise ManifestError(
            f"'{name}' has {len(paths)} audio files that differ: {paths[0]} and "
            f"{paths[1]}. Keep one of them below data_folder."
        )
    return paths[0]


def download_ami(destination: str) -> Path:
    """Downloads the mix of all headsets, 11 GB, and the annotation for diarization.

    The audio has no published hashes. A file that is shorter than its annotation is
    refused.

    Arguments
    ---------
    destination : str
        Folder that gets ``amicorpus`` and ``AMI-diarization-setup-…``, later the
        ``data_folder``.

    Returns
    -------
    pathlib.Path
        The destination.

    Raises
    ------
    DownloadError
        If the network fails, or the server sends something else.
    """
    home = download([SETUP], destination)
    setup = home / f"AMI-diarization-setup-{COMMIT}"
    meetings = sorted(
        name
        for file in setup.glob("lists/*.meetings.txt")
        for name in file.read_text("utf-8").split()
    )
    audio = [
        Published(
            f"{MIRROR}/{name}/audio/{name}{MICROPHONE}.wav",
            0.07,
            folder=f"amicorpus/{name}/audio",
        )
        for name in meetings
    ]
    download(audio, home)
    for name, file in zip(meetings, audio):
        (regions,) = setup.glob(f"uems/*/{name}.uem")
        _check(home / file.folder / file.file_name, regions, file.url)
    return home


def _check(path, uem, url):
    """Deletes broken or too short audio, and raises an error."""
    try:
        sample_rate, frames, _ = headers.audio_info(path)
        seconds = frames / sample_rate
    except ManifestError:
        seconds = 0.0
    wanted = max(stop for spans in read_uem(uem).values() for _, stop in spans)
    if seconds < wanted - TOLERANCE:
        path.unlink()
        raise DownloadError(
            f"{url} gives {seconds:.1f} s of audio, and {uem} says that it has "
            f"{wanted:.1f} s. It was deleted; run again."
        )
