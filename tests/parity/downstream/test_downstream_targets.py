"""Our parsers and pipes on the toys against S3PRL's datasets: splits,
labels, token numbers, trials, trimmed lengths, labels of frames."""

from pathlib import Path

import pytest
import soundfile
import torch
from peer_values import Values

from s3prl_sb.corpora.audio_snips import prepare_audio_snips
from s3prl_sb.corpora.fluent_speech_commands import prepare_fluent_speech_commands
from s3prl_sb.corpora.iemocap import prepare_iemocap
from s3prl_sb.corpora.libri2mix import prepare_libri2mix_sd
from s3prl_sb.corpora.librispeech import find_lexica, prepare_librispeech
from s3prl_sb.corpora.quesst14 import prepare_quesst14
from s3prl_sb.corpora.speech_commands import prepare_speech_commands
from s3prl_sb.corpora.voxceleb1 import prepare_voxceleb1_sid
from s3prl_sb.corpora.voxceleb1_asv import prepare_voxceleb1_asv, trial_lists
from s3prl_sb.dataio import manifest
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.silence import TrimSilence
from s3prl_sb.dataio.slots import with_slots
from s3prl_sb.dataio.speaker_activity import SpeakerActivity, UnfoldFrames
from s3prl_sb.dataio.tokenizers import (
    CharacterTokenizer,
    SlotTokenizer,
    SymbolTokenizer,
)
from s3prl_sb.lobes.upstreams import load

SPLITS = {"train": "train", "valid": "dev", "test": "test"}  # ours to S3PRL's


def by_path(record, parts):
    """The last parts of a record's path, as S3PRL's targets name it."""
    return "/".join(Path(record["wav"]).parts[-parts:])


def read(paths):
    """The manifests of a preparation."""
    return {split: manifest.read(path) for split, path in paths.items()}


def test_keywords(toy, tmp_path):
    targets = Values("KS").facts["targets"]
    found = read(prepare_speech_commands(toy("speech_commands"), tmp_path))
    silence = "_silence_"
    assert targets["classes"].sort() is None
    for split, name in SPLITS.items():
        records = found[split].values()
        labels = {by_path(r, 2): r["label"] for r in records}
        assert labels == targets[name]  # noise files once, whatever is cut of them
        assert any(label == silence for label in labels.values())


def test_speakers(toy, tmp_path):
    targets = Values("SID").facts["targets"]
    found = read(prepare_voxceleb1_sid(toy("voxceleb1"), tmp_path))
    for split, name in SPLITS.items():
        labels = {by_path(r, 3): r["label"] for r in found[split].values()}
        assert labels == targets[name]


def test_verification(toy, tmp_path):
    """All speakers of the training set where none is held out, and all trials."""
    targets = Values("ASV").facts["targets"]
    folder = toy("voxceleb1")
    paths = prepare_voxceleb1_asv(folder, tmp_path, valid_speakers=0)
    train = manifest.read(paths["train"])
    labels = {by_path(r, 3): r["speaker"] for r in train.values()}
    assert sorted(labels) == targets["train"]
    assert sorted(set(labels.values())) == targets["speakers"]
    test = manifest.read(paths["test"])
    trials = [
        [str(int(t.label)), by_path(test[t.first], 3), by_path(test[t.second], 3)]
        for t in trial_lists(tmp_path)["test"]
    ]
    assert trials == targets["trials"]


def test_trimmed_lengths(toy):
    """Sox, unless it restarts its measurement after a pause: see TrimSilence."""
    targets, trim = Values("ASV").facts["targets"], TrimSilence()
    folder = toy("voxceleb1") / "dev/wav"
    for name, expected in targets["trimmed"].items():
        wav = torch.from_numpy(soundfile.read(folder / name, dtype="float32")[0])
        pauses = len(list(trim.sounds(wav)))
        assert 0 <= len(trim.trim(wav)) - expected <= 320 * pauses, name


def test_intents(toy, tmp_path):
    targets = Values("IC").facts["targets"]
    found = read(
        prepare_fluent_speech_commands(toy("fluent_speech_commands"), tmp_path)
    )
    for split, name in SPLITS.items():
        labels = {
            by_path(r, 4): [r[s] for s in ("action", "object", "location")]
            for r in found[split].values()
        }
        assert labels == targets[name]


