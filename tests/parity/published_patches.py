"""Random small checkpoints of ATST and EAT in the layouts of the published ones.

Weights and waveforms are made of seeds, here for the tests and for make_patches.py, so
that the fixture holds results alone.

Authors
 * The s3prl_sb developers, 2026
"""

import numpy
import torch

SIZE, FFN, DEPTH = 64, 64, 2
#: Number of samples of the waveforms: less than a second, not whole patches, and longer
#: than 10.01 s.
LENGTHS = (9000, 33333, 171000)
TIMES = 24  # of EAT's positions: the longest waveform is not for it


def noise(*shape, seed):
    """Gaussian noise that no version of torch changes."""
    values = numpy.random.RandomState(seed).standard_normal(shape)
    return torch.from_numpy(values.astype("float32"))


def waveform(samples):
    """Noise that becomes louder, around a mean that is not zero."""
    return (
        0.03 + 0.1 * noise(samples, seed=samples) * torch.linspace(0, 1, samples) ** 4
    )


def blocks(qkv_bias, norm):
    """The layers, under timm's names; ``norm``: name of the norm around them."""
    shapes = {}
    for i in range(DEPTH):
        shapes[f"blocks.{i}.attn.qkv.weight"] = (3 * SIZE, SIZE)
        shapes[f"blocks.{i}.attn.proj.weight"] = (SIZE, SIZE)
        shapes[f"blocks.{i}.mlp.fc1.weight"] = (FFN, SIZE)
        shapes[f"blocks.{i}.mlp.fc2.weight"] = (SIZE, FFN)
    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        weights[name] = noise(*shape, seed=seed) / shape[1] ** 0.5
        if qkv_bias or "qkv" not in name:
            bias = 0.1 * noise(shape[0], seed=100 + seed)
            weights[name.replace("weight", "bias")] = bias
    norms = [f"blocks.{i}.norm{j}" for i in range(DEPTH) for j in (1, 2)]
    for seed, name in enumerate([*norms, norm]):
        weights[f"{name}.weight"] = 1 + 0.2 * noise(SIZE, seed=200 + seed)
        weights[f"{name}.bias"] = 0.1 * noise(SIZE, seed=300 + seed)
    return weights


def atst_encoder(clip=False):
    """The state dict of the authors' encoder."""
    weights = blocks(qkv_bias=False, norm="norm" if clip else "norm_frame")
    weights["patch_embed.patch_embed.weight"] = noise(SIZE, 256, seed=400) / 16
    weights["patch_embed.patch_embed.bias"] = 0.1 * noise(SIZE, seed=401)
    weights["mask_embed"] = noise(1, 1, SIZE, seed=402)
    weights["pos_embed"] = 0.5 * noise(1, 251, SIZE, seed=403)
    if clip:
        weights["cls_token"] = noise(1, 1, SIZE, seed=404)
    return weights


def atst_lightning(clip=False):
    """A checkpoint of Lightning with student, teacher and hyper-parameters."""
    encoder = atst_encoder(clip)
    state = {f"model.teacher.encoder.{n}": w for n, w in encoder.items()}
    state.update({f"model.student.encoder.{n}": w + 1 for n, w in encoder.items()})
    state["model.student.predictor.0.weight"] = torch.ones(2, 2)
    state["model.teacher.projector.0.weight"] = torch.ones(2, 2)
    options = {"arch": "base", "pos_type": "cut", "nprompt": 0, "ema": 0.9996}
    options |= {"train_len": 6.0} if clip else {"patch_h": 64, "patch_w": 4}
    return {"state_dict": state, "hyper_parameters": options, "epoch": 3}


def atst_mirror(heads):
    """A file of PretrainedSED; ``heads``: it was trained further there."""
    state = {f"model.atst.{n}": w for n, w in atst_encoder().items()}
    state["model.atst_mel.mel_transform.spectrogram.window"] = torch.ones(4)
    if heads:
        for name in ("strong_head", "weak_head"):
            state[f"{name}.weight"] = torch.ones(3, SIZE)
            state[f"{name}.bias"] = torch.ones(3)
    return state


def eat_encoder():
    """The state dict of the authors' encoder, except for the positions."""
    image = "modality_encoders.IMAGE."
    weights = blocks(qkv_bias=True, norm=f"{image}context_encoder.norm")
    weights[f"{image}local_encoder.proj.weight"] = noise(SIZE, 1, 16, 16, seed=400) / 16
    weights[f"{image}local_encoder.proj.bias"] = 0.1 * noise(SIZE, seed=401)
    weights[f"{image}extra_tokens"] = noise(1, 1, SIZE, seed=404)
    return weights


def eat_positions(times=TIMES, size=SIZE):
    """Their table of positions, [1, times * 8, size], written out in numpy."""
    rates = 1 / 10000 ** (numpy.arange(size // 4) / (size / 4))
    time, band = numpy.divmod(numpy.arange(times * 8), 8)
    angles = [numpy.outer(places, rates) for places in (band, time)]
    columns = [f(angle) for angle in angles for f in (numpy.sin, numpy.cos)]
    return torch.from_numpy(numpy.concatenate(columns, 1).astype("float32"))[None]
