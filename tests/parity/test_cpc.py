"""CPC: naive formulas, checkpoints, and its variants."""

import pytest
import torch
import torch.nn.functional as F
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.cpc import CONVOLUTIONS, Cpc

SIZE, CONTEXT = 12, 8


def cpc_checkpoint(norm="layerNorm", recurrent="LSTM", layers=2):
    """Random weights in CPC's layout."""
    weights, channels = {}, 1
    for i, (kernel, _, _) in enumerate(CONVOLUTIONS):
        conv, ours = f"gEncoder.conv{i}.", f"gEncoder.batchNorm{i}."
        weights[conv + "weight"] = 4 * noise(SIZE, channels, kernel, seed=i)
        weights[conv + "bias"] = noise(SIZE, seed=10 + i)
        shape = (1, SIZE, 1) if norm == "layerNorm" else (SIZE,)
        if norm != "ID":
            weights[ours + "weight"] = 1 + noise(*shape, seed=20 + i)
            weights[ours + "bias"] = noise(*shape, seed=30 + i)
        if norm == "batchNorm":
            weights[ours + "running_mean"] = noise(SIZE, seed=40 + i)
            weights[ours + "running_var"] = 1 + noise(SIZE, seed=50 + i)
            weights[ours + "num_batches_tracked"] = torch.tensor(7)
        channels = SIZE
    if recurrent != "no_ar":
        network = getattr(torch.nn, recurrent)(SIZE, CONTEXT, layers)
        state = network.state_dict().items()
        weights.update({f"gAR.baseNet.{name}": tensor for name, tensor in state})
    weights["wPrediction.predictors.0.weight"] = noise(SIZE, CONTEXT)
    config = {
        "hiddenEncoder": SIZE,
        "hiddenGar": CONTEXT,
        "nLevelsGRU": layers,
        "arMode": recurrent,
        "normMode": norm,
        "samplingType": "samespeaker",
        "learningRate": 2e-4,
    }
    return {"config": config, "weights": weights}


def naive(checkpoint, wav):
    """The two hidden states [frames, size], by the formulas."""
    config, weights = checkpoint["config"], checkpoint["weights"]
    x = wav[None, None]
    for i, (kernel, stride, padding) in enumerate(CONVOLUTIONS):
        conv, norm = f"gEncoder.conv{i}.", f"gEncoder.batchNorm{i}."
        w, b = weights[conv + "weight"], weights[conv + "bias"]
        x = F.conv1d(x, w, b, stride, padding)
        if config["normMode"] == "layerNorm":  # of a frame, variance over n - 1
            x = (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True) + 1e-5).sqrt()
        elif config["normMode"] == "instanceNorm":
            x = F.instance_norm(x)
        elif config["normMode"] == "batchNorm":
            mean, variance = (
                weights[norm + "running_mean"],
                weights[norm + "running_var"],
            )
            x = F.batch_norm(x, mean, variance)
        if config["normMode"] != "ID":
            scale, shift = weights[norm + "weight"], weights[norm + "bias"]
            x = x * scale.view(1, SIZE, 1) + shift.view(1, SIZE, 1)
        x = x.relu()
    x = x[0].T
    if config["arMode"] == "no_ar":
        return x, x
    network = getattr(torch.nn, config["arMode"])(SIZE, CONTEXT, config["nLevelsGRU"])
    prefix = "gAR.baseNet."
    network.load_state_dict(
        {k.removeprefix(prefix): w for k, w in weights.items() if k.startswith(prefix)}
    )
    reverse = config.get("cpc_mode") == "reverse"
    y = network(x.flip(0) if reverse else x)[0]
    return x, (y.flip(0) if reverse else y)


