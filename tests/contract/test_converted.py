"""Every family's checkpoints survive `s3prl-sb convert`, in all their promises."""

import copy

import pytest
import ruamel.yaml
import test_upstreams
import torch
from test_upstreams import build, every_kind, ragged

from s3prl_sb.identity.objects import hash_weights
from s3prl_sb.lobes.cards.conversion import ConversionError, convert
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.lobes.upstreams import card, load


def written(name, folder, monkeypatch):
    """A card file of a shrunk card."""
    with monkeypatch.context() as patch:
        patch.setattr(test_upstreams, "load", card)  # what is built is its node
        node = build(name)
    with open(folder / "small.yaml", "w") as file:
        ruamel.yaml.YAML().dump({name: node}, file)
    return str(folder / "small.yaml")


def exact(upstream):
    """Features to the last bit, which depends on where weights lie in memory."""
    return copy.deepcopy(upstream)(*ragged())


@every_kind
def test_converted(name, tmp_path, monkeypatch):
    small, folder = written(name, tmp_path, monkeypatch), tmp_path / "converted"
    original = load(small)
    if getattr(original, "network", None) is None:
        with pytest.raises(ConversionError, match="no weights"):
            convert(small, folder)
        pytest.skip(f"{type(original).__name__} has no weights to convert")
    path, _ = convert(small, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.yaml",
        "model.safetensors",
    ]
    about, tag = converted(folder / "model.safetensors"), card(small).tag.value
    assert about["class"] == tag.removeprefix("!new:") and about["config"]
    states, lens = exact(original)
    model = str(folder / "model.safetensors")
    seed = {"seed": 1} if "seed" in original.arguments else {}
    for again in (
        load(str(path), **seed),  # not of the seed any more
        load(small, source=model),
        build(name, source=model, config=None),
        type(original)(source=model, **_others(small)),
    ):
        assert type(again) is type(original) and not again.training
        again_states, again_lens = exact(again)
        assert all(map(torch.equal, again_states, states))
        assert torch.equal(again_lens, lens)
    # Another file with the same weights.
    assert hash_weights(load(str(path))) == hash_weights(original)
    trained = load(str(path), freeze=False)
    assert {n for n, p in trained.named_parameters() if p.requires_grad} == {
        n for n, p in load(small, freeze=False).named_parameters() if p.requires_grad
    }


@every_kind
def test_converted_again(name, tmp_path, monkeypatch):
    """A conversion is a checkpoint as any other, and says itself what it is."""
    small = written(name, tmp_path, monkeypatch)
    if getattr(load(small), "network", None) is None:
        pytest.skip("no weights to convert")
    convert(small, tmp_path / "one")
    model = tmp_path / "one" / "model.safetensors"
    if not _others(small):  # without a card it is the class's own defaults
        convert(str(model), tmp_path / "two")
        assert (tmp_path / "two" / model.name).read_bytes() == model.read_bytes()
    convert(str(model), tmp_path / "three", upstream=small)
    assert (tmp_path / "three" / model.name).read_bytes() == model.read_bytes()


def _others(small):
    """Other facts of a card."""
    return {
        key: value
        for key, value in card(small).items()
        if key not in ("source", "config")
    }
