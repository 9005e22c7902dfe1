"""Weights that the hidden states of an upstream depend on.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib

import torch


def unreached(upstream, features):
    """Returns the trainable weights that the features do not depend on.

    In distributed training, other processes would wait for their gradients.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream that computes the features.
    features : torch.nn.Module
        The upstream, or a module that contains it. It takes [1, samples] and returns
        features of any shape.

    Returns
    -------
    list of torch.nn.Parameter
        Weights without a gradient in eval mode, so that dropout does not matter.

    Example
    -------
    >>> from s3prl_sb.lobes.ssl import SSL
    >>> ssl = SSL("hubert_small_random", freeze=False, layers=0)
    >>> unreached(ssl.upstream, ssl)  # the lobe has switched them off
    []
    """
    trained = [p for p in features.parameters() if p.requires_grad]
    if not trained:
        return []
    random = torch.Generator().manual_seed(0)
    wavs = _noise(upstream, random)
    training, _ = features.training, features.eval()
    with torch.enable_grad():
        output = features(wavs.to(trained[0].device))
        gradients = [None] * len(trained)
        if output.requires_grad:
            # The sum of normalized features has no gradient, that of their squares
            # too small a one.
            weights = torch.randn(output.shape, generator=random).to(output.device)
            gradients = torch.autograd.grad(
                (output * weights).sum(), trained, allow_unused=True
            )
    features.train(training)
    return [p for p, gradient in zip(trained, gradients) if gradient is None]


def depths(upstream):
    """Returns the depths of the trainable weights of an upstream.

    The depth of a weight is the index of the first hidden state that depends on it, so
    it means the same in every family; the front end has depth 0. In an upstream with
    one hidden state, such as AST, the outputs of its blocks count instead. A weight
    that none depends on has the largest depth.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Unfrozen upstream; it is not changed.

    Returns
    -------
    dict
        Names of the trainable parameters, in their order, to depths.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> found = depths(load("hubert_small_random", freeze=False))
    >>> found["network.encoder.layers.0.attention.query.weight"]
    1
    """
    names = {p: n for n, p in upstream.named_parameters() if p.requires_grad}
    if not names:
        return {}
    wavs = _noise(upstream, torch.Generator().manual_seed(0))
    training, _ = upstream.training, upstream.eval()  # LayerDrop would skip layers
    with torch.enable_grad(), _outputs(_blocks(upstream)) as states:
        hidden_states, _ = upstream(wavs.to(next(iter(names)).device))
    upstream.train(training)
    found, visited = {}, set()
    for depth, state in enumerate(
        states if upstream.num_layers == 1 else hidden_states
    ):
        for parameter in _leaves(state, visited):
            found.setdefault(parameter, depth)
    top = max(found.values(), default=0)
    return {name: found.get(parameter, top) for parameter, name in names.items()}


def _blocks(upstream):
    """Returns the modules with weights in the largest list of modules."""
    lists = [
        [m for m in each if any(True for _ in m.parameters())]
        for each in upstream.modules()
        if isinstance(each, (torch.nn.ModuleList, torch.nn.Sequential))
    ]

    def size(blocks):
        return sum(p.numel() for block in blocks for p in block.parameters())

    return max((each for each in lists if len(each) > 1), key=size, default=[])


@contextlib.contextmanager
def _outputs(blocks):
    """Collects the input of the first block and the outputs of all blocks."""
    states = []

    def keep(values):
        values = values if isinstance(values, (tuple, list)) else [values]
        states.extend([v for v in values if isinstance(v, torch.Tensor)][:1])

    hooks = [b.register_forward_hook(lambda m, x, output: keep(output)) for b in blocks]
    for block in blocks[:1]:
        hooks.append(block.register_forward_pre_hook(lambda m, x: keep(x)))
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def _leaves(tensor, visited):
    """Yields the parameters in the graph of a tensor, past no visited node."""
    nodes = [tensor.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):  # it accumulates a gradient
            yield node.variable
        nodes.extend(following for following, _ in node.next_functions)


def _noise(upstream, random):
    """Returns a quarter of a second of noise, [1, samples]."""
    samples = max(upstream.min_samples, upstream.sample_rate // 4)
    return 0.1 * torch.randn(1, samples, generator=random)
