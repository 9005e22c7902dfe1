"""Checkpoints in S3PRL's layout: round trips, S3PRL's keys, the objective's weights.

The fixtures are S3PRL's own files, see tests/parity/make.py.
"""

from pathlib import Path

import pytest
import torch

from s3prl_sb.brains.pretrained_card import write_card
from s3prl_sb.cli import main
from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.writing import ConversionError
from s3prl_sb.lobes.s3prl_writing.heads import HeadWeights
from s3prl_sb.lobes.s3prl_writing.writing import WRITERS, s3prl_state, write_s3prl
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.distilhubert import DistilHubert
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import AudioAlbert, Mockingjay, Tera
from s3prl_sb.lobes.upstreams.npc import Npc
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.masked_prediction import HubertObjective
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

FIXTURES = Path(__file__).parents[1] / "parity" / "fixtures"
FAMILIES = {
    "apc": Apc,
    "vq_apc": Apc,
    "npc": Npc,
    "mockingjay": Mockingjay,
    "mockingjay_linear": Mockingjay,
    "mockingjay_preln": Mockingjay,
    "tera": Tera,
    "audio_albert": AudioAlbert,
    "distilhubert": DistilHubert,
    "hubert": Hubert,
    "hubert_large": Hubert,
    "wav2vec2": Wav2Vec2,
    "wav2vec2_large": Wav2Vec2,
}
MODULES = {
    kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    for kind in FAMILIES.values()
}
#: State dicts, and names in them of what only pre-training uses.
WEIGHTS = ("model", "Transformer", "SpecHead", "Distiller", "model_weight")
TRAINING = (
    "postnet.",
    "mask_emb",
    "label_embs_concat",
    "final_proj.",
    "project_q.",
    "quantizer.",
    # Direction of weight norm, of any length: compared by the hidden states.
    "encoder.pos_conv.0.weight_v",
)
TINY = {
    "hidden_size": 24,
    "ffn_size": 32,
    "num_layers": 2,
    "num_heads": 4,
    "conv_layers": [[16, 10, 5], [16, 8, 64]],
    "position_kernel": 16,
    "position_groups": 4,
}


