"""Encoders inside larger models of transformers: its own numbers, on tiny networks in
the folders of whole models, of which the language model's weights are absent."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tensors import close, noise
from test_huggingface import NAMES

from s3prl_sb.lobes.checkpoints import huggingface_architecture
from s3prl_sb.lobes.checkpoints.huggingface_architecture import architecture
from s3prl_sb.lobes.networks.huggingface_layouts import TYPES, WHOLE
from s3prl_sb.lobes.upstreams.huggingface import HuggingFace

transformers = pytest.importorskip("transformers")

WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "max_source_positions": 50,  # windows of 1 s
    "num_mel_bins": 20,
}
CONFORMER = {
    "hidden_size": 32,
    "speech_encoder_layers": 2,
    "speech_encoder_attention_heads": 4,
    "speech_encoder_intermediate_size": 48,
}
ROTARY = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
CLAP = {
    "patch_embeds_hidden_size": 16,
    "hidden_size": 32,
    "depths": [1, 2],
    "num_attention_heads": [2, 4],
    "spec_size": 32,
    "num_mel_bins": 8,
    "window_size": 4,
}
RATE = {"sampling_rate": 16000, "return_tensors": "pt"}
#: Type of the whole model to that of its encoder, its sizes, the prefix of its weights.
CASES = {
    "audioflamingo3": ("audioflamingo3_encoder", WHISPER, "audio_tower."),
    "clap": ("clap_audio_model", CLAP, "audio_model."),
    "clap fused": (
        "clap_audio_model",
        {**CLAP, "enable_fusion": True, "fusion_type": "aff_2d"},
        "audio_model.",
    ),
    "glmasr": (
        "glmasr_encoder",
        {**ROTARY, "num_mel_bins": 20, "max_position_embeddings": 50},
        "audio_tower.",
    ),
    "moonshine": (
        "moonshine",
        {
            "hidden_size": 32,
            "intermediate_size": 48,
            "encoder_num_hidden_layers": 2,
            "encoder_num_attention_heads": 4,
        },
        "model.encoder.",
    ),
    "parakeet_ctc": (
        "parakeet_encoder",
        {**ROTARY, "num_mel_bins": 16, "subsampling_conv_channels": 8},
        "encoder.",
    ),
    "qwen2_5_omni": (
        "qwen2_5_omni_audio_encoder",
        {**WHISPER, "n_window": 10, "output_dim": 24},
        "thinker.audio_tower.",
    ),
    "qwen2_audio": ("qwen2_audio_encoder", WHISPER, "audio_tower."),
    "qwen3_omni_moe": (
        "qwen3_omni_moe_audio_encoder",
        {
            **WHISPER,
            "n_window_infer": 200,
            "output_dim": 24,
            "downsample_hidden_size": 8,
        },
        "thinker.audio_tower.",
    ),
    "seamless_m4t": ("seamless_m4t", CONFORMER, "speech_encoder."),
    "seamless_m4t_v2": ("seamless_m4t_v2", CONFORMER, "speech_encoder."),
    "voxtral": ("voxtral_encoder", WHISPER, "audio_tower."),
}


def test_every_type_is_compared():
    assert NAMES.keys() | {kind for kind, *_ in CASES.values()} == TYPES.keys()
    assert {kind for kind, _ in WHOLE.values()} < TYPES.keys()


def theirs(kind, entries, monkeypatch):
    """An encoder of transformers in which every weight matters."""
    monkeypatch.setattr(huggingface_architecture, "FIXED", {})
    config, network = architecture({"model_type": kind, **entries}, "a test")
    monkeypatch.undo()
    generator = torch.Generator().manual_seed(7)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = network(config).eval()
    for name, parameter in model.named_parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 25
        parameter.data.normal_(std=fan_in**-0.5, generator=generator)
        if "norm" in name.lower() and name.endswith("weight"):
            parameter.data += 1
    return model


def extractor(kind):
    """The feature extractor of a type, for windows of 1 s."""
    if kind == "clap_audio_model":
        return transformers.ClapFeatureExtractor(
            feature_size=8, max_length_s=1, frequency_min=50, truncation="rand_trunc"
        )
    if kind == "moonshine":
        return transformers.Wav2Vec2FeatureExtractor(do_normalize=False)
    if kind == "parakeet_encoder":
        return transformers.ParakeetFeatureExtractor(feature_size=16)
    if kind.startswith("seamless"):
        return transformers.SeamlessM4TFeatureExtractor()
    return transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=1)


def save(folder, whole, model):
    """Writes the folder of a whole model without the files of its other parts."""
    kind, _, prefix = CASES[whole]
    config = {**json.loads(model.config.to_json_string()), "model_type": kind}
    for name in reversed(WHOLE.get(whole.split()[0], (None, ()))[1]):
        config = {name: config}
    config = {**config, "model_type": whole.split()[0]}
    (folder / "config.json").write_text(json.dumps(config))
    weights = {f"{prefix}{n}": t.contiguous() for n, t in model.state_dict().items()}
    save_file(weights, folder / "model-00002-of-00002.safetensors")
    places = dict.fromkeys(weights, "model-00002-of-00002.safetensors")
    places["language_model.lm_head.weight"] = "model-00001-of-00002.safetensors"
    index = json.dumps({"metadata": {}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index)
    extractor(kind).save_pretrained(folder)


# ----------------------------------------------------- what transformers computes
def recorded(model, *args, **kwargs):
    """Their hidden states, [frames, size] each, the last one that of the output."""
    with torch.no_grad():
        output = model(*args, **kwargs, output_hidden_states=True)
    states = [*output.hidden_states[:-1], output.last_hidden_state]
    return [state[0] if state.dim() > 2 else state for state in states]


def windows(wav, size):
    return [wav[i : i + size].numpy() for i in range(0, len(wav), size)]


def together(parts):
    return [torch.cat(states) for states in zip(*parts)]


def of_masked_windows(model, features, wav):
    """Qwen2-Audio and Audio Flamingo 3: what lies beyond the end is masked."""
    parts = []
    for window in windows(wav, 16000):
        x = features(window, **RATE, return_attention_mask=True)
        x, mask = x["input_features"], x["attention_mask"]
        count = (int(mask.sum()) - 1) // 2 + 1
        if model.config.model_type == "qwen2_audio_encoder":
            keys = torch.zeros(1, 1, 50, 50).index_fill_(
                3, torch.arange(count, 50), -torch.inf
            )
            states = recorded(model, x, attention_mask=keys)
        else:
            states = recorded(model, x, input_features_mask=mask)
        pairs = states.pop()[: count // 2]
        parts.append([*[state[:count] for state in states], pairs])
    return parts


def of_windows(model, features, wav):
    """GLM-ASR and Voxtral; the latter's mel is of the whole audio."""
    if model.config.model_type == "glmasr_encoder":
        parts = windows(wav, 16000)
        x = [features(part, **RATE)["input_features"] for part in parts]
    else:
        options = {"truncation": False, "padding": True, "pad_to_multiple_of": 16000}
        x = features(wav.numpy(), **RATE, **options)
        x = x["input_features"].split(100, 2)
    return together([recorded(model, part) for part in x])


