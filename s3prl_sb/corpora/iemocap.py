"""IEMOCAP for emotion recognition (SUPERB ER): four classes, five folds.

The corpus (Busso et al. 2008, https://doi.org/10.1007/s10579-008-9076-6) has five
sessions, each of two actors in improvised and scripted dialogs, as
``SessionN/sentences/wav/<dialog>/<turn>.wav``. ``SessionN/dialog/EmoEvaluation/
<dialog>.txt`` has a line for every turn with the emotion that most evaluators heard.

SUPERB's protocol takes the turns, improvised and scripted, that are neutral, happy or
excited (one class), angry or sad: 5,531 of them. A fold tests on one session; of the
others' turns a fifth, drawn at random, validates and the rest trains.

Note
----
The split equals S3PRL's, utterance by utterance: S3PRL shuffles its lists of turns by
torch's ``random_split`` after ``manual_seed(0)``. ``DIALOGS`` keeps their order, in
which a file system happened to list the dialogs. So training and validation share
speakers, as in S3PRL; only the test session has unseen ones. ``speaker`` is the speaker
of the turn (``Ses01F``); in S3PRL's lists it is the actor with the motion capture
markers, the same for both actors of a dialog.

Authors
 * The s3prl_sb developers, 2026
"""

import os
import re

from s3prl_sb.audio import headers
from s3prl_sb.audio.audio_names import Listed, hint
from s3prl_sb.corpora.completeness import check_folder, warn_if_short
from s3prl_sb.corpora.downloading import behind_a_form
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.tables import check_classes, skipped

download_iemocap = behind_a_form(
    "IEMOCAP",
    "https://sail.usc.edu/iemocap/iemocap_release.htm",
    "apply for it with the form of its page.",
)
VERSION = "iemocap/1"  # a change makes finished preparations stale
TURNS = 5531  # of the four classes, as published
SESSIONS = (1, 2, 3, 4, 5)
EMOTIONS = {"neu": "neu", "hap": "hap", "exc": "hap", "ang": "ang", "sad": "sad"}
VALID_FRACTION, SPLIT_SEED = 0.2, 0
LINE = re.compile(r"\[\d+\.\d+ - \d+\.\d+\]\t(\S+)\t(\w+)\t\[.*\]")
EXAMPLE = "[6.2901 - 8.2357]\\tSes01F_impro01_F000\\tneu\\t[2.5000, 2.5000, 2.5000]"

#: Actor with the markers, i(mprovised) or s(cripted), number, in the order of S3PRL
DIALOGS = {
    1: "Fs02_2 Fi07 Fs03_2 Mi02 Fi06 Fs01_3 Ms02_1 Mi04 Ms01_1 Fi01 Fs01_1 Fi05 Ms01_2 "
    "Ms02_2 Fs02_1 Ms03_2 Mi05 Mi01 Fi03 Mi03 Ms01_3 Fs03_1 Mi07 Fi02 Mi06 Ms03_1 "
    "Fi04 Fs01_2",
    2: "Fi03 Fs03_2 Ms03_2 Mi04 Mi05 Fs02_1 Fs02_2 Ms02_2 Mi08 Mi07 Fs03_1 Ms01_3 Fi06 "
    "Fi01 Fi04 Fs01_2 Mi02 Mi03 Fs01_3 Fi05 Fs01_1 Mi06 Ms02_1 Fi08 Fi02 Ms01_1 Mi01 "
    "Ms01_2 Ms03_1 Fi07",
    3: "Fs02_1 Mi04 Ms03_2 Mi05b Mi02 Fi05 Ms02_2 Mi08b Fi07 Ms01_1 Ms02_1 Mi05a Mi07 "
    "Ms03_1 Fs03_1 Mi01 Fs01_1 Fi04 Fs02_2 Fs01_3 Ms01_3 Mi06 Fi01 Fi03 Ms01_2 Mi08a "
    "Mi03 Fs03_2 Fs01_2 Fi08 Fi06 Fi02",
    4: "Fs03_1 Fi01 Ms02_1 Ms02_2 Fs01_3 Mi05 Fs02_1 Fi07 Fi02 Fi03 Mi02 Fs01_1 Ms01_1 "
    "Fs03_2 Mi06 Fs02_2 Mi01 Mi04 Fi05 Fs01_2 Fi08 Fi06 Mi03 Ms01_3 Ms01_2 Ms03_1 "
    "Ms03_2 Mi07 Fi04 Mi08",
    5: "Ms01_3 Fi04 Ms02_2 Fs01_3 Fs01_2 Fi06 Mi06 Mi01 Fs03_1 Fi07 Fs03_2 Ms01_1b "
    "Fi05 Ms01_1 Fi08 Ms03_1 Mi05 Fi01 Fi02 Mi03 Fs01_1 Mi04 Ms02_1 Fi03 Fs02_2 Fs02_1 "
    "Ms03_2 Mi08 Mi02 Mi07 Ms01_2",
}


