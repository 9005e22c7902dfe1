"""ATST: the numbers of the authors' code, and the layouts of its checkpoints."""

import argparse
from pathlib import Path

import npz_fixtures
import numpy
import published_patches as published
import pytest
import torch
import torchaudio

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.atst import Atst, AtstClip, read_atst

FIXTURE = numpy.load(Path(__file__).parent / "fixtures" / "patches.npz")


def saved(content, folder, name="atst.ckpt"):
    torch.save(content, folder / name)
    return folder / name


def differences(upstream, name, lengths):
    """Relative errors of all hidden states but the first, which theirs do not give."""
    wavs = torch.nn.utils.rnn.pad_sequence(
        [published.waveform(n) for n in lengths], batch_first=True
    )
    states, _ = upstream(wavs, torch.tensor(lengths) / wavs.shape[1])
    assert len(states) == 1 + published.DEPTH
    for row, samples in enumerate(lengths):
        frames = upstream.frames(samples)
        assert frames == FIXTURE[f"{name}/{samples}/frames"]
        for layer in range(published.DEPTH):
            expected = torch.from_numpy(FIXTURE[f"{name}/{samples}/{layer}"])
            found = states[1 + layer][row, :frames][-len(expected) :]
            yield ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("clip", [False, True], ids=["frame", "clip"])
def test_equals_the_authors(clip, tmp_path):
    kind, name = (AtstClip, "atst_clip") if clip else (Atst, "atst_frame")
    upstream = kind(saved(published.atst_lightning(clip), tmp_path))
    assert upstream.config.chunk == (600 if clip else 1000)
    assert max(differences(upstream, name, published.LENGTHS)) < 1e-5


def test_layouts_hold_the_same(tmp_path):
    _, expected = read_atst(saved(published.atst_lightning(), tmp_path))
    encoder = published.atst_encoder()
    tuned = {f"encoder.encoder.{name}": w for name, w in encoder.items()}
    first = {f"module.backbone.{name}": w for name, w in encoder.items()}
    contents = (
        published.atst_mirror(heads=False),
        {"state_dict": {**tuned, "head.linear.weight": torch.ones(2, 2)}},
        {"teacher": {**first, "module.head.0.weight": torch.ones(2)}, "args": None},
    )
    for number, content in enumerate(contents):
        config, weights = read_atst(saved(content, tmp_path, f"{number}.pt"))
        assert weights.keys() == expected.keys() and config["floor"] == 1e-10
        assert all(torch.equal(w, expected[name]) for name, w in weights.items())


def test_first_layout_of_clip(tmp_path):
    """That of base.ckpt, from before Lightning."""
    config, expected = read_atst(saved(published.atst_lightning(clip=True), tmp_path))
    encoder = published.atst_encoder(clip=True)
    options = {"arch": "ast_base", "pos_type": "cut", "use_cls": True}
    options |= {"patch_height": 64, "patch_width": 4, "anchor_len": (6.0, 6.0)}
    content = {
        "teacher": {f"module.backbone.{name}": w for name, w in encoder.items()},
        "student": {f"module.backbone.{name}": w + 1 for name, w in encoder.items()},
        "args": argparse.Namespace(**options),
        "byol_loss": numpy.float64(0.5),
    }
    content["teacher"]["module.head.mlp.0.weight"] = torch.ones(2)
    found, weights = read_atst(saved(content, tmp_path, "base.ckpt"))
    assert found == config and weights.keys() == expected.keys()
    assert all(torch.equal(w, expected[name]) for name, w in weights.items())


def test_trained_further_by_pretrained_sed(tmp_path):
    """There -50 dB are the least, besides the 80 dB of range."""
    upstream = Atst(saved(published.atst_mirror(heads=True), tmp_path))
    wav = published.waveform(9000)
    mel = torchaudio.transforms.MelSpectrogram(
        16000, f_min=60, f_max=7800, hop_length=160, win_length=1024, n_fft=1024,
        n_mels=64,
    )  # fmt: skip
    decibels = torchaudio.transforms.AmplitudeToDB(stype="power", top_db=80)
    for loudness in (1, 1e-2, 1e-7):
        expected = decibels(mel(loudness * wav[None])).clamp(min=-50, max=80)[0]
        expected = (expected + 79.6482) / (50.6842 + 79.6482) * 2 - 1
        (found,) = upstream.spectrograms([loudness * wav])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size, heads", [(384, 6), (768, 12)], ids=["small", "base"])
@pytest.mark.parametrize("kind", [Atst, AtstClip])
def test_every_published_name_and_shape(kind, size, heads, tmp_path):
    clip = kind is AtstClip
    shapes = {
        "pos_embed": (1, 251, size),
        "mask_embed": (1, 1, size),
        "patch_embed.patch_embed.weight": (size, 256),
        "patch_embed.patch_embed.bias": (size,),
    }
    shapes |= {"cls_token": (1, 1, size)} if clip else {}
    norms = [f"blocks.{i}.norm{j}" for i in range(12) for j in (1, 2)]
    for name in (*norms, "norm" if clip else "norm_frame"):
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for block in (f"blocks.{i}" for i in range(12)):
        shapes[f"{block}.attn.qkv.weight"] = (3 * size, size)
        shapes[f"{block}.attn.proj.weight"] = (size, size)
        shapes[f"{block}.attn.proj.bias"] = (size,)
        shapes[f"{block}.mlp.fc1.weight"] = (4 * size, size)
        shapes[f"{block}.mlp.fc1.bias"] = (4 * size,)
        shapes[f"{block}.mlp.fc2.weight"] = (size, 4 * size)
        shapes[f"{block}.mlp.fc2.bias"] = (size,)
    state = {
        f"model.{side}.encoder.{name}": weight
        for side in ("teacher", "student")
        for name, weight in npz_fixtures.published(shapes).items()
    }
    config, weights = read_atst(saved({"state_dict": state}, tmp_path))
    assert config["num_heads"] == heads
    npz_fixtures.assert_fits(kind, config, weights)


def test_other_files_are_refused(tmp_path):
    def error(change):
        content = published.atst_lightning()
        change(content["state_dict"], content["hyper_parameters"])
        with pytest.raises(CheckpointError) as caught:
            Atst(saved(content, tmp_path))
        return str(caught.value)

    teacher = "model.teacher.encoder."
    assert "not a checkpoint of ATST" in error(lambda state, _: state.clear())
    linear = f"{teacher}patch_embed.patch_embed"
    assert "missing (1): patches.bias" in error(lambda s, _: s.pop(f"{linear}.bias"))
    assert "missing (1): norm.bias" in error(
        lambda s, _: s.pop(f"{teacher}norm_frame.bias")
    )
    extra = {f"{teacher}extra": torch.ones(1), "other.weight": torch.ones(1)}
    message = error(lambda state, _: state.update(extra))
    assert "unexpected (2): extra, other.weight" in message
    message = error(lambda _, options: options.update(pos_type="interpolate"))
    assert "pos_type: interpolate, and this class builds cut only" in message
    message = error(lambda _, options: options.update(patch_w=8))
    assert "not those of 64 bands x 8 frames" in message
