"""BEATs: SpeechBrain's numbers, every published layout, refusals, bands."""

import math

import npz_fixtures
import pytest
import torch
from tensors import noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.cards.families import of_checkpoint
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks.encoder_config import EncoderConfig
from s3prl_sb.lobes.networks.patch_encoder import PatchEncoder
from s3prl_sb.lobes.upstreams.beats import Beats, BeatsConfig, read_beats

TINY = {"layers": 3, "size": 32, "ffn": 48, "heads": 4, "channels": 24}
BASE = {"layers": 12, "size": 768, "ffn": 3072, "heads": 12, "channels": 512}
LARGE = {"layers": 24, "size": 1024, "ffn": 4096, "heads": 16, "channels": 512}
PATCH = 16 * 160  # samples from one patch to the next
REST = 400 - 160  # more samples that the last frame of a patch takes


def shapes(layers, size, ffn, heads, channels, buckets=320):
    """Published names and their shapes."""
    result = {
        "post_extract_proj.weight": (size, channels),
        "post_extract_proj.bias": (size,),
        "patch_embedding.weight": (channels, 1, 16, 16),
        "encoder.pos_conv.0.bias": (size,),
        "encoder.pos_conv.0.weight_g": (1, 1, 128),
        "encoder.pos_conv.0.weight_v": (size, size // 16, 128),
        "layer_norm.weight": (channels,),
        "layer_norm.bias": (channels,),
        "encoder.layer_norm.weight": (size,),
        "encoder.layer_norm.bias": (size,),
    }
    for i in range(layers):
        layer = {
            "self_attn.grep_a": (1, heads, 1, 1),
            "self_attn.grep_linear.weight": (8, size // heads),
            "self_attn.grep_linear.bias": (8,),
            "self_attn.relative_attention_bias.weight": (buckets, heads),
            "fc1.weight": (ffn, size),
            "fc1.bias": (ffn,),
            "fc2.weight": (size, ffn),
            "fc2.bias": (size,),
        }
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            layer[f"self_attn.{name}.weight"] = (size, size)
            layer[f"self_attn.{name}.bias"] = (size,)
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            layer[f"{name}.weight"] = layer[f"{name}.bias"] = (size,)
        result.update({f"encoder.layers.{i}.{n}": s for n, s in layer.items()})
    return result


def random_weights(**sizes):
    """Weights with the published names; the layers share the table of the first."""
    generator = torch.Generator().manual_seed(0)
    result = {}
    for name, shape in shapes(**sizes).items():
        weight = torch.randn(shape, generator=generator)
        if len(shape) > 1:
            weight *= 1.5 / math.sqrt(math.prod(shape[1:]))
        else:
            weight = 0.2 * weight + ("norm.weight" in name)
        result[name] = weight
    result["encoder.pos_conv.0.weight_g"] = 0.5 + torch.rand(1, 1, 128)
    for name in result:
        if "grep_a" in name or "relative_attention_bias" in name:
            result[name] = torch.randn(result[name].shape, generator=generator)
        if "relative_attention_bias" in name:
            first = "encoder.layers.0.self_attn.relative_attention_bias.weight"
            result[name] = result[first]
    return result


def options(layers, size, ffn, heads, channels):
    """The authors' options, as in their checkpoints."""
    return {
        "input_patch_size": 16,
        "embed_dim": channels,
        "conv_bias": False,
        "encoder_layers": layers,
        "encoder_embed_dim": size,
        "encoder_ffn_embed_dim": ffn,
        "encoder_attention_heads": heads,
        "activation_fn": "gelu",
        "dropout": 0.0,
        "deep_norm": True,
        "layer_norm_first": False,
        "conv_pos": 128,
        "conv_pos_groups": 16,
        "relative_position_embedding": True,
        "num_buckets": 320,
        "max_distance": 800,
        "gru_rel_pos": True,
        "finetuned_model": False,
    }


@pytest.fixture(scope="module")
def weights():
    return random_weights(**TINY)


@pytest.fixture(scope="module")
def checkpoint(weights, tmp_path_factory):
    """A file in Microsoft's layout."""
    path = tmp_path_factory.mktemp("beats") / "model.pt"
    torch.save({"cfg": options(**TINY), "model": weights}, path)
    return path


def error(a, b):
    return ((a - b).abs().max() / b.abs().max()).item()


# ------------------------------------------------------------- SpeechBrain
@pytest.fixture(scope="module")
def speechbrain(checkpoint):
    beats = pytest.importorskip("speechbrain.lobes.models.beats")
    return beats.BEATs(str(checkpoint), freeze=True, output_all_hiddens=True)


def test_equals_speechbrain(checkpoint, speechbrain):
    """Each utterance alone, with frames that do not fill a patch at its end."""
    samples = [2 * PATCH + REST, 17040, 34567]
    wavs = [noise(n, seed=n) for n in samples]
    found = {
        b: Beats(str(checkpoint), bands=b).extract(wavs) for b in ("mean", "concat")
    }
    assert len(found["mean"]["hidden_states"]) == TINY["layers"] + 1
    for i, wav in enumerate(wavs):
        theirs = speechbrain(wav[None], torch.ones(1))[0]  # [layer, time, 1, size]
        for layer, reference in enumerate(theirs):
            bands = reference[:, 0].unflatten(0, (-1, 8))
            mean = found["mean"]["hidden_states"][layer][i, : len(bands)]
            assert error(mean, bands.mean(1)) < 1e-4
            side_by_side = found["concat"]["hidden_states"][layer][i, : len(bands)]
            assert error(side_by_side, bands.flatten(1)) < 1e-4


def test_equals_speechbrains_batch(checkpoint, speechbrain):
    """With a padded batch, where their mask ends with a patch."""
    samples = [5 * PATCH + REST, 2 * PATCH + REST]
    wavs = [noise(n, seed=n) for n in samples]
    batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    theirs = speechbrain(batch, torch.tensor([1.0, 0.4]))[0]
    ours = Beats(str(checkpoint)).extract(wavs)["hidden_states"]
    for state, reference in zip(ours, theirs, strict=True):
        for i, frames in enumerate((5, 2)):
            bands = reference[:, i].unflatten(0, (-1, 8))[:frames]
            assert error(state[i, :frames], bands.mean(1)) < 1e-4


# ----------------------------------------------------------------- layouts
def new_weight_norm(name):
    name = name.replace(".weight_g", ".parametrizations.weight.original0")
    return name.replace(".weight_v", ".parametrizations.weight.original1")


def variants(weights):
    """Layouts of the same network: names of files to their content."""
    masks = {
        "patch_embedding_pad.weight": torch.zeros(1, 1, 16, 16),
        "raw2fbank_pad.weight": torch.zeros(1, 1, 400),
    }
    head = {"predictor.weight": torch.zeros(5, 32), "predictor.bias": torch.zeros(5)}
    config = options(**TINY)
    heads = {"strong_head.weight": torch.zeros(4, 32), "weak_head.bias": torch.zeros(4)}
    mirror = {f"model.model.{new_weight_norm(n)}": t for n, t in weights.items()}
    after = {
        "layer_weights": torch.ones(3, 1),
        "downsample_conv.weight": torch.ones(2, 2, 3),
        "conformer_adapter.layers.0.ffn1.output_dense.bias": torch.ones(2),
        "cross_embed_positions.weight": torch.ones(9, 2),
    }
    tuned = {f"encoder.{n}": t for n, t in {**weights, **masks, **after}.items()}
    return {
        "finetuned": {
            "cfg": {**config, "finetuned_model": True, "predictor_class": 5},
            "model": {**weights, **head},
            "label_dict": {0: "/m/09x0r"},
        },
        "mirror": {**mirror, **heads},
        "mirror of the network alone": mirror,
        "openbeats": {"cfg": config, "model": {**weights, **masks}},
        "openbeats, finetuned": {**tuned, "decoder.linear_out.bias": torch.zeros(5)},
    }


@pytest.mark.parametrize("name", variants({}))
def test_layouts(name, weights, checkpoint, tmp_path):
    expected_config, expected = read_beats(checkpoint)
    path = tmp_path / "epoch_latest.pt"
    torch.save(variants(weights)[name], path)
    config, found = read_beats(path)
    same = ("dropout",) * ("cfg" not in variants({})[name])  # of weights alone unknown
    assert {k: v for k, v in config.items() if k not in same} == {
        k: v for k, v in expected_config.items() if k not in same
    }
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_folder_of_espnet(weights, checkpoint, tmp_path):
    """Its file may lie deep; config.yaml beside weights alone has options of them."""
    deep = tmp_path / "work" / "exp"
    deep.mkdir(parents=True)
    tuned = {f"encoder.{name}": tensor for name, tensor in weights.items()}
    torch.save(tuned, deep / "valid.acc.best.pth")
    (deep / "config.yaml").write_text(
        "encoder_conf: {fbank_mean: 11.7, beats_config: {fbank_mean: 3, dropout: 0}}"
    )
    config, _ = read_beats(tmp_path)
    assert config == {**read_beats(checkpoint)[0], "fbank_mean": 11.7}
    torch.save(tuned, tmp_path / "another.pt")
    with pytest.raises(CheckpointError, match="2 files .*another.pt, work/exp/valid"):
        read_beats(tmp_path)


@pytest.mark.parametrize("sizes", [BASE, LARGE], ids=["base", "large"])
def test_every_published_name(sizes, tmp_path):
    """At full size; no tensor takes memory."""
    path = tmp_path / "model.pt"
    weights = npz_fixtures.published(shapes(**sizes))
    weights["encoder.pos_conv.0.weight_g"] = torch.ones(1, 1, 128)
    torch.save({"cfg": options(**sizes), "model": weights}, path)
    config, found = read_beats(path)
    millions = npz_fixtures.assert_fits(Beats, config, found) / 1e6
    assert millions == pytest.approx(90.3 if sizes is BASE else 311.4, abs=0.1)


def test_found_without_a_card(checkpoint):
    assert type(of_checkpoint(str(checkpoint))) is Beats


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda c: c["model"].update({"quantize.embedding.weight": 0}),
            "is a tokenizer",
        ),
        (
            lambda c: c["model"].pop("patch_embedding.weight"),
            "it lacks patch_embedding",
        ),
        (lambda c: c["cfg"].update(activation_fn="glu"), "activation_fn: glu"),
        (
            lambda c: c["model"].pop("encoder.layers.0.self_attn.grep_a"),
            "no gated relative positions",
        ),
        (
            lambda c: c["model"].pop("encoder.layers.1.fc1.bias"),
            "missing .1.: encoder.layers.1.expand.bias",
        ),
        (
            lambda c: c["model"].update({"encoder.more.weight": torch.zeros(2)}),
            "unexpected .1.: encoder.more.weight",
        ),
        (
            lambda c: c["model"].pop("encoder.pos_conv.0.weight_v"),
            "lacks the weights of encoder.pos_conv.0",
        ),
    ],
)
def test_other_files_are_refused(change, message, weights, tmp_path):
    content = {"cfg": options(**TINY), "model": dict(weights)}
    change(content)
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=message):
        Beats(str(tmp_path / "model.pt"))