@pytest.mark.parametrize("fold", [1, 4])
def test_emotions(fold, toy, tmp_path):
    """The share that validates is as large; which turns it has depends on the order
    that a file system lists the dialogs in, which does not belong to a toy."""
    targets = Values("ER").facts["targets"][str(fold)]
    found = read(prepare_iemocap(toy("iemocap"), tmp_path, fold=fold))
    labels = {
        split: {Path(r["wav"]).stem: r["label"] for r in records.values()}
        for split, records in found.items()
    }
    assert labels["test"] == targets["test"]
    both = {**labels["train"], **labels["valid"]}
    assert both == {**targets["train"], **targets["dev"]}
    assert len(labels["valid"]) == len(targets["dev"])


def test_phones(toy, tmp_path):
    targets, tokenizer = Values("PR").facts["targets"], SymbolTokenizer()
    assert tokenizer.tokens == targets["vocabulary"]
    folder = toy("librispeech")
    paths = prepare_librispeech(folder, tmp_path, lexicon=find_lexica(folder))
    for split, records in read(paths).items():
        tokens = {n: tokenizer.encode(r["phones"]) for n, r in records.items()}
        assert tokens == targets[SPLITS[split]]


def test_characters(toy, tmp_path):
    targets, tokenizer = Values("ASR").facts["targets"], CharacterTokenizer()
    assert tokenizer.tokens == targets["vocabulary"]
    names = {"train": "train", "valid": "dev-clean", "test": "test-clean"}
    paths = prepare_librispeech(toy("librispeech"), tmp_path)
    for split, records in read(paths).items():
        tokens = {n: tokenizer.encode(r["text"]) for n, r in records.items()}
        assert tokens == targets[names[split]]


def test_slots(toy, tmp_path):
    """S3PRL's list of slots ends in one without a name: it numbers no token here."""
    targets = Values("SF").facts["targets"]
    names = [t[2:] for t in targets["vocabulary"] if t.startswith("B-") and t != "B-"]
    tokenizer = SlotTokenizer(names)
    assert [*tokenizer.tokens, "B-", "E-"] == targets["vocabulary"]
    found, slots = with_slots(read(prepare_audio_snips(toy("audio_snips"), tmp_path)))
    assert set(slots) <= set(names)
    for split, records in found.items():
        tokens = {n: tokenizer.encode(r["text"]) for n, r in records.items()}
        assert tokens == targets[SPLITS[split]]


def spans(column):
    """[[first, last + 1], …] of where a column of 0 and 1 is 1."""
    edges = torch.diff(column, prepend=torch.zeros(1), append=torch.zeros(1))
    return edges.nonzero().reshape(-1, 2).tolist()


def test_frames(toy, tmp_path):
    """Speaker activity per chunk. S3PRL's frames are those of the whole duration,
    ours those of the upstream: up to three fewer at the end of a chunk. A speaker who
    speaks from before a chunk to after it is silent there in S3PRL: once, here."""
    targets, upstream = Values("SD").facts["targets"], load("fbank")
    paths = prepare_libri2mix_sd(toy("libri2mix"), tmp_path)
    compared = spanning = 0
    for split, records in read(paths).items():
        pipes = [UnfoldFrames(500, upstream), SpeakerActivity(upstream, 2)]
        dataset = ManifestDataset(records, pipes, ["id", "start", "activity"])
        rows = targets[SPLITS[split]]
        for item in dataset:
            name = item["id"].rsplit("-", 1)[0]
            start = round((item["start"] or 0) * 100)
            key = next(k for k in rows if k.startswith(f"{name} {start} "))
            labels, frames = item["activity"], len(item["activity"])
            assert 0 <= int(key.split()[2]) - start - frames <= 3
            for column, theirs in zip(labels.T, rows[key]):
                cut = [[a, min(b, frames)] for a, b in theirs if a < frames]
                if cut == [] and spans(column) == [[0, frames]]:
                    spanning += 1
                else:
                    assert spans(column) == cut, key
            compared += 1
    assert compared == sum(len(targets[name]) for name in SPLITS.values())
    assert spanning == 1


def test_queries(toy, tmp_path):
    targets = Values("QbE").facts["targets"]
    folder = toy("quesst14") / "quesst14Database"
    found = read(prepare_quesst14(folder, tmp_path))
    for split, name in (("valid", "dev"), ("test", "eval")):
        assert list(found[split]) == targets[name]["queries"]
        assert list(found["documents"]) == targets[name]["documents"]
