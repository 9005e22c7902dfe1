"""``results.json``: the measures of a run, what they are measures of, and its costs.

``settings`` are the keys that differ from the recipe's values, which are in
``defaults``. ``identity`` identifies upstream and data by content; ``protocol`` tells
whether the numbers are comparable with published ones, see
:mod:`s3prl_sb.startup.protocol`.

Authors
 * The s3prl_sb developers, 2026
"""

import inspect
import logging
import os
import resource
import time
from pathlib import Path

import speechbrain
import torch

import s3prl_sb
from s3prl_sb.brains import audio_examples, measuring, plots
from s3prl_sb.brains.costs import with_costs_of_training
from s3prl_sb.brains.course import loggers_with
from s3prl_sb.dataio import conditions
from s3prl_sb.identity import data as identity
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.lobes.upstreams.fusion import Fusion
from s3prl_sb.startup import protocol
from s3prl_sb.startup.configuration import RECIPE, SCHEMA
from s3prl_sb.storage.files import write_json

logger = logging.getLogger(__name__)

GB = 1e9
VERSION = 2  # of the file format: 1 lacked settings, identity and protocol
#: Path, in the folder of a run, of what :mod:`s3prl_sb.inference` needs.
INTERFACE = "save/interface.json"


def write_interface(brain):
    """Writes what an export of this run consists of.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.
    """
    folder = Path(brain.hparams.output_folder)
    interface = brain.interface()
    upstream = brain.upstream
    if upstream.freeze or upstream.adapter:  # otherwise the checkpoint has its weights
        interface["upstream_identity"] = first_identity(upstream)
    write_json(folder / INTERFACE, interface, signed=True)


def write(brain, metrics):
    """Writes ``results.json`` and ``layer_weights.png`` of an evaluated Brain.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain with the best checkpoint loaded.
    metrics : dict
        Names to numbers, of the test set.
    """
    folder = Path(brain.hparams.output_folder)
    layers, weights = layers_of(brain)
    intervals = measuring.publish(brain, metrics, folder)
    results = {
        **facts(brain, metrics),
        **({"intervals": intervals} if intervals else {}),
        "utterances": brain.splits,
        "test": describe_test(brain),
        "layers": layers,
        "layer_weights": weights,
        "search": brain.origin and brain.origin.description(),
        "identity": run_identity(brain),
    }
    if len(weights) > 1:
        path, title = folder / "layer_weights.png", plots.heading(brain)
        plots.layer_weights(path, layers, weights, title)
    publish(brain, results, plots.heading(brain))


def facts(brain, metrics):
    """Returns the part of the results that any training has.

    Arguments
    ---------
    brain : s3prl_sb.brains.training.TrainingBrain
        Brain with the best checkpoint loaded.
    metrics : dict
        Names to numbers, which are the result.

    Returns
    -------
    dict
    """
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {
        "version": VERSION,
        "task": brain.task,
        "upstream": brain.hparams.upstream_name,
        "chosen_by": {"metric": brain.metric, "highest": brain.higher_is_better},
        "metrics": {name: float(value) for name, value in metrics.items()},
        "valid": {name: float(value) for name, value in brain.best.items()},
        "seed": brain.hparams.seed,
        "total_steps": brain.hparams.total_steps,
        "best_step": brain.optimizer_step,
        "stopped": describe_stop(brain),
        "lr": getattr(brain.hparams, "lr", None),
        "seconds": round(time.time() - brain.started, 1),
        "peak_memory_gb": round(memory / GB, 2),
        "device": str(brain.device),
        "upstream_model": describe_upstream(brain.upstream),
        "training": describe_training(brain),
        **describe_settings(brain),
        "versions": {
            "s3prl_sb": s3prl_sb.__version__,
            "speechbrain": speechbrain.__version__,
            "torch": torch.__version__,
        },
    }
    if brain.device_type == "cuda":
        gpu_memory = torch.cuda.max_memory_allocated()
        found["peak_gpu_memory_gb"] = round(gpu_memory / GB, 2)
    return found


def publish(brain, results, words, split="test"):
    """Writes ``results.json``, and passes the results to the logs.

    Arguments
    ---------
    brain : s3prl_sb.brains.training.TrainingBrain
        Brain of the run.
    results : dict
        Content of the file.
    words : str
        Result in a few words.
    split : str
        Split of the metrics.
    """
    path = Path(brain.hparams.output_folder) / "results.json"
    results = with_costs_of_training(path, results)
    write_json(path, results)
    _to_loggers(brain, results, split)
    logger.info("Results: %s, in %s", words, path)


def layers_of(brain):
    """Returns the hidden states that a Brain's features are a weighted sum of.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain in training or after it.

    Returns
    -------
    layers : list of int
        Indices of the hidden states.
    weights : list of float
        Weight of each.
    """
    featurizer = brain.raw_modules["featurizer"]
    featurizer = getattr(featurizer, "module", featurizer)  # under DDP
    with torch.no_grad():
        return featurizer.layers, [float(weight) for weight in featurizer.weights]


def log_weights(brain, step):
    """Passes the weights of the layers to all loggers with ``log_weights``.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain in training.
    step : int
        Updates so far.
    """
    for each in loggers_with(brain, "log_weights"):
        each.log_weights(step, *layers_of(brain))


def _to_loggers(brain, results, split):
    """Logs the measures, the pictures and the settings."""
    folder = Path(brain.hparams.output_folder)
    pictures = sorted([*folder.glob("*.png"), *folder.glob("timelines/*.png")])
    pictures += audio_examples.pictures(folder)
    upstream = results["upstream_model"]
    names = ("task", "upstream", "seed", "lr", "total_steps")
    settings = {
        **(results["settings"] or {}),
        **{name: upstream[name] for name in ("trained", "precision")},
        **{k: v for k, v in results["training"].items() if v is not None},
        **{name: results[name] for name in names},
    }
    for each in loggers_with(brain, "log_results"):
        measures, step = results["metrics"], results["best_step"]
        sounds = audio_examples.sounds(folder)
        media = pictures, step, split, sounds
        each.log_results(settings, measures, *media, **_intervals(each, results))