# --------------------------------------------------------------- the rest
def test_options_of_old_files(weights, tmp_path):
    """Options that a file leaves out are as in the authors' code."""
    torch.save({"cfg": {"dropout": 0.3}, "model": weights}, tmp_path / "model.pt")
    config = read_beats(tmp_path / "model.pt")[0]
    assert (config["deep_norm"], config["max_distance"]) == (False, 1280)
    assert config["dropout"] == 0.3


def test_statistics_of_openbeats(weights, tmp_path):
    """Its files have those of its own corpus; the network's input follows them."""
    statistics = {"fbank_mean": 15.2913, "fbank_std": 5.90532}
    states = []
    for more in ({}, statistics):
        content = {"cfg": {**options(**TINY), **more}, "model": weights}
        torch.save(content, tmp_path / "epoch_latest.pt")
        states.append(Beats(str(tmp_path)).local([noise(PATCH + REST)])[0])
    expected = (states[0] * 2 * 6.55582 + 15.41663 - 15.2913) / (2 * 5.90532)
    assert error(states[1], expected) < 1e-5


def test_frames_are_whole_patches(checkpoint):
    upstream = Beats(str(checkpoint))
    samples = (1, PATCH + REST, 2 * PATCH + REST - 1, 2 * PATCH + REST)
    assert [upstream.frames(n) for n in samples] == [1, 1, 1, 2]
    # A frame does not see what comes after its patch, before the encoder does.
    wav = noise(3 * PATCH + REST)
    x, frames = upstream.local([wav[: 2 * PATCH + REST + 100], wav])
    assert frames == [2, 3] and torch.equal(x[:2], x[2:4])


