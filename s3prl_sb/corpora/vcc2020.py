"""Voice Conversion Challenge 2020 (Zhao et al., https://arxiv.org/abs/2008.12527).

Four source speakers of English (SEF1, SEF2, SEM1, SEM2) are converted to one target:
of English in task 1 (TEF1, TEF2, TEM1, TEM2), of Finnish, German or Mandarin in task 2
(TFF1, TFM1, TGF1, TGM1, TMF1, TMM1). A name is S or T, the language, the gender and a
number; ``E10001.wav`` is a sentence of a language.

========== ============== =======================================================
training   10001 to 10060 of the target; of English also 20001 to 20050
validation 10061 to 10070 of the target
test       30001 to 30025 of each source speaker, English; the target's are the truth
========== ============== =======================================================

The folders are those of the archives (``source``, ``target_task1``, ``target_task2``,
``vcc2020_database_evaluation``, ``vcc2020_database_groundtruth``,
``vcc2020_database_transcriptions``), or a folder for each speaker beside ``prompts`` as
S3PRL's script arranges them.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re
from pathlib import Path

from s3prl_sb.audio import headers
from s3prl_sb.corpora import downloading
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import Published
from s3prl_sb.corpora.speaker_folders import (
    Recordings,
    of_speaker,
    own_speech,
    read_texts,
    recordings,
)
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import skipped

VERSION = "vcc2020/1"  # a change makes finished preparations stale
SOURCES = ("SEF1", "SEF2", "SEM1", "SEM2")
TASK1 = ("TEF1", "TEF2", "TEM1", "TEM2")
TASK2 = ("TFF1", "TFM1", "TGF1", "TGM1", "TMF1", "TMM1")
SPEAKER, UTTERANCE = r"[ST][EFGM][FM]\d", r"[EFGM]\d{5}"
#: First and last numbers of the sentences of each split.
SENTENCES = {
    "train": ((10001, 10060), (20001, 20050)),
    "valid": ((10061, 10070),),
    "test": ((30001, 30025),),
}
PURPOSES = {"train": "train on", "valid": "validate on", "test": "convert"}
LANGUAGES = {"E": "Eng", "F": "Fin", "G": "Ger", "M": "Man"}
#: Limits of the search for the fundamental frequency in Hz, which S3PRL evaluates with.
F0_RANGES = {
    "TEF1": (127.0, 405.0),
    "TEF2": (108.0, 361.0),
    "TEM1": (71.0, 227.0),
    "TEM2": (57.0, 182.0),
    "TFF1": (139.0, 387.0),
    "TFM1": (60.0, 189.0),
    "TGF1": (109.0, 345.0),
    "TGM1": (75.0, 236.0),
    "TMF1": (126.0, 409.0),
    "TMM1": (81.0, 254.0),
}
URL = "https://github.com/nii-yamagishilab/VCC2020-database/raw/master"
ARCHIVES = (
    "vcc2020_database_training_source",
    "vcc2020_database_training_target_task1",
    "vcc2020_database_training_target_task2",
    "vcc2020_database_evaluation",
    "vcc2020_database_groundtruth",
    "vcc2020_database_transcriptions",
)


def download_vcc2020(destination: str) -> Path:
    """Downloads VCC2020 (ODbL), about 0.4 GB."""
    files = [Published(f"{URL}/{name}.zip", 0.07) for name in ARCHIVES]
    return downloading.download(files, destination)


def prepare_vcc2020(
    data_folder: str | None,
    save_folder: str,
    target_speaker: str = "TEF1",
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a target speaker.

    Arguments
    ---------
    data_folder : str
        Folder of VCC2020, or with ``vcc2020`` or ``VCC2020-database``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    target_speaker : str
        Speaker to convert to, one of ``TASK1`` and ``TASK2``.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``target`` (the
        target speaker's utterance of the same words, null if there is none),
        ``speaker`` (the target), ``enroll`` (empty) and ``text``.

    Raises
    ------
    ManifestError
        With the folder and the way out.

    Note
    ----
    S3PRL has the sentences in lists, which follow these numbers; it also leaves out
    those that a speaker did not read.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("TEF1/E10001", "TEF1/E10061", "TEF1/E30001", "SEM2/E30001"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True)
    ...         soundfile.write(f"{folder}/{name}.wav", numpy.zeros(2400), 24000)
    ...     paths = prepare_vcc2020(folder, folder + "/save")
    ...     record = manifest.read(paths["test"])["SEM2_E30001"]
    >>> record["target"].endswith("TEF1/E30001.wav"), record["speaker"]
    (True, 'TEF1')
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = find_corpus(data_folder)
    spoken = recordings(corpus, SPEAKER, UTTERANCE)
    files = of_speaker(spoken, target_speaker, corpus)
    texts = transcriptions(corpus, target_speaker[1])
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "target_speaker": target_speaker,
        "files": {s: list(spoken.get(s, ())) for s in (*SOURCES, target_speaker)},
        "texts": texts,
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = {
        split: own_speech(target_speaker, of_split(files, split), texts)
        for split in ("train", "valid")
    }
    splits["test"] = evaluation_records(spoken, target_speaker, texts)
    for split, records in splits.items():
        if not records:
            (first, _), *_ = SENTENCES[split]
            owner = target_speaker if split != "test" else "SEF1"
            language = target_speaker[1] if split != "test" else "E"
            raise ManifestError(
                f"{corpus}: nothing to {PURPOSES[split]}, such "
                f"as {owner}/{language}{first}.wav. Unpack all archives of VCC2020."
            )
        headers.add_durations(records.values())
    warn_if_short(corpus, len(splits["train"]), 60, "utterances to train on")
    warn_if_short(corpus, len(splits["test"]), 100, "utterances to convert")
    return manifest.finish(splits, save_folder, arguments, required=("speaker",))


def find_corpus(data_folder: str | None) -> str:
    """Returns the absolute path of the corpus, in ``data_folder`` or itself."""
    folder = check_folder(data_folder, "of VCC2020", inside="VCC2020-database")
    return check_folder(folder, "of VCC2020", inside="vcc2020")


def of_split(files: dict[str, str], split: str) -> dict[str, str]:
    """Returns the utterances of a split.

    Arguments
    ---------
    files : dict
        ``{utterance: path}``.
    split : str
        One of "train", "valid" and "test".

    Returns
    -------
    dict

    Example
    -------
    >>> of_split({"E10060": "a.wav", "E10061": "b.wav", "E20001": "c.wav"}, "train")
    {'E10060': 'a.wav', 'E20001': 'c.wav'}
    """
    spans = SENTENCES[split]
    return {
        name: path
        for name, path in files.items()
        if any(first <= int(name[1:]) <= last for first, last in spans)
    }


def evaluation_records(
    spoken: Recordings, target: str, texts: dict[str, str], prefix: str = ""
) -> dict[str, dict]:
    """Returns the records of the source speakers' test sentences, without durations.

    Arguments
    ---------
    spoken : dict
        Recordings of all speakers.
    target : str
        Target speaker, whose recording of the same sentence is the truth.
    texts : dict
        ``{utterance: text}``.
    prefix : str
        Prefix of the ids.

    Returns
    -------
    dict
        ``{id: record}``.
    """
    return {
        f"{prefix}{source}_{name}": manifest.whole_file(
            path,
            target=spoken[target].get(name),
            speaker=target,
            enroll=[],
            text=texts.get(name, ""),
        )
        for source in SOURCES
        for name, path in of_split(spoken.get(source, {}), "test").items()
    }


def transcriptions(corpus: str, language: str = "E") -> dict[str, str]:
    """Reads the texts of English, and of the target's language.

    Arguments
    ---------
    corpus : str
        Folder of VCC2020.
    language : str
        First letter of the language, as in the names of utterances.

    Returns
    -------
    dict
        ``{utterance: text}``; empty without the archive of transcriptions.
    """
    whole = os.path.join(corpus, "vcc2020_database_transcriptions")
    training = os.path.join(whole, "transcriptions_training")
    evaluation = "vcc2020_database_evaluation_transcriptions.txt"
    texts = {}
    for letter in dict.fromkeys(("E", language)):
        name = f"{LANGUAGES.get(letter, letter)}_transcriptions.txt"
        places = [
            os.path.join(corpus, "prompts", name),
            os.path.join(training, f"vcc2020_database_training_{name}"),
        ]
        if letter == "E":
            places.append(os.path.join(whole, "transcriptions_evaluation", evaluation))
        for number, text in read_texts(places).items():
            if re.fullmatch(r"\d{5}", number):
                texts[f"{letter}{number}"] = text
    return texts
