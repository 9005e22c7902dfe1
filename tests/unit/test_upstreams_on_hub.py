"""Pre-trained upstreams on the hub: what names them, what is read, and when."""

import shutil

import pytest
import torch
from hub_server import hub, use_cache  # noqa: F401
from test_published import files_of

from s3prl_sb.brains.pretrained_card import write_card
from s3prl_sb.lobes.upstreams import load, title
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.storage import checksums


def make_pretrained(folder, seed=0, **facts):
    """A folder with the card of a small network, as pre-training writes it."""
    folder.mkdir(parents=True)
    network = Apc(config={"hidden_size": 8}, seed=seed)
    parts = {"network": network, "head": torch.nn.Linear(8, 80)}
    about = {"task": "pretraining/apc", "steps": 4, "hours": 0.25, **facts}
    write_card(network, torch.nn.ModuleDict(parts), folder, "mine", about)
    return folder


@pytest.fixture
def pretrained(tmp_path):
    return make_pretrained(tmp_path / "pretrained")


def test_loads(pretrained, hub):  # noqa: F811
    checksums.write(pretrained)
    hub.put("anna/mine", files_of(pretrained))
    here, there = load(str(pretrained)), load("anna/mine")
    x = torch.randn(1, 4000)
    assert torch.equal(here(x)[0][-1], there(x)[0][-1])
    assert title("anna/mine") == "mine"
    print(hub.requests)
    from s3prl_sb.lobes.upstreams import card
    print(card("anna/mine"))
    from s3prl_sb.identity.upstreams import upstream_identity
    assert upstream_identity(here) == upstream_identity(there)
