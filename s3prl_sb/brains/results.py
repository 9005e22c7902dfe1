"""``results.json``: what came out, of what, and what it took.

``settings`` are the keys that differ from the recipe's own values, which stand in
``defaults``; ``identity`` says by content what it is of, ``protocol`` whether it may be
compared with published numbers: :mod:`s3prl_sb.startup.protocol`.

Authors
 * The s3prl_sb developers, 2026
"""

import json
import logging
import os
import resource
import time
from pathlib import Path

import speechbrain
import torch

import s3prl_sb
from s3prl_sb.brains import plots
from s3prl_sb.identity import data as identity
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.startup import protocol
from s3prl_sb.startup.configuration import RECIPE, SCHEMA
from s3prl_sb.storage.files import FileError, json_text, read_json, write_json

logger = logging.getLogger(__name__)

GB = 1e9
VERSION = 2  # of the file: 1 had neither settings nor identity nor protocol
#: What a run took, which is another thing each time.
COSTS = ("seconds", "peak_memory_gb", "peak_gpu_memory_gb")
#: What :mod:`s3prl_sb.inference` needs to know, in the folder of a run.
INTERFACE = "save/interface.json"


def write_interface(brain):
    """Writes what an export of this run consists of.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Evaluated.
    """
    folder = Path(brain.hparams.output_folder)
    interface = brain.interface()
    upstream = brain.upstream
    if upstream.freeze or upstream.adapter:  # else its weights are in the checkpoint
        interface["upstream_identity"] = first_identity(upstream)
    write_json(folder / INTERFACE, interface, signed=True)


def write(brain, metrics):
    """Writes ``results.json`` and ``layer_weights.png`` of an evaluated Brain.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        With the best checkpoint loaded.
    metrics : dict
        Names to numbers, of the test set.
    """
    folder = Path(brain.hparams.output_folder)
    layers, weights = layers_of(brain)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results = {
        "version": VERSION,
        "task": brain.task,
        "upstream": brain.hparams.upstream_name,
        "chosen_by": {"metric": brain.metric, "highest": brain.higher_is_better},
        "metrics": {name: float(value) for name, value in metrics.items()},
        "valid": {name: float(value) for name, value in brain.best.items()},
        "utterances": brain.splits,
        "test": about_test(brain),
        "seed": brain.hparams.seed,
        "total_steps": brain.hparams.total_steps,
        "best_step": brain.optimizer_step,
        "lr": getattr(brain.hparams, "lr", None),
        "layers": layers,
        "layer_weights": weights,
        "seconds": round(time.time() - brain.started, 1),
        "peak_memory_gb": round(memory / GB, 2),
        "device": str(brain.device),
        "upstream_model": about_upstream(brain.upstream),
        "training": about_training(brain),
        **about_settings(brain),
        "identity": run_identity(brain),
        "versions": {
            "s3prl_sb": s3prl_sb.__version__,
            "speechbrain": speechbrain.__version__,
            "torch": torch.__version__,
        },
    }
    if brain.device_type == "cuda":
        memory = torch.cuda.max_memory_allocated()
        results["peak_gpu_memory_gb"] = round(memory / GB, 2)
    if len(weights) > 1:
        path, title = folder / "layer_weights.png", plots.heading(brain)
        plots.layer_weights(path, layers, weights, title)
    results = _of_before(folder / "results.json", results)
    write_json(folder / "results.json", results)
    _to_tensorboard(brain, results)
    what = plots.heading(brain)
    logger.info("Results: %s, in %s", what, folder / "results.json")


def _of_before(path, results):
    """Results, or those of the same that are there: what the training took is told by
    the command that trained, not by one that found all done."""
    try:
        before = read_json(path, kind=dict)
    except FileError:
        return results
    costs = [key for key in before if key in COSTS]
    now = {**json.loads(json_text(results)), **{key: before[key] for key in costs}}
    return before if now == before else results


def layers_of(brain):
    """The hidden states that a Brain's features are made of.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        In training or after it.

    Returns
    -------
    layers : list of int
    weights : list of float
        How much of each.
    """
    featurizer = brain.raw_modules["featurizer"]
    featurizer = getattr(featurizer, "module", featurizer)  # under DDP
    with torch.no_grad():
        return featurizer.layers, [float(weight) for weight in featurizer.weights]


