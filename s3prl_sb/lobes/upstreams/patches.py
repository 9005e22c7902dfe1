"""The base class of models of sound whose frames are patches of a spectrogram.

A family is a front end, a reader and the options of its
:class:`~s3prl_sb.lobes.networks.vision_transformer.VisionTransformer`.

Authors
 * The s3prl_sb developers, 2026
"""

import bisect

from s3prl_sb.lobes.networks.bands import check_bands, frame_size
from s3prl_sb.lobes.networks.vision_transformer import (
    VisionTransformer,
    VisionTransformerConfig,
)
from s3prl_sb.lobes.upstreams.pretrained import PretrainedUpstream

#: Samples in which the shortest audio is looked for: 16 s at 16 kHz.
SHORT = 1 << 18


class PatchUpstream(PretrainedUpstream):
    """Base class of upstreams over patches that do not overlap.

    A frame is made of the patches at one time. What does not fill a patch at the end
    of an utterance is left out. The hidden states are the input of the first layer and
    the outputs of all layers, without the tokens.

    Longer audio than the network has positions for runs in chunks, without overlap.
    A family sets :attr:`defaults` and implements :meth:`make_features` and
    :meth:`read`; features that are no
    :class:`~s3prl_sb.lobes.networks.mel_spectrogram.MelSpectrogram` also need
    :meth:`spectrograms`.

    Arguments
    ---------
    source : str, optional
        Checkpoint, see
        :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.
    config : dict, optional
        Entries of :class:`VisionTransformerConfig` that differ from the family's
        base model; only without ``source``.
    bands : str
        A frame is the "mean" of the patches at one time, or all of them side by side,
        lowest band first ("concat").
    **options
        See :class:`~s3prl_sb.lobes.upstreams.pretrained.PretrainedUpstream`.

    Example
    -------
    >>> import torch
    >>> from s3prl_sb.lobes.networks.mel_spectrogram import MelSpectrogram
    >>> class Small(PatchUpstream):
    ...     defaults = {"hidden_size": 32, "ffn_size": 64, "num_layers": 2,
    ...         "num_heads": 4, "patch_stride": [16, 16], "grid": [4, 63],
    ...         "positions": "first", "num_classes": 0}
    ...     def make_features(self):
    ...         return MelSpectrogram(n_mels=self.config.num_bands)
    >>> upstream = Small(bands="concat")
    >>> hidden_states, lens = upstream(torch.randn(2, 16000), torch.tensor([1, 0.5]))
    >>> len(hidden_states), hidden_states[0].shape, lens.tolist()
    (3, torch.Size([2, 6, 128]), [1.0, 0.5])
    """

    Config, Network = VisionTransformerConfig, VisionTransformer
    packed = True
    unknown_entry = "Unknown config"

    def __init__(self, source=None, config=None, bands="mean", **options):
        check_bands(bands)
        super().__init__(source, config, **options)
        config = self.config
        if config.patch_stride[1] != config.patch[1]:
            raise ValueError(
                f"patch {config.patch} and patch_stride {config.patch_stride} overlap "
                "over time"
            )
        patches, rest = divmod(self.chunk, config.patch[1])
        if rest or not 1 <= patches <= config.grid[1]:
            raise ValueError(
                f"Chunks of {self.chunk} frames are not 1 to {config.grid[1]} patches "
                f"of {config.patch[1]} frames, which there are positions for (grid)"
            )
        self.bands = bands
        self.stride = self.features.stride * config.patch[1]
        self.num_layers = 1 + config.num_layers
        self.output_size = frame_size(config.hidden_size, config.grid[0], bands)
        shortest = self.features.min_samples
        lengths = range(shortest, SHORT)
        index = bisect.bisect_left(lengths, config.patch[1], key=self.features.frames)
        self._min_samples = shortest + index

    # ------------------------------------------------------ for the families
    def spectrograms(self, wavs):
        """Returns the normalized spectrograms of waveforms.

        Arguments
        ---------
        wavs : list of torch.Tensor
            Waveforms [samples_i].

        Returns
        -------
        list of torch.Tensor
            [mel bands, frames_i].
        """
        return self.features(wavs)

    @property
    def chunk(self):
        """Number of frames of the spectrogram that run together: whole patches, so
        that frames are one stride apart across chunks, too."""
        return self.config.num_frames

    # ------------------------------------------------------------- contract
    @property
    def min_samples(self):
        """See :attr:`Upstream.min_samples`."""
        return self._min_samples

    def frames(self, samples):
        """See :meth:`Upstream.frames`."""
        frames = self.features.frames(max(samples, self.min_samples))
        return frames // self.config.patch[1]

    def encode_packed(self, wavs):
        """See :meth:`Upstream.encode_packed`."""
        chunks = [
            chunk
            for spectrogram in self.spectrograms(wavs)
            for chunk in spectrogram.split(self.chunk, dim=1)
            if chunk.shape[1] >= self.config.patch[1]
        ]
        return self.network.encode(chunks, self.bands)
