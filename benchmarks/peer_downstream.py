"""S3PRL's own downstream experts, on corpora in the layouts of the originals.

In S3PRL's environment: ``expert("KS", checkout, corpora, folder)`` is its
``DownstreamExpert`` of keyword spotting, with the configuration of its
repository, but for paths, worker processes and what ``changes`` say. Corpora are
those of ``s3prl-sb toy``, each in a folder of its name.

Authors
 * The s3prl_sb developers, 2026
"""

import csv
import importlib
import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path

import joblib
import peer_stand_ins  # noqa: F401
import soundfile
import yaml

#: Of each task: the folder in s3prl/downstream, the configuration.
TASKS = {
    "PR": ("ctc", "libriphone.yaml"),
    "ASR": ("asr", "config.yaml"),
    "KS": ("speech_commands", "config.yaml"),
    "QbE": ("quesst14_dtw", "config.yaml"),
    "SID": ("voxceleb1", "config.yaml"),
    "ASV": ("sv_voxceleb1", "configs/amsoftmax.yaml"),
    "SD": ("diarization", "config.yaml"),
    "IC": ("fluent_commands", "config.yaml"),
    "SF": ("ctc", "snips.yaml"),
    "ER": ("emotion", "config.yaml"),
}
FRAME_SHIFT = 160  # samples


class Logger:
    """Collects the values that S3PRL logs, instead of TensorBoard's writer."""

    def __init__(self):
        self.scalars = {}

    def add_scalar(self, name, value, global_step=0):
        """Keeps the number, by the last part of its name."""
        self.scalars[name.split("/")[-1]] = float(value)


def config(task, checkout):
    """The configuration of a task, as S3PRL has it."""
    name, file = TASKS[task]
    path = Path(checkout, "s3prl/downstream", name, file)
    return yaml.safe_load(path.read_text())


def expert(task, checkout, corpora, folder, size, changes=None):
    """S3PRL's DownstreamExpert for features of that size.

    ``folder`` is for what it writes. ``changes``: ``{"modelrc.projector_dim": 8}``.
    """
    if checkout not in sys.path:
        sys.path.insert(0, checkout)
    folder = Path(folder, task)
    folder.mkdir(parents=True, exist_ok=True)
    settings = config(task, checkout)["downstream_expert"]
    home = Path(checkout, "s3prl/downstream", TASKS[task][0])
    corpora = Path(corpora).resolve()
    rows = {**_paths(task, home, corpora, folder), **(changes or {})}
    for key, value in rows.items():
        *parents, last = key.split(".")
        node = settings
        for name in parents:
            node = node[name]
        node[last] = value
    module = importlib.import_module(f"s3prl.downstream.{TASKS[task][0]}.expert")
    _keep_caches_away(module, folder)
    os.chdir(corpora / "libri2mix")  # the paths in its wav.scp begin there
    return module.DownstreamExpert(
        upstream_dim=size,
        upstream_rate=FRAME_SHIFT,
        downstream_expert=settings,
        expdir=str(folder),
    )


def _paths(task, home, corpora, folder):
    """Returns the paths of a task's corpus in the keys of its configuration."""
    libri = corpora / "librispeech/LibriSpeech"
    vox, snips = corpora / "voxceleb1", corpora / "audio_snips"
    words = corpora / "speech_commands"
    if task == "PR":
        return {
            "corpus.path": str(libri),
            "corpus.lexicon": [str(libri / "librispeech-lexicon.txt")],
            "corpus.num_workers": 0,
            "text.vocab_file": str(home / "vocab/phoneme.txt"),
        }
    if task == "SF":
        return {
            "corpus.path": str(snips),
            "corpus.num_workers": 0,
            "text.vocab_file": str(home / "vocab/character.txt"),
            "text.slots_file": str(snips / "slots.txt"),
        }
    if task == "ASR":
        return {
            "datarc.libri_root": str(libri),
            "datarc.bucket_file": str(_lengths(libri, folder)),
            "datarc.dict_path": str(home / "char.dict"),
            "datarc.num_workers": 0,
        }
    if task == "SD":
        data = corpora / "libri2mix/data"
        splits = {f"loaderrc.{s}_dir": str(data / s) for s in ("train", "dev", "test")}
        return {**splits, "loaderrc.num_workers": 0}
    if task == "QbE":
        root = {"datarc.dataset_root": str(corpora / "quesst14/quesst14Database")}
        return {**root, "datarc.num_workers": 0, "max_workers": 1}
    rows = {"datarc.num_workers": 0}
    if task == "KS":
        rows["datarc.speech_commands_root"] = str(words / "speech_commands_v0.01")
        test = words / "speech_commands_test_set_v0.01"
        rows["datarc.speech_commands_test_root"] = str(test)
    elif task == "SID":
        rows["datarc.file_path"] = str(vox)
        rows["datarc.meta_data"] = str(vox / "iden_split.txt")
    elif task == "ASV":
        rows["datarc.file_path"] = str(vox)
        for split in ("train", "dev", "test"):
            rows[f"datarc.{split}_meta_data"] = str(vox / "veri_test.txt")
    elif task == "IC":
        rows["datarc.file_path"] = str(corpora / "fluent_speech_commands")
    elif task == "ER":
        rows["datarc.root"] = str(corpora / "iemocap")
        rows["datarc.meta_data"] = str(_sessions(corpora / "iemocap", folder))
        rows["datarc.pre_load"] = False
    return rows


def _lengths(libri, folder):
    """The lists of lengths that S3PRL's ASR sorts by, long ones first."""
    home = folder / "lengths"
    home.mkdir(exist_ok=True)
    for split in ("train-clean-100", "dev-clean", "test-clean"):
        found = sorted((libri / split).rglob("*.flac"))
        rows = [(path, soundfile.info(path).frames) for path in found]
        with open(home / f"{split}.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file_path", "length"])
            for path, length in sorted(rows, key=lambda row: -row[1]):
                writer.writerow([path.relative_to(libri), length])
    return home


def _sessions(iemocap, folder):
    """The lists of turns that S3PRL's own preprocessing makes."""
    from s3prl.downstream.emotion import IEMOCAP_preprocess

    copy = folder / "iemocap"
    if not copy.exists():
        shutil.copytree(iemocap, copy)
        IEMOCAP_preprocess.main(str(copy))
    return copy / "meta_data"


def _keep_caches_away(module, folder):
    """S3PRL writes lists of files into its own package: here, into the folder."""
    package = module.__name__.rsplit(".", 1)[0]
    dataset = sys.modules.get(f"{package}.dataset")
    if package.endswith(".voxceleb1"):
        dataset.CACHE_PATH = str(folder / "cache")
    elif package.endswith(".sv_voxceleb1"):
        dataset.__file__ = str(folder / "dataset.py")
        dataset.Parallel = lambda n_jobs: joblib.Parallel(n_jobs=1)


def forward(model, mode, features, others):
    """Loss and records of a batch, as S3PRL's runner calls its expert."""
    records = defaultdict(list)
    loss = model(mode, features, *others, records=records, batch_id=0)
    return loss, records


def logged(model, mode, records):
    """The numbers that S3PRL logs of these records."""
    logger = Logger()
    saved = model.log_records(
        mode,
        records=records,
        logger=logger,
        global_step=1,
        batch_ids=[0],
        total_batch_num=1,
    )
    return logger.scalars, saved
