"""Neural codecs: latents, vectors and codes of transformers, on tiny networks."""

import json
import re

import npz_fixtures
import pytest
import torch
from safetensors.torch import load_file, save_file
from tensors import close

from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.families import of_checkpoint
from s3prl_sb.lobes.checkpoints import huggingface_folder
from s3prl_sb.lobes.checkpoints.building import build, sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.networks import codec_encoders
from s3prl_sb.lobes.upstreams.codecs import KINDS, Codec, read_folder

transformers = pytest.importorskip("transformers")

DAC = {"encoder_hidden_size": 4, "decoder_hidden_size": 16, "n_codebooks": 3}
DAC |= {"codebook_size": 16, "codebook_dim": 4}
HUBERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
BERT = {k: v for k, v in HUBERT.items() if "conv" not in k}
ENCODEC = {"num_filters": 4, "hidden_size": 16, "codebook_size": 16}
ENCODEC |= {"target_bandwidths": [0.6, 1.2]}
XCODEC = {"codebook_size": 16, "target_bandwidths": [0.4, 0.8]}
XCODEC |= {
    "acoustic_model_config": {
        **DAC,
        "model_type": "dac",
        "hidden_size": 16,
        "downsampling_ratios": [8, 5, 4, 2],
    },
    "semantic_model_config": {**HUBERT, "model_type": "hubert"},
}
XCODEC2 = {
    "encoder_hidden_size": 2,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 32,
    "quantization_dim": 64,
    "semantic_model_config": {**BERT, "model_type": "wav2vec2-bert"},
}
WAVLM = {**XCODEC, "semantic_model_config": {**HUBERT, "model_type": "wavlm"}}
#: Model type, entries of its configuration, samples of a frame.
CASES = {
    "encodec": ("encodec", ENCODEC, 320),
    "encodec 32 kHz": (
        "encodec",
        {
            **ENCODEC,
            "upsampling_ratios": [8, 5, 4, 4],
            "sampling_rate": 32000,
            "use_causal_conv": False,
            "use_conv_shortcut": False,
            "normalize": True,
            "target_bandwidths": [0.4, 0.8],
        },
        640,
    ),
    "dac": ("dac", DAC, 512),
    "dac 24 kHz": (
        "dac",
        {**DAC, "downsampling_ratios": [2, 4, 5, 8], "sampling_rate": 24000},
        320,
    ),
    "mimi": (
        "mimi",
        {
            **BERT,
            "num_filters": 2,
            "codebook_size": 16,
            "codebook_dim": 8,
            "vector_quantization_hidden_dimension": 8,
            "num_quantizers": 4,
            "num_key_value_heads": 4,
            "upsample_groups": 32,
            "sliding_window": 5,
        },
        1920,
    ),
    "xcodec": ("xcodec", XCODEC, 320),
    "xcodec wavlm": ("xcodec", WAVLM, 320),
    "xcodec2": ("xcodec2", XCODEC2, 320),
    "neucodec": ("neucodec", XCODEC2, 320),
}


def noise(samples):
    generator = torch.Generator().manual_seed(samples)
    return 0.1 * torch.randn(samples, generator=generator)


def theirs(kind, entries):
    """A model of transformers in which every weight and codebook matters."""
    if kind not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {kind}")
    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[kind].from_dict(entries)
    model = transformers.MODEL_MAPPING[type(config)](config).eval()
    generator = torch.Generator().manual_seed(7)
    for name, tensor in model.state_dict().items():
        if tensor.dim() > 1 and "original" not in name and "alpha" not in name:
            tensor.normal_(std=tensor[0].numel() ** -0.5, generator=generator)
        elif name.endswith(("alpha", "beta", "scale", "cluster_usage")):
            tensor.uniform_(0.5, 1, generator=generator)
        elif name.endswith("original0"):  # lengths of weight norm
            tensor.mul_(2)
        elif name.endswith("bias"):
            tensor.normal_(std=0.01, generator=generator)
    return model


