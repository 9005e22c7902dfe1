"""Objective of wav2vec 2.0: the numbers and gradients of transformers' own model."""

import numpy
import pytest
import torch

from s3prl_sb.lobes.pretext.contrastive import draw_negatives
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.pretext.gumbel import gumbel_noise
from s3prl_sb.lobes.pretext.spans import SpanMask
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.objectives.wav2vec2 import Wav2Vec2Objective

transformers = pytest.importorskip("transformers")

GROUPS, ENTRIES, NEGATIVES = 2, 6, 11
TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 24],
    "conv_kernel": [10, 8, 3],
    "conv_stride": [5, 8, 8],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "num_codevector_groups": GROUPS,
    "num_codevectors_per_group": ENTRIES,
    "codevector_dim": 12,
    "proj_codevector_dim": 20,
    "num_negatives": NEGATIVES,
    "mask_feature_prob": 0.0,
    "layerdrop": 0.0,
    **dict.fromkeys(
        [
            "hidden_dropout",
            "attention_dropout",
            "activation_dropout",
            "feat_proj_dropout",
            "feat_quantizer_dropout",
        ],
        0.0,
    ),
}
LARGE = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
#: Modules of pre-training, theirs and ours.
PRETEXT = {
    "project_hid": "final_projection",
    "project_q": "quantized_projection",
    "quantizer.weight_proj": "quantizer.logits",
}
MASK = SpanMask(0.5, 5)
GRADIENTS = 3e-5  # fp32 adds up in another order; losses agree within 1e-5
SAMPLES = (16000, 9000, 12345)
EQUAL = (12345, 12345)


def pair(tmp_path, large, **options):
    """Their model and our objective, with the same weights."""
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**{**TINY, **(LARGE if large else {})})
    theirs = transformers.Wav2Vec2ForPreTraining(config)
    for name, parameter in theirs.named_parameters():
        if "norm" in name or name.endswith("bias"):  # where 0 or 1 would hide faults
            parameter.data += 0.1 * torch.randn_like(parameter)
    theirs.wav2vec2.masked_spec_embed.data.uniform_()
    theirs.quantizer.temperature = 0.7
    options = {"penalty_weight": 0.0, "feature_grad_mult": 1.0, **options}
    network = ours_of(theirs, tmp_path)
    objective = Wav2Vec2Objective(
        network, MASK, GROUPS, ENTRIES, 12, 20, NEGATIVES, dropout_features=0, **options
    )
    objective.mask_vector.data.copy_(theirs.wav2vec2.masked_spec_embed)
    for their_name, our_name in PRETEXT.items():
        weights = theirs.get_submodule(their_name).state_dict()
        objective.get_submodule(our_name).load_state_dict(weights)
    words = theirs.quantizer.codevectors
    objective.quantizer.codewords.data.copy_(words.view(GROUPS, ENTRIES, -1))
    objective.quantizer.temperature = theirs.quantizer.temperature
    return theirs.eval(), objective.eval()


def ours_of(model, folder):
    model.save_pretrained(folder)
    options = {"do_normalize": False, "feature_size": 1, "sampling_rate": 16000}
    transformers.Wav2Vec2FeatureExtractor(**options).save_pretrained(folder)
    return Wav2Vec2(str(folder), freeze=False)


def batch(samples=SAMPLES):
    """Waveforms and the draws of their rows."""
    random = torch.Generator().manual_seed(5)
    wavs = [torch.randn(n, generator=random) for n in samples]
    return wavs, Draws(3, [1] * len(wavs), range(len(wavs)))


def drawn(objective, wavs, draws):
    """The mask and the negatives of our draws, [batch, frames (, negatives)]."""
    frames = [objective.network.frames(len(wav)) for wav in wavs]
    masks = numpy.zeros((len(wavs), max(frames)), bool)
    negatives = numpy.zeros((*masks.shape, NEGATIVES), int)
    for i, n in enumerate(frames):
        masks[i, :n] = mask = MASK(n, draws.of(i, "mask"))
        places, random = numpy.flatnonzero(mask), draws.of(i, "negatives")
        ours = draw_negatives(numpy.arange(len(places)), len(places), NEGATIVES, random)
        negatives[i, places] = places[ours] + i * masks.shape[1]
    return torch.from_numpy(masks), torch.from_numpy(negatives)


