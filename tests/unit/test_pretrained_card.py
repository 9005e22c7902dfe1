"""The card of a pre-trained network: equal features, whole pairs of files."""

import pytest
import torch

from s3prl_sb.brains import pretrained_card
from s3prl_sb.brains.pretrained_card import save_card, write_card
from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.cards.objective_files import read_objective
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.acoustic_encoder import AcousticEncoder
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import AudioAlbert, Mockingjay, Tera
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.objectives.base import Objective, Outcome
from s3prl_sb.storage.files import FileError, read_yaml

FEATURES = {"transformer": {"hidden_size": 24, "num_hidden_layers": 2}}
WAVEFORM = {
    "hidden_size": 24,
    "ffn_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 8, 64]],
    "position_kernel": 16,
    "position_groups": 4,
}
ACOUSTIC = {"hidden_size": 24, "ffn_size": 32, "num_layers": 2, "num_heads": 4,
            "layer": "conformer", "stack": 4}  # fmt: skip
FAMILIES = {
    "mockingjay": (Mockingjay, FEATURES),
    "tera": (Tera, FEATURES),
    "audio_albert": (AudioAlbert, FEATURES),
    "apc": (Apc, {"hidden_size": 16}),
    "vq_apc": (Apc, {"hidden_size": 16, "codebook_size": [8]}),
    "npc": (Npc, {"hidden_size": 16, "codebook_size": [8, 8]}),
    "hubert": (Hubert, WAVEFORM),
    "wav2vec2": (Wav2Vec2, {**WAVEFORM, "norm_first": True, "conv_norm": "layer"}),
    "distilhubert": (DistilHubert, {**WAVEFORM, "targets": [4, 8]}),
    "conformer": (Wav2Vec2, {**WAVEFORM, "layer": "conformer"}),
    "acoustic_encoder": (AcousticEncoder, ACOUSTIC),
}


class Reconstruction(Objective):
    """A small objective with weights of its own."""

    def __init__(self, network, size=4, weight=0.5):
        super().__init__(network)
        self.weight = weight
        self.head = torch.nn.Linear(network.output_size, size)
        self.teacher = lambda x: x  # nothing that a file can hold

    def forward(self, wavs, draws, codes=None):
        x, frames = self.network.local(wavs)
        *_, x = self.network.contextualize(self.network.embed(x), frames)
        loss = self.weight * self.head(x).pow(2).sum()
        return Outcome(loss, torch.tensor(len(x)), {})


def trained(family, seed=0):
    """An objective over a network that one update has changed."""
    kind, config = FAMILIES[family]
    objective = Reconstruction(kind(config=config, freeze=False, seed=seed)).train()
    objective([torch.randn(9000), torch.randn(6000)], None).loss.backward()
    with torch.no_grad():
        for parameter in objective.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    return objective


def states(upstream):
    wavs = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return upstream.eval()(wavs, torch.tensor([1.0, 0.6]))[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_card_has_the_trained_features(family, tmp_path):
    """Statistics of batch norms included; the contract holds for what is loaded."""
    objective = trained(family)
    network = objective.network
    path = write_card(network, objective, tmp_path, family, {"steps": 1})
    assert network.training  # writing changes nothing
    again = load(str(path))
    assert type(again) is type(network)
    assert not any(p.requires_grad for p in again.parameters())
    for name, weight in network.network.state_dict().items():
        assert torch.equal(weight, again.network.state_dict()[name]), name
    for one, other in zip(states(network), states(again), strict=True):
        torch.testing.assert_close(one, other)
    assert check_upstream(again)


def test_facts_and_the_objective(tmp_path):
    objective = trained("tera")
    facts = {"steps": 7, "held-out loss": 0.25}
    path = write_card(objective.network, objective, tmp_path, "my-tera", facts)
    about = read_yaml(path)["_pretraining"]
    assert about["objective"].endswith("Reconstruction")
    assert {**about, **facts} == about
    saved = read_objective(f"{path}:my-tera")
    assert saved.name.endswith("Reconstruction")
    assert saved.arguments == {"weight": 0.5}  # of those that it keeps as attributes
    assert set(saved.weights) == {"head.weight", "head.bias"}
    assert torch.equal(saved.weights["head.weight"], objective.head.weight)


def test_a_later_card_replaces_the_files(tmp_path):
    (tmp_path / "tera-notes.safetensors").write_text("of the user")
    first, second = trained("tera"), trained("tera", seed=1)
    path = write_card(first.network, first, tmp_path, "tera", {})
    before = {file.name: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    write_card(first.network, first, tmp_path, "tera", {})
    tensors = {name for name in before if "-" in name}
    for name in tensors:  # equal content is not written again
        assert (tmp_path / name).stat().st_mtime_ns == before[name]
    write_card(second.network, second, tmp_path, "tera", {})
    after = {file.name for file in tmp_path.iterdir()}
    assert len(after) == 4 and after & set(before) == {
        "card.yaml",
        "tera-notes.safetensors",
    }
    for one, other in zip(states(second.network), states(load(str(path)))):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("moment", ["write_network", "write_objective", "write_text"])
def test_a_kill_leaves_the_older_card(moment, tmp_path, monkeypatch):
    """Nothing of a card refers to a file of another one."""

    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    first, second = trained("apc"), trained("apc", seed=1)
    path = write_card(first.network, first, tmp_path, "apc", {})
    with monkeypatch.context() as patch:
        patch.setattr(pretrained_card, moment, kill)
        with pytest.raises(Killed):
            write_card(second.network, second, tmp_path, "apc", {})
    for one, other in zip(states(first.network), states(load(str(path)))):
        torch.testing.assert_close(one, other)
    assert torch.equal(read_objective(str(path)).weights["head.bias"], first.head.bias)
    write_card(second.network, second, tmp_path, "apc", {})
    assert torch.equal(read_objective(str(path)).weights["head.bias"], second.head.bias)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_damaged_objective(tmp_path):
    objective = trained("apc")
    path = write_card(objective.network, objective, tmp_path, "apc", {})
    (file,) = tmp_path.glob("*.objective.safetensors")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(FileError, match=r"objective\.safetensors"):
        read_objective(str(path))
    file.unlink()
    assert read_objective(str(path)) is None  # the network alone is whole
    assert load(str(path)).output_size == 16


def test_a_run(tmp_path):
    objective = trained("npc")

    class Brain:
        class hparams:
            upstream_model, upstream_name = objective.network, "npc"
            seed, output_folder = 3, str(tmp_path)

    Brain.hparams.objective = objective
    path = save_card(Brain, {"steps": 2})
    assert path == tmp_path / "card.yaml"
    about = read_yaml(path)["_pretraining"]
    assert about["seed"] == 3 and about["steps"] == 2


def test_a_class_of_the_user_comes_along(tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_TRUST", "1")
    (tmp_path / "mine.py").write_text(
        "from s3prl_sb.lobes.upstreams.apc import Apc\n\n\nclass Mine(Apc):\n    pass\n"
    )
    (tmp_path / "mine.yaml").write_text("mine: !new:mine.Mine\n    freeze: false\n")
    network = load(f"{tmp_path}/mine.yaml", config={"hidden_size": 8})
    objective = Reconstruction(network)
    path = write_card(network, objective, tmp_path / "run", "mine", {})
    assert (tmp_path / "run" / "mine.py").is_file()
    (tmp_path / "mine.py").unlink()
    assert type(load(str(path))).__name__ == "Mine"