def saved(model, folder, **options):
    """The folder of a model."""
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= options
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def their_numbers(model, wav, count):
    """Their latents, vectors' sum [frames, size] and codes [frames, quantizers]."""
    kind, kept = model.config.model_type, []
    wav = wav[None, None]
    with torch.no_grad():
        if kind in ("encodec", "dac"):
            kept.append(model.encoder(wav))
        if kind == "encodec":
            if model.config.normalize:
                kept[0] = model.encoder(wav / (wav.pow(2).mean().sqrt() + 1e-8))
            bandwidth = model.config.target_bandwidths[0 if count == 2 else -1]
            codes = model.encode(wav, bandwidth=bandwidth).audio_codes[0]
            vectors = model.quantizer.decode(codes.transpose(0, 1))
        elif kind == "dac":
            found = model.encode(wav, n_quantizers=count)
            codes, vectors = found.audio_codes, found.quantized_representation
        elif kind == "mimi":
            part = getattr(model, "downsample", None)
            part = (
                model.encoder.downsample
                if hasattr(model.encoder, "downsample")
                else part
            )
            hook = part.register_forward_hook(lambda m, a, out: kept.append(out))
            codes = model.encode(wav, num_quantizers=count).audio_codes
            vectors = model.quantizer.decode(codes)
            hook.remove()
        elif kind == "xcodec":
            hook = model.fc.register_forward_hook(lambda m, a, o: kept.append(o.mT))
            bandwidth = model.config.target_bandwidths[0 if count == 2 else -1]
            codes = model.encode(wav, bandwidth=bandwidth).audio_codes
            vectors = model.quantizer.decode(codes.transpose(0, 1))
            hook.remove()
        else:
            name = {"xcodec2": "Xcodec2", "neucodec": "NeuCodec"}[kind]
            extractor = getattr(transformers, f"{name}FeatureExtractor")()
            prepared = extractor(
                wav[0, 0].numpy(), sampling_rate=16000, return_tensors="pt"
            )
            hook = model.fc_encoder.register_forward_hook(
                lambda m, a, o: kept.append(o.mT)
            )
            found = model.encode(**prepared, output_latents=True)
            codes, vectors = found.audio_codes, found.latents
            hook.remove()
    return kept[-1][0].T, vectors[0].T, codes[0].T


@pytest.mark.parametrize("name", CASES)
def test_transformers(name, tmp_path):
    kind, entries, stride = CASES[name]
    model = theirs(kind, entries)
    for quantizers in (None, 2):
        upstream = Codec(saved(model, tmp_path), quantizers=quantizers)
        count = upstream.network.count
        assert upstream.stride == stride and count == (quantizers or count)
        lengths = (16000, 7007, 2345)
        wavs = [noise(length) for length in lengths]
        batch = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
        lens = torch.tensor(lengths) / 16000
        states, _ = upstream(batch, lens)
        ours, _ = upstream.codes(batch, lens)
        for row, wav in enumerate(wavs):
            latents, vectors, codes = their_numbers(model, wav, count)
            frames = upstream.frames(len(wav))
            if kind == "xcodec2":  # they code a frame more, which is padding
                assert len(codes) == frames + 1
            else:
                assert len(codes) == frames
            # Their log mel is of fp64 in part.
            limit = 1e-4 if kind in ("xcodec2", "neucodec") else 1e-5
            close(states[-2][row, :frames], latents[:frames], limit)
            assert torch.equal(ours[row, :frames], codes[:frames].long())
            close(states[-1][row, :frames], vectors[:frames])
            assert (ours[row, frames:] == -1).all()
        if kind in ("xcodec2", "neucodec"):
            break