def their_outcome(model, objective, wavs, draws):
    mask, negatives = drawn(objective, wavs, draws)
    lens = torch.tensor([len(wav) for wav in wavs])
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    attention = (torch.arange(padded.shape[1]) < lens[:, None]).long()
    return model(
        padded,
        attention_mask=attention if len(set(lens.tolist())) > 1 else None,
        mask_time_indices=mask,
        sampled_negative_indices=negatives,
    )


def close(result, expected, relative=1e-5):
    limit = relative * max(1e-3, expected.detach().abs().max().item())
    torch.testing.assert_close(result, expected, rtol=0, atol=limit)


def compare(theirs, objective, tmp_path, wavs, draws):
    """Losses, measures and the gradients of all weights."""
    expected = their_outcome(theirs, objective, wavs, draws)
    outcome = objective(wavs, draws)
    measures = objective.measures(
        {**outcome.sums, "loss": outcome.loss.detach(), "count": outcome.count}
    )
    close(outcome.sums["contrastive"], expected.contrastive_loss)
    close(torch.tensor(measures["perplexity"]), expected.codevector_perplexity.detach())
    close(outcome.loss, expected.loss)
    close(
        outcome.loss - outcome.sums["contrastive"],
        0.1 * expected.diversity_loss,
        relative=2e-4,  # the difference of two large numbers
    )
    expected.loss.backward(), outcome.loss.backward()
    compare_gradients(theirs, objective, tmp_path)


def compare_gradients(theirs, objective, tmp_path):
    assert all(p.grad is not None for p in objective.parameters())
    close(objective.mask_vector.grad, theirs.wav2vec2.masked_spec_embed.grad, GRADIENTS)
    for their_name, our_name in PRETEXT.items():
        ours = dict(objective.get_submodule(our_name).named_parameters())
        for name, parameter in theirs.get_submodule(their_name).named_parameters():
            if parameter.grad is not None:
                close(ours[name].grad, parameter.grad, GRADIENTS)
    words = objective.quantizer.codewords
    close(words.grad.view(-1), theirs.quantizer.codevectors.grad.view(-1), GRADIENTS)
    # Weight norm: the gradients of its two parts follow from that of the weight.
    positions = objective.network.network.encoder.positions.convolutions[0]
    parts = theirs.wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight
    g, v = parts.original0, parts.original1
    weight = torch._weight_norm(v, g, 2)
    ours = torch.autograd.grad(weight, (g, v), positions.weight.grad)
    for gradient, part in zip(ours, (g, v)):
        close(gradient, part.grad, GRADIENTS)
    # The reader of their folders gives gradients our names, as it does weights.
    for name, parameter in theirs.named_parameters():
        if "parametrizations" not in name and parameter.grad is not None:
            parameter.data.copy_(parameter.grad)
    gradients = dict(ours_of(theirs, tmp_path / "gradients").network.named_parameters())
    for name, parameter in objective.network.network.named_parameters():
        if name != "encoder.positions.convolutions.0.weight":
            close(parameter.grad, gradients[name], GRADIENTS)


@pytest.mark.parametrize("large", [False, True])
def test_evaluation(large, tmp_path):
    """Equal lengths for the base model, whose group norm sees padding in theirs."""
    theirs, objective = pair(tmp_path, large)
    wavs, draws = batch(SAMPLES if large else EQUAL)
    with torch.no_grad():
        expected = their_outcome(theirs, objective, wavs, draws)
        outcome = objective(wavs, draws)
    close(outcome.sums["contrastive"], expected.contrastive_loss)
    close(outcome.loss, expected.loss)
    assert outcome.sums["contrastive"] > 0.5 * outcome.count


@pytest.mark.parametrize("large", [False, True])
def test_training(large, tmp_path, monkeypatch):
    """In training mode, without dropout, and with the same noise."""
    theirs, objective = pair(tmp_path, large)
    theirs.train(), objective.train()
    wavs, draws = batch(SAMPLES if large else EQUAL)
    mask, _ = drawn(objective, wavs, draws)
    noise = torch.zeros(*mask.shape, GROUPS, ENTRIES)
    for i, row in enumerate(mask):
        drawn_noise = gumbel_noise(
            [draws.of(i, "gumbel")], [int(row.sum())], GROUPS * ENTRIES
        )
        noise[i, row] = drawn_noise.view(-1, GROUPS, ENTRIES)

    def gumbel_softmax(logits, tau, hard):
        soft = ((logits + noise.view_as(logits)) / tau).softmax(-1)
        first = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, True), 1.0)
        return first - soft.detach() + soft

    monkeypatch.setattr(torch.nn.functional, "gumbel_softmax", gumbel_softmax)
    compare(theirs, objective, tmp_path, wavs, draws)
