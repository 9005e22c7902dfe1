"""Every family's checkpoints survive `s3prl-sb convert`, in all their promises."""

import copy

import pytest
import ruamel.yaml
import torch
from test_upstreams import build, every_kind, ragged, shrunk

from s3prl_sb.identity.objects import hash_weights
from s3prl_sb.lobes.cards.conversion import ConversionError, convert
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.lobes.upstreams import card, load


@pytest.fixture(scope="module")
def conversion(tmp_path_factory):
    """``conversion(name)``: the file of a shrunk card, its upstream, and the card of
    its conversion; None without weights."""
    made = {}

    def conversion(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("conversion")
            small = written(name, folder)
            original, path = load(small), None
            if getattr(original, "network", None) is not None:
                path, _ = convert(small, folder / "converted")
            made[name] = small, original, path
        return made[name]

    return conversion


def written(name, folder):
    """A card file of a shrunk card."""
    with open(folder / "small.yaml", "w") as file:
        ruamel.yaml.YAML().dump({name: card(name, **shrunk(name))}, file)
    return str(folder / "small.yaml")


def exact(upstream):
    """Features to the last bit, which depends on where weights lie in memory."""
    return copy.deepcopy(upstream)(*ragged(upstream))


@every_kind
def test_converted(name, conversion, tmp_path):
    small, original, path = conversion(name)
    if path is None:
        with pytest.raises(ConversionError, match="no weights"):
            convert(small, tmp_path / "converted")
        pytest.skip(f"{type(original).__name__} has no weights to convert")
    folder = path.parent
    assert sorted(path.name for path in folder.iterdir()) == [
        "card.yaml",
        "model.safetensors",
    ]
    about, tag = converted(folder / "model.safetensors"), card(small).tag.value
    assert about["class"] == tag.removeprefix("!new:") and about["config"]
    states, lens = exact(original)
    model = str(folder / "model.safetensors")
    arguments = original.arguments
    seed = {"seed": 1} if "seed" in arguments else {}
    for again in (
        load(str(path), **seed),  # not of the seed any more
        load(small, source=model),
        build(name, source=model, **dict.fromkeys({"config"} & set(arguments))),
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
def test_converted_again(name, conversion, tmp_path):
    """A conversion is a checkpoint as any other, and says itself what it is."""
    small, _, path = conversion(name)
    if path is None:
        pytest.skip("no weights to convert")
    model = path.parent / "model.safetensors"
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
