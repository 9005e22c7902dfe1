"""X-ARES' packages of its corpora: webdataset tars with a JSON beside each sound.

X-ARES (Zhang et al. 2025, https://arxiv.org/abs/2505.16369) publishes each task as a
folder of uncompressed tars at Zenodo. A tar has pairs of members, ``<key>.wav`` (or
flac, mp3, ogg) and ``<key>.json`` with the label; its name tells the fold or the split.
Audio is read inside the tars, without unpacking.

The label is under another key in each task; the names of the tars tell which one, see
``LABELS``. FSD50K's is a list, separated by semicolons.

Note
----
X-ARES validates on the test fold, and on the test set of tasks without a validation
set. Here fold f % k + 1 validates, and each tenth clip of such a training set.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import os
import re
import tarfile

from s3prl_sb.audio.audio_names import is_audio
from s3prl_sb.corpora.clip_folds import write_clips
from s3prl_sb.corpora.completeness import check_folder
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.errors import ManifestError
from s3prl_sb.terminal.messages import few

download_xares = behind_a_form(
    "X-ARES",
    "https://github.com/xiaomi-research/xares",
    "each task is a record of tars at Zenodo, which its page names. Give the tars of a "
    "task a folder of their own, the data_folder of HEAR/scene with --corpus xares.",
)
VERSION = "xares/1"  # a change makes finished preparations stale
#: Beginning of the names of a task's tars to the key of its label. The tars of the
#: other tasks begin with their splits, and the key is one of ``OTHERS``.
LABELS = {
    "asvspoof": "binary_spoof",
    "fluentspeechcommands": "transcription",
    "fma_small": "genre",
    "fsd18": "sound",
    "fsd50k": "soundevent",
    "gtzan": "genre",
    "libricount": "num_speakers",
    "nsynth": "instrument_family_str",
    "ravdess": "emotion",
    "urbansound": "soundevent",
    "vocal_imitations": "imitation",
    "voxceleb1": "speakerid",
}
OTHERS = ("label", "labels", "gender")  # ESC-50, CREMA-D, VocalSound; SC; LibriSpeech
MANY = "fsd50k"  # task with any number of labels a clip
SEPARATOR = ";"
FOLD = re.compile(r"fold[-_]?(\d+)")
SPLITS = {  # in the names of tars
    "train": ("train",),
    "valid": ("valid", "dev"),
    "test": ("test", "eval"),
}
TENTH = 10  # of a training set without validation set, each of these validates
ENDING = ".tar"


def folds(data_folder: str | None) -> list[int] | None:
    """Returns the folds of a task, by the names of its tars.

    Arguments
    ---------
    data_folder : str
        Folder of a task.

    Returns
    -------
    list of int or None
        From 1, also where X-ARES counts from 0; None for a task with fixed splits.

    Raises
    ------
    ManifestError
        If there are no tars, or those of a fold are missing.

    Example
    -------
    >>> folder = getfixture("tmp_path")
    >>> for n in range(3):
    ...     _ = (folder / f"gtzan_fold_{n}_0000000.tar").write_bytes(b"")
    >>> folds(str(folder))
    [1, 2, 3]
    """
    folder = check_folder(data_folder, "of a task of X-ARES")
    numbers = set(_places(folder, _tars(folder)).values())
    return None if numbers & {*SPLITS} else sorted(numbers)


def prepare_xares(
    data_folder: str | None,
    save_folder: str,
    fold: int | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a task, or of a fold.

    Arguments
    ---------
    data_folder : str
        Folder of the tars of one task.
    save_folder : str
        Folder for the manifests. A finished preparation of the same clips is kept.
    fold : int, optional
        Test fold, from 1, of a task with folds.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. ``wav`` are members of the
        tars, such as ``…/wds-audio-fold-1-000000.tar:1536:441044``. Records have
        ``label`` or, for FSD50K, ``labels``.

    Raises
    ------
    ManifestError
        With the tar, the member and the way out.
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    folder = check_folder(data_folder, "of a task of X-ARES")
    names, clips, places = _tars(folder), {}, {}
    prefix = next((p for p in LABELS if names[0].startswith(p)), None)
    for name, part in _places(folder, names).items():
        place = {"split" if part in SPLITS else "fold": part}
        for key, record in _members(os.path.join(folder, name), prefix):
            unique = f"{os.path.splitext(name)[0]}/{key}"
            clips[unique] = {**record, **place}
            places[unique] = f"{name}: {key}"
    _complete(clips)
    several = prefix == MANY
    return write_clips(
        clips,
        save_folder,
        version=VERSION,
        data_folder=folder,
        fold=fold,
        measures=("mean_average_precision", "d_prime") if several else ("accuracy",),
        places=places,
        unseen=True,
    )


def _tars(folder):
    """Returns the names of the tars in a folder, sorted."""
    names = sorted(n for n in os.listdir(folder) if n.endswith(ENDING))
    names = [name for name in names if "wds-encoded" not in name and name[0] != "."]
    if not names:
        raise ManifestError(
            f"{folder}: no tars. Set data_folder to the folder of one task of X-ARES, "
            "with files such as wds-audio-fold-1-000000.tar."
        )
    return names


def _places(folder, names):
    """Returns the fold of each tar, from 1, or the split of each."""
    matches = {name: FOLD.search(name) for name in names}
    numbers = {name: int(match[1]) for name, match in matches.items() if match}
    if not numbers:
        return {name: _split(name) for name in names}
    others = [name for name in names if name not in numbers]
    if others:
        raise ManifestError(
            f"{folder}: {few(others)} beside tars of folds. Set data_folder to the "
            "folder of one task, and move other tars elsewhere."
        )
    found = set(numbers.values())
    first = min(*found, 1)  # X-ARES counts from 0 or from 1
    missing = sorted(set(range(first, max(found) + 1)) - found)
    if missing:
        raise ManifestError(
            f"{folder}: no tars of fold {few(list(map(str, missing)))}. Download all "
            "folds of the task."
        )
    return {name: number - first + 1 for name, number in numbers.items()}


def _split(name):
    """Returns the split that the name of a tar tells."""
    for split, words in SPLITS.items():
        if any(word in name for word in words):
            return split
    words = few([word for each in SPLITS.values() for word in each])
    raise ManifestError(
        f"{name}: neither a fold nor a split in the name, such as {words}. Move it "
        "elsewhere, or give it X-ARES' name."
    )


def _members(path, prefix):
    """Yields the key and the record of each sound of a tar. A key that occurs again has
    a number: keys are names of files, which may be from several folders."""
    waiting, counts = {}, {}
    for key, part in _parts(path):
        pair = waiting.setdefault(key, {})
        if pair.keys() & part.keys():
            break
        pair.update(part)
        if len(pair) == 2:
            del waiting[key]
            counts[key] = number = counts.get(key, 0) + 1
            labels = _label(pair["json"], f"{path}: {key}", prefix)
            record = manifest.whole_file(pair["wav"], **labels)
            yield key if number == 1 else f"{key}#{number}", record
    for key, pair in waiting.items():
        there, missing = ("sound", "JSON") if "wav" in pair else ("JSON", "sound")
        raise ManifestError(
            f"{path}: {key} is a {there} without {missing}. Download the tar again."
        )


def _parts(path):
    """Yields the key of each member of a tar, and its path or its description."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in filter(tarfile.TarInfo.isreg, tar):
                key, ending = os.path.splitext(member.name)
                if ending == ".json":
                    yield key, {"json": json.loads(tar.extractfile(member).read())}
                elif is_audio(member.name):
                    yield key, {"wav": f"{path}:{member.offset_data}:{member.size}"}
    except (tarfile.TarError, json.JSONDecodeError, UnicodeDecodeError) as fault:
        raise ManifestError(f"{path}: {fault}. Download the tar again.") from fault


