"""Encoders of the library transformers, with the hidden states of every layer.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
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
        for name in self.layout.unused:
            parent, _, child = name.rpartition(".")
            if hasattr(self.model.get_submodule(parent), child):
                self.model.set_submodule(name, nn.Identity())
        if self.layout.idle:
            self.model.get_submodule(self.layout.idle).requires_grad_(False)
        # Also if the weights are loaded into a module around this one.
        self.register_load_state_dict_post_hook(_renew)

    @property
    def output_sizes(self):
        """Size of each hidden state, a list."""
        count = len(self.model.get_submodule(self.layout.layers)) + 1
        config = self.model.config
        # Before transformers 5, some have no hidden_size.
        size = getattr(config, "hidden_size", None) or config.d_model
        return [size] * count

    def reset_parameters(self, seed=0):
        """Sets random weights as transformers does, without global generators."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.model = Encoder(self.model.config, type(self.model)).model

    def forward(self, x, frames=None):
        """Returns the input of each layer and the last state.

        Arguments
        ---------
        x : torch.Tensor
            Input of the network, of utterances or windows of equal length.
        frames : int, optional
            Number of frames of each of them, where it does not follow from ``x``.

        Returns
        -------
        list of torch.Tensor
            [batch, frames, size]
        """
        states, last = self.record(x)
        return [*states, last]

    def record(self, *args, of_layers=None, **kwargs):
        """Runs the network of transformers.

        Arguments
        ---------
        *args, **kwargs
            Arguments of its call.
        of_layers : callable, optional
            Changes the arguments of each layer: takes and returns a tuple and a dict.

        Returns
        -------
        states : list of torch.Tensor
            Input of each layer.
        last : torch.Tensor
            Last state, see
            :class:`~s3prl_sb.lobes.networks.huggingface_layouts.Layout`: with
            ``pooled`` the last layer's output.
        """
        states, lasts = [], []
        layers = list(self.model.get_submodule(self.layout.layers))

        def keep(module, args, kwargs):
            if of_layers is not None:
                args, kwargs = of_layers(args, kwargs)
            states.append(args[0] if args else kwargs["hidden_states"])
            return args, kwargs

        def keep_last(module, args, kwargs):
            lasts.append(args[0] if args else kwargs["hidden_states"])

        def keep_output(module, args, output):
            lasts.append(output[0] if isinstance(output, tuple) else output)

        hooks = [m.register_forward_pre_hook(keep, with_kwargs=True) for m in layers]
        if self.layout.last:
            module = self.model.get_submodule(self.layout.last)
            hooks.append(module.register_forward_pre_hook(keep_last, with_kwargs=True))
        elif self.layout.pooled:
            hooks.append(layers[-1].register_forward_hook(keep_output))
        try:
            output = self.model(*args, **kwargs).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return states, lasts[0] if lasts else output

    def of_pairs(self, x):
        """Returns the tower's output, of pairs of frames, for each of their frames.

        Arguments
        ---------
        x : torch.Tensor
            [batch, frames, size], output of the last layer. A last frame without
            another one is its own mean.

        Returns
        -------
        torch.Tensor
            [batch, frames, size]
        """
        pairs = F.avg_pool1d(x.mT, 2, ceil_mode=True).mT
        pairs = self.model.get_submodule(self.layout.pooled)(pairs)
        return pairs.repeat_interleave(2, 1)[:, : x.shape[1]]

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

    def renew_positions(self):
        """Computes the positions in fp32 whatever the type of the weights, as half
        precision cannot count frames."""
        place, _, name = self.layout.positions.rpartition(".")
        parent = self.model
        for part in place.split(".") if place else ():
            parent = getattr(parent, part, None)
        old = getattr(parent, name, None)
        if old is None or any(True for _ in old.parameters()):
            return
        device = next(self.model.parameters()).device
        if hasattr(old, "length"):  # sinusoids that know their size
            new = type(old)(old.length, old.channels)
        else:
            new = type(old)(self.model.config)
        setattr(parent, name, new.to(device))


def _renew(network, keys):
    """Computes the positions, which no checkpoint has."""
    network.renew_positions()
