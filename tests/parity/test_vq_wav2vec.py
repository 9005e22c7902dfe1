"""vq-wav2vec: codes by naive search, S3PRL's own, and checkpoints."""

import numpy as np
import pytest
import torch
from naive_wav2vec import COUNT, GROUPS, SIZE, aggregated, extracted, searched, vq_model
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.base import AudioError
from s3prl_sb.lobes.upstreams.vq_wav2vec import VqWav2Vec
from s3prl_sb.lobes.upstreams.wav2vec import Wav2Vec

SMALL = {
    "conv_feature_layers": [[12, 10, 5], [12, 8, 4], [SIZE, 4, 8]],
    "conv_aggregator_layers": [[16, 2, 1], [20, 3, 1]],
    "vq_vars": COUNT,
}


@pytest.mark.parametrize("combined", [True, False], ids=["one book", "two books"])
@pytest.mark.parametrize("kind, depth", [("kmeans", 1), ("gumbel", 1), ("gumbel", 3)])
def test_codes_and_states(kind, depth, combined, tmp_path):
    model, weights = vq_model(kind, combined, depth)
    path = tmp_path / "ckpt.pt"
    torch.save({"task_cfg": {}, "model_cfg": model, "model_weight": weights}, path)
    upstream = VqWav2Vec(path)
    wavs, lens = noise(2, 8000, seed=3), torch.tensor([1, 0.6])
    states, frame_lens = upstream(wavs, lens)
    codes, code_lens = upstream.codes(wavs, lens)
    assert torch.equal(frame_lens, code_lens)
    assert codes.shape == (2, states[0].shape[1], GROUPS)
    for wav, length, found, *rows in zip(wavs, (8000, 4800), codes, *states):
        x = extracted(wav[:length], model, weights)
        expected, vectors = searched(x, model, weights)
        count = len(expected)
        assert torch.equal(found[:count], expected)
        assert (found[count:] == -1).all()
        assert len(expected.unique(dim=0)) > 3  # codes that say something
        for row, state in zip(rows, [x.T, *aggregated(vectors, model, weights)]):
            close(row[:count], state)


@pytest.mark.parametrize("name", ["vq_wav2vec_kmeans", "vq_wav2vec_gumbel"])
def test_codes_are_s3prls(name, oracle_folder):
    """S3PRL's later hidden states follow from our codes: a wrong one would show."""
    upstream = VqWav2Vec(oracle_folder / name / "ckpt.pt")
    reference = np.load(oracle_folder / name / "ref.npz")
    wavs = np.load(oracle_folder / "wavs.npz")
    for utterance in sorted({key.split("/")[0] for key in reference.files}):
        codes, _ = upstream.codes(torch.from_numpy(wavs[utterance])[None])
        vectors = upstream.network.coder.quantizer.vectors(codes)
        with torch.no_grad():
            states = list(upstream.network.aggregator(vectors))
        assert len(states) == 5
        for layer, state in enumerate(states, start=1):
            expected = torch.from_numpy(reference[f"{utterance}/h{layer}"])
            close(state[0].T, expected, 1e-4)


@pytest.mark.parametrize("kind", ["kmeans", "gumbel"])
def test_codes_in_any_company_and_precision(kind):
    config = {**SMALL, "vq_type": kind}
    upstream = VqWav2Vec(config=config)
    wavs, lens = noise(4, 8000, seed=3), torch.tensor([1, 0.6, 1, 0.001])
    codes, code_lens = upstream.codes(wavs, lens)
    counts = (code_lens * codes.shape[1]).round().int().tolist()
    assert counts == [upstream.frames(n) for n in (8000, 4800, 8000, 8)]
    for wav, length, row, count in zip(wavs, (8000, 4800, 8000, 8), codes, counts):
        alone, _ = upstream.codes(wav[None, :length])
        assert torch.equal(alone[0], row[:count])
    half = VqWav2Vec(config=config, precision="bf16")
    assert torch.equal(half.codes(wavs, lens)[0], codes)
    with pytest.raises(AudioError, match="utterance 1"):
        upstream.codes(wavs[:2], torch.tensor([1.0, 0.0]))


@pytest.mark.parametrize("kind", ["kmeans", "gumbel"])
def test_gradients_pass_the_codes(kind):
    upstream = VqWav2Vec(config={**SMALL, "vq_type": kind}, freeze=False)
    check_upstream(upstream)
    upstream(noise(1, 4000))[0][-1].sum().backward()  # behind the codes
    assert upstream.front_end.convolutions[0].weight.grad.abs().max() > 0
    codebook = upstream.network.coder.quantizer.codebook
    assert (codebook.grad is None) == (kind == "kmeans")


def test_training_draws_gumbel_codes():
    upstream = VqWav2Vec(config=SMALL, freeze=False)
    first, second = (upstream(noise(1, 4000))[0] for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])
    codes = [upstream.codes(noise(1, 4000))[0] for _ in range(2)]
    assert torch.equal(*codes)  # the features of an utterance are not drawn


def test_other_checkpoints_are_refused(tmp_path):
    path = tmp_path / "ckpt.pt"
    model, weights = vq_model("kmeans")
    torch.save({"model_cfg": model, "model_weight": weights}, path)
    with pytest.raises(CheckpointError, match="of vq-wav2vec .kmeans., not of wav2vec"):
        Wav2Vec(path)
    torch.save({"weights": {}, "config": {}}, path)
    with pytest.raises(CheckpointError, match="wav2vec or vq-wav2vec.*config, weights"):
        VqWav2Vec(path)
    del weights["vector_quantizer.embedding"]
    torch.save({"model_cfg": model, "model_weight": weights}, path)
    with pytest.raises(CheckpointError, match="missing.*codebook"):
        VqWav2Vec(path)


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match="codes.*Known: .*vq_vars"):
        VqWav2Vec(config={"codes": 3})
    with pytest.raises(ValueError, match="16 channels"):
        VqWav2Vec(config={**SMALL, "vq_groups": 3})
