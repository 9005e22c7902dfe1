"""Weights to start from: what is copied, left out, random, and refused."""

import logging

import pytest
import torch

from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.initializing import InitError, initialize_from
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.features import StftFeatures
from s3prl_sb.lobes.upstreams.hubert import Hubert

TINY = {
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 4,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 8, 64]],
    "position_kernel": 16,
    "position_groups": 4,
}


def hubert(seed, **entries):
    return Hubert(config={**TINY, **entries}, seed=seed)


def first_states(upstream, count):
    return upstream(torch.sin(torch.arange(8000.0) ** 1.3)[None])[0][:count]


def test_the_same_architecture_is_copied_completely():
    network, source = hubert(0), hubert(1)
    result = initialize_from(network, source)
    assert not result.left_out and not result.random
    for a, b in zip(first_states(network, 5), first_states(source, 5)):
        assert torch.equal(a, b)
    source.network.encoder.layers[0].expand.weight.data.zero_()  # a copy, not a view
    assert network.network.encoder.layers[0].expand.weight.any()


def test_a_student_takes_its_first_layers_from_its_teacher(caplog):
    teacher = hubert(1)
    options = {**TINY, "num_layers": 2, "targets": [2, 4], "target_size": 32}
    student = DistilHubert(config=options)
    with caplog.at_level(logging.INFO):
        result = initialize_from(student, teacher)
    ours, theirs = student.network.state_dict(), teacher.network.state_dict()
    assert "encoder.layers.1.expand.weight" in result.copied
    assert "encoder.positions.convolutions.0.weight" in result.copied
    assert all(torch.equal(ours[name], theirs[name]) for name in result.copied)
    assert {name.split(".")[0] for name in result.random} == {"heads"}
    assert all(
        name.startswith(("encoder.layers.2", "encoder.layers.3", "front_end_norm"))
        for name in result.left_out
    )
    assert "left out: encoder.layers.2." in caplog.text
    assert "these stay random: heads.0" in caplog.text


def test_further_layers_stay_random():
    network, source = hubert(0, num_layers=6), hubert(1)
    result = initialize_from(network, source)
    numbers = {name.split(".")[2] for name in result.random}
    assert numbers == {"4", "5"}
    assert all(name.startswith("encoder.layers.") for name in result.random)
    for a, b in zip(first_states(network, 4), first_states(source, 4)):
        assert torch.equal(a, b)


def test_a_quantizer_may_be_new():
    source = Apc(config={"hidden_size": 16}, seed=1)
    network = Apc(config={"hidden_size": 16, "codebook_size": [8]})
    result = initialize_from(network, source)
    assert result.random and all(n.startswith("quantizer.") for n in result.random)


def test_cards_and_files(tmp_path):
    text = "mine: !new:s3prl_sb.lobes.upstreams.hubert.Hubert\n    seed: 1\n"
    text += "    config: {hidden_size: 32, ffn_size: 48, num_layers: 4, num_heads: 4, "
    text += "conv_layers: [[16, 10, 5], [16, 8, 64]], position_kernel: 16, "
    text += "position_groups: 4}\n"
    (tmp_path / "mine.yaml").write_text(text)
    card, _ = convert(str(tmp_path / "mine.yaml"), str(tmp_path / "converted"))
    expected = hubert(1).network.state_dict()
    for source in (tmp_path / "mine.yaml", card, card.with_name("model.safetensors")):
        network = hubert(0)
        initialize_from(network, str(source))
        for name, weight in network.network.state_dict().items():
            assert torch.equal(weight, expected[name])


@pytest.mark.parametrize(
    "source, words",
    [
        (hubert(1, hidden_size=64), "other shapes: .*64"),
        (hubert(1, hidden_size=64, num_heads=8), "hidden_size: 64, num_heads: 8[.]"),
        (hubert(1, ffn_size=64, dropout=0.5, num_layers=5), "config: ffn_size: 64[.]"),
        (hubert(1, conv_norm="layer"), r"conv_norm: layer instead of group"),
        (hubert(1, num_heads=2), "num_heads: 2 instead of 4"),
        (hubert(1, normalize_wav=True), "normalize_wav: True instead of False"),
        (hubert(1, layer="conformer"), "of another architecture"),
        (Apc(config={"hidden_size": 8}), "lacks .* weights"),
        (StftFeatures(), "no weights"),
    ],
)
def test_what_does_not_fit_is_refused(source, words):
    network = hubert(0)
    before = {k: v.clone() for k, v in network.network.state_dict().items()}
    with pytest.raises(InitError, match=words):
        initialize_from(network, source)
    for name, weight in network.network.state_dict().items():
        assert torch.equal(weight, before[name])
