"""Sizes of networks in the generated file: current, used, and right for each card."""

import json
import subprocess
import sys

import pytest

from s3prl_sb.lobes.cards import sizes as module
from s3prl_sb.lobes.cards.finding import card_file, published
from s3prl_sb.lobes.cards.sizes import KEYS, built, identity, sizes
from s3prl_sb.lobes.upstreams import card, load, names

COMMAND = "python -m s3prl_sb.lobes.cards.sizes"


@pytest.fixture(scope="module")
def stored():
    return json.loads(published()[0].with_name("sizes.json").read_text("utf-8"))


def test_stored_sizes_are_those_of_the_networks(stored):
    pytest.importorskip("transformers")  # or its models cannot be built
    made = {}  # by digest: cards that differ in their weights have one network
    for name, entry in stored.items():
        assert name in names(), f"'{name}' has no card any more: {COMMAND}"
        node = card(name)
        assert entry["card"] == identity(node), f"'{name}' was changed: {COMMAND}"
        mine = {key: entry[key] for key in KEYS}
        if entry["card"] not in made:
            made[entry["card"]] = built(name, node)
        assert mine == made[entry["card"]], (
            f"the code of '{name}' was changed: {COMMAND}"
        )


def test_stored_sizes_are_used(monkeypatch):
    """Without a network, which needs transformers, or seconds."""
    monkeypatch.setattr(module, "built", lambda name, node: pytest.fail(name))
    assert sizes("hf_whisper_tiny")["stride"] == 320
    assert sizes("xls_r_2b")["parameters"] > 2e9


def test_a_card_without_an_entry_or_with_changes_is_built(monkeypatch):
    expected = sizes("hubert_small_random")
    changed = card("hubert_small_random")
    assert identity(changed) == identity(card("hubert_small_random"))
    changed["precision"] = "bfloat16"
    assert identity(changed) != identity(card("hubert_small_random"))
    calls = []
    monkeypatch.setattr(
        module, "built", lambda name, node: calls.append(name) or built(name, node)
    )
    assert sizes("hubert_small_random", changed) == expected
    monkeypatch.setattr(module, "_stored", lambda path, changed: {})
    assert sizes("hubert_small_random") == expected
    assert calls == ["hubert_small_random"] * 2


def test_a_card_of_ones_own_is_built(tmp_path):
    """Although a published card has its name."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "hubert_base: !new:s3prl_sb.lobes.upstreams.features.StftFeatures\n"
        "    feature: mel\n"
    )
    assert sizes(f"{mine}:hubert_base") == sizes(mine) == sizes("mel")


def test_sizes_are_those_of_a_loaded_network():
    upstream = load("hubert_small_random")
    row = sizes("hubert_small_random")
    assert row["parameters"] == sum(p.numel() for p in upstream.parameters())
    assert row["output_sizes"] == upstream.output_sizes
    assert card_file("hubert_small_random").with_name("sizes.json").is_file()


def test_the_table_is_light():
    code = (
        "import sys; from s3prl_sb.cli import main\n"
        "assert main(['upstreams', '--markdown']) == 0\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
