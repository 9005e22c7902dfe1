"""Sizes of wav2vec 2.0 and its descendants, from their weights alone.

Authors
 * The s3prl_sb developers, 2026
"""

#: Strides of all published models of this architecture, which weights do not show.
STRIDES = (5, 2, 2, 2, 2, 2, 2)
#: Size of the heads of nearly all of them.
HEAD = 64


def sizes_in(weights):
    """Reads the configuration that shows in the shapes of weights.

    Arguments
    ---------
    weights : dict
        Our names of the weights of a ``SpeechTransformer`` to tensors.

    Returns
    -------
    dict
        Entries of :class:`~s3prl_sb.lobes.networks.transformer.TransformerConfig`.
        Heads have the size 64, unless a table of relative positions shows their
        number.
    """
    conv_layers = []
    for i, stride in enumerate(STRIDES):
        channels, _, kernel = weights[f"front_end.convolutions.{i}.weight"].shape
        conv_layers.append([channels, kernel, stride])
    first, convolutions = "encoder.layers.0.", "encoder.positions.convolutions."
    expand = weights.get(first + "expand.weight")
    if expand is None:  # a conformer or an E-Branchformer
        expand = weights[first + "second_ffn.expand.weight"]
    ffn_size, hidden_size = expand.shape
    depth = sum(n.startswith(convolutions) and n.endswith("weight") for n in weights)
    kernel = weights[convolutions + "0.weight"]
    table = weights.get(first + "attention.buckets.table.weight")
    config = dict(
        conv_layers=conv_layers,
        conv_norm="layer" if "front_end.norms.1.weight" in weights else "group",
        conv_bias="front_end.convolutions.0.bias" in weights,
        hidden_size=hidden_size,
        ffn_size=ffn_size,
        num_layers=len({n.split(".")[2] for n in weights if ".layers." in n}),
        num_heads=max(1, hidden_size // HEAD) if table is None else table.shape[1],
        attention="plain" if table is None else "gated_relative",
        position_kernel=depth * kernel.shape[2],
        position_groups=hidden_size // kernel.shape[1],
        position_depth=depth,
    )
    if table is not None:
        config["num_buckets"] = len(table)
    return config
