"""Models of transformers: its own numbers, on tiny networks that it saved."""

import json
import math
import sys

import pytest
import torch
from safetensors.torch import save_file
from tensors import close, noise

from s3prl_sb.lobes.cards.check import check_upstream
from s3prl_sb.lobes.checkpoints.building import CONVERTED
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.huggingface import HuggingFace
from s3prl_sb.lobes.upstreams.wav2vec2 import Wav2Vec2

transformers = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
CONVOLUTIONS = {
    "conv_dim": [16, 16, 24],
    "conv_kernel": [10, 8, 3],
    "conv_stride": [5, 8, 8],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
TINY = {**SIZES, **CONVOLUTIONS}
LARGE = {**TINY, "feat_extract_norm": "layer", "conv_bias": True}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 3,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "vocab_size": 60,
    "pad_token_id": 0,
    "num_mel_bins": 20,
    "max_source_positions": 50,  # windows of 1 s
}
NAMES = {
    "data2vec-audio": "Data2VecAudio",
    "hubert": "Hubert",
    "sew": "SEW",
    "sew-d": "SEWD",
    "unispeech": "UniSpeech",
    "unispeech-sat": "UniSpeechSat",
    "wav2vec2": "Wav2Vec2",
    "wav2vec2-bert": "Wav2Vec2Bert",
    "wav2vec2-conformer": "Wav2Vec2Conformer",
    "wavlm": "WavLM",
    "whisper": "Whisper",
}
#: Model type and configuration, of all types and of what differs within them.
CASES = {
    **{kind: (kind, TINY) for kind in NAMES},
    "data2vec-audio": (
        "data2vec-audio",
        {**TINY, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5},
    ),
    "wav2vec2 large": ("wav2vec2", {**LARGE, "do_stable_layer_norm": True}),
    "wav2vec2 mms": ("wav2vec2", {**LARGE, "adapter_attn_dim": 4}),
    "wav2vec2 adapter": ("wav2vec2", {**TINY, "add_adapter": True}),
    "hubert batch norm": ("hubert", {**TINY, "conv_pos_batch_norm": True}),
    "wavlm large": ("wavlm", {**LARGE, "do_stable_layer_norm": True}),
    "unispeech-sat large": ("unispeech-sat", {**LARGE, "do_stable_layer_norm": True}),
    "conformer rotary": (
        "wav2vec2-conformer",
        {**LARGE, "position_embeddings_type": "rotary", "hidden_act": "swish"},
    ),
    "wav2vec2-bert": ("wav2vec2-bert", SIZES),
    "wav2vec2-bert relative": (
        "wav2vec2-bert",
        {**SIZES, "position_embeddings_type": "relative", "add_adapter": True},
    ),
    "wav2vec2-bert rotary": (
        "wav2vec2-bert",
        {**SIZES, "position_embeddings_type": "rotary"},
    ),
    "sew squeeze 3": ("sew", {**TINY, "squeeze_factor": 3}),
    "whisper": ("whisper", WHISPER),
}


def theirs(kind, entries, task="Model"):
    """A model of transformers in which every weight matters."""
    torch.manual_seed(0)
    name = NAMES[kind]
    config = getattr(transformers, f"{name}Config")(**entries)
    model = getattr(transformers, f"{name}{task}")(config)
    generator = torch.Generator().manual_seed(7)
    for key, parameter in model.named_parameters():
        if key.endswith("original0") or "embed_positions" in key:
            continue
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
        if "norm" in key.lower() and key.endswith("weight"):
            parameter.data += 1
    return model.eval()


def extractor(kind, entries, **options):
    if kind == "whisper":
        seconds = entries["max_source_positions"] // 50
        sizes = {"feature_size": entries["num_mel_bins"], "chunk_length": seconds}
        return transformers.WhisperFeatureExtractor(**sizes, **options)
    if kind == "wav2vec2-bert":
        return transformers.SeamlessM4TFeatureExtractor(**options)
    return transformers.Wav2Vec2FeatureExtractor(**options)


def their_states(model, prepared, kind):
    """Their hidden states, the last one that of their encoder's output."""
    model = model.get_encoder() if kind == "whisper" else model
    with torch.no_grad():
        found = model(**prepared, output_hidden_states=True)
    states = list(found.hidden_states)
    if kind not in ("sew", "sew-d") and not model.config.to_dict().get("add_adapter"):
        states[-1] = found.last_hidden_state
    return states


def tiny(kind, **entries):
    return {"model_type": kind, **CASES[kind][1], **entries}


def test_every_type_is_compared():
    """test_huggingface_towers.py compares those in larger models."""
    assert {kind for kind, _ in CASES.values()} == NAMES.keys()


