"""Encoders of neural codecs with a network of other authors inside, such as HuBERT.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F
from torch import nn

from s3prl_sb.lobes.networks.codec_encoders import Strided, classes_of
from s3prl_sb.lobes.networks.front_end import frames_of
from s3prl_sb.lobes.networks.huggingface_encoder import Encoder

#: Seconds of audio that the network inside sees at most.
CHUNK = 60


class SemanticStrided(Strided):
    """Base class of encoders with a network inside whose attention looks at everything.

    Longer audio than a minute runs in chunks of a minute, each as an utterance of its
    own; its frames are as many as those of the whole. A subclass sets ``semantic``,
    which is never trained, and implements :meth:`whole`.

    The arguments are those of :class:`Strided`.
    """

    ceil = False

    def __init__(self, rate, ratios):
        super().__init__(rate, ratios)
        self.chunk = CHUNK * rate // self.hop * self.hop

    def forward(self, wav):
        """[samples] -> [latents], each [frames, size]."""
        chunks = [chunk for chunk in wav.split(self.chunk) if self.frames(len(chunk))]
        return [torch.cat([self.whole(chunk) for chunk in chunks])]

    def whole(self, wav):
        """[samples], a chunk -> latents [frames, size]."""
        raise NotImplementedError


class XcodecEncoder(SemanticStrided):
    """Encoder of X-Codec: DAC's beside the mean of HuBERT's hidden states.

    Arguments
    ---------
    config : transformers.XcodecConfig
        Configuration.
    network : type
        Class of the network of its ``semantic_model_config``.
    """

    def __init__(self, config, network):
        semantic, acoustic = config.semantic_model_config, config.acoustic_model_config
        super().__init__(config.sample_rate, acoustic.downsampling_ratios)
        self.sizes, self.margin = [config.hidden_size], config.hop_length // 2
        self.convolutions = list(zip(semantic.conv_kernel, semantic.conv_stride))
        self.acoustic = classes_of("dac").DacEncoder(acoustic)
        self.semantic = Encoder(semantic, network)
        self.semantic_encoder = classes_of("xcodec").SemanticEncoder(config)
        self.fc = nn.Linear(config.hidden_size, config.hidden_size)

    def frames(self, samples):
        """Returns the number of frames of the latents, 0 if audio is too short."""
        return frames_of(samples + 2 * self.margin, self.convolutions)

    def whole(self, wav):
        """[samples], a chunk -> latents [frames, size]."""
        margins = (self.margin, self.margin)
        with torch.no_grad():
            states = self.semantic(F.pad(wav, margins)[None])
            mean = torch.stack(states).mean(0)
        semantic = self.semantic_encoder(mean.mT)
        if self.convolved(len(wav)) != semantic.shape[2]:
            wav = F.pad(wav, margins)
        acoustic = self.run(self.acoustic, wav)
        return self.fc(torch.cat([acoustic, semantic], 1)[0].T)


class Xcodec2Encoder(SemanticStrided):
    """Encoder of X-Codec 2 and of NeuCodec: convolutions beside w2v-BERT 2.0.

    Arguments
    ---------
    config : transformers.Xcodec2Config
        Configuration.
    network : type
        Class of the network of its ``semantic_model_config``.
    mel : callable
        Input of that network: [batch, samples] -> [batch, frames, size].
    margin : int
        Number of zeros on either side of the waveform in front of ``mel``.
    """

    def __init__(self, config, network, mel, margin):
        super().__init__(16000, config.downsampling_ratios)
        size = config.hidden_size + config.semantic_model_config.hidden_size
        classes = classes_of("xcodec2")
        self.sizes, self.mel, self.margin = [size], mel, margin
        self.semantic = Encoder(config.semantic_model_config, network)
        self.adapter = classes.Xcodec2SemanticAdapter(config)
        self.acoustic = classes.Xcodec2Encoder(config)
        self.fc = nn.Linear(size, size)

    def frames(self, samples):
        """Returns the number of whole frames, 0 if audio is too short."""
        return samples // self.hop

    def whole(self, wav):
        """[samples], a chunk -> latents [frames, size]."""
        frames = self.frames(len(wav))
        wav = F.pad(wav, (0, self.hop - len(wav) % self.hop))
        with torch.no_grad():
            mel = self.mel(F.pad(wav, (self.margin, self.margin))[None])
            semantic = self.semantic(mel)[-1].mT
        x = [self.adapter(semantic), self.run(self.acoustic, wav)]
        x = torch.cat([part[..., :frames] for part in x], 1)
        return self.fc(x[0].T)

    def renew(self):
        """Computes the filters of the activations, which no checkpoint has."""
        device = self.fc.weight.device
        for module in self.acoustic.modules():
            if hasattr(module, "upsample") and hasattr(module, "downsample"):
                with torch.device("cpu"):
                    fresh = type(module)(module.act)
                module.upsample = fresh.upsample.to(device)
                module.downsample = fresh.downsample.to(device)