def states(upstream):
    wavs = 0.1 * torch.randn(2, 9000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return upstream(wavs, torch.tensor([1.0, 0.6]))[0]


def assert_equal(one, other):
    for a, b in zip(states(one), states(other), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_round_trip_of_s3prls_own_file(name, tmp_path):
    """S3PRL's file -> our card -> S3PRL's layout: its keys and blocks, its weights."""
    source = FIXTURES / name / "ckpt.pt"
    (tmp_path / "theirs.yaml").write_text(
        f"mine: !new:s3prl_sb.lobes.upstreams.{MODULES[FAMILIES[name]]}\n"
    )
    card, _ = convert(str(source), tmp_path / "card", f"{tmp_path}/theirs.yaml")
    upstream = load(str(card))
    written = s3prl_state(upstream, HeadWeights(random=True))
    theirs = torch.load(source, weights_only=True)
    assert set(theirs) - set(written) <= {"Step", "Optimizer"}
    assert set(written) <= set(theirs)
    for key in written.keys() & set(WEIGHTS):
        assert written[key].keys() == theirs[key].keys()
        for weight, tensor in written[key].items():
            if key == "SpecHead" or weight.startswith(TRAINING):
                continue
            expected = theirs[key][weight]
            mask = theirs[key].get(weight.removesuffix(".conv.weight") + ".conv_mask")
            expected = expected if mask is None else expected * mask
            torch.testing.assert_close(tensor, expected)
    for key in written.keys() & {"config", "Upstream_Config"}:
        assert written[key] == theirs[key]
    for key in written.keys() & {"task_cfg", "model_cfg"}:
        assert written[key].keys() <= theirs[key].keys()
    torch.save(written, tmp_path / "states.ckpt")
    assert_equal(upstream, type(upstream)(source=str(tmp_path / "states.ckpt")))


OTHERS = {
    "no cross layers": (Npc, {"disable_cross_layer": True, "hidden_size": 8}),
    "a bottleneck": (
        Npc,
        {"dim_bottleneck": 6, "codebook_size": None, "hidden_size": 8},
    ),
    "no batch norm": (Npc, {"batch_norm": False, "hidden_size": 8}),
    "one head": (DistilHubert, {**TINY, "targets": [4], "inner_size": 12}),
    "as many channels": (Hubert, {**TINY, "conv_layers": [[16, 10, 5], [24, 8, 64]]}),
    "relu": (Wav2Vec2, {**TINY, "activation": "relu", "normalize_wav": True}),
    "another window": (Apc, {"audio": {"frame_shift": 12.5}, "hidden_size": 8}),
}


@pytest.mark.parametrize("kind, config", OTHERS.values(), ids=OTHERS)
def test_variants(kind, config, tmp_path):
    upstream = kind(config=config, seed=3)
    state = s3prl_state(upstream, HeadWeights(random=True))
    torch.save(state, tmp_path / "states.ckpt")
    again = kind(source=str(tmp_path / "states.ckpt"))
    assert_equal(upstream, again)


def run_of(objective, folder):
    return write_card(objective.network, objective, folder, "mine", {})


def test_apc_has_its_head(tmp_path):
    objective = APC(Apc(config={"hidden_size": 8}, freeze=False), n_future=3)
    run_of(objective, tmp_path / "run")
    path, _, random = write_s3prl(str(tmp_path / "run"), str(tmp_path / "apc.ckpt"))
    content = torch.load(path, weights_only=True)
    assert content["config"]["task"]["n_future"] == 3 and not random
    assert torch.equal(content["model"]["postnet.weight"], objective.head.weight)


def test_hubert_has_its_units(tmp_path):
    objective = HubertObjective(Hubert(config=TINY, freeze=False), final_size=6)
    objective.prepare_codes(classes=5, stride=160)
    run_of(objective, tmp_path / "run")
    path, _, random = write_s3prl(str(tmp_path / "run"), str(tmp_path / "hubert.pt"))
    content = torch.load(path, weights_only=True)
    weights = content["model_weight"]
    assert torch.equal(weights["label_embs_concat"], objective.label_embeddings)
    assert torch.equal(weights["mask_emb"], objective.mask_vector)
    assert torch.equal(weights["final_proj.bias"], objective.final_projection.bias)
    assert content["model_cfg"]["final_dim"] == 6 and not random
    assert content["dictionaries_symbols"] == [["0", "1", "2", "3", "4"]]


def test_wav2vec2_has_its_quantizer(tmp_path):
    objective = Wav2Vec2Objective(
        Wav2Vec2(config=TINY, freeze=False),
        groups=2,
        entries=5,
        code_size=12,
        final_size=7,
    )
    run_of(objective, tmp_path / "run")
    path, _, random = write_s3prl(str(tmp_path / "run"), str(tmp_path / "w2v.pt"))
    content = torch.load(path, weights_only=True)
    weights, model = content["model_weight"], content["model_cfg"]
    sizes = {k: model[k] for k in ("latent_vars", "latent_groups", "latent_dim")}
    assert sizes == {"latent_vars": 5, "latent_groups": 2, "latent_dim": 12}
    assert not random and model["final_dim"] == 7 and model["quantize_targets"]
    words = objective.quantizer.codewords.detach()
    assert torch.equal(weights["quantizer.vars"][0, 5:], words[1])
    proj = objective.quantized_projection
    assert torch.equal(weights["project_q.weight"], proj.weight)


# -------------------------------------------------------------- what it refuses
@pytest.fixture
def apc_card(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "mine: !new:s3prl_sb.lobes.upstreams.apc.Apc\n    config: {hidden_size: 8}\n"
    )
    return str(path)


def test_random_heads_are_a_choice(apc_card, tmp_path, capsys):
    command = ["convert", apc_card, str(tmp_path / "a.ckpt"), "--layout", "s3prl"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "postnet.weight" in error and "--random-head" in error
    assert not (tmp_path / "a.ckpt").exists()
    assert main([*command, "--random-head"]) in (0, None)
    assert "random, as pre-training alone uses them: postnet" in capsys.readouterr().out
    assert_equal(load(apc_card), Apc(source=str(tmp_path / "a.ckpt")))
    assert main([*command, "--random-head"]) == 1
    assert "--force replaces it" in capsys.readouterr().err
    assert main([*command, "--random-head", "--force"]) in (0, None)


def test_tera_needs_no_head(tmp_path):
    upstream = Tera(config={"transformer": {"hidden_size": 24, "num_hidden_layers": 1}})
    assert "SpecHead" not in s3prl_state(upstream, HeadWeights())
    assert "SpecHead" in s3prl_state(upstream, HeadWeights(random=True))


def test_families_without_a_layout():
    with pytest.raises(ConversionError) as caught:
        s3prl_state(load("fbank"), HeadWeights())
    assert "KaldiFeatures" in str(caught.value)
    assert all(kind.__name__ in str(caught.value) for kind in WRITERS)


@pytest.mark.parametrize("changes", [{"layer": "conformer"}, {"position_depth": 2}])
def test_networks_that_s3prl_does_not_have(changes):
    upstream = Wav2Vec2(config={**TINY, **changes})
    with pytest.raises(ConversionError, match=next(iter(changes))):
        s3prl_state(upstream, HeadWeights(random=True))


def test_other_features_than_s3prls():
    upstream = Apc(config={"hidden_size": 8, "audio": {"window_type": "povey"}})
    with pytest.raises(ConversionError, match="window_type: hamming"):
        s3prl_state(upstream, HeadWeights(random=True))


def test_a_folder_is_no_file(apc_card, tmp_path):
    with pytest.raises(ConversionError, match="is a folder"):
        write_s3prl(apc_card, str(tmp_path), random_head=True)


@pytest.mark.parametrize(
    "options", [["--random-head"], ["--layout", "s3prl", "--upstream", "apc"]]
)
def test_options_that_exclude_each_other(options, apc_card, tmp_path, capsys):
    assert main(["convert", apc_card, str(tmp_path / "out"), *options]) == 1
    assert options[-2 if len(options) > 2 else 0] in capsys.readouterr().err
