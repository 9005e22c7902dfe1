"""Learned weights of the hidden states of a finished run.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from pathlib import Path

from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.storage.files import naming, read_json


def weights_of_run(hparams):
    """Reads the weights of the layers of the run that ``weights_of`` names.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe.

    Returns
    -------
    dict or None
        ``of``, ``layers`` and ``weights``; None if no run is named.

    Raises
    ------
    RecipeError
        If the run has no weighted sum, or one of another upstream.
    """
    folder = hparams.get("weights_of")
    if not folder:
        return None
    path = Path(folder) / "results.json"
    what, fix = "the results of a finished run", "Correct --weights."
    run = read_json(path, what, fix, kind=dict)
    with naming(path, what, fix):
        layers = list(run["layers"])
        upstream = (run.get("identity") or {}).get("upstream")
    if len(layers) < 2:
        raise RecipeError(
            f"'{path}' is of one hidden state: there are no weights to draw. Name a "
            "run with featurizer.layers: all."
        )
    with naming(path, what, fix):
        weights = [float(weight) for weight in run["layer_weights"]]
        if len(weights) != len(layers) or not all(map(math.isfinite, weights)):
            raise ValueError(
                "its layer_weights are not a number for each of its layers"
            )
    if upstream and upstream != digest(first_identity(hparams["upstream_model"])):
        raise RecipeError(
            f"'{path}' is of another upstream, {run.get('upstream')}: name a run of "
            "the upstream whose layers are probed."
        )
    return {"of": str(folder), "layers": layers, "weights": weights}
