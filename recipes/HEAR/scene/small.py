"""A small corpus for HEAR/scene: a task in HEAR's layout, with fixed splits."""

import json

from clips import write

BUDGET = {
    "passes": False,
    "grid": "null",
    "patience": "null",
    "head": "{name: default, hidden_size: 8}",
}
DROPOUT = True
LABELS = ("low", "high")


def corpus(folder):
    """Tones of two pitches, at two sample rates of which one is read."""
    splits = {"train": 8, "valid": 4, "test": 4}
    task = {
        "task_name": "pitches",
        "embedding_type": "scene",
        "prediction_type": "multiclass",
        "split_mode": "trainvaltest",
        "splits": list(splits),
        "evaluation": ["top1_acc", "mAP"],
    }
    for split, count in splits.items():
        content = {}
        for number in range(count):
            name = f"{split}{number}.wav"
            for rate in ("8000", "16000"):
                write(folder / rate / split / name, number % 2, number)
            content[name] = [LABELS[number % 2]]
        (folder / f"{split}.json").write_text(json.dumps(content))
    (folder / "task_metadata.json").write_text(json.dumps(task))
    (folder / "labelvocabulary.csv").write_text("idx,label\n0,high\n1,low\n")
    return {"grid": "null"}
