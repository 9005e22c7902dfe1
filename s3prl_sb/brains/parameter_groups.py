"""Groups of parameters in an optimizer: weight decay and layer-wise rates.

By default an optimizer has one group. ``weight_decay_on: matrices`` exempts
one-dimensional parameters (norms, biases, the weights of the layers in a featurizer)
from weight decay. ``layer_decay`` lowers the rate of an unfrozen upstream layer by
layer from the top, as in Clark et al., "ELECTRA", https://arxiv.org/abs/2003.10555, and
Bao et al., "BEiT", https://arxiv.org/abs/2106.08254.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

from s3prl_sb.lobes.gradients import depths

logger = logging.getLogger(__name__)

INITIAL = "initial_lr"  # torch's name, in a group, of the rate without a schedule


def grouped(parameters, decay_on="all", **options):
    """Returns parameters in the groups that differ in weight decay.

    Arguments
    ---------
    parameters : iterable of torch.nn.Parameter
        Parameters of one learning rate.
    decay_on : str
        "all"; or "matrices": no weight decay for parameters of one dimension.
    **options
        Options of all groups, such as ``lr``.

    Returns
    -------
    list
        Argument of an optimizer: groups, or the parameters if there is one group.

    Example
    -------
    >>> import torch
    >>> groups = grouped(torch.nn.Linear(2, 3).parameters(), "matrices")
    >>> [group.get("weight_decay") for group in groups]
    [None, 0.0]
    """
    parameters = list(parameters)
    if decay_on == "all":
        return [{"params": parameters, **options}] if options else parameters
    matrices = [p for p in parameters if p.dim() > 1]
    vectors = [p for p in parameters if p.dim() < 2]
    groups = [
        {"params": matrices, **options},
        {"params": vectors, "weight_decay": 0.0, **options},
    ]
    return [group for group in groups if group["params"]]


def of_upstream(upstream, rate, layer_decay=None, decay_on="all"):
    """Returns the parameters of an upstream in groups, those of the top layer first.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Unfrozen upstream.
    rate : float
        Learning rate of the top layer.
    layer_decay : float, optional
        Factor between the rates of a layer and of the one above it; None: all layers
        have the same.
    decay_on : str
        See :func:`grouped`.

    Returns
    -------
    list
        Argument of an optimizer.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> upstream = load("hubert_small_random", freeze=False)
    >>> groups = of_upstream(upstream, 1.0, layer_decay=0.5)
    >>> groups[0]["lr"], groups[-1]["lr"] == 0.5 ** (upstream.num_layers - 1)
    (1.0, True)
    """
    if layer_decay is None:
        return grouped((p for p in upstream.parameters() if p.requires_grad), decay_on)
    layers = {}
    for name, depth in depths(upstream).items():
        layers.setdefault(depth, []).append(upstream.get_parameter(name))
    top, groups = max(layers, default=0), []
    for depth in sorted(layers, reverse=True):
        lr = rate * layer_decay ** (top - depth)
        groups += grouped(layers[depth], decay_on, lr=lr)
    words = top + 1, rate * layer_decay**top, rate
    logger.info(
        "The rates of the upstream's %d layers: %g at the bottom, %g at the top", *words
    )
    return groups


def initial_rate(optimizer):
    """Returns the rate of the first group of an optimizer, without the schedule.

    Arguments
    ---------
    optimizer : torch.optim.Optimizer
        Optimizer.

    Returns
    -------
    float
    """
    group = optimizer.param_groups[0]
    return group.get(INITIAL, group["lr"])


def set_rates(optimizers, share):
    """Sets the rates of all groups to a share of their initial rates.

    Arguments
    ---------
    optimizers : iterable of torch.optim.Optimizer
        Optimizers. The initial rates are kept in their groups, and thereby in their
        checkpoints.
    share : float
        Share, such as 0.5.

    Example
    -------
    >>> import torch
    >>> adam = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    >>> for share in (0.5, 0.25):
    ...     set_rates([adam], share)
    >>> adam.param_groups[0]["lr"]
    0.025
    """
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group.setdefault(INITIAL, group["lr"]) * share
