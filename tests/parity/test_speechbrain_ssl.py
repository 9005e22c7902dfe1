"""SpeechBrain's own recipes: the numbers of their modules, their save folders."""

import pytest
import torch
from speechbrain.lobes.features import Fbank
from speechbrain.lobes.models.convolution import ConvolutionFrontEnd
from speechbrain.lobes.models.transformer.Transformer import TransformerEncoder
from speechbrain.lobes.models.transformer.TransformerASR import (
    EncoderWrapper,
    TransformerASR,
)
from speechbrain.lobes.models.wav2vec import EncoderWrapper as LatentEncoder
from speechbrain.lobes.models.wav2vec import W2VLatentExtractor
from speechbrain.processing.features import InputNormalization
from speechbrain.utils.checkpoints import Checkpointer

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.speechbrain_ssl import (
    SpeechBrainBestRq,
    SpeechBrainWav2Vec2,
)

WAV2VEC2 = {
    "kernels": [11, 3, 3],
    "strides": [5, 2, 32],
    "channels": [16, 16, 24],
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 3,
    "num_heads": 4,
}
BESTRQ = {
    "n_mels": 21,
    "channels": [8, 4],
    "hidden_size": 32,
    "ffn_size": 48,
    "num_layers": 3,
    "num_heads": 4,
    "convolution_kernel": 7,
}


def noise(samples):
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(1, samples, generator=generator)


def stirred(*modules):
    """Weights such that no norm or bias is as it begins."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
            module.eval()


def wav2vec2():
    """As ``hparams/wav2vec2_base.yaml`` builds it."""
    extractor = W2VLatentExtractor(
        WAV2VEC2["channels"], WAV2VEC2["kernels"], WAV2VEC2["strides"]
    )
    encoder = TransformerEncoder(
        d_model=32,
        num_layers=3,
        nhead=4,
        d_ffn=48,
        dropout=0.1,
        layerdrop_prob=0.05,
        normalize_before=True,
        activation=torch.nn.GELU,
        output_hidden_states=True,
    )
    wrapper = LatentEncoder(24, 32, encoder, dropout_encoder_input=0.1)
    stirred(extractor, wrapper)
    return extractor, wrapper


def bestrq():
    """As ``hparams/BEST-RQ.yaml`` builds it."""
    convolutions = ConvolutionFrontEnd(
        (8, 10, 21),
        num_blocks=2,
        num_layers_per_block=1,
        out_channels=(8, 4),
        kernel_sizes=(3, 3),
        strides=(2, 2),
        residuals=(False, False),
    )
    transformer = TransformerASR(
        input_size=24,  # 21 bands become 11, then 6
        tgt_vocab=50,
        d_model=32,
        nhead=4,
        num_encoder_layers=3,
        num_decoder_layers=0,
        d_ffn=48,
        dropout=0.1,
        activation=torch.nn.GELU,
        conformer_activation=torch.nn.GELU,
        encoder_module="conformer",
        attention_type="RelPosMHAXL",
        normalize_before=True,
        causal=False,
        kernel_size=7,
        output_hidden_states=True,
    )
    model = torch.nn.ModuleList([convolutions, EncoderWrapper(transformer)])
    stirred(model)
    return model


def saved(folder, **recoverables):
    """The folder as the recipe's Checkpointer leaves it."""
    Checkpointer(folder, recoverables).save_checkpoint()
    return str(folder)


def agree(found, states, output):
    assert len(found) == len(states)
    for a, b in zip(found, [*states[:-1], output]):
        assert a.shape == b.shape
        assert (a - b).abs().max() < 1e-5 * b.abs().max()


def test_wav2vec2s_numbers(tmp_path):
    extractor, wrapper = wav2vec2()
    folder = saved(tmp_path, latent_extractor=extractor, latent_encoder=wrapper)
    upstream = SpeechBrainWav2Vec2(folder, WAV2VEC2)
    for samples in (upstream.min_samples, 5000, 16000):
        wav = 3 * noise(samples) + 1
        with torch.no_grad():
            latents = extractor(wav, normalize_signal=True)
            x = wrapper.input_projector(latents)
            x = x + wrapper.positional_encoding(x)
            output, _, states = wrapper.latent_encoder(x)
            wrapper.latent_encoder.output_hidden_states = False
            assert torch.equal(output, wrapper(latents)["embeddings"])
            wrapper.latent_encoder.output_hidden_states = True
        agree(upstream(wav)[0], states, output)


def test_bestrqs_numbers(tmp_path):
    model = bestrq()
    normalize = InputNormalization(norm_type="sentence")
    folder = saved(tmp_path, model=model, normalize=normalize)
    upstream = SpeechBrainBestRq(folder, BESTRQ)
    features = Fbank(sample_rate=16000, n_fft=400, n_mels=21)
    for samples in (upstream.min_samples, 5000, 16000, 16160):
        wav = noise(samples)
        with torch.no_grad():
            x = normalize(features(wav), torch.ones(1), epoch=3)
            output, states = model[1](model[0](x), torch.ones(1))
        agree(upstream(wav)[0], states, output)


