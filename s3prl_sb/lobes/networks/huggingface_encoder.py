"""Encoders of the library transformers, with the hidden states of every layer.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
from torch import nn

from s3prl_sb.lobes.networks.huggingface_layouts import TYPES


class Encoder(nn.Module):
    """Network of transformers that returns the input of each of its layers.

    Arguments
    ---------
    config : transformers.PreTrainedConfig
        Configuration.
    network : type
        Class of the network.
    """

    def __init__(self, config, network):
        super().__init__()
        self.model, self.layout = network(config), TYPES[config.model_type]
        if getattr(self.model, "masked_spec_embed", None) is not None:
            self.model.masked_spec_embed = None
        for module in self.model.modules():
            if nn.utils.parametrize.is_parametrized(module, "weight"):
                # Weight norm, which prevents pickling.
                nn.utils.parametrize.remove_parametrizations(module, "weight")
                module._load_state_dict_pre_hooks.clear()
        if self.layout.idle:
            self.model.get_submodule(self.layout.idle).requires_grad_(False)

    def reset_parameters(self, seed=0):
        """Sets random weights as transformers does, without global generators."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model = Encoder(self.model.config, type(self.model)).model

    def forward(self, x):
        """Returns the input of each layer and the last state, [batch, frames, size]."""
        states, modules = [], list(self.model.get_submodule(self.layout.layers))
        if self.layout.last:
            modules.append(self.model.get_submodule(self.layout.last))

        def keep(module, args, kwargs):
            states.append(args[0] if args else kwargs["hidden_states"])

        hooks = [m.register_forward_pre_hook(keep, with_kwargs=True) for m in modules]
        try:
            last = self.model(x).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return states if self.layout.last else [*states, last]

    def train(self, mode=True):
        """Sets training mode, except for batch norms: they keep the statistics of
        pre-training, as those of a batch would mix its utterances."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self.renew_positions()
        return self

    def load_state_dict(self, *args, **kwargs):
        """Loads weights, and computes the positions, which no checkpoint has."""
        keys = super().load_state_dict(*args, **kwargs)
        self.renew_positions()
        return keys

    def renew_positions(self):
        """Computes the positions in fp32 whatever the type of the weights, as half
        precision cannot count frames."""
        encoder = getattr(self.model, "encoder", None)
        old = getattr(encoder, "embed_positions", None)
        if old is not None:
            device = next(self.model.parameters()).device
            encoder.embed_positions = type(old)(self.model.config).to(device)
