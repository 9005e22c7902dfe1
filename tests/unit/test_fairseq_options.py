"""fairseq's files as training programs leave them: where options and weights stand."""

import argparse

import pytest
import torch
from transformer_checkpoint_files import (
    BASE,
    LARGE,
    assert_same,
    content,
    fairseq,
    randomized,
)

from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.checkpoints.renaming import bare, below
from s3prl_sb.lobes.upstreams.data2vec import Data2VecAudio
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.wav2vec import Wav2Vec
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2
from s3prl_sb.lobes.upstreams.wavlm import WavLM

TUNED = "w2v_encoder.w2v_model."


def saved(tmp_path, checkpoint):
    path = tmp_path / "ckpt.pt"
    torch.save(checkpoint, path)
    return path


def prefixed(weights, prefix):
    return {prefix + name: tensor for name, tensor in weights.items()}


# ------------------------------------------------------------------ weights
def normed(weights):
    """PyTorch's names of weight norm since 2.1."""
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = f"encoder.pos_conv.0.{old}"
        weights[name.replace(old, f"parametrizations.weight.{new}")] = weights.pop(name)
    return weights


WRAPPED = {
    "new norm": normed,
    "distributed": lambda w: prefixed(w, "module."),
    "distributed twice": lambda w: prefixed(w, "module.module."),
    "compiled": lambda w: prefixed(w, "_orig_mod."),
    "compiled, distributed, new norm": lambda w: prefixed(
        normed(w), "_orig_mod.module."
    ),
    "a program's model": lambda w: prefixed(w, "model."),
    "compiled layers": lambda w: {
        n.replace("layers.1.", "layers.1._orig_mod."): t for n, t in w.items()
    },
    "tuned": lambda w: {**prefixed(w, TUNED), "w2v_encoder.proj.weight": torch.ones(2)},
    "tuned, distributed": lambda w: prefixed(w, f"module.{TUNED}"),
    "sequence to sequence": lambda w: {
        **prefixed(w, "encoder.w2v_model."),
        "decoder.layers.0.fc1.weight": torch.ones(2, 2),
    },
    "beside a head": lambda w: {
        **prefixed(w, "model.ssl."),
        "head.bias": torch.ones(2),
    },
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
def test_weights_under_other_names(wrapped, config, tmp_path):
    original = randomized(config)
    task, model, weights = fairseq(original)
    weights = WRAPPED[wrapped](weights)
    for key in ("model", "state_dict"):
        checkpoint = {"cfg": {"task": task, "model": model}, key: weights, "epoch": 3}
        assert_same(Hubert(saved(tmp_path, checkpoint)), original)


def test_lightning_keeps_options_as_hyper_parameters(tmp_path):
    original = randomized(LARGE)
    task, model, weights = fairseq(original)
    for options in ({"task": task, "model": model}, {**task, **model}):
        for held in (options, {"cfg": options}):
            checkpoint = {
                "state_dict": prefixed(weights, "model."),
                "hyper_parameters": held,
                "pytorch-lightning_version": "2.0",
            }
            assert_same(Wav2Vec2(saved(tmp_path, checkpoint)), original)


def test_torchaudio_within_something(tmp_path):
    """Its large pipelines and its pre-training keep it under a name."""
    from torchaudio.models import hubert_pretrain_model

    theirs = hubert_pretrain_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=None,
        extractor_conv_bias=False,
        encoder_embed_dim=64,
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=4,
        encoder_num_layers=2,
        encoder_num_heads=1,
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=48,
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.0,
        mask_prob=0.8,
        mask_selection="static",
        mask_other=0.0,
        mask_length=10,
        no_mask_overlap=False,
        mask_min_space=1,
        mask_channel_prob=0.0,
        mask_channel_selection="static",
        mask_channel_other=0.0,
        mask_channel_length=10,
        no_mask_channel_overlap=False,
        mask_channel_min_space=1,
        skip_masked=False,
        skip_nomask=False,
        num_classes=5,
        final_dim=8,
        feature_grad_mult=None,
    ).eval()
    wav = 0.1 * torch.randn(1, 6000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, _ = theirs.wav2vec2.extract_features(wav)
    state = theirs.state_dict()
    for held in (state, prefixed(state, "model."), {"state_dict": state}):
        path = saved(tmp_path, held)
        upstream = Hubert(path, feature_selection="fairseq_layers")
        for state_, reference in zip(upstream(wav)[0], expected, strict=True):
            torch.testing.assert_close(state_, reference, rtol=1e-4, atol=1e-5)


def test_several_networks_are_not_guessed_among(tmp_path):
    task, model, weights = fairseq(randomized(BASE))
    both = {**prefixed(weights, "student."), **prefixed(weights, "teacher.")}
    path = saved(tmp_path, {"cfg": {"task": task, "model": model}, "model": both})
    with pytest.raises(
        CheckpointError, match="2 networks, under 'student.', 'teacher.'"
    ):
        Wav2Vec2(path)


def test_names_that_only_look_wrapped():
    """A prefix that not all names share belongs to the network."""
    weights = {"module.a": 1, "module.b": 2, "head": 3}
    assert bare(weights) == weights
    assert bare({}) == {} and bare({"module.": 1}) == {"": 1}
    assert bare({"the_orig_mod.a": 1}) == {"the_orig_mod.a": 1}
    with pytest.raises(CheckpointError, match="twice"):
        bare({"a.b": 1, "a._orig_mod.b": 2})
    assert below({"my_conv.weight": 1}, "conv.weight") == {"my_conv.weight": 1}


# ------------------------------------------------------------------ options
def tuned(original, outer, inner_task, as_namespaces=False):
    """A fine-tuned model: its own task and model, and what it began with."""
    _, model, weights = fairseq(original)
    inner = {"task": inner_task, "model": model}
    if as_namespaces:
        inner = argparse.Namespace(**inner_task, **model)
    cfg = {"task": outer[0], "model": {**outer[1], "w2v_args": inner}}
    return {"cfg": cfg, "model": prefixed(weights, TUNED)}


@pytest.mark.parametrize("as_namespaces", [False, True])
@pytest.mark.parametrize(
    "task, model, inner, expected",
    [
        ({}, {}, {"normalize": True}, True),
        ({"_name": "audio_finetuning"}, {"normalize": True}, {}, True),
        ({"normalize": None}, {}, {"normalize": True}, True),
        ({"normalize": False}, {"normalize": True}, {"normalize": True}, False),
        ({}, {"normalize": False}, {"normalize": True}, False),
        ({}, {}, {}, False),
    ],
)
def test_whoever_says_that_waveforms_are_normalized(
    task, model, inner, expected, as_namespaces, tmp_path
):
    original = randomized({**LARGE, "normalize_wav": expected})
    path = saved(tmp_path, tuned(original, (task, model), inner, as_namespaces))
    assert_same(Wav2Vec2(path), original)


@pytest.mark.parametrize("kind", [Wav2Vec2, Hubert, WavLM, Data2VecAudio])
def test_the_rate_that_a_checkpoint_states(kind, tmp_path):
    task, model, weights = fairseq(randomized(BASE))
    task = {**task, "sample_rate": 8000}
    flat = argparse.Namespace(**task, **model)
    for options in (
        {"task_cfg": task, "model_cfg": model, "model_weight": weights},
        {"cfg": {"task": task, "model": model}, "model": weights},
        {"cfg": {**task, **model}, "model": weights},
        {"args": flat, "model": weights},
        tuned(randomized(BASE), ({}, {}), task),
        tuned(randomized(BASE), (task, {}), {"sample_rate": 16000}),
    ):
        path = saved(tmp_path, options)
        assert (
            kind(path).sample_rate == kind(path, sample_rate=8000).sample_rate == 8000
        )
        with pytest.raises(
            CheckpointError, match="is of 8000 Hz, and sample_rate: 24000"
        ):
            kind(path, sample_rate=24000)
    card, upstream = convert(str(path), str(tmp_path / "made"), upstream="wav2vec2")
    assert upstream.sample_rate == 8000
    del task["sample_rate"]
    path = saved(tmp_path, {"cfg": {"task": task, "model": model}, "model": weights})
    assert kind(path).sample_rate == 16000
    assert kind(path, sample_rate=8000).sample_rate == 8000
    assert kind(config={**BASE, "sample_rate": 8000}).sample_rate == 8000


def test_the_rate_of_a_network_of_2019(tmp_path):
    small = {"conv_feature_layers": [[16, 10, 5], [16, 8, 32]]}
    upstream = Wav2Vec(config={**small, "conv_aggregator_layers": [[16, 2, 1]]})
    names = {"front_end.": "feature_extractor.", "aggregator.": "feature_aggregator."}
    parts = {"convolutions": 0, "norms": 2}
    weights = {}
    for name, tensor in upstream.network.state_dict().items():
        ours = next(start for start in names if name.startswith(start))
        part, number, kind = name.removeprefix(ours).split(".")
        place = parts[part] + (ours == "aggregator.")
        weights[f"module.{names[ours]}conv_layers.{number}.{place}.{kind}"] = tensor
    options = {
        key: str(getattr(upstream.config, key))
        for key in (*small, "conv_aggregator_layers")
    }
    args = argparse.Namespace(**options, sample_rate=8000)
    path = saved(tmp_path, {"args": args, "model": weights})
    again = Wav2Vec(path)
    assert again.sample_rate == 8000
    wav = torch.randn(1, 4000)
    for a, b in zip(upstream(wav)[0], again(wav)[0], strict=True):
        assert torch.equal(a, b)


# -------------------------------------------------------- what cannot be loaded
@pytest.mark.parametrize("kind", [Wav2Vec2, Data2VecAudio])
def test_what_is_not_built_says_what_it_is(kind, tmp_path):
    def error(checkpoint, kind=kind):
        with pytest.raises(CheckpointError) as caught:
            kind(saved(tmp_path, checkpoint))
        text = str(caught.value)
        assert "ckpt.pt" in text and text.count("\n") < 3
        return text

    original = randomized(BASE)
    task, model, weights = fairseq(original)
    multi = {"modality_encoders.AUDIO.local_encoder.weight": torch.ones(2)}
    cfg = {"task": {}, "model": {"_name": "data2vec_multi", "depth": 8}}
    for checkpoint in (
        {"cfg": cfg, "model": multi},
        {"cfg": None, "model": prefixed(multi, "d2v_model.")},  # emotion2vec
        {"cfg": {"model": cfg["model"]}, "model": {}},
        multi,
    ):
        text = error(checkpoint)
        assert "of data2vec 2.0's architecture" in text and "the card data2vec" in text
    assert "(IMAGE)" in error({"model": {"modality_encoders.IMAGE.a.weight": multi}})
    tuned = prefixed(weights, TUNED)
    for began in ("/models/wav2vec_small.pt", None):
        args = argparse.Namespace(w2v_path=began, normalize=True)
        text = error({"args": args, "model": tuned})
        assert "without w2v_args" in text and (began or "does not name") in text
    assert "holds weights alone" in error(weights)
    # The way out that it tells.
    cfg = {"task": task, "model": model}
    assert_same(kind(saved(tmp_path, {"cfg": cfg, "model": tuned})), original)


def test_a_language_of_a_file(tmp_path):
    path = saved(tmp_path, content("cfg", randomized(BASE)))
    with pytest.raises(CheckpointError, match="is a file, and adapters of a language"):
        Wav2Vec2(path, target_lang="fra")