@pytest.mark.parametrize("name", ["encodec", "dac 24 kHz", "mimi", "xcodec", "xcodec2"])
def test_pieces_of_long_audio_change_nothing(name, monkeypatch):
    """The context of a piece holds all that its frames see."""
    kind, entries, _ = CASES[name]
    upstream = Codec(config={"model_type": kind, **entries})
    wav = noise(30001)[None]
    whole, _ = upstream(wav)
    upstream.network.encoder.piece = 11
    monkeypatch.setattr(codec_encoders, "FRAMES", 9)
    seen, pieces = [], codec_encoders.pieces
    monkeypatch.setattr(codec_encoders, "pieces", counted(pieces, seen))
    cut, _ = upstream(wav)
    assert len(seen) > 2
    for state, reference in zip(cut, whole):
        close(state, reference)


def test_chunks():
    """X-Codec codes each minute as an utterance of its own."""
    upstream = Codec(config={"model_type": "xcodec", **XCODEC})
    assert upstream.network.encoder.chunk == 60 * 16000
    upstream.network.encoder.chunk = 16000
    for samples in (40000, 32050):  # 50 are no frame
        wav = noise(samples)[None]
        parts = [upstream(w)[0] for w in wav.split(16000, 1) if w.shape[1] > 50]
        states, _ = upstream(wav)
        assert states[0].shape[1] == upstream.frames(samples)
        for state, *pieces in zip(states, *parts):
            assert torch.equal(state, torch.cat(pieces, 1))


def counted(function, results):
    """The same function, which adds its results to a list."""

    def call(*args, **kwargs):
        result = function(*args, **kwargs)
        results.extend(result)
        return result

    return call


