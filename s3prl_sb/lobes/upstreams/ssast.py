"""SSAST: AST pre-trained without labels, on masked patches or frames.

Paper: Gong et al., "SSAST: Self-Supervised Audio Spectrogram Transformer",
AAAI 2022, https://arxiv.org/abs/2110.09784. Reproduces S3PRL's
``upstream/ssast``.

Authors
 * The s3prl_sb developers, 2026
"""

import re

from s3prl_sb.lobes.checkpoints.reading import CheckpointError, read
from s3prl_sb.lobes.upstreams.ast import (
    Ast,
    require,
    transformer_weights,
    without_module,
)

#: Strides of the patches after pre-training, by their sizes.
STRIDES = {(16, 16): [10, 10], (128, 2): [128, 1]}
#: Weights that only pre-training uses.
TRAINING = re.compile(r"mask_embed$|[cg]predlayer\.|p_input_[ft]dim$|v\.norm\.")


def read_ssast(path):
    """Reads a checkpoint of the authors.

    Arguments
    ---------
    path : pathlib.Path
        The file.

    Returns
    -------
    config : dict
        Entries of ``VisionTransformerConfig``. Its patches overlap, as in S3PRL,
        unlike those of pre-training.
    weights : dict
        Weights of ``VisionTransformer``.

    Raises
    ------
    CheckpointError
        If it is not such a checkpoint.
    """
    weights = without_module(read(path))
    require(weights, ("p_input_fdim", "p_input_tdim"), path, "SSAST")
    bands, frames = int(weights["p_input_fdim"]), int(weights["p_input_tdim"])
    weights = {n: tensor for n, tensor in weights.items() if not TRAINING.match(n)}
    config, weights, positions = transformer_weights(weights, path)
    patch = config["patch"]
    grid = [bands // patch[0], frames // patch[1]]
    if tuple(patch) not in STRIDES or grid[0] * grid[1] != len(positions):
        raise CheckpointError(
            f"'{path}' has {len(positions)} patches of {patch} on {bands} x "
            f"{frames}: of SSAST the models with patches of 16 x 16 or frames of "
            "128 x 2 are supported"
        )
    config.update(patch_stride=STRIDES[tuple(patch)], grid=grid, num_classes=0)
    return config, {**weights, "positions": positions.unflatten(0, grid)}


class Ssast(Ast):
    """SSAST.

    Its hidden states are the outputs of the layers. Audio is cut into windows; zeros
    fill the last one. A frame is all patches at one time, lowest band first: 12, or one
    in frame models.

    Arguments
    ---------
    source : str, optional
        Checkpoint of the authors, or its address. None: a random network of
        ``config``.
    config : dict, optional
        Entries that differ from the base model of patches; only without ``source``.
    window_secs : float
        Length of the windows, whole multiples of 10 ms.
    freeze, precision, adapter
        See :class:`~s3prl_sb.lobes.upstreams.base.Upstream`.
    seed : int
        Seed of the random weights.

    Note
    ----
    As in S3PRL, a window of 1 s has 99 frames, but 100 strides (9 and 10 in models of
    patches): the frames are earlier with every window.

    Example
    -------
    >>> import torch
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4}
    >>> hidden_states, lens = Ssast(config=tiny)(torch.randn(2, 40000))
    >>> len(hidden_states), hidden_states[0].shape
    (2, torch.Size([2, 25, 384]))
    """

    defaults = {"grid": [8, 64], "num_classes": 0}
    read = staticmethod(read_ssast)

    def __init__(
        self,
        source=None,
        config=None,
        window_secs=1.0,
        freeze=True,
        precision="fp32",
        adapter=None,
        seed=0,
    ):
        super().__init__(
            source,
            config,
            feature_selection="hidden_states",
            window_secs=window_secs,
            stride_secs=window_secs,
            freeze=freeze,
            precision=precision,
            adapter=adapter,
            seed=seed,
        )
