"""Makes fixtures/patches.npz: features of ATST and EAT by the authors' own code.

    python tests/parity/make_patches.py AUDIOSSL EAT

needs torch, torchaudio, timm and einops, in an environment of its own; AUDIOSSL and EAT
are checkouts of github.com/Audio-WestlakeU/audiossl and github.com/cwx-worst-one/EAT.
fairseq, of which their encoders use no computation, is not needed: empty modules
replace it. Weights and waveforms are those of published_patches.py.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from pathlib import Path
from unittest import mock

import numpy
import published_patches as published
import timm.layers
import timm.models.vision_transformer
import torch
import torch._dynamo  # before dataclasses change
import torchaudio

FIXTURE = Path(__file__).parent / "fixtures" / "patches.npz"
KEPT = 12  # frames at the end of an utterance that the fixture has


class Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of fairseq, omegaconf and torchvision whose content is mocked."""

    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in ("fairseq", "omegaconf"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: mock.MagicMock(name=name)
        return module

    def exec_module(self, module):
        module.__path__ = []


def atst(folder, clip):
    """Yields the features of each waveform, layer by layer, [frames, size]."""
    sys.path.insert(0, str(folder))
    name = "models.atst" if clip else "methods.atstframe"
    module = importlib.import_module(f"audiossl.{name}.audio_transformer")
    sizes = {"embed_dim": published.SIZE, "depth": published.DEPTH, "num_heads": 1}
    norm = functools.partial(torch.nn.LayerNorm, eps=1e-6)
    kind = module.AST if clip else module.FrameAST
    network = kind(patch_h=64, patch_w=4, mlp_ratio=1, norm_layer=norm, **sizes).eval()
    network.load_state_dict(published.atst_encoder(clip))
    spectrogram = torchaudio.transforms.MelSpectrogram(
        16000, f_min=60, f_max=7800, hop_length=160, win_length=1024, n_fft=1024,
        n_mels=64,
    )  # fmt: skip
    decibels = torchaudio.transforms.AmplitudeToDB(stype="power", top_db=80)
    for samples in published.LENGTHS:
        x = decibels(spectrogram(published.waveform(samples)[None, None]))
        x = (x + 79.6482) / (50.6842 + 79.6482) * 2 - 1
        pieces = []
        for chunk in x.split(600 if clip else 1000, dim=-1):
            length = torch.tensor([chunk.shape[-1]])
            if chunk.shape[-1] < 4:
                continue
            if clip:
                states = network.get_intermediate_layers(chunk, length, published.DEPTH)
                states = [state[0, 1:] for state in states]
            else:
                states = network.get_intermediate_layers(
                    chunk, length, published.DEPTH, scene=False
                )
                states = states[0].split(published.SIZE, dim=-1)
            pieces.append(states)
        yield samples, [torch.cat(layer) for layer in zip(*pieces)]


def eat(folder):
    """Yields the features of each waveform of whole patches, [frames, size]."""
    package = types.ModuleType("eat_models")
    package.__path__ = [str(folder / "models")]
    sys.modules["eat_models"] = package
    images = importlib.import_module("eat_models.images")
    training = importlib.import_module("eat_models.EAT_pretraining")
    image = images.D2vImageConfig(
        prenet_depth=0, in_chans=1, num_extra_tokens=1, decoder=None,
        embed_dim=published.SIZE, max_length=published.TIMES,
    )  # fmt: skip
    config = training.Data2VecMultiConfig(
        embed_dim=published.SIZE, depth=published.DEPTH, num_heads=1, mlp_ratio=1,
        mae_init=True, end_of_block_targets=True,
        modalities=types.SimpleNamespace(image=image),
    )  # fmt: skip
    modalities = [images.Modality.IMAGE]
    network = training.Data2VecMultiModel(config, modalities, skip_ema=True).eval()
    positions = "modality_encoders.IMAGE.fixed_positional_encoder.positions"
    table = network.state_dict()[positions]
    network.load_state_dict({**published.eat_encoder(), positions: table})
    assert torch.allclose(table, published.eat_positions(), atol=1e-5)
    for samples in published.LENGTHS[:2]:
        wav = published.waveform(samples)
        x = torchaudio.compliance.kaldi.fbank(
            (wav - wav.mean())[None], htk_compat=True, sample_frequency=16000,
            use_energy=False, window_type="hanning", num_mel_bins=128, dither=0.0,
            frame_shift=10,
        )  # fmt: skip
        x = x[: len(x) // 16 * 16]
        x = (x + 4.268) / (2 * 4.569)
        result = network.extract_features(x[None, None], mode="IMAGE")
        states = [state[0, 1:] for state in result["layer_results"]]
        yield samples, [s.unflatten(0, (-1, 8)).mean(1) for s in states]


@torch.no_grad()
def main(audiossl, eat_folder):
    """Writes the fixture."""
    sys.meta_path.insert(0, Empty())
    sys.modules["timm.models.layers"] = timm.layers
    transformer = timm.models.vision_transformer
    transformer.DropPath, transformer.Mlp = timm.layers.DropPath, timm.layers.Mlp
    fairseq = importlib.import_module("fairseq.models")
    fairseq.BaseFairseqModel = torch.nn.Module
    fairseq.register_model = lambda *args, **kwargs: lambda kind: kind
    importlib.import_module("fairseq.dataclass").FairseqDataclass = object
    importlib.import_module("fairseq.modules").LayerNorm = torch.nn.LayerNorm
    # Their defaults are mutable dataclasses, which Python 3.11 refuses.
    dataclasses.dataclass = functools.partial(dataclasses.dataclass, unsafe_hash=True)
    models = {
        "atst_frame": atst(audiossl, clip=False),
        "atst_clip": atst(audiossl, clip=True),
        "eat": eat(eat_folder),
    }
    arrays = {}
    for name, results in models.items():
        for samples, states in results:
            arrays[f"{name}/{samples}/frames"] = numpy.array(len(states[0]))
            for i, state in enumerate(states):
                arrays[f"{name}/{samples}/{i}"] = state[-KEPT:].numpy()
    numpy.savez_compressed(FIXTURE, **arrays)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
