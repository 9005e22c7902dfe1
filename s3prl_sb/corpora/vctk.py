"""VCTK (Yamagishi et al., https://doi.org/10.7488/ds/2645) for any-to-any conversion.

The network trains on 108 speakers of VCTK, and converts the source speakers of VCC2020
to its target speakers of task 1, whom it knows from a few utterances only. Both
published versions are read: 0.80 with ``wav48/p225/p225_001.wav`` and 0.92 with
``wav48_silence_trimmed/p225/p225_001_mic1.flac``.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import os
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora import downloading, vcc2020
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published
from s3prl_sb.corpora.speaker_folders import Recordings, own_speech, recordings
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import skipped

VERSION = "vctk/1"  # a change makes finished preparations stale
URL = "https://datashare.ed.ac.uk/bitstream/handle/10283/2651/VCTK-Corpus.zip"
SPEAKER, UTTERANCE = r"p\d{3}", r"(p\d{3}_\d{3})(?:_mic1)?"
WITHOUT_TEXTS = "p315"  # whose transcriptions are lost; S3PRL leaves the speaker out
HELD_OUT = 5  # utterances of a speaker that validate, and as many before them
SPEAKERS = 108


def download_vctk(destination: str) -> Path:
    """Downloads VCTK 0.80 (ODC-By), 10.4 GB."""
    return downloading.download([Published(URL, 10.4)], destination)


def prepare_vctk(
    data_folder: str | None,
    save_folder: str,
    test_folder: str | None = None,
    references: int = 10,
    seed: int = 0,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json`` and ``valid.json`` of VCTK and ``test.json`` of VCC2020.

    Arguments
    ---------
    data_folder : str
        Folder of VCTK, or with ``VCTK-Corpus``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    test_folder : str
        Folder of VCC2020.
    references : int
        Number of the target speaker's utterances that a conversion knows.
    seed : int
        Seed of their choice.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as those of
        :func:`~s3prl_sb.corpora.vcc2020.prepare_vcc2020`. ``enroll`` has the utterance
        itself in training and validation, and ``references`` training utterances of
        the target speaker in the test.

    Raises
    ------
    ManifestError
        With the folder and the way out.

    Note
    ----
    The last five utterances of each speaker validate. The five before them are left
    out: S3PRL lists them as a test set and does not use it. S3PRL draws references in
    the order of its files; here each conversion draws its own, by the seed and the
    names.
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = check_folder(data_folder, "of VCTK", inside="VCTK-Corpus")
    if test_folder is None:
        raise ManifestError(
            "test_folder is not set: any-to-any conversion is tested on VCC2020, give "
            "its folder (--test_folder DIR)."
        )
    tested = vcc2020.find_corpus(test_folder)
    spoken = recordings(corpus, SPEAKER, UTTERANCE)
    spoken.pop(WITHOUT_TEXTS, None)
    others = recordings(tested, vcc2020.SPEAKER, vcc2020.UTTERANCE)
    texts = vcc2020.transcriptions(tested)
    names = [name for files in (*spoken.values(), *others.values()) for name in files]
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "test_folder": tested,
        "references": references,
        "seed": seed,
        "files": hashlib.sha256("\n".join(names).encode()).hexdigest(),
        "texts": texts,
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = _training(spoken, corpus)
    splits["test"] = _conversions(others, texts, references, seed, tested)
    for records in splits.values():
        headers.add_durations(records.values())
    warn_if_short(corpus, len(spoken), SPEAKERS, "speakers")
    warn_if_short(tested, len(splits["test"]), 400, "conversions")
    return manifest.finish(splits, save_folder, arguments, required=("speaker",))


def _training(spoken: Recordings, corpus: str) -> dict[str, dict]:
    """Returns the records of training and validation, without durations."""
    splits: dict[str, dict] = {"train": {}, "valid": {}}
    for speaker, files in spoken.items():
        # p225_001 has the speaker in its name already
        short = {name.partition("_")[2]: path for name, path in files.items()}
        names = list(short)
        for split, part in (
            ("train", names[: -2 * HELD_OUT]),
            ("valid", names[-HELD_OUT:]),
        ):
            chosen = {name: short[name] for name in part}
            splits[split] |= own_speech(speaker, chosen, {}, enrolled=True)
    if not splits["train"]:
        raise ManifestError(
            f"{corpus}: no speaker p225, p226, … with more than {2 * HELD_OUT} "
            "recordings. Unpack VCTK so that it holds wav48/p225/p225_001.wav."
        )
    return splits


def _conversions(spoken, texts, references, seed, corpus):
    """Returns the records of the test, without durations."""
    records = {}
    for target in filter(spoken.get, vcc2020.TASK1):
        candidates = list(vcc2020.of_split(spoken[target], "train").values())
        if not 0 < references <= len(candidates):
            raise ManifestError(
                f"{corpus}: {target} has {len(candidates)} training utterances, from "
                f"which references: {references} are drawn. Choose at least one, and "
                "no more than there are."
            )
        made = vcc2020.evaluation_records(spoken, target, texts, prefix=f"{target}_")
        for name, record in made.items():
            record["enroll"] = sorted(
                candidates, key=lambda path: _draw(seed, name, path)
            )[:references]
        records |= made
    if not records:
        raise ManifestError(
            f"{corpus}: nothing to convert, such as SEF1/E30001.wav to "
            f"{vcc2020.TASK1[0]}. Unpack all archives of VCC2020, and set test_folder."
        )
    return records


def _draw(seed, name, path):
    """Returns the place of a reference in the order of a conversion."""
    file = os.path.splitext(os.path.basename(path))[0]
    return hashlib.sha1(f"{seed}|{name}|{file}".encode()).digest()
