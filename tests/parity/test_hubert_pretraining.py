"""HuBERT's objective against torchaudio's model of its pre-training."""

import pytest
import torch
import torch.nn.functional as F
import torchaudio.models.wav2vec2.model as theirs
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence

from s3prl_sb.lobes.checkpoints.torchaudio_layout import read_torchaudio
from s3prl_sb.lobes.pretext.draws import Draws
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.objectives.masked_prediction import HubertObjective

CLASSES, FINAL, SIZE = 7, 12, 32
CONVOLUTIONS = [(8, 10, 5)] + [(8, 3, 2)] * 4 + [(8, 2, 2)] * 2
NO_MASK_OPTIONS = dict(
    mask_prob=0.8, mask_selection="static", mask_other=0.0, mask_length=10,
    no_mask_overlap=False, mask_min_space=1, mask_channel_prob=0.0,
    mask_channel_selection="static", mask_channel_other=0.0, mask_channel_length=10,
    no_mask_channel_overlap=False, mask_channel_min_space=1,
)  # fmt: skip


class GivenMask(torch.nn.Module):
    """Puts torchaudio's mask embedding where we say."""

    def __init__(self, embedding, masks):
        super().__init__()
        self.mask_embedding, self.masks = embedding, masks

    def forward(self, x, padding_mask):
        mask = torch.zeros(x.shape[:2], dtype=torch.bool)
        for row, given in zip(mask, self.masks):
            row[: len(given)] = torch.from_numpy(given)
        x = torch.where(mask[..., None], self.mask_embedding, x)
        return x, mask


def torchaudio_model(mode, norm_first):
    torch.manual_seed(3)
    model = theirs.hubert_pretrain_model(
        extractor_mode=mode, extractor_conv_layer_config=CONVOLUTIONS,
        extractor_conv_bias=False, encoder_embed_dim=SIZE,
        encoder_projection_dropout=0.0, encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=4, encoder_num_layers=2, encoder_num_heads=4,
        encoder_attention_dropout=0.0, encoder_ff_interm_features=48,
        encoder_ff_interm_dropout=0.0, encoder_dropout=0.0,
        encoder_layer_norm_first=norm_first, encoder_layer_drop=0.0,
        skip_masked=False, skip_nomask=False, num_classes=CLASSES, final_dim=FINAL,
        feature_grad_mult=0.1, **NO_MASK_OPTIONS,
    )  # fmt: skip
    # Ours has no weight norm in the positions; their gradients compare without it.
    positions = model.wav2vec2.encoder.transformer.pos_conv_embed.conv
    parametrize.remove_parametrizations(positions, "weight")
    with torch.no_grad():  # larger penalties and less uniform states
        for parameter in model.parameters():
            parameter.mul_(1.5).add_(0.05 * torch.randn_like(parameter))
    return model.train()


def ours(model, **options):
    config, weights = read_torchaudio(model.wav2vec2.state_dict())
    config |= {"num_heads": 4, "input_dropout": 0.0, "dropout": 0.0}
    config |= {"attention_dropout": 0.0, "normalize_wav": False}
    network = Hubert.from_weights(config, weights, freeze=False)
    objective = HubertObjective(network, final_size=FINAL, **options)
    objective.prepare_codes(CLASSES, 160)
    state = model.logit_generator.state_dict()
    with torch.no_grad():
        objective.mask_vector.copy_(model.mask_generator.mask_embedding)
        objective.label_embeddings.copy_(state["label_embeddings"])
        objective.final_projection.weight.copy_(state["final_proj.weight"])
        objective.final_projection.bias.copy_(state["final_proj.bias"])
    return objective.train()


@pytest.mark.parametrize(
    ("mode", "norm_first", "samples"),
    [
        ("group_norm", False, [6000, 6000]),
        # torchaudio's group norm and penalty see the padding
        ("layer_norm", True, [9000, 5000, 3333]),
    ],
    ids=["base", "large_of_unequal_lengths"],
)
def test_equals_torchaudio(mode, norm_first, samples):
    model = torchaudio_model(mode, norm_first)
    equal = len(set(samples)) == 1
    objective = ours(model, penalty_weight=10.0 if equal else 0.0)
    random = torch.Generator().manual_seed(1)
    wavs = [torch.randn(n, generator=random) for n in samples]
    units = [torch.randint(CLASSES, (n // 160,), generator=random) for n in samples]
    frames = [objective.network.frames(n) for n in samples]
    draws = Draws(0, [1] * len(wavs), range(len(wavs)))
    masks = [objective.mask(n, draws.of(i, "mask")) for i, n in enumerate(frames)]
    loss, count, sums = objective(wavs, draws, units)

    model.mask_generator = GivenMask(model.mask_generator.mask_embedding, masks)
    labels = torch.zeros(len(wavs), max(frames), dtype=torch.long)
    for row, n, each in zip(labels, frames, units):
        row[:n] = each[::2][:n]  # 100 Hz to 50 Hz
    lengths = None if equal else torch.tensor(samples)
    logits, _, mean_square = model(pad_sequence(wavs, True), labels, lengths)
    expected = F.cross_entropy(logits, logits.new_zeros(len(logits)).long())
    assert int(count) == len(logits) == sum(int(mask.sum()) for mask in masks)
    assert torch.allclose(sums["prediction"] / count, expected, rtol=1e-5)
    if equal:
        assert torch.allclose(sums["penalty"] / count, mean_square, rtol=1e-5)
        expected = expected + 10 * mean_square  # fairseq's, over the number of frames
    assert torch.allclose(loss / count, expected, rtol=1e-5)

    (loss / count).backward()
    expected.backward()
    compare_gradients(objective, model)


def compare_gradients(objective, model):
    named = model.wav2vec2.named_parameters()
    _, expected = read_torchaudio({name: p.grad for name, p in named})
    network = objective.network.network
    gradients = {name: p.grad for name, p in network.named_parameters()}
    assert gradients.keys() == expected.keys()
    expected["mask"] = model.mask_generator.mask_embedding.grad
    gradients["mask"] = objective.mask_vector.grad
    head, mine = model.logit_generator, objective.final_projection
    expected["labels"] = head.label_embeddings.grad
    gradients["labels"] = objective.label_embeddings.grad
    expected["projection"] = head.final_proj.weight.grad
    gradients["projection"] = mine.weight.grad
    for name, gradient in gradients.items():
        scale = max(float(expected[name].abs().max()), 1e-3)  # 0: a key's bias
        assert (gradient - expected[name]).abs().max() <= 1e-5 * scale, name