@pytest.mark.parametrize("name", CASES)
def test_transformers(name, tmp_path):
    kind, entries = CASES[name]
    model, features = theirs(kind, entries), extractor(kind, entries)
    model.save_pretrained(tmp_path), features.save_pretrained(tmp_path)
    upstream = HuggingFace(str(tmp_path))
    assert not any(tensor.is_meta for tensor in upstream.state_dict().values())
    for samples in (16000, 7007, 2345):
        wav = noise(samples, seed=samples)
        prepared = features(wav.numpy(), sampling_rate=16000, return_tensors="pt")
        expected = their_states(model, prepared, kind)
        states, lens = upstream(wav[None])
        assert len(states) == len(expected) == upstream.num_layers
        frames = upstream.frames(samples)
        if kind == "wav2vec2-bert":  # the last of an odd number is padding
            assert frames == prepared["attention_mask"].sum()
        elif kind == "whisper":
            assert frames == math.ceil(samples / 320)
        else:
            assert frames == expected[0].shape[1]
        for state, reference in zip(states, expected):
            # Their log mel is of fp64.
            limit = 1e-4 if kind == "wav2vec2-bert" else 1e-5
            close(state, reference[:, :frames], limit)


@pytest.mark.parametrize("kind", NAMES)
def test_contract(kind):
    check_upstream(HuggingFace(config=tiny(kind)))


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("adapter", ["lora", "bottleneck"])
def test_adapters(kind, adapter):
    upstream = HuggingFace(
        config=tiny(kind), freeze=False, adapter={"kind": adapter}
    ).eval()
    for state, plain in zip(
        upstream(noise(8000)[None])[0],
        HuggingFace(config=tiny(kind))(noise(8000)[None])[0],
    ):
        close(state, plain)  # at first they change nothing
    sum(s.sum() for s in upstream(noise(8000)[None])[0]).backward()
    trained = [p for p in upstream.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for p in trained)


def test_longer_positions_than_before_and_other_devices_dtypes():
    """Tables that grow or are cached do not change what comes out."""
    for kind in ("wav2vec2-bert", "wav2vec2-conformer"):
        for positions in ("relative", "rotary"):
            options = {"position_embeddings_type": positions}
            config = tiny(kind, max_source_positions=8, **options)
            upstream = HuggingFace(config=config)
            first = upstream(noise(4000)[None])[0]
            upstream(noise(16000)[None])
            for state, again in zip(first, upstream(noise(4000)[None])[0]):
                assert torch.equal(state, again)
            expected = HuggingFace(config=tiny(kind, **options))(noise(4000)[None])[0]
            assert all(torch.equal(a, b) for a, b in zip(first, expected))
            double = upstream.double()(noise(4000).double()[None])[0]
            close(double[-1].float(), expected[-1], 1e-4)


def test_half_precision_counts_frames():
    """bfloat16 holds no whole number beyond 256."""
    options = {"position_embeddings_type": "rotary", "num_hidden_layers": 1}
    config = tiny("wav2vec2-bert", **options)
    half, full = (
        HuggingFace(config=config, precision="bf16"),
        HuggingFace(config=config),
    )
    wav = noise(20 * 16000)[None]
    for a, b in zip(half(wav)[0], full(wav)[0]):
        assert (a.float() - b).norm() < 0.03 * b.norm()


def test_whisper_of_long_audio():
    upstream, wav = HuggingFace(config=tiny("whisper")), noise(2 * 16000 + 900)
    states, _ = upstream(wav[None])
    windows = [upstream(part[None])[0] for part in wav.split(16000)]
    assert states[0].shape[1] == 50 + 50 + 3
    for i, state in enumerate(states):
        close(state, torch.cat([window[i] for window in windows], 1))
    upstream.group_seconds = {"cpu": 1}  # window after window
    for state, one in zip(states, upstream(wav[None])[0]):
        close(one, state)


def test_same_as_our_own_wav2vec2(tmp_path):
    """Arguments that the two classes share have one meaning."""
    for large in (False, True):
        entries = {**LARGE, "do_stable_layer_norm": True} if large else TINY
        theirs("wav2vec2", entries).save_pretrained(tmp_path)
        extractor("wav2vec2", entries).save_pretrained(tmp_path)
        own, other = Wav2Vec2(str(tmp_path)), HuggingFace(str(tmp_path))
        wavs, lens = noise(3 * 8000).view(3, -1), torch.tensor([1, 0.3, 0.7])
        for a, b in zip(own(wavs, lens)[0], other(wavs, lens)[0], strict=True):
            close(a, b)
        assert own.stride == other.stride and own.frames(999) == other.frames(999)


