"""torchaudio's and Hugging Face's networks, read as they publish them."""

import pytest
import torch
from tensors import error

from s3prl_sb.lobes.networks import attention
from s3prl_sb.lobes.upstreams.data2vec import Data2VecAudio
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.unispeech_sat import UniSpeechSat
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.lobes.upstreams.wavlm import WavLM

CONVOLUTIONS = [[16, 10, 5]] + [[16, 3, 2]] * 4 + [[16, 2, 2]] * 2


def noise(samples):
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(samples))


def stirred(module):
    """Weights in which every parameter matters."""
    generator = torch.Generator().manual_seed(7)
    for name, parameter in module.named_parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
        if "norm" in name and name.endswith("weight"):
            parameter.data += 1
        if name.endswith("original0"):  # the length of a weight-normed kernel
            parameter.data = parameter.data.abs() + 0.5
    return module.eval()


# ------------------------------------------------------------------- torchaudio
def torchaudio_model(kind, large):
    models = pytest.importorskip("torchaudio.models")
    options = dict(
        extractor_mode="layer_norm" if large else "group_norm",
        extractor_conv_layer_config=CONVOLUTIONS,
        extractor_conv_bias=large,
        encoder_embed_dim=128,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=4,
        encoder_num_layers=3,
        encoder_num_heads=2,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=48,
        encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1,
        encoder_layer_norm_first=large,
        encoder_layer_drop=0.1,
        aux_num_out=None,
    )
    if kind == "wavlm":
        options.update(encoder_num_buckets=32, encoder_max_distance=800)
    return stirred(getattr(models, f"{kind}_model")(**options))


@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
@pytest.mark.parametrize("kind, cls", [("wav2vec2", Wav2Vec2), ("wavlm", WavLM)])
def test_torchaudio(kind, cls, large, tmp_path, monkeypatch):
    theirs = torchaudio_model(kind, large)
    torch.save(theirs.state_dict(), tmp_path / "pipeline.pth")
    upstream = cls(tmp_path / "pipeline.pth", feature_selection="fairseq_layers")
    assert upstream.config.num_heads == 2 and upstream.num_layers == 3
    for block in (attention.BLOCK, 100):  # a few queries at a time
        monkeypatch.setattr(attention, "BLOCK", block)
        for samples in (9000, 400, 4321):
            wav = noise(samples)[None]
            with torch.no_grad():
                normed = torch.nn.functional.layer_norm(wav, wav.shape)
                expected, _ = theirs.extract_features(normed if large else wav)
            states, _ = upstream(wav)
            for state, reference in zip(states, expected, strict=True):
                assert error(state, reference) < 1e-5


# ----------------------------------------------------------------- Hugging Face
@pytest.mark.parametrize("large", [False, True], ids=["base", "large"])
@pytest.mark.parametrize(
    "kind, cls",
    [
        ("Wav2Vec2", Wav2Vec2),
        ("Hubert", Hubert),
        ("WavLM", WavLM),
        ("UniSpeechSat", UniSpeechSat),
        ("Data2VecAudio", Data2VecAudio),
    ],
)
def test_huggingface(kind, cls, large, tmp_path):
    transformers = pytest.importorskip("transformers")
    channels, kernels, strides = zip(*CONVOLUTIONS)
    options = dict(
        conv_dim=channels,
        conv_kernel=kernels,
        conv_stride=strides,
        conv_bias=large,
        feat_extract_norm="layer" if large else "group",
        do_stable_layer_norm=large,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        attn_implementation="eager",
    )
    if kind == "WavLM":
        options.update(num_buckets=32, max_bucket_distance=80)
    if kind == "Data2VecAudio":
        options.update(num_conv_pos_embeddings=3, conv_pos_kernel_size=5)
    config = getattr(transformers, f"{kind}Config")(**options)
    theirs = stirred(getattr(transformers, f"{kind}Model")(config))
    theirs.save_pretrained(tmp_path)
    # Of raw waveforms: the feature extractor is not in question here.
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false}')
    upstream = cls(tmp_path)
    for samples in (9000, 400, 4321):
        wav = noise(samples)[None]
        with torch.no_grad():
            found = theirs(wav, output_hidden_states=True)
        expected = [*found.hidden_states[:-1], found.last_hidden_state]
        for state, reference in zip(upstream(wav)[0], expected, strict=True):
            assert error(state, reference) < 1e-5


# -------------------------------------------------------------- naive formulas
def test_transformer_xl_attention(monkeypatch):
    """Scores of each query and key by the formula of the paper."""
    monkeypatch.setattr(attention, "BLOCK", 30)
    module = stirred(attention.TransformerXLAttention(8, num_heads=2))
    x = noise(11 * 8).view(11, 8)
    with torch.no_grad():
        q, k, v = (
            getattr(module, name)(x).view(11, 2, 4)
            for name in ("query", "key", "value")
        )
        u, w = module.content_bias.view(2, 4), module.position_bias.view(2, 4)
        rates = 10000.0 ** -(torch.arange(0, 8, 2) / 8)
        mixed = torch.zeros(11, 2, 4)
        for first, last in ((0, 7), (7, 11)):  # two utterances
            for head in range(2):
                for i in range(first, last):
                    scores = []
                    for j in range(first, last):
                        sines = torch.stack([(rates * (i - j)).sin(),
                                             (rates * (i - j)).cos()], 1)  # fmt: skip
                        position = (sines.flatten() @ module.position.weight.T)[
                            4 * head : 4 * head + 4
                        ]
                        score = (q[i, head] + u[head]) @ k[j, head]
                        scores.append(score + (q[i, head] + w[head]) @ position)
                    weights = (torch.stack(scores) / 2).softmax(0)
                    mixed[i, head] = weights @ v[first:last, head]
        expected = module.output(mixed.flatten(1))
        assert error(module(x, [7, 4]), expected) < 1e-5


def test_rotary_attention():
    """The input of query and key is turned by complex numbers of unit length."""
    module = stirred(attention.RotaryAttention(8, num_heads=2))
    x = noise(11 * 8).view(11, 8)
    with torch.no_grad():
        outputs = []
        for part in x.split([7, 4]):
            angles = torch.arange(len(part))[:, None] * 10000.0 ** -(
                torch.arange(0, 4, 2) / 4
            )
            heads = part.view(-1, 2, 2, 2)  # frame, head, half, pair
            pairs = torch.complex(heads[:, :, 0], heads[:, :, 1])
            pairs = pairs * torch.polar(torch.ones_like(angles), angles)[:, None]
            turned = torch.stack([pairs.real, pairs.imag], 2).flatten(1)
            q, k = (
                projection(turned).view(-1, 2, 4).transpose(0, 1)
                for projection in (module.query, module.key)
            )
            v = module.value(part).view(-1, 2, 4).transpose(0, 1)
            weights = (q @ k.transpose(1, 2) / 2).softmax(-1)
            outputs.append(module.output((weights @ v).transpose(0, 1).flatten(1)))
        assert error(module(x, [7, 4]), torch.cat(outputs)) < 1e-5
