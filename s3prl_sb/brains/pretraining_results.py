"""``results.json`` of a pre-training, see :mod:`s3prl_sb.brains.results`.

Authors
 * The s3prl_sb developers, 2026
"""

from pathlib import Path

import torch

from s3prl_sb.brains import plots, results
from s3prl_sb.brains.pretraining_sums import worded
from s3prl_sb.storage.files import write_json

#: Held-out measures that are the result.
SPLIT = "valid"
CODES = "codes.json"  #: file of the use of codes, in the output folder


def write(brain, course):
    """Writes the results of a pre-training: the measures of its best checkpoint.

    Arguments
    ---------
    brain : s3prl_sb.brains.pretraining.PretrainingBrain
        Brain with the best checkpoint loaded.
    course : dict
        JSON values about the whole training: ``hours_learned_from``, ``unreadable``
        (number of utterances) and ``history``, the measures of all validations.
    """
    content = {
        **results.facts(brain, brain.best),
        "split": SPLIT,
        "utterances": brain.splits,
        **course,
        "identity": results.run_identity(brain),
    }
    content["upstream_model"]["trained"] = brain.begins
    words = plots.heading(brain, {brain.metric: worded(brain.best)[brain.metric]})
    results.publish(brain, content, words, SPLIT)


def write_codes(folder: Path, step: int, codes: dict[str, list[torch.Tensor]]) -> None:
    """Writes how often each code is used in the held-out audio.

    Arguments
    ---------
    folder : pathlib.Path
        Output folder.
    step : int
        Updates so far.
    codes : dict
        See :meth:`s3prl_sb.objectives.base.Objective.codes`; without any there is no
        file.
    """
    lists = {name: [part.tolist() for part in parts] for name, parts in codes.items()}
    if lists:
        write_json(folder / CODES, {"step": step, "codes": lists})
