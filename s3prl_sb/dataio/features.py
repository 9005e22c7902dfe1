"""What a feature cache holds of an utterance, computed.

All code that the numbers depend on, beside the upstream's and that of the pipes,
stands here: a cache is known by it, see
:func:`~s3prl_sb.dataio.description.describe`.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.networks.precision import full_precision

DTYPES = {"float16": torch.float16, "float32": torch.float32}
KINDS = ("frames", "pooled")


def compute(upstream, wavs, kind, layers, dtype, device="cpu"):
    """Returns the features of waveforms.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen, on the device.
    wavs : list of torch.Tensor
        [samples_i].
    kind : str
        "frames", or "pooled": their mean over time.
    layers : list of int
        Hidden states to keep.
    dtype : str
        "float16" or "float32".
    device : str
        Where the upstream is.

    Returns
    -------
    list of torch.Tensor
        [frames_i, layers, size]; one frame of those that are pooled.

    Raises
    ------
    s3prl_sb.lobes.upstreams.base.AudioError
        If there are no features of one.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> wavs = [torch.randn(16000), torch.randn(8000)]
    >>> [list(f.shape) for f in compute(load("fbank"), wavs, "frames", [0], "float16")]
    [[98, 1, 240], [48, 1, 240]]
    """
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    samples = torch.tensor([len(wav) for wav in wavs], dtype=torch.float64)
    with full_precision():
        states, _ = upstream(batch.to(device), samples / batch.shape[1])
    found = []
    for i, wav in enumerate(wavs):
        frames = upstream.frames(len(wav))
        parts = [states[layer][i, :frames] for layer in layers]
        if kind == "pooled":
            parts = [part.float().mean(0, keepdim=True) for part in parts]
        found.append(torch.stack(parts, dim=1).to(DTYPES[dtype]).cpu())
    return found