def test_shortest_audio():
    """One step less is too short for SpeechBrain's modules."""
    extractor, _ = wav2vec2()
    shortest = SpeechBrainWav2Vec2(config=WAV2VEC2).min_samples
    assert extractor(noise(shortest)).shape[1] == 1
    with pytest.raises(RuntimeError):
        extractor(noise(shortest - 1))
    features, convolutions = Fbank(n_mels=21), bestrq()[0]
    shortest = SpeechBrainBestRq(config=BESTRQ).min_samples
    assert convolutions(features(noise(shortest))).shape[1] == 1
    with pytest.raises(RuntimeError):
        convolutions(features(noise(shortest - 1)))


def test_more_than_speechbrains_table_of_positions():
    config = {**WAV2VEC2, "strides": [5, 2, 4]}
    upstream = SpeechBrainWav2Vec2(config=config)
    states, _ = upstream(noise(120000))
    assert states[0].shape[1] == upstream.frames(120000) > 2500
    x = upstream.network.latent_extractor(noise(120000))
    positions = states[0] - upstream.network.input_projector(x)
    angle = torch.tensor(2700.0)
    assert torch.allclose(positions[0, 2700, 0], angle.sin(), atol=1e-4)
    assert torch.allclose(positions[0, 2700, 1], angle.cos(), atol=1e-4)


def test_the_newest_of_a_save_folder(tmp_path):
    extractor, wrapper = wav2vec2()
    for date in ("2026-01-02+03-04-05+00", "2026-01-10+00-00-00+00"):
        with torch.no_grad():
            wrapper.input_projector.bias.add_(1)
        folder = tmp_path / f"CKPT+{date}"
        folder.mkdir()
        torch.save(extractor.state_dict(), folder / "latent_extractor.ckpt")
        torch.save(wrapper.state_dict(), folder / "latent_encoder.ckpt")
    newest = SpeechBrainWav2Vec2(str(tmp_path), WAV2VEC2).network.input_projector.bias
    assert torch.equal(newest, wrapper.input_projector.bias)
    older = tmp_path / "CKPT+2026-01-02+03-04-05+00"
    found = SpeechBrainWav2Vec2(str(older), WAV2VEC2).network.input_projector.bias
    assert torch.allclose(newest - found, torch.ones(32))


def test_hyperparameters_are_never_run(tmp_path):
    ran = tmp_path / "ran"
    text = f"x: !apply:pathlib.Path.touch [!new:pathlib.Path ['{ran}']]\n"
    extractor, wrapper = wav2vec2()
    saved(tmp_path, latent_extractor=extractor, latent_encoder=wrapper)
    for folder in (tmp_path, *tmp_path.glob("CKPT+*")):
        (folder / "hyperparams.yaml").write_text(text)
    SpeechBrainWav2Vec2(str(tmp_path), WAV2VEC2)
    assert not ran.exists()


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds \[\], not latent_extractor"):
        SpeechBrainWav2Vec2(str(tmp_path))
    folder = saved(tmp_path, model=bestrq())
    with pytest.raises(CheckpointError, match="not latent_extractor.ckpt, latent_enc"):
        SpeechBrainWav2Vec2(folder)
    with pytest.raises(CheckpointError, match="of another shape"):
        SpeechBrainBestRq(folder, {**BESTRQ, "ffn_size": 64})
    with pytest.raises(CheckpointError, match=r"missing \(\d+\): encoder.layers.3"):
        SpeechBrainBestRq(folder, {**BESTRQ, "num_layers": 4})
    file = next(tmp_path.glob("CKPT+*")) / "model.ckpt"
    with pytest.raises(CheckpointError, match="is no folder"):
        SpeechBrainBestRq(str(file), BESTRQ)
    torch.save({**torch.load(file), "2.weight": torch.ones(1)}, file)
    with pytest.raises(CheckpointError, match=r"unexpected \(1\): 2.weight"):
        SpeechBrainBestRq(folder, BESTRQ)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"heads": 2}, "Unknown in config: heads. Known: .*num_heads"),
        ({"activation": "tanh"}, "activation must be one of gelu, relu, swish"),
        ({"strides": [2]}, "must be as many"),
    ],
)
def test_configurations_that_are_refused(config, message):
    for kind in (SpeechBrainWav2Vec2, SpeechBrainBestRq):
        with pytest.raises(ValueError, match=message):
            kind(config=config)


@pytest.mark.parametrize("kind", [SpeechBrainWav2Vec2, SpeechBrainBestRq])
def test_trains_under_the_brains_mixed_precision(kind):
    config = WAV2VEC2 if kind is SpeechBrainWav2Vec2 else BESTRQ
    upstream = kind(config=config, freeze=False)
    with torch.autocast("cpu", torch.bfloat16):
        states, _ = upstream(noise(16000))
        sum(state.float().pow(2).sum() for state in states).backward()
    assert all(p.grad is not None for p in upstream.parameters())
