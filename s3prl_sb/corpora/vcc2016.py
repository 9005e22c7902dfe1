"""Voice Conversion Challenge 2016 (Toda et al., https://doi.org/10.7488/ds/2211).

Five source and five target speakers read the same English sentences: 162 in
``vcc2016_training/<speaker>/``, 54 in ``evaluation_all/<speaker>/``, as
``100001.wav`` and ``200001.wav``. SF1 is a source, TF1 a target speaker.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from collections.abc import Sequence

from s3prl_sb.audio import headers
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.corpora.speaker_folders import of_speaker, own_speech, recordings
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import skipped
from s3prl_sb.terminal.messages import few

download_vcc2016 = behind_a_form(
    "VCC2016",
    "https://doi.org/10.7488/ds/2211",
    "unpack vcc2016_training and evaluation_all into one folder.",
)
VERSION = "vcc2016/1"  # a change makes finished preparations stale
TRAINING, EVALUATION = "vcc2016_training", "evaluation_all"
SPEAKER, UTTERANCE = r"[ST][FM]\d", r"\d{6}"
VALID_SHARE = 10  # one of this many training sentences validates, at the end
SENTENCES = {"train": 146, "test": 54}  # of a speaker, as published


def prepare_vcc2016(
    data_folder: str | None,
    save_folder: str,
    target_speaker: str = "TF1",
    source_speakers: Sequence[str] | None = None,
    skip_prep: bool = False,
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a target speaker.

    Arguments
    ---------
    data_folder : str
        Folder with ``vcc2016_training`` and ``evaluation_all``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same files is kept.
    target_speaker : str
        Speaker to convert to.
    source_speakers : list of str, optional
        Speakers to convert in the test. Default: those whose names begin with S.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``; records as those of
        :func:`~s3prl_sb.corpora.vcc2020.prepare_vcc2020`, without texts.

    Raises
    ------
    ManifestError
        With the folder and the way out.

    Note
    ----
    The corpus has no validation set: the last tenth of the target's training sentences
    is one.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("training/TF1/100001", "training/TF1/100002"):
    ...         os.makedirs(f"{folder}/vcc2016_training/TF1", exist_ok=True)
    ...         soundfile.write(f"{folder}/vcc2016_{name}.wav", numpy.zeros(80), 16000)
    ...     for name in ("SF1", "TF1"):
    ...         os.makedirs(f"{folder}/evaluation_all/{name}")
    ...         wav = f"{folder}/evaluation_all/{name}/200001.wav"
    ...         soundfile.write(wav, numpy.zeros(80), 16000)
    ...     paths = prepare_vcc2016(folder, folder + "/save")
    ...     {split: list(manifest.read(path)) for split, path in paths.items()}
    {'train': ['TF1_100001'], 'valid': ['TF1_100002'], 'test': ['SF1_200001']}
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    corpus = check_folder(data_folder, "of VCC2016")
    folders = [os.path.join(corpus, name) for name in (TRAINING, EVALUATION)]
    for folder in folders:
        if not os.path.isdir(folder):
            raise ManifestError(
                f"{folder}: no such folder. Unpack VCC2016 so that data_folder holds "
                f"{TRAINING} and {EVALUATION}."
            )
    training, evaluation = (recordings(f, SPEAKER, UTTERANCE) for f in folders)
    own = of_speaker(training, target_speaker, folders[0])
    sources = source_speakers or [s for s in evaluation if s.startswith("S")]
    if isinstance(sources, str):
        sources = [sources]
    for source in sources:
        if source not in evaluation:
            raise ManifestError(
                f"{folders[1]}: no recordings of the source speaker {source!r}; there "
                f"are {few(evaluation, 20)}. Correct source_speakers."
            )
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "target_speaker": target_speaker,
        "files": [list(own), {source: list(evaluation[source]) for source in sources}],
        "truth": list(evaluation.get(target_speaker, ())),
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    splits = _splits(own, evaluation, sources, target_speaker, folders)
    for records in splits.values():
        headers.add_durations(records.values())
    short = "sentences to train on", "sentences of a source speaker"
    warn_if_short(corpus, len(splits["train"]), SENTENCES["train"], short[0])
    each = len(splits["test"]) // len(sources)
    warn_if_short(corpus, each, SENTENCES["test"], short[1])
    return manifest.finish(splits, save_folder, arguments, required=("speaker",))


def _splits(own, evaluation, sources, target, folders):
    """Returns the records of all splits, without durations."""
    names = list(own)
    held_out = max(1, len(names) // VALID_SHARE)
    if len(names) < 2 or not sources:
        raise ManifestError(
            f"{folders[0]} has {len(names)} recordings of {target}, and {folders[1]} "
            f"source speakers {few(sources)}: 2 recordings and 1 source speaker are "
            "the least. Unpack the corpus whole."
        )
    splits = {
        "train": {name: own[name] for name in names[:-held_out]},
        "valid": {name: own[name] for name in names[-held_out:]},
    }
    splits = {split: own_speech(target, files, {}) for split, files in splits.items()}
    truth = evaluation.get(target, {})
    splits["test"] = {
        f"{source}_{name}": manifest.whole_file(
            path, target=truth.get(name), speaker=target, enroll=[], text=""
        )
        for source in sources
        for name, path in evaluation[source].items()
    }
    return splits
