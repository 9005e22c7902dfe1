"""What a run was started with: going on with something else is an error.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import json
import os
from pathlib import Path

from speechbrain.utils.distributed import if_main_process

from s3prl_sb.files import write_json

#: Keys of a recipe that a run keeps from its first step to its last.
KEPT = (
    "seed",
    "upstream",
    "freeze",
    "batch_size",
    "batch_seconds",
    "grad_accumulation_factor",
    "steps_per_epoch",
    "lr",
    "lr_upstream",
    "max_grad_norm",
    "train_fraction",
    "train_per_class",
    "valid_speakers",
    "valid_seed",
    "min_seconds",
)


def check(brain):
    """Compares a run's settings with those that its checkpoints come from.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        About to train.

    Raises
    ------
    ValueError
        That names the setting that has changed, and the way out.
    """
    folder = Path(brain.checkpointer.checkpoints_dir)
    path = folder / "settings.json"
    hparams = vars(brain.hparams)
    now = {key: hparams[key] for key in KEPT if key in hparams}
    now["modules"] = {
        f"{module}.{name}": list(parameter.shape)
        for module, content in sorted(brain.raw_modules.items())
        for name, parameter in content.named_parameters()
    }
    now["data"] = brain.data
    if hasattr(brain, "tokenizer"):
        now["tokenizer"] = brain.tokenizer.spec()
    now = json.loads(json.dumps(now, default=str))
    if path.is_file() and brain.checkpointer.list_checkpoints():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [
            f"{key} {_readable(before.get(key))}, not {_readable(now.get(key))}"
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key) and key != "modules"
        ]
        old, new = before.get("modules", {}), now["modules"]
        changed += [
            f"{name} {_readable(old.get(name))}, not {_readable(new.get(name))}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
        if changed:
            raise ValueError(
                f"'{folder}' holds checkpoints of another experiment: with "
                f"{'; '.join(changed[:6])}. Choose another output_folder, or "
                "delete this one."
            )
    elif if_main_process():
        write_json(path, now)


def digests(splits):
    """What a run learns from, in 12 characters a set.

    Arguments
    ---------
    splits : dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.

    Returns
    -------
    dict
        "train" and "valid" to hashes of their records. Where the audio lies does
        not matter, and what is tested on may change.
    """
    found = {}
    for name in {"train", "valid"} & splits.keys():
        records = {
            key: {**record, "wav": os.path.basename(record.get("wav") or "")}
            for key, record in splits[name].data.items()
        }
        text = json.dumps(records, sort_keys=True, default=str)
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:12]
    return found


def _readable(value):
    text = "absent" if value is None else str(value)
    return text if len(text) < 80 else f"{text[:80]}…"
