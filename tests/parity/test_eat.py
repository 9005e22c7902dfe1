"""EAT: the numbers of the authors' code, and the layouts of its checkpoints."""

import json
from pathlib import Path

import npz_fixtures
import numpy
import published_patches as published
import pytest
import torch
from safetensors.torch import save_file

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.eat import Eat, read_eat

FIXTURE = numpy.load(Path(__file__).parent / "fixtures" / "patches.npz")
IMAGE = "modality_encoders.IMAGE."
POSITIONS = f"{IMAGE}fixed_positional_encoder.positions"


def fairseq(folder, change=dict, options=None, name="eat.pt"):
    """Writes a pre-trained checkpoint of fairseq."""
    weights = {**published.eat_encoder(), POSITIONS: published.eat_positions()}
    decoder = {f"{IMAGE}decoder.blocks.0.0.weight": torch.ones(2)}
    content = change({**weights, **decoder, "_ema": {"blocks.0": torch.ones(1)}})
    image = {"prenet_depth": 0, "in_chans": 1, **(options or {})}
    model = {"num_heads": 1, "norm_eps": 1e-6, "modalities": {"image": image}}
    torch.save({"model": content, "cfg": {"model": model}}, folder / name)
    return folder / name


def hf_name(name):
    name = name.replace(f"{IMAGE}context_encoder.norm", "pre_norm")
    return "model." + name.removeprefix(IMAGE)


def huggingface(folder, **options):
    """Writes the folder of a fine-tuned model."""
    weights = {**published.eat_encoder(), POSITIONS: published.eat_positions()}
    weights = {hf_name(name): w for name, w in weights.items()}
    weights |= {"model.fc_norm.weight": torch.ones(2), "model.head.bias": torch.ones(2)}
    save_file(weights, folder / "model.safetensors")
    config = {"model_type": "eat", "num_heads": 1, "norm_eps": 1e-6, "mel_bins": 128}
    (folder / "config.json").write_text(json.dumps({**config, **options}))
    return folder


def test_equals_the_authors(tmp_path):
    upstream = Eat(fairseq(tmp_path))
    lengths = published.LENGTHS[:2]
    wavs = torch.nn.utils.rnn.pad_sequence(
        [published.waveform(n) for n in lengths], batch_first=True
    )
    states, _ = upstream(wavs, torch.tensor(lengths) / wavs.shape[1])
    assert len(states) == 1 + published.DEPTH
    for row, samples in enumerate(lengths):
        frames = upstream.frames(samples)
        assert frames == FIXTURE[f"eat/{samples}/frames"]
        for layer in range(published.DEPTH):
            expected = torch.from_numpy(FIXTURE[f"eat/{samples}/{layer}"])
            found = states[1 + layer][row, :frames][-len(expected) :]
            assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def test_layouts_hold_the_same(tmp_path):
    config, expected = read_eat(fairseq(tmp_path))

    def tuned(weights):
        weights.pop("_ema")
        weights = {f"model.{name}": w for name, w in weights.items()}
        return {**weights, "head.weight": torch.ones(2), "fc_norm.bias": torch.ones(2)}

    for path in (
        fairseq(tmp_path, tuned, name="tuned.pt"),
        huggingface(tmp_path),
        tmp_path / "model.safetensors",
    ):
        other, weights = read_eat(path)
        assert other == config and weights.keys() == expected.keys()
        assert all(torch.equal(w, expected[name]) for name, w in weights.items())


@pytest.mark.parametrize("large, times", [(False, 768), (False, 64), (True, 768)])
def test_every_published_name_and_shape(large, times, tmp_path):
    size, depth = (1024, 24) if large else (768, 12)
    shapes = {
        f"{IMAGE}extra_tokens": (1, 1, size),
        f"{IMAGE}local_encoder.proj.weight": (size, 1, 16, 16),
        f"{IMAGE}local_encoder.proj.bias": (size,),
        f"{IMAGE}decoder.blocks.0.0.weight": (size, 48, 3, 3),
        f"{IMAGE}decoder.blocks.0.0.bias": (size,),
        f"{IMAGE}decoder.proj.weight": (size, size),
        f"{IMAGE}decoder.proj.bias": (size,),
    }
    norms = [f"blocks.{i}.norm{j}" for i in range(depth) for j in (1, 2)]
    for name in (*norms, f"{IMAGE}context_encoder.norm"):
        shapes |= {f"{name}.weight": (size,), f"{name}.bias": (size,)}
    for block in (f"blocks.{i}" for i in range(depth)):
        for part, sides in {
            "attn.qkv": (3 * size, size),
            "attn.proj": (size, size),
            "mlp.fc1": (4 * size, size),
            "mlp.fc2": (size, 4 * size),
        }.items():
            shapes |= {
                f"{block}.{part}.weight": sides,
                f"{block}.{part}.bias": sides[:1],
            }
    state = npz_fixtures.published(shapes)
    state[POSITIONS] = published.eat_positions(times, size)
    config, weights = read_eat(fairseq(tmp_path, lambda _: state))
    assert config["grid"] == [8, times]
    npz_fixtures.assert_fits(Eat, config, weights)


def test_other_files_are_refused(tmp_path):
    def error(path):
        with pytest.raises(CheckpointError) as caught:
            Eat(path)
        return str(caught.value)

    def without(name):
        return lambda weights: {n: w for n, w in weights.items() if n != name}

    assert "not a checkpoint of EAT" in error(fairseq(tmp_path, without(POSITIONS)))
    message = error(fairseq(tmp_path, without("blocks.1.norm2.bias")))
    assert "missing (1): layers.1.ffn_norm.bias" in message
    extra = {"extra": torch.ones(1)}
    message = error(fairseq(tmp_path, lambda weights: {**weights, **extra}))
    assert "unexpected (1): extra" in message
    moved = {POSITIONS: published.eat_positions().roll(1, dims=1)}
    message = error(fairseq(tmp_path, lambda weights: {**weights, **moved}))
    assert "other positions than the sines of 8 bands and 24 times" in message
    message = error(fairseq(tmp_path, options={"in_chans": 3}))
    assert "in_chans: 3, and this class builds 1 only" in message
    message = error(huggingface(tmp_path, layer_norm_first=True))
    assert "layer_norm_first: True, and this class builds False only" in message
