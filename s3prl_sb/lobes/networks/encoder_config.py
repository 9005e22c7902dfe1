"""Sizes and options of an encoder over frames.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
from typing import ClassVar


@dataclasses.dataclass
class EncoderConfig:
    """Sizes and options of an :class:`~s3prl_sb.lobes.networks.encoder.Encoder`;
    defaults: base.

    Arguments
    ---------
    hidden_size, ffn_size, num_layers, num_heads : int
        Sizes of the encoder.
    norm_first : bool
        Layer norm before attention and feed-forward (large) or after (base).
    layer : str
        "transformer", "conformer" or "e_branchformer".
    attention : str
        "plain"; "gated_relative" as in WavLM; "transformer_xl" or "rotary".
    gate_input : str
        Input of the gate of gated relative attention: "frames" as in WavLM, or
        "queries" as in BEATs.
    deep_norm : bool
        Scale the residuals of a Transformer without ``norm_first`` by
        (2 ``num_layers``)^(1/4), as in DeepNet (https://arxiv.org/abs/2203.00555).
    qkv_bias : bool
        Bias of queries, keys and values; without it, attention is "plain".
    activation : str
        Activation of a Transformer's feed-forward: "gelu", "relu", "swish".
    norm_eps : float
        Epsilon of the encoder's layer norms.
    positions : str, optional
        Positions that are added to the input: "convolutional", "sinusoidal", "none".
        None: convolutional for a Transformer, none for the other layers.
    position_residual : bool
        Add the positions to the input. False: they replace it, as in XEUS.
    position_kernel, position_groups, position_depth : int
        Sizes and number of the positional convolutions. Several convolutions have
        a layer norm each and share the kernel's length.
    num_buckets, max_distance : int
        Buckets of gated relative attention.
    convolution_kernel : int
        Kernel size of the convolutions of a conformer or an E-Branchformer.
    gate_size, merge_kernel : int
        Size of the gated branch of an E-Branchformer, of which one half gates the
        other, and kernel size of the convolution over both branches.
    causal : bool
        Let no frame see a later one.
    dropout, attention_dropout, activation_dropout, input_dropout : float
        Dropout probabilities, in training mode.
    layerdrop : float
        Probability to skip a layer in training mode.

    Example
    -------
    >>> EncoderConfig(layer="conformer").positions
    'none'
    """

    choices: ClassVar = {
        "layer": ("transformer", "conformer", "e_branchformer"),
        "attention": ("plain", "gated_relative", "transformer_xl", "rotary"),
        "gate_input": ("frames", "queries"),
        "activation": ("gelu", "relu", "swish"),
        "positions": ("convolutional", "sinusoidal", "none"),
    }
    #: entries that are not of an encoder over any frames
    adapter_size: ClassVar[int] = 0

    hidden_size: int = 768
    ffn_size: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    norm_first: bool = False
    layer: str = "transformer"
    attention: str = "plain"
    gate_input: str = "frames"
    deep_norm: bool = False
    qkv_bias: bool = True
    activation: str = "gelu"
    norm_eps: float = 1e-5
    positions: str | None = None
    position_kernel: int = 128
    position_groups: int = 16
    position_depth: int = 1
    position_residual: bool = True
    num_buckets: int = 320
    max_distance: int = 800
    convolution_kernel: int = 31
    gate_size: int = 3072
    merge_kernel: int = 31
    causal: bool = False
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    input_dropout: float = 0.1
    layerdrop: float = 0.0

    def __post_init__(self):
        if self.positions is None:
            is_transformer = self.layer == "transformer"
            self.positions = "convolutional" if is_transformer else "none"
        self.norm_eps = float(self.norm_eps)  # YAML reads 1e-12 as a string
        for name, choices in self.choices.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, not "
                    f"'{getattr(self, name)}'"
                )
        if self.deep_norm and (self.norm_first or self.layer != "transformer"):
            raise ValueError("deep_norm is for Transformer layers without norm_first")
        if not self.qkv_bias and self.attention != "plain":
            raise ValueError(
                f"qkv_bias: False is for plain attention, not for '{self.attention}'"
            )
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is no multiple of "
                f"num_heads {self.num_heads}"
            )
