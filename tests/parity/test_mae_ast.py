"""MAE-AST: torch's layers on the authors' checkpoints, and the contract."""

import argparse
import math

import pytest
import torch
import torchaudio
from tensors import close
from torch import nn

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.mae_ast import MaeAst, sines

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
PATCH, FRAME = (16, 16), (2, 128)  # frames, mel bands


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator)


def authors_checkpoint(patch=PATCH, **options):
    """Random weights in the authors' format."""
    size, ffn = 32, 48
    shapes = {"post_extract_proj": (size, math.prod(patch))}
    for i in range(2):
        prefix = f"encoder.layers.{i}."
        for part in ("q", "k", "v", "out"):
            shapes[f"{prefix}self_attn.{part}_proj"] = (size, size)
        shapes[f"{prefix}fc1"], shapes[f"{prefix}fc2"] = (ffn, size), (size, ffn)
    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        weights[f"{name}.weight"] = noise(*shape, seed=seed) / shape[1] ** 0.5
        weights[f"{name}.bias"] = 0.1 * noise(shape[0], seed=50 + seed)
    norms = ["encoder.layer_norm"] + [
        f"encoder.layers.{i}.{name}_layer_norm"
        for i in range(2)
        for name in ("self_attn", "final")
    ]
    for seed, name in enumerate(norms):
        weights[f"{name}.weight"] = 1 + 0.2 * noise(size, seed=100 + seed)
        weights[f"{name}.bias"] = 0.1 * noise(size, seed=150 + seed)
    weights["batch_norm.running_mean"] = torch.tensor([-7.5])
    weights["batch_norm.running_var"] = torch.tensor([0.0225])
    for name in (
        "batch_norm.num_batches_tracked",
        "layer_norm.weight",
        "encoder_mask_emb",
        "decoder_mask_emb",
        "enc_sine_pos_embed.pe",
        "dec_sine_pos_embed.pe",
        "decoder.layers.0.fc1.weight",
        "final_proj_reconstruction.weight",
    ):
        weights[name] = torch.ones(1)
    model = {
        "encoder_layers": 2,
        "encoder_embed_dim": size,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": 4,
        "activation_fn": "gelu",
        "layer_norm_first": False,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "activation_dropout": 0.0,
        "enc_sine_pos": True,
        "enc_conv_pos": False,
        **options,
    }
    for name in ("size", "stride"):
        model[f"ast_kernel_{name}_time"], model[f"ast_kernel_{name}_chan"] = patch
    task = {"sample_rate": 16000, "feature_type": "fbank", "feature_dim": 128}
    return {"cfg": {"model": model, "task": task}, "model": weights}


