"""DistilHuBERT against Hugging Face's HuBERT, and its heads against the formula."""

import argparse

import pytest
import torch
import torch.nn.functional as F
from tensors import error

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert

OPTIONS = {
    "extractor_mode": "default",
    "extractor_conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 2",
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "final_dim": 24,
    "out_layer_inter_dim": 20,
    "out_layer_type": "expand-last",
    "task_emb_type": "expand-last",
    "n_tasks": 3,
    "pred_layer_id": [4, 8, 12],
}
#: Hugging Face's names of what S3PRL's checkpoints hold.
CONVOLUTION = "encoder.pos_conv_embed.conv"
HUGGING_FACE = [
    ("layers.0.2.", "layers.0.layer_norm."),
    (".0.weight", ".conv.weight"),
    ("post_extract_proj.", "feature_projection.projection."),
    ("encoder.pos_conv.0.bias", f"{CONVOLUTION}.bias"),
    ("encoder.pos_conv.0.weight_g", f"{CONVOLUTION}.parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", f"{CONVOLUTION}.parametrizations.weight.original1"),
    ("self_attn_layer_norm.", "layer_norm."),
    ("self_attn.", "attention."),
    ("fc1.", "feed_forward.intermediate_dense."),
    ("fc2.", "feed_forward.output_dense."),
]


def weights_of(tasks=3, norm_first=False):
    """Random weights under S3PRL's names."""
    random = torch.Generator().manual_seed(3)
    found = {}

    def add(name, *shape):
        fan_in = shape[-1] if len(shape) == 2 else max(1, torch.Size(shape[1:]).numel())
        found[name] = torch.randn(shape, generator=random) * fan_in**-0.5
        if len(shape) == 1:
            found[name] *= 0.2

    def linear(name, out, size):
        add(f"{name}.weight", out, size)
        add(f"{name}.bias", out)

    def norm(name, size):
        linear(name, size, 1)
        found[f"{name}.weight"] = 1 + 0.1 * found[f"{name}.weight"][:, 0]

    for i, (channels, kernel) in enumerate(((1, 10), (16, 3), (16, 3))):
        add(f"feature_extractor.conv_layers.{i}.0.weight", 16, channels, kernel)
    norm("feature_extractor.conv_layers.0.2", 16)
    linear("post_extract_proj", 32, 16)
    add("encoder.pos_conv.0.bias", 32)
    add("encoder.pos_conv.0.weight_v", 32, 8, 16)
    found["encoder.pos_conv.0.weight_g"] = torch.rand(1, 1, 16, generator=random)
    norm("encoder.layer_norm", 32)
    for i in range(2):
        layer = f"encoder.layers.{i}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{layer}.self_attn.{name}", 32, 32)
        norm(f"{layer}.self_attn_layer_norm", 32)
        linear(f"{layer}.fc1", 48, 32)
        linear(f"{layer}.fc2", 32, 48)
        norm(f"{layer}.final_layer_norm", 32)
    linear("output_layer.0", 20 * tasks, 32)
    if tasks == 1:
        linear("output_layer.2.layer", 24, 20)
    else:
        add("output_layer.2.weight", tasks, 20, 24)
        add("output_layer.2.bias", 1, 1, tasks, 24)
    return found


def write(path, weights=None, wrap=dict, **options):
    content = {
        "Distiller": weights_of() if weights is None else weights,
        "Config": {"distiller": {**OPTIONS, **options}},
        "Args": argparse.Namespace(seed=1337),
    }
    content["Config"] = wrap(**content["Config"])
    torch.save(content, path)
    return str(path)


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def hugging_face(weights, stable):
    """(output of the projection, hidden states) of Hugging Face's network."""
    transformers = pytest.importorskip("transformers")
    config = transformers.HubertConfig(
        conv_dim=[16] * 3,
        conv_kernel=[10, 3, 3],
        conv_stride=[5, 2, 2],
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_proj_layer_norm=False,
        do_stable_layer_norm=stable,
        attn_implementation="eager",
    )
    network = transformers.HubertModel(config).eval()
    theirs = {}
    for name, tensor in weights.items():
        if not name.startswith("output_layer."):
            for old, new in HUGGING_FACE:
                if old != ".0.weight" or name.startswith("feature_extractor."):
                    name = name.replace(old, new)
            theirs[name] = tensor
    missing, unexpected = network.load_state_dict(theirs, strict=False)
    assert not unexpected and set(missing) <= {"masked_spec_embed"}
    return network