@pytest.mark.parametrize(
    "norm, recurrent",
    [
        ("layerNorm", "LSTM"),
        ("batchNorm", "GRU"),
        ("instanceNorm", "RNN"),
        ("ID", "no_ar"),
    ],
)
@pytest.mark.parametrize("mode", [None, "reverse"])
def test_formulas(norm, recurrent, mode, tmp_path):
    checkpoint = cpc_checkpoint(norm, recurrent)
    checkpoint["config"]["cpc_mode"] = mode
    torch.save(checkpoint, tmp_path / "ckpt.pt")
    upstream = Cpc(tmp_path / "ckpt.pt")
    wavs, lens = noise(2, 8000, seed=3), torch.tensor([1, 0.6])
    states, frame_lens = upstream(wavs, lens)
    frames = (frame_lens * states[0].shape[1]).round().int().tolist()
    for wav, length, count, *rows in zip(wavs, (8000, 4800), frames, *states):
        for row, expected in zip(rows, naive(checkpoint, wav[:length])):
            assert len(expected) == count
            close(row[:count], expected)


@pytest.mark.parametrize("norm", ["batchNorm", "instanceNorm", "ID"])
@pytest.mark.parametrize("recurrent", ["GRU", "RNN", "no_ar"])
def test_variants_keep_the_contract(norm, recurrent):
    config = {"hiddenEncoder": SIZE, "hiddenGar": CONTEXT}
    config.update(normMode=norm, arMode=recurrent, cpc_mode="reverse")
    upstream = Cpc(config=config, freeze=False)
    check_upstream(upstream)
    assert upstream.output_sizes == [SIZE, SIZE if recurrent == "no_ar" else CONTEXT]


def test_shortest_audio():
    upstream = Cpc(config={"hiddenEncoder": SIZE, "hiddenGar": CONTEXT})
    assert [upstream.frames(n) for n in (1, 159, 318, 319, 17000)] == [1, 1, 1, 2, 106]
    states = list(upstream.network([noise(159)]))
    assert len(states[0]) == 1
    with pytest.raises(RuntimeError):  # one sample less gives no frame
        list(upstream.network([noise(158)]))


def test_training_keeps_the_statistics_of_batch_norm():
    config = {"hiddenEncoder": SIZE, "hiddenGar": CONTEXT, "normMode": "batchNorm"}
    upstream = Cpc(config=config, freeze=False)
    assert upstream.training
    before = upstream.network.norms[0].running_mean.clone()
    first = upstream(noise(2, 4000))[0][1]
    assert torch.equal(upstream.network.norms[0].running_mean, before)
    assert torch.equal(first, upstream.eval()(noise(2, 4000))[0][1])


def test_defaults_are_those_of_cpc(tmp_path):
    """Options that a checkpoint's configuration lacks."""
    checkpoint = cpc_checkpoint(layers=1)
    for key in ("nLevelsGRU", "arMode", "normMode"):
        del checkpoint["config"][key]
    torch.save(checkpoint, tmp_path / "ckpt.pt")
    assert isinstance(Cpc(tmp_path / "ckpt.pt").network.recurrent, torch.nn.LSTM)


def test_other_checkpoints_are_refused(tmp_path):
    path = tmp_path / "ckpt.pt"
    torch.save({"model_weight": {}, "model_cfg": {}}, path)
    with pytest.raises(CheckpointError, match="not a checkpoint of CPC.*model_cfg"):
        Cpc(path)
    for key, value in (("encoder_type", "mfcc"), ("arMode", "transformer")):
        checkpoint = cpc_checkpoint()
        checkpoint["config"][key] = value
        torch.save(checkpoint, path)
        with pytest.raises(CheckpointError, match=value):
            Cpc(path)
    checkpoint = cpc_checkpoint()
    del checkpoint["weights"]["gAR.baseNet.weight_hh_l1"]
    torch.save(checkpoint, path)
    with pytest.raises(CheckpointError, match="missing.*weight_hh_l1"):
        Cpc(path)


def test_unknown_entries_are_refused():
    with pytest.raises(ValueError, match="hidden.*Known: hiddenEncoder, hiddenGar"):
        Cpc(config={"hidden": 3})
    with pytest.raises(ValueError, match="normMode 'groupNorm'.*layerNorm"):
        Cpc(config={"normMode": "groupNorm"})