def log_weights(brain, step):
    """Lets those loggers know the weights of the layers that want to.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        In training.
    step : int
        Updates so far.
    """
    for each in getattr(brain.hparams, "train_loggers", None) or ():
        if hasattr(each, "log_weights"):
            each.log_weights(step, *layers_of(brain))


def _to_tensorboard(brain, results):
    """The measures, the pictures and the settings with them."""
    folder = Path(brain.hparams.output_folder)
    pictures = sorted([*folder.glob("*.png"), *folder.glob("timelines/*.png")])
    upstream = results["upstream_model"]
    settings = {k: v for k, v in (results["settings"] or {}).items()}
    settings |= {k: upstream[k] for k in ("trained", "precision")}
    settings |= {k: v for k, v in results["training"].items() if v is not None}
    names = ("task", "upstream", "seed", "lr", "total_steps")
    settings |= {name: results[name] for name in names}
    for each in getattr(brain.hparams, "train_loggers", None) or ():
        if hasattr(each, "log_results"):
            step = results["best_step"]
            each.log_results(settings, results["metrics"], pictures, step)


def about_test(brain):
    """What a Brain was tested on.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Evaluated.

    Returns
    -------
    dict
        ``name`` of the list or the corpus, and ``source``, where it lies;
        ``sha256``, which tells its content: what the audio files and the
        records hold; ``utterances``; ``hours``, null where durations are not known.
    """
    table = getattr(brain.hparams, "test_csv", None)
    source = table or getattr(brain.hparams, "data_folder", None)
    split = None if table else getattr(brain.hparams, "test_split", None)
    name = Path(str(source)).name if source else None
    seconds = brain.tested_seconds
    return {
        "name": " ".join(filter(None, [name, split])) or None,
        "source": source and str(Path(str(source)).absolute()),
        "sha256": digest(brain.tested_on()),
        "utterances": brain.splits.get("test"),
        "hours": None if seconds is None else round(seconds / 3600, 4),
    }


def about_upstream(upstream):
    """What the upstream of a run is, and what of it was trained.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        As the run had it.

    Returns
    -------
    dict
        ``class``, ``source`` (of the weights), ``trained`` ("frozen", "fine-tuned" or
        the kind of the adapter), ``adapter`` and ``precision``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> found = about_upstream(load("mel", freeze=False))
    >>> found["class"].rpartition(".")[2], found["trained"], found["precision"]
    ('StftFeatures', 'fine-tuned', 'fp32')
    """
    adapter = upstream.adapter
    trained = "frozen" if upstream.freeze else "fine-tuned"
    return {
        "class": f"{type(upstream).__module__}.{type(upstream).__qualname__}",
        "source": upstream.arguments.get("source"),
        "trained": adapter.get("kind", "lora") if adapter else trained,
        "adapter": adapter,
        "precision": upstream.precision,
    }


def about_training(brain):
    """How a Brain was trained, as far as all recipes have it in common.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Evaluated.

    Returns
    -------
    dict
        ``precision``; ``processes``; ``batch_size`` (utterances, over all processes),
        or ``batch_seconds``; ``grad_accumulation_factor``; ``steps_per_epoch``. None
        where nothing is trained.
    """
    names = (
        "batch_size",
        "batch_seconds",
        "grad_accumulation_factor",
        "steps_per_epoch",
    )
    return {
        "precision": getattr(brain, "precision", "fp32"),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        **{name: getattr(brain.hparams, name, None) for name in names},
    }


def about_settings(brain):
    """What a run was given, and whether that is the protocol of its recipe.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Evaluated.

    Returns
    -------
    dict
        From :func:`s3prl_sb.startup.protocol.report`; all None without a recipe.
    """
    recipe = getattr(brain.hparams, RECIPE, None)
    if recipe is None:
        return dict.fromkeys(("settings", "defaults", "protocol"))
    if recipe.get("lr_search"):  # it was trained with the one that did best
        recipe = {**recipe, "lr": brain.hparams.lr}
    schema = protocol.schema_of(brain.task, getattr(brain.hparams, SCHEMA))
    precision = getattr(brain, "precision", "fp32")
    # An option of SpeechBrain's, no key of a recipe.
    options = {"precision": precision} if precision != "fp32" else {}
    return protocol.report(schema, recipe, brain.splits, options)


def run_identity(brain):
    """Returns what a run is of, by content.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Evaluated.

    Returns
    -------
    dict
        As :func:`s3prl_sb.identity.data.run_identity`.
    """
    data = getattr(brain, "data", {})
    return identity.run_identity(brain.upstream, data, vars(brain.hparams))
