"""``results.json``: what came out, of what, and what it took.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
import resource
import time
from pathlib import Path

import speechbrain
import torch

import s3prl_sb
from s3prl_sb.brains import plots
from s3prl_sb.files import write_json
from s3prl_sb.identity.upstreams import first_identity

logger = logging.getLogger(__name__)

GB = 1e9
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
    write_json(folder / INTERFACE, interface)


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
    featurizer = brain.raw_modules["featurizer"]
    featurizer = getattr(featurizer, "module", featurizer)  # under DDP
    weights = [float(weight) for weight in featurizer.weights]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    results = {
        "task": brain.task,
        "upstream": brain.hparams.upstream_name,
        "chosen_by": {"metric": brain.metric, "highest": brain.higher_is_better},
        "metrics": {name: float(value) for name, value in metrics.items()},
        "valid": {name: float(value) for name, value in brain.best.items()},
        "utterances": brain.splits,
        "seed": brain.hparams.seed,
        "total_steps": brain.hparams.total_steps,
        "best_step": brain.optimizer_step,
        "lr": getattr(brain.hparams, "lr", None),
        "layers": featurizer.layers,
        "layer_weights": weights,
        "seconds": round(time.time() - brain.started, 1),
        "peak_memory_gb": round(memory / GB, 2),
        "device": str(brain.device),
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
        plots.layer_weights(folder / "layer_weights.png", featurizer.layers, weights)
    write_json(folder / "results.json", results)
    logger.info("Results: %s", folder / "results.json")
