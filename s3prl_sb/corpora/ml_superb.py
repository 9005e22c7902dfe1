"""ML-SUPERB: speech of 143 languages, in ten minutes or an hour of each.

The benchmark (Shi et al. 2023, https://arxiv.org/abs/2305.10615) has a folder for each
source and language, ``<source>/<language>``, with ``wav`` and six lists,
``transcript_{10min,1h}_{train,dev,test}.txt``. A line of a list is an id, another name,
and the text, separated by spaces. Development and test are always the lists of ten
minutes.

The monolingual track trains on one source of a language, thirteen times. The
multilingual track trains on everything, but has five utterances only of each of twenty
languages, the few-shot ones.

Note
----
The lists, the texts and the choices are those of ESPnet's recipe
``egs2/ml_superb/asr1``. In its monolingual track, too, the test sets of all sources of
the language are the test set, not only that of the source that was trained on.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import logging
import os
import re
import string
from collections.abc import Sequence
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, warn_if_short, with_audio
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import SPLITS, skipped
from s3prl_sb.terminal.messages import few

logger = logging.getLogger(__name__)

download_ml_superb = behind_a_form(
    "ML-SUPERB",
    "https://multilingual.superbbenchmark.org",
    "its page links the archive. Unpack it, and give the folder eighth_version.",
)
VERSION = "ml_superb/1"  # a change makes finished preparations stale
FOLDER = "eighth_version"  # name of the published folder
DURATIONS = ("10min", "1h")
LANGUAGES = 143  # published
#: Value of ``language`` for the multilingual track.
MULTILINGUAL = "multilingual"
#: Sets of the monolingual track to their sources. The language is three letters.
MONOLINGUAL = {
    "eng1": "mls",
    "eng2": "nchlt",
    "eng3": "voxpopuli",
    "fra1": "voxforge",
    "fra2": "voxpopuli",
    "deu1": "swc",
    "deu2": "voxpopuli",
    "rus": "M-AILABS",
    "swa": "ALFFA",
    "swe": "NST",
    "jpn": "commonvoice",
    "cmn": "fleurs",
    "xty": "mexico-el",
}
#: Few-shot languages to the utterances to train on: names of sources, and numbers.
FEW_SHOT = {
    "lit": "cv:26,105 fleurs:97 mls:40 voxpopuli:1707",
    "dan": "NST:7,72 cv:158 fleurs:58,71",
    "tur": "cv:95,101 fleurs:60,69,95",
    "srp": "cv:78,145 fleurs:68,93,105",
    "vie": "cv:105,128 fleurs:67,68,77",
    "kaz": "cv:80,97,111 fleurs:36,66",
    "zul": "fleurs:49,57 nchlt:27,90,104",
    "tsn": "googlei18n-tts:26,44,108 nchlt:1,32",
    "epo": "cv:6,39,63,66,76",
    "frr": "cv:23,86,95,102,104",
    "tok": "cv:4,11,30,84,101",
    "umb": "fleurs:28,29,33,40,47",
    "bos": "fleurs:67,78,80,88,90",
    "ful": "fleurs:55,59,67,76,81",
    "ceb": "fleurs:54,64,69,71,80",
    "luo": "fleurs:56,62,67,73,77",
    "kea": "fleurs:52,70,78,83,85",
    "sun": "googlei18n-asr:1,7,41,99,106",
    "tso": "nchlt:35,40,89,104,125",
    "tos": "mexico-el:6,122,152,496,563",
}
LEAST_BYTES = 100  # of a file with samples; a header has 44
_BRACKETS = re.compile(r"\[[^()]*\]")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def prepare_ml_superb(
    data_folder: str | None,
    save_folder: str,
    language: str = MULTILINGUAL,
    languages: str | Sequence[str] = "all",
    duration: str = "10min",
    longest: float | None = 20.0,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json``.

    Arguments
    ---------
    data_folder : str
        Folder of the sources, or its parent.
    save_folder : str
        Folder for the manifests. A finished preparation of the same lists with the
        same arguments is kept.
    language : str
        "multilingual"; a set of the monolingual track, such as "eng1"; or a source and
        a language, such as "mls/eng".
    languages : list of str or str
        Languages of the multilingual track, such as "eng"; default: all that exist.
    duration : str
        Training list: "10min" or "1h".
    longest : float, optional
        Seconds; longer utterances are left out of the training set.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``text``, see
        :func:`normalize`, and ``language``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     home = Path(folder, "mls/eng")
    ...     (home / "wav").mkdir(parents=True)
    ...     soundfile.write(home / "wav/mls_eng_000001.wav", numpy.zeros(1600), 16000)
    ...     for split in ("train", "dev", "test"):
    ...         path = home / f"transcript_10min_{split}.txt"
    ...         _ = path.write_text("mls_eng_000001 a It's [noise] late.\\n")
    ...     paths = prepare_ml_superb(folder, folder + "/save", "eng1")
    ...     manifest.read(paths["test"])["mls_eng_000001"]["text"]
    'ITS LATE'
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    if duration not in DURATIONS:
        choices = " and ".join(DURATIONS)
        raise ManifestError(f"duration: '{duration}'. There are {choices}.")
    corpus = _corpus(data_folder)
    chosen = _chosen(corpus, language, languages)
    lists = {
        split: [_list(folder, split, duration) for folder in folders]
        for split, folders in chosen.items()
    }
    digests = json.dumps(
        [[manifest.digest(p) for p in each] for each in lists.values()]
    )
    arguments = {
        "version": VERSION,
        "folder": str(corpus),
        "lists": {split: list(map(str, paths)) for split, paths in lists.items()},
        "sha256": hashlib.sha256(digests.encode()).hexdigest(),
        "few_shot": language == MULTILINGUAL,
        "longest": longest,
    }
    if finished := manifest.finished(save_folder, arguments):
        return finished
    splits = {}
    for split, paths in lists.items():
        few_shot = language == MULTILINGUAL and split == "train"
        records = with_audio(_records(paths, few_shot), split, str(corpus))
        records = _with_samples(records, split)
        headers.add_durations(list(records.values()))
        limit = longest if split == "train" else None
        splits[split] = _of_length(records, split, limit)
    if language == MULTILINGUAL and languages == "all":
        there = {record["language"] for record in splits["test"].values()}
        warn_if_short(str(corpus), len(there), LANGUAGES, "languages")
    return manifest.finish(splits, save_folder, arguments, ("text", "language"))


def language_of(name: str) -> str:
    """Returns the language of a set of the monolingual track.

    Arguments
    ---------
    name : str
        A name such as "eng1", or a source and a language.

    Returns
    -------
    str

    Example
    -------
    >>> language_of("eng1"), language_of("fleurs/por")
    ('eng', 'por')
    """
    return name.partition("/")[2] or name[:3]


def find_language(data_folder: str | None, language: str) -> None:
    """Raises an error if the data of a training are not there.

    Arguments
    ---------
    data_folder, language
        See :func:`prepare_ml_superb`.

    Raises
    ------
    ManifestError
        Lists the sources and languages that are there.
    """
    _chosen(_corpus(data_folder), language, "all")


def few_shot_utterances() -> set[str]:
    """Returns the ids of the utterances of few-shot languages to train on.

    Returns
    -------
    set of str

    Example
    -------
    >>> len(few_shot_utterances()), "cv_lit_000026" in few_shot_utterances()
    (100, True)
    """
    return {
        f"{source}_{language}_{int(number):06d}"
        for language, sources in FEW_SHOT.items()
        for source, numbers in (part.split(":") for part in sources.split())
        for number in numbers.split(",")
    }


def normalize(text: str) -> str:
    """Returns a text in upper case, without brackets and ASCII punctuation.

    Arguments
    ---------
    text : str
        Text of a list. What stands in square brackets is dropped; the parts of a word
        around an apostrophe or a hyphen are joined.

    Returns
    -------
    str

    Example
    -------
    >>> normalize("[Applaus] Das war's, oder?")
    'DAS WARS ODER'
    """
    text = _BRACKETS.sub("", text).translate(_NO_PUNCTUATION).upper()
    return " ".join(text.split())


def _corpus(data_folder):
    return Path(check_folder(data_folder, "of ML-SUPERB", inside=FOLDER))


def _chosen(corpus, language, languages):
    """Returns ``{split: folders of a source and a language}``."""
    there = sorted(path.parent for path in corpus.glob("*/*/wav"))
    if not there:
        raise ManifestError(
            f"{corpus}: no <source>/<language>/wav. Set data_folder to the folder "
            f"{FOLDER} of ML-SUPERB."
        )
    if language == MULTILINGUAL:
        wanted = None if languages == "all" else list(_listed(languages))
        known = {folder.name for folder in there}
        if unknown := [name for name in wanted or () if name not in known]:
            raise ManifestError(
                f"languages: '{unknown[0]}' is not in {corpus}, which has "
                f"{few(sorted(known))}."
            )
        kept = [f for f in there if wanted is None or f.name in wanted]
        return dict.fromkeys(SPLITS, kept)
    source, code = MONOLINGUAL.get(language), language_of(language)
    if source is None and language.count("/") == 1:
        source = language.partition("/")[0]
    if source is None:
        raise ManifestError(
            f"language: '{language}' is none of {', '.join(MONOLINGUAL)} and "
            f"{MULTILINGUAL}, nor a source and a language, such as mls/eng."
        )
    folder = corpus / source / code
    if folder not in there:
        names = few("/".join(each.parts[-2:]) for each in there)
        raise ManifestError(
            f"{folder}: no such folder with wav, and language is {language}. "
            f"There are {names}."
        )
    same = [each for each in there if each.name == code]
    return {"train": [folder], "valid": [folder], "test": same}


def _listed(names):
    return [names] if isinstance(names, str) else names


def _list(folder, split, duration):
    """Returns the path of a list; dev and test have ten minutes always."""
    name = "dev" if split == "valid" else split
    minutes = duration if split == "train" else DURATIONS[0]
    return folder / f"transcript_{minutes}_{name}.txt"


def _records(paths, few_shot):
    """Returns ``{id: record}`` of lists; of few-shot languages the chosen ones."""
    records, places, empty = {}, {}, []
    kept = few_shot_utterances()
    for path in paths:
        language = path.parent.name
        for place, line in manifest.lines(path):
            words = line.split(maxsplit=2)
            name = words[0]
            if len(words) < 3:
                raise ManifestError(
                    f"{place}: '{line.strip()}'. A line is an id, a name and the text. "
                    "Correct it, or remove it."
                )
            if name in places:
                raise ManifestError(
                    f"{place}: '{name}' again, first {places[name]}. Remove one."
                )
            places[name] = place
            if few_shot and language in FEW_SHOT and name not in kept:
                continue
            text = normalize(words[2])
            if not text:
                empty.append(place)
                continue
            wav = str(path.parent / "wav" / f"{name}.wav")
            records[name] = manifest.whole_file(wav, text=text, language=language)
    if empty:
        message = "%d utterances without any letter are left out, as %s"
        logger.warning(message, len(empty), empty[0])
    return records


def _with_samples(records, split):
    """Returns the records whose files have samples; some of swc have none."""
    empty = [n for n, r in records.items() if os.path.getsize(r["wav"]) < LEAST_BYTES]
    if empty:
        message = "%s: %d recordings are empty and are left out, as %s"
        logger.warning(message, split, len(empty), records[empty[0]]["wav"])
    return {name: record for name, record in records.items() if name not in empty}


def _of_length(records, split, longest):
    """Returns the records of at most ``longest`` seconds."""
    limit = float("inf") if longest is None else longest
    kept = {name: r for name, r in records.items() if r["duration"] <= limit}
    if len(kept) < len(records):
        message = "%s: %d utterances of more than %g s are left out"
        logger.info(message, split, len(records) - len(kept), limit)
    if not kept:
        raise ManifestError(
            f"longest: no utterance of {split} has {limit:g} s or less."
        )
    return kept