#: Networks of the published models, under transformers' names.
FULL = {
    "encodec": {},
    "dac": {"downsampling_ratios": [2, 4, 5, 8], "n_codebooks": 12},
    "mimi": {},
    "xcodec": {},
    "xcodec2": {},
    "neucodec": {},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_published_name(kind, tmp_path):
    """A folder with every weight of a model of full size, as one value each."""
    if kind not in transformers.CONFIG_MAPPING:
        pytest.skip(f"transformers {transformers.__version__} has no {kind}")
    config = transformers.CONFIG_MAPPING[kind].from_dict(FULL[kind])
    with sizes_only():
        model = build(lambda: transformers.MODEL_MAPPING[type(config)](config))
    state = {
        published(kind, name): npz_fixtures.ones(
            *([1] if "decoder" in name else tensor.shape)  # some are too large
        )
        for name, tensor in model.state_dict().items()
    }
    assert any("decoder" in name for name in state)
    torch.save(state, tmp_path / "pytorch_model.bin")
    entries = {**FULL[kind], "model_type": kind}
    (tmp_path / "config.json").write_text(json.dumps(entries))
    _, weights = read_folder(tmp_path)
    npz_fixtures.assert_fits(Codec, entries, weights)


def published(kind, name):
    """The name in the file of a model whose names changed in transformers 5.24."""
    if kind != "mimi":
        return name
    name = re.sub(r"^(en|de)coder\.\1coder_seanet\.", r"\1coder.", name)
    return re.sub(
        r"^(en|de)coder\.(\1coder_transformer|downsample|upsample)", r"\2", name
    )


def test_options(tmp_path):
    """Fewer codebooks, the vectors of each, and gradients of the encoder alone."""
    entries = {**ENCODEC, "model_type": "encodec"}
    wavs, upstream = noise(9600).view(2, -1), Codec(config=entries)
    (latents, total), _ = upstream(wavs)
    each = Codec(config=entries, each_quantizer=True)
    states, _ = each(wavs)
    assert torch.equal(states[0], latents) and len(states) == each.num_layers == 6
    close(sum(states[1:-1]), total)
    fewer = Codec(config=entries, each_quantizer=True, quantizers=2)
    close(fewer(wavs)[0][-1], states[1] + states[2])
    codes, _ = upstream.codes(wavs)
    assert torch.equal(fewer.codes(wavs)[0], codes[..., :2])
    half = Codec(config=entries, precision="bf16")
    assert torch.equal(half.codes(wavs)[0], codes)
    for count in (0, 5):
        with pytest.raises(ValueError, match="1 to 4"):
            Codec(config=entries, quantizers=count)
    trained = Codec(config=entries, freeze=False)
    (latents, total), _ = trained(wavs)
    encoder = [p for n, p in trained.named_parameters() if "encoder" in n]
    assert encoder == [p for p in trained.parameters() if p.requires_grad]
    expected = torch.autograd.grad(latents.sum(), encoder, retain_graph=True)
    for gradient, reference in zip(torch.autograd.grad(total.sum(), encoder), expected):
        assert torch.equal(gradient, reference) and gradient.any()


def test_refusals(tmp_path):
    stereo = {"audio_channels": 2, "chunk_length_s": 1.0, "overlap": 0.01}
    model = theirs("encodec", {**ENCODEC, **stereo, "sampling_rate": 48000})
    with pytest.raises(CheckpointError, match="2 channels in chunks"):
        Codec(saved(model, tmp_path))
    with pytest.raises(CheckpointError, match="no codec. Known: encodec"):
        Codec(saved(model, tmp_path, model_type="whisper"))
    with pytest.raises(ValueError, match="Unknown config.n_codebooks of encodec"):
        Codec(config={"model_type": "encodec", "n_codebooks": 3})
    with pytest.raises(ValueError, match="No linear layer is named"):
        adapter = {"kind": "lora"}
        Codec(config={**DAC, "model_type": "dac"}, freeze=False, adapter=adapter)


def test_a_folder_is_recognized(tmp_path, caplog):
    model = theirs("mimi", CASES["mimi"][1])
    folder = saved(model, tmp_path)
    upstream = of_checkpoint(folder)
    assert not caplog.records  # such as of a preprocessor, which no codec needs
    assert isinstance(upstream, Codec) and upstream.sample_rate == 24000
    state = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in state if name.endswith("downsample.conv.weight"))
    del state[lost]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="missing .* encoder.downsample.conv"):
        Codec(folder)
    trained = Codec(
        config={**CASES["mimi"][1], "model_type": "mimi"},
        freeze=False,
        adapter={"kind": "lora"},
    )
    names = [n for n, p in trained.named_parameters() if p.requires_grad]
    assert len(names) == 8 and all("self_attn" in name for name in names)


def test_a_part_of_a_fusion_is_converted(tmp_path, monkeypatch):
    """Its positions, which no file has, are computed there too."""
    folder = saved(theirs("mimi", CASES["mimi"][1]), tmp_path / "mimi")
    asked = []  # for a preprocessor, which codecs do without, and other families miss
    monkeypatch.setattr(huggingface_folder, "preprocessor", asked.append)
    convert(f"{folder}+mel", tmp_path / "converted")  # compares features
    assert not asked


def test_layers_of_mimi(tmp_path):
    """The means of two frames of the input and the output of each layer."""
    model, states = theirs("mimi", CASES["mimi"][1]), []
    inside = model.encoder if hasattr(model.encoder, "encoder_transformer") else model
    transformer = inside.encoder_transformer
    transformer.register_forward_pre_hook(lambda m, args: states.append(args[0]))
    for layer in transformer.layers:
        layer.register_forward_hook(
            lambda m, args, out: states.append(out[0] if type(out) is tuple else out)
        )
    upstream, wav = Codec(saved(model, tmp_path)), noise(24000)
    with torch.no_grad():
        model.encode(wav[None, None])
    assert states[0].shape[1] == 25  # the last one has no other
    found, _ = upstream(wav[None])
    assert len(found) == len(states) + 2 == 5
    for state, reference in zip(found, states):
        close(state[:, :-1], (reference[:, 0:-1:2] + reference[:, 1::2]) / 2)
        close(state[:, -1], reference[:, -1])
