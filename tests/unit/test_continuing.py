"""A pre-training that continues with the weights of an objective, or leaves them."""

import logging
import re

import pytest
import torch

from s3prl_sb.brains.pretrained_card import write_card
from s3prl_sb.lobes.cards.continuing import continue_objective
from s3prl_sb.lobes.cards.initializing import initialize_from
from s3prl_sb.lobes.cards.objective_files import own_weights
from s3prl_sb.lobes.upstreams.apc import Apc
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.mockingjay import Tera
from s3prl_sb.objectives.apc import APC
from s3prl_sb.objectives.best_rq import BestRq
from s3prl_sb.objectives.masked_prediction import HubertObjective
from s3prl_sb.objectives.masked_reconstruction import MaskedReconstruction
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective
from s3prl_sb.storage.files import FileError

WAVEFORM = {
    "hidden_size": 16,
    "ffn_size": 32,
    "num_layers": 1,
    "num_heads": 2,
    "conv_layers": [[8, 10, 5], [8, 8, 64]],
}
FEATURES = {"transformer": {"hidden_size": 16, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 16}}  # fmt: skip


def waveform(seed=0):
    return Hubert(config=WAVEFORM, freeze=False, seed=seed)


def tera(seed=0):
    return Tera(config=FEATURES, freeze=False, seed=seed)


def hubert(seed=0, classes=5, **options):
    made = HubertObjective(waveform(seed), seed=seed, **{"final_size": 8, **options})
    made.prepare_codes(classes, 160)
    return made


def wav2vec2(seed=0, **options):
    options = {"entries": 4, "code_size": 8, "final_size": 8, **options}
    return Wav2Vec2Objective(waveform(seed), seed=seed, **options)


OBJECTIVES = {
    "hubert": hubert,
    "wav2vec2": wav2vec2,
    "best_rq": lambda s: BestRq(tera(s), entries=8, codebook_seed=s, seed=s),
    "tera": lambda s: MaskedReconstruction(tera(s), [], seed=s),
    "apc": lambda s: APC(Apc(config={"hidden_size": 16}, freeze=False), seed=s),
}


def written(objective, folder):
    return str(write_card(objective.network, objective, folder, "mine", {}))


@pytest.mark.parametrize("is_folder", [True, False])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_same_objective_continues(name, is_folder, tmp_path, caplog):
    """By the card or the folder of the run; one line of the log says so."""
    theirs, ours = OBJECTIVES[name](1), OBJECTIVES[name](0)
    card = written(theirs, tmp_path)
    source = str(tmp_path) if is_folder else card
    with caplog.at_level(logging.INFO):
        initialize_from(ours.network, source)
        loaded = continue_objective(ours, source)
    expected = own_weights(theirs)
    assert set(loaded) == set(expected) and loaded
    for key, weight in own_weights(ours).items():
        assert torch.equal(weight, expected[key]), key
    for key, weight in ours.network.state_dict().items():
        assert torch.equal(weight, theirs.network.state_dict()[key]), key
    [line] = [x for x in caplog.messages if "weights of the objective" in x]
    assert loaded[0] in line and "are copied" in line


@pytest.mark.parametrize(
    "ours, words",
    [
        (lambda: hubert(classes=6), r"label_embeddings \[5, 8\] instead of \[6, 8\]"),
        (lambda: hubert(final_size=4), r"final_projection.weight \[8, 16\] instead of"),
        (lambda: wav2vec2(), "is of s3prl_sb.*HubertObjective, and the objective is"),
    ],
)
def test_nothing_is_taken_over_in_part(ours, words, tmp_path, caplog):
    card, ours = written(hubert(1), tmp_path), ours()
    before = own_weights(ours)
    with caplog.at_level(logging.INFO):
        assert continue_objective(ours, card) == []
    assert all(torch.equal(before[k], w) for k, w in own_weights(ours).items())
    [line] = caplog.messages
    assert re.search(words, line)
    assert "label_embeddings" in line and "they are left out" in line


def test_left_out_on_request_or_because_there_are_none(tmp_path, caplog):
    card, ours = written(hubert(1), tmp_path), hubert(0)
    with caplog.at_level(logging.INFO):
        assert continue_objective(ours, card, wanted=False) == []
        assert continue_objective(ours, "hubert_small_random") == []
    asked, absent = caplog.messages
    assert "init_objective is False, they are left out" in asked
    assert "init has none, they stay random" in absent


def test_damaged_weights_are_an_error_that_names_the_file(tmp_path):
    card = written(hubert(1), tmp_path)
    [file] = tmp_path.glob("*.objective.safetensors")
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(FileError, match=file.name):
        continue_objective(hubert(0), card)