def prepare_iemocap(
    data_folder: str | None, save_folder: str, fold: int = 1, skip_prep: bool = False
) -> dict[str, str]:
    """Writes ``train.json``, ``valid.json`` and ``test.json`` of a fold.

    Arguments
    ---------
    data_folder : str
        Folder with ``Session1`` to ``Session5``, or with ``IEMOCAP_full_release``.
    save_folder : str
        Folder for the manifests. A finished preparation of the same turns is kept.
    fold : int
        Test session, 1 to 5.
    skip_prep : bool
        Use the manifests in ``save_folder`` as they are.

    Returns
    -------
    dict
        ``{"train": path, "valid": path, "test": path}``. Records have ``label`` (neu,
        hap, ang or sad), ``speaker`` and ``session``.

    Raises
    ------
    ManifestError
        With the file, the line and the way out.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for session in SESSIONS:
    ...         dialog = f"Ses0{session}F_impro01"
    ...         labels = f"{folder}/Session{session}/dialog/EmoEvaluation"
    ...         wavs = f"{folder}/Session{session}/sentences/wav/{dialog}"
    ...         os.makedirs(labels)
    ...         os.makedirs(wavs)
    ...         for n in range(4):
    ...             turn = f"{dialog}_F00{n}"
    ...             soundfile.write(f"{wavs}/{turn}.wav", numpy.zeros(1600), 16000)
    ...             with open(f"{labels}/{dialog}.txt", "a") as file:
    ...                 _ = file.write(f"[0.0 - 0.1]\\t{turn}\\tneu\\t[2, 2, 2]\\n")
    ...     paths = prepare_iemocap(folder, folder + "/save", fold=5)
    ...     [len(manifest.read(path)) for path in paths.values()]
    [12, 4, 4]
    """
    if skip_prep:
        return skipped(manifest.paths_in(save_folder))
    if fold not in SESSIONS:
        raise ManifestError(f"fold: {fold!r}. There are 1 to 5, the test session's.")
    corpus = find_corpus(data_folder)
    turns, places = {}, {}
    for session in SESSIONS:
        _read_session(corpus, session, turns, places)
    arguments = {
        "version": VERSION,
        "data_folder": corpus,
        "fold": fold,
        "turns": {name: record["label"] for name, record in turns.items()},
    }
    if paths := manifest.finished(save_folder, arguments):
        return paths
    warn_if_short(corpus, len(turns), TURNS, "turns of the four classes")
    _check_audio(turns, places)
    splits = split(turns, fold)
    check_classes(splits, places=lambda split: places)
    headers.add_durations(turns.values())
    return manifest.finish(splits, save_folder, arguments)