def omni_mel(features, wav):
    options = {"truncation": False, "return_attention_mask": True}
    options.update(padding="max_length", max_length=len(wav) + 1600)
    x = features(wav.numpy(), **RATE, **options)
    x = x["input_features"][0][:, x["attention_mask"][0].bool()]
    lens = torch.tensor([x.shape[1]])
    return {
        "input_features": x,
        "feature_lens": lens,
        "aftercnn_lens": (lens - 1) // 2 + 1,
    }


def of_chunks(model, features, wav):
    """Qwen3-Omni: 13 frames of a second on the grid of 25."""
    model.proj1 = model.proj2 = model.act = torch.nn.Identity()
    states = recorded(model, **omni_mel(features, wav))
    grid = [
        torch.cat([part.repeat_interleave(2, 0)[:25] for part in state.split(13)])
        for state in states
    ]
    return [state[: -(-len(wav) // 640)] for state in grid]


def of_clap(model, features, wav):
    parts = []
    for window in windows(wav, 48000):
        x = features(window, sampling_rate=48000, return_tensors="pt")
        x = {**x, "is_longer": torch.tensor([[False]])}
        with torch.no_grad():
            output = model(**x, output_hidden_states=True)
        states = []
        for state in output.hidden_states[:-1]:  # [1, size, folds of bands, steps]
            folds = state[0].tensor_split(4, 1)
            state = torch.cat([fold.mean(1) for fold in folds], 1)  # [size, steps]
            states.append(state.view(len(state), 16, -1).mean(2).T)
        states.append(output.last_hidden_state[0].mean(1).T)
        parts.append(states)
    return together(parts)


def expected(kind, model, wav):
    features = extractor(kind)
    if kind == "clap_audio_model":
        return of_clap(model, features, wav)
    if kind in ("glmasr_encoder", "voxtral_encoder"):
        return of_windows(model, features, wav)
    if kind == "qwen3_omni_moe_audio_encoder":
        return of_chunks(model, features, wav)
    if kind == "qwen2_5_omni_audio_encoder":
        model.proj = torch.nn.Identity()
        return recorded(model, **omni_mel(features, wav))
    prepared = features(wav.numpy(), **RATE)
    if kind.startswith("seamless"):
        model.intermediate_ffn.forward = torch.zeros_like
        model.adapter, model.inner_layer_norm = None, torch.nn.Identity()
    return recorded(model, **prepared)


def close_to_pairs(state, pairs):
    """The tower's output at half the rate is there twice."""
    close(state[0::2][: len(pairs)], pairs, 1e-4)
    assert torch.equal(state[0::2][: len(pairs)], state[1::2])


@pytest.mark.parametrize("whole", CASES)
def test_in_a_whole_model(whole, tmp_path, monkeypatch):
    kind, entries, _ = CASES[whole]
    model = theirs(kind, entries, monkeypatch)
    save(tmp_path, whole, model)
    bands = "mean" if kind == "clap_audio_model" else None
    upstream = HuggingFace(str(tmp_path), bands=bands)
    assert not any(tensor.is_meta for tensor in upstream.state_dict().values())
    wavs = [noise(samples, seed=samples) for samples in (20500, 7007, 2345)]
    if kind == "clap_audio_model":
        wavs[0] = noise(100000)  # two windows and a part
    found = upstream.extract(wavs)["hidden_states"]
    for row, wav in enumerate(wavs):
        frames = upstream.frames(len(wav))
        states = [state[row, :frames] for state in found]
        if kind in ("audioflamingo3_encoder", "qwen2_audio_encoder"):
            start = 0
            for part in of_masked_windows(model, extractor(kind), wav):
                own = [state[start : start + len(part[0])] for state in states]
                close_to_pairs(own.pop(), part.pop())
                for state, reference in zip(own, part, strict=True):
                    close(state, reference, 1e-4)
                start += len(own[0])
            assert start == frames
            continue
        references = expected(kind, model, wav)
        assert len(states) == len(references) == upstream.num_layers
        if kind == "qwen2_5_omni_audio_encoder":
            close_to_pairs(states.pop(), references.pop())
        assert len(references[0]) - frames in range(50)
        for state, reference in zip(states, references):
            close(state, reference[:frames], 1e-4)


@pytest.mark.parametrize("adapter", ["lora", "bottleneck"])
@pytest.mark.parametrize("whole", CASES)
def test_adapters_of_towers(whole, adapter):
    kind, entries, _ = CASES[whole]
    config = {"model_type": kind, **entries}
    if kind == "clap_audio_model":
        config["preprocessor"] = {"feature_size": 8, "max_length_s": 1}
    options = {"freeze": False, "adapter": {"kind": adapter}}
    upstream = HuggingFace(config=config, **options)
    sum(s.sum() for s in upstream(noise(4000)[None])[0]).backward()
    trained = [p for p in upstream.parameters() if p.requires_grad]
    assert trained and all(p.grad is not None for p in trained)
