"""Parameter-efficient fine-tuning: adapters in a frozen network.

A card's key ``adapter`` puts SpeechBrain's adapters into the linear layers of
an upstream. Only they are trained, and only they are in a checkpoint::

    upstream_model: "{freeze: False, adapter: {kind: lora, rank: 8}}"

Papers: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models",
https://arxiv.org/abs/2106.09685; Houlsby et al., "Parameter-Efficient Transfer
Learning for NLP", https://arxiv.org/abs/1902.00751.

Authors
 * The s3prl_sb developers, 2026
"""

import fnmatch

import torch

#: Options of each kind, with their defaults.
KINDS = {"lora": {"rank": 16, "alpha": 16.0}, "bottleneck": {"size": 64}}
#: Layers that are adapted by default.
LAYERS = {"lora": ["*.query", "*.value"], "bottleneck": ["*.output", "*.contract"]}


def insert(network, kind="lora", layers=None, seed=0, **options):
    """Freezes a network and puts adapters into it.

    They change nothing at first: the output of each is zero.

    Arguments
    ---------
    network : torch.nn.Module
        Network, changed in place.
    kind : str
        "lora": the product of two thin matrices, added to the matrix of a linear
        layer (options ``rank``, ``alpha``); "bottleneck": two thin layers with a
        Swish between them and a shortcut, after the layer (option ``size``).
    layers : list of str, optional
        Patterns of the names of linear layers in the network, such as
        ``"layers.*.query"``. None: query and value for LoRA; the outputs of
        attention and feed-forward for the bottleneck.
    seed : int
        Seed of the new weights.
    **options
        Options of the kind.

    Raises
    ------
    ValueError
        For an unknown kind or option, and if no layer matches; the message lists
        the choices.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams.hubert import Hubert
    >>> tiny = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2, "num_heads": 4,
    ...     "conv_layers": [[16, 10, 5], [16, 8, 64]]}
    >>> hubert = Hubert(config=tiny, freeze=False, adapter={"rank": 2})
    >>> sum(p.numel() for p in hubert.parameters() if p.requires_grad)
    512
    """
    from speechbrain.nnet.adapters import AdaptedModel, HoulsbyAdapterLinear, LoRA

    if kind not in KINDS:
        raise ValueError(f"Unknown adapter '{kind}'. Known: {', '.join(KINDS)}")
    unknown = set(options) - set(KINDS[kind])
    if unknown:
        raise ValueError(
            f"Unknown option of the adapter '{kind}': {', '.join(sorted(unknown))}. "
            f"Known: {', '.join(KINDS[kind])}"
        )
    options = {**KINDS[kind], **options}
    modules = network.named_modules()
    linear = [name for name, module in modules if isinstance(module, torch.nn.Linear)]
    layers = layers or LAYERS[kind]
    chosen = [n for n in linear if any(fnmatch.fnmatchcase(n, p) for p in layers)]
    if not chosen:
        raise ValueError(
            f"No linear layer is named {' or '.join(layers)}. Choose `layers` of "
            f"the adapter among: {', '.join(linear) or 'none at all'}"
        )
    if kind == "bottleneck":
        options = {"projection_size": options["size"]}
    adapter = {"lora": LoRA, "bottleneck": HoulsbyAdapterLinear}[kind]
    with torch.random.fork_rng(devices=[]):  # they draw global random numbers
        AdaptedModel(network, adapter, target_layers=chosen, adapter_kwargs=options)
    random = torch.Generator().manual_seed(seed)
    for name in chosen:
        module = network.get_submodule(name)
        down, up = module.adapter_down_proj, module.adapter_up_proj
        bound = down.weight.shape[1] ** -0.5
        torch.nn.init.uniform_(down.weight, -bound, bound, generator=random)
        torch.nn.init.zeros_(up.weight)
