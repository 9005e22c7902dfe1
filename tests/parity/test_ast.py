"""AST: Hugging Face's numbers, the authors' checkpoints, windows."""

import naive_vision_transformer as naive
import pytest
import torch
import torchaudio
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.ast import Ast

TINY = {"hidden_size": 32, "ffn_size": 48, "num_layers": 2, "num_heads": 4}


def tiny(**options):
    return Ast(config=TINY, **options)


# --------------------------------------------- against Hugging Face's model
@pytest.fixture(scope="module")
def huggingface(tmp_path_factory):
    """A random model of theirs and the folder it is saved in."""
    transformers = pytest.importorskip("transformers")
    config = transformers.ASTConfig(
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=64,
        num_labels=11,
    )
    model = transformers.ASTForAudioClassification(config).eval()
    for seed, parameter in enumerate(model.parameters()):
        if parameter.dim() > 1:
            scale = parameter[0].numel() ** -0.5 if parameter.dim() != 3 else 1
            parameter.data = scale * naive.noise(*parameter.shape, seed=seed)
    folder = tmp_path_factory.mktemp("ast")
    model.save_pretrained(folder)
    transformers.ASTFeatureExtractor().save_pretrained(folder)
    return model, folder


def test_equals_huggingface(huggingface):
    model, folder = huggingface
    from transformers import ASTFeatureExtractor

    wav = noise(163840)  # one window
    features = ASTFeatureExtractor.from_pretrained(folder)(
        wav.numpy(), sampling_rate=16000, return_tensors="pt"
    )
    with torch.no_grad():
        expected = model(features["input_values"], output_hidden_states=True)
    states, _ = Ast(str(folder))(wav[None])
    assert len(states) == 1
    close(states[0][0], expected.logits)
    upstream = Ast(str(folder), feature_selection="hidden_states")
    states, _ = upstream(wav[None])
    assert len(states) == 2 and upstream.output_size == 12 * 96
    theirs = expected.hidden_states[1:]  # after the embedding
    assert len(theirs) == 2
    for state, reference in zip(states, theirs):
        patches = reference[0, 2:].view(12, 101, 96)
        close(state[0], patches.transpose(0, 1).flatten(1))


def test_other_folders_are_refused(huggingface, tmp_path):
    with pytest.raises(CheckpointError, match="has no config.json: a model of transf"):
        Ast(str(tmp_path))
    model, folder = huggingface
    text = (folder / "config.json").read_text()
    for old, new, message in (
        ("audio-spectrogram-transformer", "hubert", "holds hubert, where audio-sp"),
        ('"time_stride": 10', '"time_stride": 16', "time_stride: 16, and .* 10 only"),
    ):
        assert old in text
        (tmp_path / "config.json").write_text(text.replace(old, new))
        with pytest.raises(CheckpointError, match=message):
            Ast(str(tmp_path))


# ------------------------------------------------------------ checkpoints
def authors_checkpoint(times=101):
    """Random weights in the authors' format."""
    weights = naive.random_weights()
    weights["cls_token"] = naive.noise(1, 1, 128, seed=5)
    weights["dist_token"] = naive.noise(1, 1, 128, seed=6)
    weights["pos_embed"] = naive.noise(1, 2 + 12 * times, 128, seed=7)
    weights["head.weight"] = weights["head_dist.weight"] = torch.zeros(1000, 128)
    weights["head.bias"] = weights["head_dist.bias"] = torch.zeros(1000)
    weights = {f"module.v.{name}": tensor for name, tensor in weights.items()}
    heads = {f"module.{name}": tensor for name, tensor in naive.head().items()}
    return {**weights, **heads}


