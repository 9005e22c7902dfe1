"""Makes the fixtures of Dasheng, CED and M2D with their authors' code.

    python tests/parity/make_dasheng.py CED M2D

in an environment with torch, torchaudio, librosa, timm, einops and dasheng 0.0.9.
CED and M2D are clones of github.com/RicherMans/CED and github.com/nttcslab/m2d.

A fixture is ``fixtures/<name>.npz``: the shapes of a small checkpoint, whose weights
are those of ``published_weights.py``, and the hidden states of utterances. CED and M2D
run over the true frames of each chunk, which is whole patches: their code fills the
last one with zeros, and leaves out frames at the end of the others.
"""

import functools
import json
import sys
import types
from pathlib import Path

import numpy as np
import published_weights
import torch

FIXTURES = Path(__file__).resolve().parent / "fixtures"
LENGTHS = (16000, 9999, 6000)


def load(model):
    """Gives a model its weights, except to torchaudio's front end; returns their
    shapes."""
    state = model.state_dict()
    shapes = {name: list(x.shape) for name, x in state.items()}
    ours = {n: s for n, s in shapes.items() if not n.startswith("front_end.")}
    weights = published_weights.weights(ours)
    state.update((name, torch.tensor(x)) for name, x in weights.items())
    model.load_state_dict(state)
    model.eval()
    return shapes


def write(name, shapes, config, model, run):
    """Writes a fixture: the input of the first block, the outputs of the others, and
    that of the norm after the last one, [tokens and patches, hidden_size] a chunk."""
    seen = []

    def before(module, inputs):
        seen.append(inputs[0][0].numpy())

    def after(module, inputs, output):
        seen.append(output[0].numpy())

    model.blocks[0].register_forward_pre_hook(before)
    for module in (*model.blocks[:-1], model.norm):
        module.register_forward_hook(after)
    arrays = {"shapes": json.dumps(shapes), "config": json.dumps(config)}
    for samples in LENGTHS:
        seen.clear()
        with torch.no_grad():
            run(torch.tensor(published_weights.utterance(samples))[None])
        layers = len(model.blocks) + 1
        for layer in range(layers):
            for chunk, state in enumerate(seen[layer::layers]):
                arrays[f"{samples}/{layer}/{chunk}"] = state
    np.savez_compressed(FIXTURES / f"{name}.npz", **arrays)


def chunks(spectrogram, size, patch):
    """Yields the whole patches of each chunk."""
    for chunk in spectrogram.split(size, -1):
        frames = chunk.shape[-1] // patch * patch
        if frames:
            yield chunk[..., :frames]


def make_dasheng():
    """Dasheng's package, with chunks of 40 frames."""
    from dasheng.pretrained.pretrained import Dasheng

    config = {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "target_length": 40,
        "patch_size": [64, 4],
        "patch_stride": [64, 4],
    }
    model = Dasheng(**config)
    write("dasheng", load(model), config, model, model)


def make_ced(folder):
    """CED's Transformer, with chunks of 36 frames: two patches and 4 frames."""
    sys.path.insert(0, folder)
    sys.modules.setdefault("loguru", types.SimpleNamespace(logger=None))
    from models.audiotransformer import AudioTransformer

    config = {"target_length": 36}
    model = AudioTransformer(outputdim=5, embed_dim=32, depth=2, num_heads=1, **config)

    def run(wav):
        x = model.init_bn(model.front_end(wav)[:, None])
        for chunk in chunks(x, 32, 16):
            model.forward_features(chunk)

    write("ced", load(model), config, model, run)


def make_m2d(folder, name, image, patch):
    """M2D's portable runtime, over librosa's spectrogram: nnAudio's has its filters."""
    import librosa

    sys.path.insert(0, f"{folder}/examples")
    for module in ("nnAudio", "nnAudio.features"):
        sys.modules.setdefault(module, types.ModuleType(module))
    from portable_m2d import LocalViT

    model = LocalViT(
        in_chans=1,
        img_size=image,
        patch_size=patch,
        embed_dim=32,
        depth=2,
        num_heads=1,
        norm_layer=functools.partial(torch.nn.LayerNorm, eps=1e-6),
    )
    shapes = load(model)
    sizes = {"n_fft": 400, "hop_length": 160, "n_mels": 80, "fmin": 50, "fmax": 8000}

    def run(wav):
        x = librosa.feature.melspectrogram(
            y=wav[0].numpy(), sr=16000, pad_mode="reflect", **sizes
        )
        mean, std = model.norm_stats.detach()
        x = ((torch.tensor(x) + torch.finfo().eps).log() - mean) / std
        for chunk in chunks(x[None, None], image[1] // patch[1] * patch[1], patch[1]):
            model.forward_encoder(chunk)

    write(name, shapes, {}, model, run)


if __name__ == "__main__":
    ced, m2d = sys.argv[1:]
    make_dasheng()
    make_ced(ced)
    make_m2d(m2d, "m2d_vit_base-80x41p16x16", (80, 41), (16, 16))
    make_m2d(m2d, "m2d_s_vit_base-80x40p80x2", (80, 40), (80, 2))
