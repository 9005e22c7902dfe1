"""LoRA and bottleneck adapters: nothing at first, little to train, all that learns."""

import pickle

import pytest
import torch

from s3prl_sb.lobes.upstreams import load

SMALL = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}
SMALL["conv_layers"] = [[16, 10, 5], [16, 8, 64]]
BERT = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
TRANSFORMERS = {
    "hubert": SMALL,
    "wavlm": SMALL,
    "wav2vec2_conformer_relpos": SMALL,
    "tera": {"transformer": BERT},
}
ADAPTERS = {
    "lora": {"kind": "lora", "rank": 2},
    "bottleneck": {"kind": "bottleneck", "size": 3},
}


def build(name, **options):
    return load(name, source=None, config=TRANSFORMERS[name], **options)


def wav():
    return 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_adapters(name, kind):
    plain = build(name)
    adapted = build(name, freeze=False, adapter=ADAPTERS[kind]).eval()
    before = plain(wav())[0]
    for a, b in zip(adapted(wav())[0], before, strict=True):
        assert torch.allclose(a, b, atol=1e-6)  # they change nothing yet
    trained = {n for n, p in adapted.named_parameters() if p.requires_grad}
    assert trained and all("adapter_" in n for n in trained)
    assert len(trained) < len(list(adapted.parameters())) / 2
    optimizer = torch.optim.SGD(adapted.parameters(), lr=1.0)
    for _ in range(2):  # of LoRA only one factor moves at the first step
        optimizer.zero_grad()
        adapted(wav())[0][-1][..., :3].pow(2).sum().backward()
        optimizer.step()
    moved = {n for n in trained if adapted.get_parameter(n).grad.any()}
    assert moved == trained
    assert not torch.allclose(adapted(wav())[0][-1], before[-1], atol=1e-4)
    again = pickle.loads(pickle.dumps(adapted))
    assert torch.equal(again(wav())[0][-1], adapted(wav())[0][-1])


def test_new_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second, third = (
        build("hubert", freeze=False, adapter={"seed": seed}).state_dict()
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.get_rng_state(), state)
    down = [k for k in first if k.endswith("adapter_down_proj.weight")]
    assert len(down) == 4  # query and value of both layers
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not any(torch.equal(first[k], third[k]) for k in down)


def test_chosen_layers():
    adapter = {"layers": ["*.layers.1.expand"], "rank": 1}
    upstream = build("hubert", freeze=False, adapter=adapter)
    trained = [n for n, p in upstream.named_parameters() if p.requires_grad]
    assert trained == [
        f"network.encoder.layers.1.expand.adapter_{part}_proj.weight"
        for part in ("down", "up")
    ]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"adapter": {"kind": "prefix"}}, "Known: lora, bottleneck"),
        ({"adapter": {"size": 3}}, "Known: rank, alpha"),
        ({"adapter": {"layers": ["*.attn"]}}, "Choose .*layers.0.attention.query"),
        ({"adapter": {"rank": 2}, "freeze": True}, "set freeze: False"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        build("hubert", **{"freeze": False, **options})
