"""Detection of weights that receive no gradient.

Authors
 * The s3prl_sb developers, 2026
"""

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
    samples = max(upstream.min_samples, upstream.sample_rate // 4)
    wavs = 0.1 * torch.randn(1, samples, generator=random)
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
