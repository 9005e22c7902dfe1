"""Encoders over frames by name.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.lobes.heads.encoders import MLP, Projection, RecurrentEncoder
from s3prl_sb.lobes.heads.neighbours import ConvBankEncoder, FrameConcat
from s3prl_sb.lobes.heads.parts import Part, made
from s3prl_sb.lobes.heads.transformers import ConformerEncoder, TransformerEncoder

#: The names in hparams/heads.yaml to their classes.
ENCODERS = {
    "linear": Projection,
    "mlp": MLP,
    "concat": FrameConcat,
    "conv_bank": ConvBankEncoder,
    "rnn": RecurrentEncoder,
    "transformer": TransformerEncoder,
    "conformer": ConformerEncoder,
}


def made_encoder(encoder: Part, input_size: int, **options) -> torch.nn.Module:
    """Returns a new encoder over frames.

    Arguments
    ---------
    encoder : str, dict, callable or torch.nn.Module
        See :data:`~s3prl_sb.lobes.heads.parts.Part`.
    input_size : int
        Size of the features.
    **options
        Further arguments of its class.

    Returns
    -------
    torch.nn.Module
        An :class:`~s3prl_sb.lobes.heads.contract.Encoder`.

    Raises
    ------
    HeadError
        For an unknown name or option; lists those that there are.

    Example
    -------
    >>> made_encoder("mlp", 24, hidden_size=8).output_size
    8
    >>> made_encoder("mlp", 24, cell="gru")
    Traceback (most recent call last):
    ...
    s3prl_sb.lobes.heads.contract.HeadError: encoder 'mlp' takes no cell. There …
    """
    return made("encoder", ENCODERS, encoder, input_size, options)
