"""Which weights a gradient of the features reaches.

Authors
 * The s3prl_sb developers, 2026
"""

import torch


def unreached(upstream, features):
    """Weights that are to be trained, and that the features do not come from.

    Other processes would wait for their gradients.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
    features : torch.nn.Module
        The upstream, or what has it as a part. It is called with [1, samples] and
        gives features of any shape.

    Returns
    -------
    list of torch.nn.Parameter
        Of ``features`` as it is in evaluation: what is dropped by chance has a part.

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
        found = features(wavs.to(trained[0].device))
        gradients = [None] * len(trained)
        if found.requires_grad:
            # Of normed features the sum has no gradient, of their squares too little.
            weights = torch.randn(found.shape, generator=random).to(found.device)
            gradients = torch.autograd.grad(
                (found * weights).sum(), trained, allow_unused=True
            )
    features.train(training)
    return [p for p, gradient in zip(trained, gradients) if gradient is None]
