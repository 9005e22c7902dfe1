"""Enhancement and separation against S3PRL's own experts (see make_masks.py).

Waveforms, spectra, targets, network, loss in any order, gradients, and the waveforms
that are separated, of the settings of each recipe.
"""

from types import SimpleNamespace

import pytest
import speechbrain as sb
import torch
from peer_values import HERE, batch_of, brain, error
from safetensors.torch import load_file
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb import resources
from s3prl_sb.brains.masking import MaskingBrain, stft_of
from s3prl_sb.lobes.heads.composed import FrameHead
from s3prl_sb.lobes.spectral_masks import separated
from s3prl_sb.schema.keys import Schema

VALUES = load_file(HERE / "masks.safetensors")
UPSTREAM = SimpleNamespace(stride=320, input_size=0, sample_rate=16000)
KEYS = ("n_fft", "win_length", "hop_length", "mask_activation", "mask_target")
KEYS += ("mask_loss", "compression")
LIMIT = 1e-5
TASKS = {
    "enhancement_stft": ("SE", "train", 1),
    "enhancement_stft2": ("SE", "stft2", 1),
    "separation_stft": ("SS", "train", 2),
    "separation_stft2": ("SS", "stft2", 2),
}


def settings(recipe, variant):
    """The values of a recipe's YAML."""
    file = resources.recipes()[f"SUPERB/{recipe}"] / "hparams" / f"{variant}.yaml"
    return {key: Schema.of(file).tree[key] for key in KEYS}


def group(name):
    found = {k[len(name) + 1 :]: v for k, v in VALUES.items() if k.startswith(name)}
    return [found[str(i)] for i in range(len(found))] if "0" in found else found


def ours(tensors):
    """S3PRL's weights, or their gradients, under the names of the head."""
    made, layers = {}, {"weight": [], "bias": []}
    for key, value in tensors.items():
        part, *_, kind = key.split(".")
        if part == "rnn":
            made[f"encoder.recurrent.{kind}"] = value
        else:  # a layer for each source
            layers[kind].append((key, value))
    for kind, values in layers.items():
        each = [value for _, value in sorted(values)]
        made[f"classifier.{kind}"] = torch.cat(each)
    return made


def batch(num_sources):
    sources = [wave.float() / 2**15 for wave in group("sources")]
    waves = [torch.cat([w.sum(0)[None], w[:num_sources]]).T for w in sources]
    lens = torch.tensor([len(wave) for wave in waves])
    padded = pad_sequence(waves, batch_first=True), lens / lens.max()
    made = batch_of(id=["a", "b"], waveforms=padded)
    made.to = lambda device: made
    return made, [wave[:, 0] for wave in waves]


@pytest.mark.parametrize("task", TASKS)
def test_against_s3prl(task, monkeypatch):
    recipe, variant, num_sources = TASKS[task]
    hparams = settings(recipe, variant)
    stft = stft_of(hparams, UPSTREAM)
    head = FrameHead(
        6, num_sources * stft.bins, "rnn", hidden_size=4, num_layers=3, dropout=0.0
    )
    head.load_state_dict(ours(group(f"{task}/weight")))
    features = group(f"{task}/features")
    counts = torch.tensor([len(each) for each in features])
    padded = pad_sequence(features, batch_first=True), counts / counts.max()
    made = brain(
        MaskingBrain,
        stft=stft,
        num_sources=num_sources,
        hparams=SimpleNamespace(**hparams),
        upstream=UPSTREAM,
        modules={"head": head},
        device="cpu",
        compute_features=lambda _: padded,
    )
    both, mixtures = batch(num_sources)
    predictions = made.compute_forward(both, sb.Stage.TRAIN)
    loss = made.compute_objectives(predictions, both, sb.Stage.TRAIN)
    assert error(loss, VALUES[f"{task}/loss"]) < LIMIT
    loss.backward()
    expected = ours(group(f"{task}/gradient"))
    found = {name: weight.grad for name, weight in head.named_parameters()}
    assert found.keys() == expected.keys()
    assert max(error(found[name], expected[name]) for name in expected) < LIMIT
    masks, frames = predictions[0][1].detach(), predictions[2][1]
    waves = separated(masks[:frames], mixtures[1], stft, hparams["compression"])
    whole = waves.shape[1] - 512  # there S3PRL has, and silences, an impulse
    expected = VALUES[f"{task}/estimates"]
    assert waves.shape == expected.shape
    assert error(waves[:, :whole], expected[:, :whole]) < LIMIT
