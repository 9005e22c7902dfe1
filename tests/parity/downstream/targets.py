"""Targets of S3PRL's datasets for the toys: labels, tokens, splits, frames.

A part of ``make.py``, in S3PRL's environment.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch


def some(task, model, count):
    """Returns the loader's targets for a few items of the training set."""
    if task in ("PR", "SF"):
        loader = model.get_dataloader("train")
        found = {
            tuple(tokens): path
            for path, tokens in zip(loader.dataset.file_list, loader.dataset.text)
        }
        chosen = list(found.items())[:count]
        return [np.array(x) for x, _ in chosen], [Path(p).stem for _, p in chosen]
    if task == "ASR":
        dataset = model.get_dataloader("train").dataset
        return [list(part)[:count] for part in dataset[0][1:]]
    if task == "SD":
        model.get_dataloader("train")
        items = [model.train_dataset[i] for i in range(count)]
        _, labels, lengths, _ = model.train_dataset.collate_fn(items)
        return [labels, lengths, None]
    dataset = model.train_dataset
    seen, items = set(), []
    for i in range(len(dataset)):
        item = dataset[i][1:]
        key = str(item[0] if task != "ASV" else item[1])
        if key not in seen:
            seen.add(key)
            items.append(item)
    return [list(part) for part in zip(*items[:count])]


def all_of(task, model, arguments, folder):
    """The targets of all splits, as JSON can hold them."""
    return globals()[f"_{task.lower()}"](model, Path(arguments.corpora).resolve())


def _splits(model):
    return {s: getattr(model, f"{s}_dataset") for s in ("train", "dev", "test")}


def _ks(model, corpora):
    from s3prl.downstream.speech_commands.dataset import CLASSES

    found = {"classes": CLASSES}
    for split, dataset in _splits(model).items():
        rows = {"/".join(Path(path).parts[-2:]): label for label, path in dataset.data}
        found[split] = dict(sorted(rows.items()))
    found["dev_weights"] = {
        label: weight
        for (label, _), weight in zip(
            model.dev_dataset.data, model.dev_dataset.sample_weights
        )
    }
    return found


def _sid(model, corpora):
    return {
        split: {
            "/".join(Path(path).parts[-3:]): f"id{label + 10001}"
            for path, label in zip(dataset.dataset, dataset.label)
        }
        for split, dataset in _splits(model).items()
    }


def _ic(model, corpora):
    slots = ("action", "object", "location")
    return {
        split: {
            row.path: [row[slot] for slot in slots] for _, row in dataset.df.iterrows()
        }
        for split, dataset in _splits(model).items()
    } | {
        "values": {
            slot: [v for k, v in model.Sy_intent[slot].items() if isinstance(k, int)]
            for slot in slots
        }
    }


def _er(model, corpora):
    from s3prl.downstream.emotion.expert import DownstreamExpert

    names = model.test_dataset.idx2emotion
    found = {}
    for fold in range(1, 6):
        settings = {
            "datarc": {**model.datarc, "test_fold": f"fold{fold}"},
            "modelrc": model.modelrc,
        }
        other = DownstreamExpert(2, settings, model.expdir)
        rows = {}
        for split, dataset in _splits(other).items():
            items = [dataset[i][1:] for i in range(len(dataset))]
            rows[split] = {name: names[label] for label, name in items}
        found[str(fold)] = rows
    return found


def _ctc(model, corpora):
    found = {}
    for split in ("train", "dev", "test"):
        dataset = model.get_dataloader(split).dataset
        found[split] = {
            Path(path).stem: list(map(int, tokens))
            for path, tokens in zip(dataset.file_list, dataset.text)
        }
    size = model.tokenizer.vocab_size
    found["vocabulary"] = [
        model.tokenizer.idx_to_vocab(i).strip(" ") or " " for i in range(size)
    ]
    return found


_pr = _sf = _ctc


def _asr(model, corpora):
    found = {}
    for split in ("train", "dev-clean", "test-clean"):
        dataset = model.get_dataloader(split).dataset
        found[split] = {name: tokens.tolist() for name, tokens in dataset.Y.items()}
    found["vocabulary"] = list(model.dictionary.symbols)
    return found