def _intervals(each, results):
    """Returns the intervals for a logger, unless it is older than they are."""
    parameters = inspect.signature(each.log_results).parameters.values()
    takes = any(p.name == "intervals" or p.kind == p.VAR_KEYWORD for p in parameters)
    intervals = (results.get("intervals") or {}).get("metrics")
    return {"intervals": intervals} if takes else {}


def describe_test(brain):
    """Describes the test set of a Brain.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.

    Returns
    -------
    dict
        ``name`` of the list or the corpus, and ``source``, its path; ``sha256`` of
        the content of audio files and records, and of the conditions;
        ``conditions``, keys to values, null for a clean test; ``utterances``;
        ``hours``, null if durations are unknown; ``signatures`` of the metrics that
        have one.
    """
    table = getattr(brain.hparams, "test_csv", None)
    source = table or getattr(brain.hparams, "data_folder", None)
    split = None if table else getattr(brain.hparams, "test_split", None)
    name = Path(str(source)).name if source else None
    seconds, signatures = brain.tested_seconds, brain.signatures
    return {
        "name": " ".join(filter(None, [name, split])) or None,
        "source": source and str(Path(str(source)).absolute()),
        "sha256": test_digest(brain),
        "conditions": conditions.tested_under(vars(brain.hparams)) or None,
        "utterances": brain.splits.get("test"),
        "hours": None if seconds is None else round(seconds / 3600, 4),
        **({"signatures": signatures} if signatures else {}),
    }


def test_digest(brain):
    """Returns the digest of what a Brain is tested on, and under which conditions.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain whose ``data`` have the digests of its sets.

    Returns
    -------
    str
        Hexadecimal digits. Recordings of noise count by their content.
    """
    return digest([*brain.tested_on(), *conditions.test_identity(vars(brain.hparams))])


def describe_upstream(upstream):
    """Describes the upstream of a run, and how it was trained.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream of the run.

    Returns
    -------
    dict
        ``class``, ``source`` (of the weights; of a fusion those of its parts, by
        label), ``trained`` (from
        :func:`how_trained`), ``adapter`` and ``precision``.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> facts = describe_upstream(load("mel", freeze=False))
    >>> facts["class"].rpartition(".")[2], facts["trained"], facts["precision"]
    ('StftFeatures', 'fine-tuned', 'fp32')
    """
    parts = upstream.network.items() if isinstance(upstream, Fusion) else ()
    sources = {label: part.arguments.get("source") for label, part in parts}
    return {
        "class": f"{type(upstream).__module__}.{type(upstream).__qualname__}",
        "source": upstream.arguments.get("source") or sources or None,
        "trained": how_trained(upstream),
        "adapter": upstream.adapter,
        "precision": upstream.precision,
    }


def how_trained(upstream):
    """Returns "frozen", "fine-tuned" or the kind of the adapter.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream of a run.

    Returns
    -------
    str
    """
    if adapter := getattr(upstream, "adapter", None):
        return adapter.get("kind", "lora")
    return "frozen" if upstream.freeze else "fine-tuned"


def describe_training(brain):
    """Describes the training of a Brain by the settings that all recipes share.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.

    Returns
    -------
    dict
        ``precision``; ``processes``; ``batch_size`` (utterances, over all processes),
        or ``batch_seconds``; ``grad_accumulation_factor``; ``steps_per_epoch``. They
        are None if nothing is trained.
    """
    sizes = ("batch_size", "batch_seconds")
    names = (*sizes, "grad_accumulation_factor", "steps_per_epoch")
    return {
        "precision": getattr(brain, "precision", "fp32"),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        **{name: getattr(brain.hparams, name, None) for name in names},
    }


def describe_stop(brain):
    """Describes why a training ended before ``total_steps``.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.

    Returns
    -------
    dict or None
        ``step`` after which it stopped, and ``patience``, the number of validations
        without a better one; None if it did not stop.
    """
    stopping = getattr(brain, "stopping", None)  # missing if nothing is trained
    if stopping is None or stopping.step is None:
        return None
    return {"step": stopping.step, "patience": stopping.patience}


def describe_settings(brain):
    """Describes the settings of a run, and whether they follow the recipe's protocol.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.

    Returns
    -------
    dict
        See :func:`s3prl_sb.startup.protocol.report`; all None without a recipe.
    """
    recipe = getattr(brain.hparams, RECIPE, None)
    if recipe is None:
        return dict.fromkeys(("settings", "defaults", "protocol"))
    if recipe.get("lr_search"):  # the run used the best one
        recipe = {**recipe, "lr": brain.hparams.lr}
    schema = protocol.schema_of(brain.task, getattr(brain.hparams, SCHEMA))
    precision = getattr(brain, "precision", "fp32")
    # An option of SpeechBrain, not a key of the recipe.
    options = {"precision": precision} if precision != "fp32" else {}
    return protocol.report(schema, recipe, brain.splits, options)


def run_identity(brain):
    """Returns the identity of a run: upstream, data and settings by content.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        An evaluated Brain.

    Returns
    -------
    dict
        See :func:`s3prl_sb.identity.data.run_identity`.
    """
    data, hparams = getattr(brain, "data", {}), vars(brain.hparams)
    hparams = {**hparams, **conditions.train_identity(hparams)}
    return identity.run_identity(brain.upstream, data, hparams)