def expected_states(checkpoint, wav, patch, norm_first=False, positions=True):
    """By torch's own layers, for one utterance."""
    weights = checkpoint["model"]
    x = torchaudio.compliance.kaldi.fbank(wav[None], num_mel_bins=128)
    x = (x + 7.5) / math.sqrt(0.0225 + 1e-5) * 0.5
    x = nn.functional.unfold(x[None, None], patch, stride=patch)[0].T
    x = x @ weights["post_extract_proj.weight"].T + weights["post_extract_proj.bias"]
    for t in range(len(x) if positions else 0):
        for i in range(0, 32, 2):
            angle = t / 10000 ** (i / 32)
            x[t, i] += math.sin(angle)
            x[t, i + 1] += math.cos(angle)
    if not norm_first:
        names = [f"encoder.layer_norm.{name}" for name in ("weight", "bias")]
        x = nn.functional.layer_norm(x, [32], *(weights[name] for name in names))
    states = []
    for i in range(2):
        layer = nn.TransformerEncoderLayer(
            32, 4, 48, 0.0, "gelu", batch_first=True, norm_first=norm_first
        )
        own = {
            name.removeprefix(f"encoder.layers.{i}."): tensor
            for name, tensor in weights.items()
            if name.startswith(f"encoder.layers.{i}.")
        }
        for end in ("weight", "bias"):
            parts = [own.pop(f"self_attn.{part}_proj.{end}") for part in "qkv"]
            own[f"self_attn.in_proj_{end}"] = torch.cat(parts)
        for ours, theirs in (
            ("self_attn_layer_norm", "norm1"),
            ("final_layer_norm", "norm2"),
            ("fc1", "linear1"),
            ("fc2", "linear2"),
        ):
            own = {name.replace(ours, theirs): tensor for name, tensor in own.items()}
        layer.load_state_dict(own)
        x = layer.train()(x[None])[0]  # dropout is 0
        states.append(x)
    return states


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("patch", [PATCH, FRAME], ids=["patch", "frame"])
def test_authors_checkpoint(patch, positions, norm_first, tmp_path):
    checkpoint = authors_checkpoint(
        patch, layer_norm_first=norm_first, enc_sine_pos=positions
    )
    torch.save(checkpoint, tmp_path / "mae_ast.pt")
    upstream = MaeAst(tmp_path / "mae_ast.pt")
    wavs = [0.1 * noise(n, seed=n) for n in (12345, 8000)]
    together = upstream.extract(wavs)["hidden_states"]
    for row, wav in enumerate(wavs):
        expected = expected_states(checkpoint, wav, patch, norm_first, positions)
        assert len(together) == len(expected) == 2
        frames = upstream.frames(len(wav))
        assert frames == (1 + (len(wav) - 400) // 160) // patch[0]
        for state, reference in zip(together, expected):
            reference = reference.reshape(frames, -1).detach()
            close(state[row, :frames], reference)
            assert not state[row, frames:].any()


def test_namespaces_in_checkpoints(tmp_path):
    checkpoint = authors_checkpoint()
    for name in ("model", "task"):
        checkpoint["cfg"][name] = argparse.Namespace(**checkpoint["cfg"][name])
    checkpoint["cfg"] = argparse.Namespace(**checkpoint["cfg"])
    torch.save(checkpoint, tmp_path / "mae_ast.pt")
    upstream = MaeAst(tmp_path / "mae_ast.pt")
    assert upstream.config.mean == -7.5
    assert upstream.config.variance == pytest.approx(0.0225)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "mae_ast.pt"

    def error(change):
        checkpoint = authors_checkpoint()
        change(checkpoint)
        torch.save(checkpoint, file)
        with pytest.raises(CheckpointError) as caught:
            MaeAst(file)
        return str(caught.value)

    assert "MAE-AST: these have 'model'" in error(lambda c: c.pop("cfg"))
    assert "Its keys: cfg, model" in error(lambda c: c["cfg"].pop("model"))
    message = error(lambda c: c["cfg"]["model"].update(enc_conv_pos=True))
    assert "enc_conv_pos: True, and this class builds False only" in message
    message = error(lambda c: c["cfg"]["model"].pop("encoder_layers"))
    assert "does not tell 'encoder_layers'" in message
    message = error(lambda c: c["model"].update({"encoder.extra": torch.ones(1)}))
    assert "unexpected (1): encoder.extra" in message
    message = error(lambda c: c["model"].pop("encoder.layer_norm.bias"))
    assert "missing (1): norm.bias" in message


def test_positions_far_away():
    """In fp32 the angles have rounding errors; the published table has them too."""
    table = sines(20000, 32)
    assert table.shape == (20000, 32)
    far = torch.arange(19990, 20000)[:, None].double()
    rates = 10000.0 ** -(torch.arange(0, 32, 2).double() / 32)
    close(table[-10:, 0::2].double(), (far * rates).sin(), 1e-2)
    close(table[-10:, 1::2].double(), (far * rates).cos(), 1e-2)


@pytest.mark.parametrize("patch", [PATCH, FRAME], ids=["patch", "frame"])
@pytest.mark.parametrize("norm_first", [False, True])
def test_contract(patch, norm_first):
    config = {**TINY, "patch": [*patch], "patch_stride": [*patch]}
    config["norm_first"] = norm_first
    for freeze in (False, True):
        check_upstream(MaeAst(config=config, freeze=freeze))


def test_overlapping_patches():
    config = {**TINY, "patch_stride": [10, 10]}
    upstream = MaeAst(config=config)
    assert upstream.output_size == 12 * 32 and upstream.stride == 1600
    for samples in (1, 2800, 4400, 16000):
        states, _ = upstream(0.1 * noise(1, samples))
        assert states[0].shape == (1, upstream.frames(samples), 12 * 32)


def test_training_keeps_the_statistics():
    upstream = MaeAst(config={**TINY, "dropout": 0.0, "attention_dropout": 0.0})
    trained = MaeAst(config=vars(upstream.config), freeze=False)
    wav = 0.1 * noise(2, 8000)
    assert trained.training
    for a, b in zip(trained(wav)[0], upstream(wav)[0]):
        close(a, b)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"layers": 3}, "Unknown config: layers. Known: hidden_size"),
        ({"activation": "tanh"}, "must be one of: gelu, relu"),
        ({"num_heads": 7}, "768 is no multiple of num_heads 7"),
    ],
)
def test_mistakes_are_explained(config, message):
    with pytest.raises(ValueError, match=message):
        MaeAst(config=config)