@pytest.mark.parametrize("tasks", [3, 1])
@pytest.mark.parametrize("norm_first", [False, True], ids=["last", "first"])
def test_as_hugging_face(tmp_path, norm_first, tasks):
    weights = weights_of(tasks)
    targets = [4, 8, 12][:tasks]
    options = {"layer_norm_first": norm_first, "n_tasks": tasks}
    path = write(tmp_path / "x.ckpt", weights, pred_layer_id=targets, **options)
    states, _ = DistilHubert(path)(noise(3000)[None])
    assert [s.shape[-1] for s in states] == [32] * 3 + [24] * tasks
    network = hugging_face(weights, norm_first)
    with torch.no_grad():
        features = network.feature_extractor(noise(3000)[None]).transpose(1, 2)
        projected = network.feature_projection(features)
        output = network(noise(3000)[None], output_hidden_states=True)
        # Of its last hidden state the norm of "norm first" is part.
        last = output.last_hidden_state
        inner = F.linear(
            last, *(weights[f"output_layer.0.{n}"] for n in ("weight", "bias"))
        )
        inner = F.gelu(inner).unflatten(-1, (tasks, 20))
    assert error(states[0], projected) < 1e-5
    assert error(states[1], output.hidden_states[1]) < 1e-5
    if not norm_first:
        assert error(states[2], last) < 1e-5
    else:
        norm = [weights[f"encoder.layer_norm.{n}"] for n in ("weight", "bias")]
        assert error(F.layer_norm(states[2], (32,), *norm), last) < 1e-5
    for i in range(tasks):
        if tasks == 1:
            weight = weights["output_layer.2.layer.weight"].T
            bias = weights["output_layer.2.layer.bias"]
        else:
            weight = weights["output_layer.2.weight"][i]
            bias = weights["output_layer.2.bias"][0, 0, i]
        assert error(states[3 + i], inner[..., i, :] @ weight + bias) < 1e-5


def test_options_as_a_namespace(tmp_path):
    path = write(tmp_path / "x.ckpt", wrap=argparse.Namespace)
    plain = write(tmp_path / "y.ckpt")
    one, _ = DistilHubert(path)(noise(2000)[None])
    other, _ = DistilHubert(plain)(noise(2000)[None])
    assert len(one) == 6
    assert all(torch.equal(a, b) for a, b in zip(one, other))


def test_published_size():
    from s3prl_sb.lobes.checkpoints.building import sizes_only

    with sizes_only():
        upstream = DistilHubert()
    assert upstream.num_layers == 6 and upstream.output_sizes == [768] * 6
    assert upstream.stride == 320 and upstream.min_samples == 400
    heads = sum(p.numel() for p in upstream.network.heads.parameters())
    count = sum(p.numel() for p in upstream.parameters()) - heads
    assert round(count / 1e6, 2) == 23.49  # the paper's table


def test_chunks_of_short_audio_change_nothing(tmp_path):
    path = write(tmp_path / "x.ckpt")
    whole, _ = DistilHubert(path)(noise(4000)[None])
    chunked, _ = DistilHubert(path, chunk_seconds=1.0)(noise(4000)[None])
    assert all(torch.equal(a, b) for a, b in zip(whole, chunked))


@pytest.mark.parametrize("norm_first", [False, True], ids=["last", "first"])
def test_trained_parts(norm_first):
    config = {
        "conv_layers": [[16, 10, 5]],
        "hidden_size": 32,
        "num_heads": 4,
        "norm_first": norm_first,
    }
    upstream = DistilHubert(config=config, freeze=False)
    fixed = {n for n, p in upstream.named_parameters() if not p.requires_grad}
    assert fixed and all(n.startswith("network.front_end.") for n in fixed)
    sum(s.pow(2).mean() for s in upstream(noise(2000)[None])[0]).backward()
    assert all(p.grad is not None for p in upstream.parameters() if p.requires_grad)


def test_refuses_what_it_cannot_build(tmp_path):
    path = tmp_path / "x.ckpt"
    torch.save({"model_cfg": {}, "task_cfg": {}, "model_weight": {}}, path)
    with pytest.raises(CheckpointError, match="model_weight.*Distiller and Config"):
        DistilHubert(str(path))
    torch.save([1], path)
    with pytest.raises(CheckpointError, match="no checkpoint of DistilHuBERT"):
        DistilHubert(str(path))
    write(path, task_emb_type="self-hidden")
    with pytest.raises(CheckpointError, match="task_emb_type: self-hidden"):
        DistilHubert(str(path))
    weights = weights_of()
    del weights["output_layer.0.bias"]
    weights["extra"] = torch.ones(1)
    write(path, weights)
    with pytest.raises(CheckpointError, match="missing.*heads.0.0.bias[^$]*extra"):
        DistilHubert(str(path))
    with pytest.raises(ValueError, match="Unknown in config: layers.*targets"):
        DistilHubert(config={"layers": 3})