def test_authors_checkpoint(tmp_path):
    states = authors_checkpoint()
    torch.save(states, tmp_path / "ast.pth")
    upstream = Ast(tmp_path / "ast.pth", window_secs=0.36, stride_secs=0.36)
    wav = noise(10000)
    (logits,), _ = upstream(wav[None])
    weights = {
        name.removeprefix("module.").removeprefix("v."): tensor
        for name, tensor in states.items()
    }
    positions = weights["pos_embed"][0]
    tokens = torch.cat([weights["cls_token"][0], weights["dist_token"][0]])
    tokens = tokens + positions[:2]
    # 36 frames are 3 patches: the middle of 101.
    positions = positions[2:].view(12, 101, 128)[:, 49:52]
    padded = torch.cat([wav, torch.zeros(2 * 5760 - 10000)])
    for i, window in enumerate(padded.split(5760)):
        features = spectrogram(window)
        assert features.shape == (128, 36)
        expected = naive.forward(weights, features, positions, tokens, (10, 10))
        close(logits[0, i], naive.classify(weights, expected[-1])[0])


def spectrogram(window):
    """[samples] -> [128, frames], from torchaudio, window by window."""
    x = torchaudio.compliance.kaldi.fbank(
        window[None], num_mel_bins=128, window_type="hanning", htk_compat=True
    )
    x = (x + 4.2677393) / 9.1379948
    return torch.nn.functional.pad(x, (0, 0, 0, len(window) // 160 - len(x))).T


def test_windows_do_not_see_each_other():
    for overlap in (1.0, 0.5):
        upstream = tiny(window_secs=1.0, stride_secs=overlap)
        wav = noise(40000)
        step = int(16000 * overlap)
        windows = upstream._windows(wav)
        assert len(windows) == upstream.frames(40000) == -(-40000 // step)
        for features, start in zip(upstream._log_mel(windows), range(0, 40000, step)):
            alone = wav[start : start + 16000]
            alone = torch.nn.functional.pad(alone, (0, 16000 - len(alone)))
            torch.testing.assert_close(features, spectrogram(alone))


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "ast.pth"

    def error(states):
        torch.save(states, file)
        with pytest.raises(CheckpointError) as caught:
            Ast(file)
        return str(caught.value)

    assert "not a checkpoint of AST" in error({"model": {}, "cfg": {}})
    assert "Its keys: cfg, model" in error({"model": {}, "cfg": {}})
    assert "not a checkpoint of AST" in error([1, 2])
    states = authors_checkpoint()
    del states["module.v.norm.bias"]
    states["module.v.extra"] = torch.ones(1)
    message = error(states)
    assert "missing (1): norm.bias" in message and "unexpected (1): extra" in message
    states = authors_checkpoint()
    name = "module.v.pos_embed"
    states[name] = states[name][:, : 2 + 512]  # patches every 16
    assert "512 patches of [16, 16]" in error(states)


# ---------------------------------------------------------------- contract
@pytest.mark.parametrize(
    "options",
    [
        {"window_secs": 1.0, "stride_secs": 0.4},
        {"feature_selection": "hidden_states", "window_secs": 1.0, "stride_secs": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("freeze", [False, True])
def test_contract(options, freeze):
    check_upstream(tiny(freeze=freeze, **options))


def test_frames():
    hidden = tiny(feature_selection="hidden_states", window_secs=1.0, stride_secs=1.0)
    assert [hidden.frames(n) for n in (1, 1600, 1601, 16000, 16001)] == [1, 1, 2, 9, 11]
    logits = tiny()
    assert [logits.frames(n) for n in (1, 163840, 163841)] == [1, 1, 2]
    for upstream in (hidden, tiny(window_secs=1.0, stride_secs=0.5)):
        for samples in (1, 15999, 16000, 16001, 24001, 49000):
            states, _ = upstream(noise(samples)[None])
            assert states[0].shape == (
                1,
                upstream.frames(samples),
                upstream.output_size,
            )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"feature_selection": "mean"}, "feature_selection 'mean'. Known: cls, hidden"),
        ({"window_secs": 0.1}, "must be 0.16 or more"),
        ({"window_secs": 1.005}, "whole multiple of 0.01"),
        ({"window_secs": 1.0}, "must not skip any audio"),
        (
            {"feature_selection": "hidden_states", "stride_secs": 5.0},
            "windows do not overlap",
        ),
    ],
)
def test_mistakes_are_explained(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