# -------------------------------------------------------------- checkpoints
@pytest.mark.parametrize(
    "kind, task",
    [
        ("wav2vec2", "ForCTC"),
        ("wav2vec2", "ForPreTraining"),
        ("wav2vec2", "ForXVector"),
        ("unispeech-sat", "ForPreTraining"),
        ("hubert", "ForSequenceClassification"),
        ("wav2vec2-bert", "ForCTC"),
        ("sew-d", "ForCTC"),
        ("whisper", "Model"),
        ("whisper", "ForConditionalGeneration"),
    ],
)
def test_heads_are_left_out(kind, task, tmp_path):
    entries = {**CASES[kind][1], "vocab_size": 60}
    if "PreTraining" in task:
        entries.update(num_codevectors_per_group=4, codevector_dim=8)
    model = theirs(kind, entries, task)
    model.save_pretrained(tmp_path)
    upstream = HuggingFace(tmp_path)
    own = upstream.network.model.state_dict()
    encoder = model.base_model
    if kind in ("whisper", "sew-d"):  # transformers 5.0 does not know the latter's
        encoder = model.get_encoder() if kind == "whisper" else model.sew_d
    for name, tensor in encoder.state_dict().items():
        if "parametrizations" not in name and name != "masked_spec_embed":
            assert torch.equal(own.pop(name), tensor)
    assert set(own) <= {"encoder.pos_conv_embed.conv.weight"}


def saved(tmp_path, change=lambda weights: weights, how="bin"):
    """A tiny HuBERT's folder, its weights changed."""
    model = theirs("hubert", TINY)
    config = {**model.config.to_dict(), "model_type": "hubert"}
    (tmp_path / "config.json").write_text(json.dumps(config, default=str))
    weights = change(dict(model.state_dict()))
    if how == "bin":
        torch.save(weights, tmp_path / "pytorch_model.bin")
    else:
        save_file(weights, tmp_path / "model.safetensors")
    return model


def older(weights):
    """As files from before parametrizations name them."""
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        name = f"encoder.pos_conv_embed.conv.parametrizations.weight.{new}"
        weights[f"encoder.pos_conv_embed.conv.{old}"] = weights.pop(name)
    return {f"hubert.{name}": tensor for name, tensor in weights.items()}


def test_older_names_and_pickles(tmp_path):
    model, wav = saved(tmp_path, older), noise(5000)[None]
    states, _ = HuggingFace(tmp_path)(wav)
    expected = their_states(model, {"input_values": normalized(wav)}, "hubert")
    for state, reference in zip(states, expected):
        close(state, reference)
    # Safetensors are preferred to a pickle.
    (tmp_path / "pytorch_model.bin").write_bytes(b"not read")
    saved(tmp_path, how="safetensors")
    assert torch.equal(HuggingFace(tmp_path)(wav)[0][-1], states[-1])


def normalized(wav):
    return (wav - wav.mean()) / (wav.var(correction=0) + 1e-7).sqrt()


@pytest.mark.parametrize("how", ["model.safetensors", "pytorch_model.bin"])
def test_several_files(how, tmp_path):
    model = saved(tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    names, places = sorted(model.state_dict()), {}
    for i, part in enumerate((names[:9], names[9:])):
        file = f"{how.split('.')[0]}-{i}.{how.split('.')[1]}"
        weights = {name: model.state_dict()[name] for name in part}
        (torch.save if how.endswith("bin") else save_file)(weights, tmp_path / file)
        places.update(dict.fromkeys(part, file))
    index = json.dumps({"metadata": {}, "weight_map": places})
    (tmp_path / f"{how}.index.json").write_text(index)
    wav = noise(5000)[None]
    expected = their_states(model, {"input_values": normalized(wav)}, "hubert")
    close(HuggingFace(tmp_path)(wav)[0][-1], expected[-1])


def test_nothing_is_missing_nor_left_over(tmp_path):
    def error(change):
        saved(tmp_path, lambda weights: [change(weights), weights][1])
        with pytest.raises(CheckpointError) as caught:
            HuggingFace(tmp_path)
        return str(caught.value)

    name = "encoder.layer_norm.bias"
    assert f"missing (1): model.{name}" in error(lambda w: w.pop(name))
    assert "unexpected (1): model.more" in error(lambda w: w.update(more=torch.ones(1)))
    assert "another shape" in error(lambda w: w.update({name: torch.ones(3)}))


class Evil:
    def __reduce__(self):
        return print, ("executed",)


def test_nothing_in_a_checkpoint_is_run(tmp_path, capsys):
    saved(tmp_path, lambda weights: {**weights, "more": Evil()})
    with pytest.raises(CheckpointError, match="refused: it would run .*print"):
        HuggingFace(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config.update(model_type="evil", auto_map={"AutoModel": "evil.Model"})
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "evil.py").write_text("print('executed')")
    with pytest.raises(CheckpointError, match="type: evil.*code of its own.*never run"):
        HuggingFace(tmp_path)
    assert "executed" not in capsys.readouterr().out


def test_other_sources_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="has no config.json: a model of trans"):
        HuggingFace(tmp_path)
    torch.save({}, tmp_path / "ckpt.pt")
    with pytest.raises(CheckpointError, match="is a file: a model of transformers"):
        HuggingFace(tmp_path / "ckpt.pt")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(CheckpointError, match="model_type: bert. Known: data2vec-a"):
        HuggingFace(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    with pytest.raises(CheckpointError, match="no weights: model.safetensors or"):
        HuggingFace(tmp_path)
    with pytest.raises(ValueError, match="Unknown config.hiden_size of hubert. Known"):
        HuggingFace(config={"model_type": "hubert", "hiden_size": 3})


def test_without_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r'pip install "s3prl_sb\[hf\]"'):
        HuggingFace(config=tiny("hubert"))