def texts(task, model):
    """The references of the training set, as S3PRL decodes them; sorted, as S3PRL's
    order is that of the file system."""
    if task == "ASR":
        from s3prl.downstream.asr.expert import token_to_word

        dataset, book = model.get_dataloader("train").dataset, model.dictionary
        kept = [[t for t in y.tolist() if t != book.eos()] for y in dataset.Y.values()]
        return sorted(token_to_word(book.string(tokens)) for tokens in kept)
    rows = model.get_dataloader("train").dataset.text
    return sorted({model.tokenizer.decode(tokens) for tokens in rows})


def _sd(model, corpora):
    found = {}
    for split in ("train", "dev", "test"):
        model.get_dataloader(split)
        dataset = getattr(model, f"{split}_dataset")
        indices = dataset.chunk_indices
        chunks = sum(indices.values(), []) if isinstance(indices, dict) else indices
        rows = {}
        for recording, start, stop in chunks:
            _, labels = dataset._get_labeled_speech(recording, start, stop, 2)
            rows[f"{recording} {start} {stop}"] = [spans(c) for c in labels.T]
        found[split] = rows
    return found


def spans(column):
    """[[first, last + 1], …] of where a column of 0 and 1 is 1."""
    edges = np.flatnonzero(np.diff(column, prepend=0, append=0))
    return edges.reshape(-1, 2).tolist()


def _asv(model, corpora):
    tags, lengths = torch.load(
        str(Path(model.expdir) / ".wav_lengths/Voxceleb1_length.pt")
    )
    kept = {"/".join(Path(path).parts[-3:]) for path in model.train_dataset.dataset}
    root = str(corpora / "voxceleb1/test/wav") + "/"
    return {
        "trimmed": {"/".join(tag): length for tag, length in zip(tags, lengths)},
        "train": sorted(kept),
        "speakers": model.train_dataset.all_speakers,
        "trials": [
            [label, one.replace(root, ""), two.replace(root, "")]
            for label, one, two in model.test_dataset.pair_table
        ],
    }


def _qbe(model, corpora):
    found = {}
    for split in ("dev", "eval"):
        model.get_dataloader(split)
        names = [path.stem for path in model.test_dataset.data]
        count = model.test_dataset.n_queries
        found[split] = {"queries": names[:count], "documents": names[count:]}
    return found


def rttm(model, checkout, folder):
    """Segments that S3PRL's ``make_rttm.py`` makes of the probabilities."""
    home = Path(model.score_dir, "predictions")
    listed = folder / "h5.list"
    listed.write_text("".join(f"{path}\n" for path in sorted(home.glob("*.h5"))))
    script = Path(checkout, "s3prl/downstream/diarization/make_rttm.py")
    found = {}
    for threshold in (0.3, 0.4, 0.5, 0.6, 0.7):
        for median in (1, 11):
            out = folder / "out.rttm"
            options = [f"--threshold={threshold}", f"--median={median}"]
            options += ["--frame_shift=160", "--sampling_rate=16000"]
            command = [sys.executable, str(script), str(listed), str(out), *options]
            subprocess.run(command, check=True, env=os.environ)
            rows = [re.split(r"\s+", line) for line in out.read_text().splitlines()]
            found[f"{threshold} {median}"] = [
                [row[1], row[7], float(row[3]), float(row[4])] for row in rows
            ]
    return found


def counts(model, features, others):
    """The frames that S3PRL counts right and wrong, in the best order of speakers."""
    from s3prl.downstream.diarization.utils import (
        calc_diarization_error,
        get_label_perm,
        pit_loss,
    )

    rows = []
    for feature, labels, length in zip(features, *others[:2]):
        labels = torch.from_numpy(labels)[None]
        with torch.no_grad():
            logits = model.model(feature[None])
        lengths = torch.LongTensor([int(length)])
        _, order, orders = pit_loss(logits, labels, lengths)
        ordered = get_label_perm(labels, order, orders)
        rows.append(
            [float(x) for x in calc_diarization_error(logits, ordered, lengths)]
        )
    return rows