def test_chunks(checkpoint):
    wav = noise(20 * PATCH)[None]
    whole = Beats(str(checkpoint))(wav)[0][-1][0]
    chunked = Beats(str(checkpoint), chunk_seconds=0.8, overlap_seconds=0.32)
    state = chunked(wav)[0][-1][0]
    assert state.shape == whole.shape and not torch.allclose(state, whole)
    # The second chunk is frames 5 to 9 with 2 more on either side, after positions.
    first = Beats(str(checkpoint))(wav)[0][0]
    network = chunked.network
    patches = chunked.network.embed(chunked.local([wav[0]])[0])
    with torch.no_grad():
        tokens = patches.unflatten(1, (8, -1)).flatten(0, 1)
        start = next(iter(network.encoder(tokens, [len(tokens)])))
        x = start[8 * 3 : 8 * 12]
        for layer in network.encoder.layers:
            x, _ = layer(x, [len(x)])
    assert error(state[5:10], x.unflatten(0, (-1, 8)).mean(1)[2:7]) < 1e-5
    assert first.shape == (1, 19, 32)


def test_contract_unfrozen():
    config = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
    check_upstream(Beats(config=config, bands="concat", freeze=False))


def test_deep_initialization():
    """Values and feed-forwards start smaller, queries and keys do not."""
    network = PatchEncoder(BeatsConfig(hidden_size=96, num_layers=4, ffn_size=96))
    network.reset_parameters(seed=1)
    layer, scale = network.encoder.layers[1], (2 / 192) ** 0.5
    assert layer.residual_scale == 8**0.25
    for module, gain in (
        (layer.attention.query, 1),
        (layer.attention.value, 32**-0.25),
        (layer.expand, 32**-0.25),
    ):
        assert module.weight.std().item() == pytest.approx(gain * scale, rel=0.05)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Beats(bands="max"), "Unknown bands 'max'. Known: mean, concat"),
        (lambda: Beats(config={"num_mel_bins": 100}), "100 is no multiple of patch 16"),
        (lambda: EncoderConfig(deep_norm=True, norm_first=True), "without norm_first"),
        (lambda: EncoderConfig(gate_input="keys"), "gate_input must be one of frames"),
    ],
)
def test_mistakes_are_explained(build, message):
    with pytest.raises(ValueError, match=message):
        build()