def _label(description, place, prefix):
    """Returns the label of a clip, as ``label`` or ``labels``."""
    keys = [LABELS[prefix]] if prefix else list(OTHERS)
    if isinstance(description, (str, int)):  # the bare label
        description = {keys[0]: description}
    if not isinstance(description, dict):
        raise ManifestError(
            f"{place}: JSON of events in time. Only X-ARES' tasks of clips are read."
        )
    value = next((description[key] for key in keys if key in description), None)
    if value is None:
        raise ManifestError(
            f"{place}: a JSON without {' or '.join(keys)}; it has "
            f"{few(sorted(description))}. Only X-ARES' tasks of clips are read."
        )
    if not isinstance(value, (str, int)):
        raise ManifestError(f"{place}: the label is a text or a number, not {value!r}.")
    if prefix == MANY:
        labels = (label.strip() for label in str(value).split(SEPARATOR))
        return {"labels": [*dict.fromkeys(filter(None, labels))]}
    return {"label": str(value)}


def _complete(clips):
    """Gives fixed splits without validation or test set the missing one."""
    splits = {clip.get("split") for clip in clips.values()}
    if "test" not in splits and {"train", "valid"} <= splits:  # VoxLingua33
        for clip in clips.values():
            if clip["split"] == "valid":
                clip["split"] = "test"
        splits = {"train", "test"}
    if splits == {"train", "test"}:
        training = [clip for clip in clips.values() if clip["split"] == "train"]
        for clip in training[::TENTH]:
            clip["split"] = "valid"
