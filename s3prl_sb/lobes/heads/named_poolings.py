"""Poolings by name.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.attentive_pooling import (
    AttentivePooling,
    AttentiveStatisticsPooling,
    LinearAttentivePooling,
    SelfAttentivePooling,
)
from s3prl_sb.lobes.heads.parts import Part, made
from s3prl_sb.lobes.heads.pooling import MeanPooling
from s3prl_sb.lobes.heads.statistics_pooling import StatisticsPooling

#: The names in hparams/heads.yaml to their classes.
POOLINGS = {
    "mean": MeanPooling,
    "statistics": StatisticsPooling,
    "attentive": AttentivePooling,
    "linear_attentive": LinearAttentivePooling,
    "self_attentive": SelfAttentivePooling,
    "attentive_statistics": AttentiveStatisticsPooling,
}


def made_pooling(pooling: Part, input_size: int, **options) -> torch.nn.Module:
    """Returns a new pooling.

    Arguments
    ---------
    pooling : str, dict, callable or torch.nn.Module
        See :data:`~s3prl_sb.lobes.heads.parts.Part`.
    input_size : int
        Size of the frames.
    **options
        Further arguments of its class.

    Returns
    -------
    torch.nn.Module
        A :class:`~s3prl_sb.lobes.heads.pooling.Pooling`.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> made_pooling("statistics", 24).output_size
    48
    """
    return made("pooling", POOLINGS, pooling, input_size, options)