def split(turns, fold):
    """Splits the turns into training, validation and test set of a fold.

    Arguments
    ---------
    turns : dict
        ``{id: record}`` in S3PRL's order, see :func:`order`.
    fold : int
        Test session.

    Returns
    -------
    dict
        ``{"train": {id: record}, "valid": …, "test": …}``.
    """
    import torch

    rest = [name for name, record in turns.items() if record["session"] != fold]
    train = int((1 - VALID_FRACTION) * len(rest))
    generator = torch.Generator().manual_seed(SPLIT_SEED)
    shuffled = [rest[i] for i in torch.randperm(len(rest), generator=generator)]
    tested = [name for name, record in turns.items() if record["session"] == fold]
    names = {"train": shuffled[:train], "valid": shuffled[train:], "test": tested}
    return {key: {name: turns[name] for name in some} for key, some in names.items()}


def order(dialog):
    """Returns the sort key of a dialog: S3PRL's order, unknown dialogs last.

    Arguments
    ---------
    dialog : str
        Name such as ``Ses01F_impro01``.

    Returns
    -------
    tuple
        Sort key.

    Example
    -------
    >>> sorted(["Ses02F_impro01", "Ses01F_impro07", "Ses01F_script02_2"], key=order)
    ['Ses01F_script02_2', 'Ses01F_impro07', 'Ses02F_impro01']
    """
    session = int(dialog[4:5]) if dialog[4:5].isdigit() else 0
    short = dialog[5:].replace("_impro", "i").replace("_script", "s")
    dialogs = DIALOGS.get(session, "").split()
    place = dialogs.index(short) if short in dialogs else len(dialogs)
    return session, place, dialog


def find_corpus(data_folder):
    """Returns the folder of the sessions; raises an error if one is missing."""
    corpus = check_folder(data_folder, "of IEMOCAP", inside="IEMOCAP_full_release")
    for session in SESSIONS:
        folder = os.path.join(corpus, f"Session{session}", "dialog", "EmoEvaluation")
        if not os.path.isdir(folder):
            raise ManifestError(
                f"{folder}: no such folder. Set data_folder to the folder that holds "
                "Session1 to Session5: each is one fold's test set."
            )
    return corpus


def _read_session(corpus, session, turns, places):
    """Adds the turns of a session in the four classes, and their lines."""
    home = os.path.join(corpus, f"Session{session}")
    labels = os.path.join(home, "dialog", "EmoEvaluation")
    dialogs = [
        name[:-4]
        for name in os.listdir(labels)
        if name.endswith(".txt") and name.startswith("Ses")  # not ._Ses… of macOS
    ]
    for dialog in sorted(dialogs, key=order):
        records, path = {}, os.path.join(labels, f"{dialog}.txt")
        for place, line in manifest.lines(path):
            if not line.startswith("["):
                continue  # the heading, or the label of one evaluator
            match = LINE.fullmatch(line.strip())
            if not match:
                raise ManifestError(
                    f"{place}: malformed line {line.strip()!r}. Expected "
                    f"times, turn, emotion and values, with tabs: {EXAMPLE}"
                )
            turn, emotion = match.groups()
            if turn in records:
                raise ManifestError(f"{place}: {turn} again, first {places[turn]}")
            places[turn] = place
            records[turn] = manifest.whole_file(
                os.path.join(home, "sentences", "wav", dialog, f"{turn}.wav"),
                label=EMOTIONS.get(emotion),
                speaker=f"Ses0{session}{turn.rpartition('_')[2][:1]}",
                session=session,
            )
        turns.update((t, records[t]) for t in sorted(records) if records[t]["label"])


def _check_audio(turns, places):
    """Finds the files, also converted ones; raises an error for missing ones."""
    listed, missing = Listed(), []
    for name, record in turns.items():
        path = listed.find(record["wav"])
        if not path:
            fault = f"missing audio file {record['wav']}{hint(record['wav'])}"
            missing.append(f"{places[name]}: {fault}")
        record["wav"] = path
    if missing:
        way_out = "Unpack IEMOCAP so that these are there: SessionN/sentences/wav/…"
        raise ManifestError.listing(missing, way_out, len(turns))