def test_preprocessor(tmp_path):
    """Sampling rate and normalization are those of the model, also where a
    processor holds them."""
    model, wav = saved(tmp_path), noise(9000)[None]
    options = {"sampling_rate": 24000, "do_normalize": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(options))
    upstream = HuggingFace(tmp_path)
    assert upstream.sample_rate == 24000
    expected = their_states(model, {"input_values": wav}, "hubert")
    close(upstream(wav)[0][-1], expected[-1])
    (tmp_path / "preprocessor_config.json").unlink()
    nested = json.dumps({"feature_extractor": options})
    (tmp_path / "processor_config.json").write_text(nested)
    close(HuggingFace(tmp_path)(wav)[0][-1], expected[-1])
    with pytest.raises(CheckpointError, match="16000 Hz, this model's of 24000"):
        HuggingFace(config=tiny("wav2vec2-bert", preprocessor=options))


def test_mert_is_hubert(tmp_path):
    """Its code changes something only where two options are set."""
    model, wav = saved(tmp_path), noise(9000)[None]
    config = json.loads((tmp_path / "config.json").read_text())
    config.update(model_type="mert_model", auto_map={}, deepnorm=False)
    config.update(feature_extractor_cqt=False, attention_relax=-1.0)
    (tmp_path / "config.json").write_text(json.dumps(config))
    expected = their_states(model, {"input_values": normalized(wav)}, "hubert")
    close(HuggingFace(tmp_path)(wav)[0][-1], expected[-1])
    for option in ("deepnorm", "feature_extractor_cqt"):
        changed = json.dumps({**config, option: True})
        (tmp_path / "config.json").write_text(changed)
        with pytest.raises(CheckpointError, match="mert_model. It comes with code"):
            HuggingFace(tmp_path)


@pytest.mark.parametrize("kind", ["whisper", "wav2vec2-conformer", "sew-d"])
def test_converted(kind, tmp_path):
    """Configuration and weights are all that it takes."""
    first = HuggingFace(config=tiny(kind), seed=3)
    content = json.dumps({"class": "…", "config": first.config})
    weights = {n: t.contiguous() for n, t in first.network.state_dict().items()}
    save_file(weights, tmp_path / "c.safetensors", {CONVERTED: content})
    again = HuggingFace(tmp_path / "c.safetensors")
    for a, b in zip(first(noise(5000)[None])[0], again(noise(5000)[None])[0]):
        assert torch.equal(a, b)


def test_batch_norm_keeps_its_statistics():
    """In training too an utterance gets what it gets alone."""
    upstream = HuggingFace(config=tiny("wav2vec2-conformer"), freeze=False)
    for module in upstream.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    wavs, before = noise(16000).view(2, -1), upstream.state_dict()
    before = {name: tensor.clone() for name, tensor in before.items()}
    states, alone = upstream(wavs)[0], upstream(wavs[:1])[0]
    for state, one in zip(states, alone):
        close(state[:1], one)
    for name, tensor in upstream.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_front_end_is_trained_on_demand():
    upstream = HuggingFace(config=tiny("hubert"), freeze=False, freeze_front_end=False)
    front_end = upstream.network.model.feature_extractor
    upstream(noise(4000)[None])[0][0].sum().backward()
    assert all(p.grad is not None for p in front_end.parameters())
