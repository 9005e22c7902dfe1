"""wav2vec 2.0 and HuBERT: S3PRL's numbers, torchaudio's, and batch against alone."""

import pytest
import torch
import torch.nn.functional as F
from tensors import error, noise
from transformer_checkpoint_files import BASE, HF_LAYER, LARGE, randomized

from s3prl_sb.lobes.networks import encoder, front_end
from s3prl_sb.lobes.networks.transformer import SpeechTransformer, TransformerConfig
from s3prl_sb.lobes.upstreams.hubert import Hubert
from s3prl_sb.lobes.upstreams.wav2vec2 import SELECTIONS, Wav2Vec2

CONV_LAYERS = BASE["conv_layers"]
CONFIGS = {
    "base": BASE,
    "large": LARGE,
    "base, norm first": {**BASE, "norm_first": True},
    "large, norm last": {**LARGE, "norm_first": False},
    "odd positions": {**BASE, "position_kernel": 15},
    "no projection": {**BASE, "conv_layers": [*CONV_LAYERS[:2], [32, 2, 2]]},
    "group norm, biases": {**BASE, "conv_bias": True, "normalize_wav": True},
}


def assert_batch_equals_alone(upstream, wavs):
    """Within 1e-5, on both code paths; gives the largest difference."""
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lens = torch.tensor([len(wav) for wav in wavs]) / padded.shape[1]
    alone = [[state[0] for state in upstream(wav[None])[0]] for wav in wavs]
    worst = 0.0
    for packed in (True, False):
        upstream.packed = packed
        states, frame_lens = upstream(padded, lens)
        frames = (frame_lens * states[0].shape[1]).round().int().tolist()
        assert frames == [upstream.frames(len(wav)) for wav in wavs]
        for i, expected in enumerate(alone):
            for state, one in zip(states, expected):
                worst = max(worst, error(state[i, : frames[i]], one))
                assert not state[i, frames[i] :].any()  # zero after the end
    assert worst < 1e-5
    return worst


# ------------------------------------------------- torchaudio's, runs everywhere
def torchaudio_twin(upstream, config):
    """torchaudio's network with the weights of ours."""
    wav2vec2_model = pytest.importorskip("torchaudio.models").wav2vec2_model
    extractor = "layer_norm" if config.get("conv_norm") == "layer" else "group_norm"
    theirs = wav2vec2_model(
        extractor_mode=extractor,
        extractor_conv_layer_config=config["conv_layers"],
        extractor_conv_bias=config.get("conv_bias", False),
        encoder_embed_dim=config["hidden_size"],
        encoder_projection_dropout=0.0,
        encoder_pos_conv_kernel=config["position_kernel"],
        encoder_pos_conv_groups=config["position_groups"],
        encoder_num_layers=config["num_layers"],
        encoder_num_heads=config["num_heads"],
        encoder_attention_dropout=0.0,
        encoder_ff_interm_features=config["ffn_size"],
        encoder_ff_interm_dropout=0.0,
        encoder_dropout=0.0,
        encoder_layer_norm_first=config.get("norm_first", False),
        encoder_layer_drop=0.0,
        aux_num_out=None,
    ).eval()

    def put(module, ours):
        module.load_state_dict(ours.state_dict())

    network, transformer = upstream.network, theirs.encoder.transformer
    for i, block in enumerate(theirs.feature_extractor.conv_layers):
        put(block.conv, network.front_end.convolutions[i])
        if block.layer_norm is not None:
            put(block.layer_norm, network.front_end.norms[i])
    put(theirs.encoder.feature_projection.layer_norm, network.front_end_norm)
    projection = theirs.encoder.feature_projection.projection
    if isinstance(network.projection, torch.nn.Linear):
        put(projection, network.projection)
    else:
        torch.nn.init.eye_(projection.weight), torch.nn.init.zeros_(projection.bias)
    convolution = transformer.pos_conv_embed.conv
    with torch.no_grad():
        convolution.weight = network.encoder.positions.convolutions[0].weight.data
        convolution.bias.copy_(network.encoder.positions.convolutions[0].bias)
    put(transformer.layer_norm, network.encoder.norm)
    for layer, ours in zip(transformer.layers, network.encoder.layers):
        for name, hf_name in HF_LAYER.items():
            owner = ours.attention if hasattr(ours.attention, name) else ours
            put(layer.get_submodule(hf_name), getattr(owner, name))
    return theirs


def torchaudio_states(theirs, wav, config):
    """{selection: hidden states} of one waveform."""
    transformer, feed_forwards = theirs.encoder.transformer, []
    hooks = [
        layer.feed_forward.register_forward_hook(
            lambda m, i, o: feed_forwards.append(o)
        )
        for layer in transformer.layers
    ]
    with torch.no_grad():
        if config.get("normalize_wav"):
            wav = F.layer_norm(wav, wav.shape)
        features = theirs.feature_extractor(wav[None], None)[0]
        first = transformer._preprocess(theirs.encoder.feature_projection(features))
        outputs = theirs.extract_features(wav[None])[0]
        ffn = list(feed_forwards)
        last = theirs(wav[None])[0]
    for hook in hooks:
        hook.remove()
    return {
        None: [first, *outputs[:-1], last],
        "fairseq_layers": outputs,
        "fairseq_layers_before_residual": ffn,
    }


@pytest.mark.parametrize("name", CONFIGS)
def test_torchaudio(name):
    config = CONFIGS[name]
    theirs = torchaudio_twin(randomized(config), config)
    for samples in (7000, 313):
        wav = noise(samples)
        expected = torchaudio_states(theirs, wav, config)
        for selection in SELECTIONS:
            upstream = randomized(config, feature_selection=selection)
            states = upstream(wav[None])[0]
            assert len(states) == len(expected[selection]) == upstream.num_layers
            for state, reference in zip(states, expected[selection]):
                assert error(state, reference) < 1e-5
    # With gradients the network takes other paths.
    trained = randomized(config, freeze=False).eval()
    states = trained(noise(7000)[None])[0]
    for state, reference in zip(
        states, torchaudio_states(theirs, noise(7000), config)[None]
    ):
        assert state.requires_grad and error(state, reference) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_batch_equals_alone(name):
    wavs = [noise(n, seed=i) for i, n in enumerate((4000, 1777, 40, 1, 4000, 9000))]
    assert_batch_equals_alone(randomized(CONFIGS[name]), wavs)
    upstream = randomized(CONFIGS[name])
    upstream.group_seconds = {"cpu": 0.4}  # groups of few
    assert_batch_equals_alone(upstream, wavs)


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
def test_packed_front_end_of_devices(config):
    """Runs the GPU's path for unequal lengths on the CPU."""
    network = randomized(config).network
    wavs = [noise(n, seed=n) for n in (4000, 47, 1999, 48, 40, 2000, 51)]
    with torch.no_grad():
        alone = [network.front_end([wav])[0] for wav in wavs]
        for together in (wavs, wavs[::-1], wavs[:1]):
            packed = network.front_end.packed(together)
            expected = {len(w): a for w, a in zip(wavs, alone)}
            for wav, piece in zip(together, packed, strict=True):
                assert error(piece, expected[len(wav)]) < 1e-5


@pytest.mark.parametrize("trained", [False, True])
def test_jagged_attention_of_devices(trained):
    """Runs the GPU's path for unequal lengths on the CPU, with gradients."""
    attention = randomized(BASE).network.encoder.layers[0].attention
    frames, generator = [7, 1, 12], torch.Generator().manual_seed(0)
    qkv = [torch.randn(sum(frames), 32, generator=generator) for _ in range(3)]
    qkv = [part.requires_grad_(trained) for part in qkv]
    results = [
        attend(*qkv, frames) for attend in (attention.attend, attention.attend_jagged)
    ]
    assert error(results[1], results[0]) < 1e-5
    if trained:
        gradients = [torch.autograd.grad(r.pow(2).sum(), qkv) for r in results]
        for ours, theirs in zip(*gradients):
            assert error(theirs, ours) < 1e-5


@pytest.mark.parametrize("config", [BASE, LARGE], ids=["base", "large"])
@pytest.mark.parametrize("samples", [40, 47, 1999, 4000])
def test_pieces_are_the_whole(config, samples, monkeypatch):
    """The streamed front-end, also of a waveform with an offset and of silence."""
    network = randomized(config).network
    for wav in (noise(samples), 0.5 + noise(samples), torch.zeros(samples)):
        with torch.no_grad():
            whole = network.front_end.whole(wav)
            for piece in (1, 3, 50):
                monkeypatch.setattr(front_end, "PIECE", piece)
                streamed = network.front_end.streamed(wav)
                assert error(streamed, whole) < 1e-4 * (1 + 9 * (wav.mean() > 0.4))


def test_feed_forward_in_rows(monkeypatch):
    layer, x = randomized(BASE).network.encoder.layers[0], noise(23 * 32).view(23, 32)
    with torch.no_grad():
        whole, _ = layer(x, [23])
        monkeypatch.setattr(encoder, "FFN_ROWS", 5)
        assert error(layer(x, [23])[0], whole) < 1e-6


def test_positions_see_one_utterance_only():
    network = randomized(BASE).network
    x = noise(20 * 32).view(20, 32)
    positions = network.encoder.positions
    alone = [positions(piece, [len(piece)]) for piece in x.split([13, 1, 6])]
    assert error(positions(x, [13, 1, 6]), torch.cat(alone)) < 1e-5


def test_chunks():
    """Whole audio where a chunk holds it; else what each chunk gives alone."""
    config = {**BASE, "conv_layers": [[16, 10, 5], [16, 8, 64]]}  # 50 frames a second
    whole, wav = randomized(config), noise(40000)[None]
    chunked = randomized(config, chunk_seconds=0.5, overlap_seconds=0.1)
    assert chunked.window == (25, 5)
    for a, b in zip(whole(wav[:, :9000])[0], chunked(wav[:, :9000])[0]):
        assert error(b, a) < 1e-6
    states, expected = chunked(wav)[0], whole(wav)[0]
    assert states[0].shape == expected[0].shape
    assert error(states[0], expected[0]) < 1e-6  # positions come before
    assert error(states[1], expected[1]) > 1e-3
    # The second chunk by hand: frames 25 to 50, seen with 5 on either side.
    x = expected[0][0, 20:55]
    with torch.no_grad():
        by_hand, _ = whole.network.encoder.layers[0](x, [35])
    assert error(states[1][0, 25:50], by_hand[5:30]) < 1e-5
    wavs = [noise(n, seed=n) for n in (40000, 9000, 17000, 30000)]
    assert_batch_equals_alone(chunked, wavs)
    with pytest.raises(ValueError, match="chunk_seconds 0.001"):
        randomized(config, chunk_seconds=0.001)


@pytest.mark.parametrize("samples", [16000, 400, 401, 719, 720, 1])
def test_frames_and_receptive_field(samples):
    upstream = Hubert(config={**BASE, "conv_layers": TransformerConfig().conv_layers})
    assert upstream.stride == 320 and upstream.min_samples == 400
    expected = max(samples, 400)
    for kernel, stride in [(10, 5)] + [(3, 2)] * 4 + [(2, 2)] * 2:
        expected = (expected - kernel) // stride + 1
    assert upstream.frames(samples) == expected
    assert upstream(noise(samples)[None])[0][0].shape == (1, expected, 32)


def test_front_end_is_trained_on_demand():
    upstream = randomized(BASE, freeze=False, freeze_front_end=False)
    upstream(noise(4000)[None])[0][0].sum().backward()
    assert all(p.grad is not None for p in upstream.network.front_end.parameters())


def test_random_weights_move_no_global_generator():
    before = torch.get_rng_state()
    network = SpeechTransformer(TransformerConfig(**BASE))
    network.reset_parameters(3)
    torch.set_rng_state(before)
    Hubert(config=BASE, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.isfinite(p).all() for p in network.parameters())


def test_layerdrop():
    upstream = randomized(BASE, freeze=False, layerdrop=1.0)
    upstream.config.dropout = upstream.config.input_dropout = 0.0
    states = upstream(noise(4000)[None])[0]
    assert all(torch.equal(state, states[0]) for state in states)  # all are skipped
    states = upstream.eval()(noise(4000)[None])[0]
    assert not torch.equal(states[1], states[0])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"feature_selection": "layers"}, "Known: None, fairseq_layers"),
        ({"precision": "int8"}, "Known: fp32, bf16, fp16"),
        ({"precision": "bf16", "freeze": False}, "--precision=bf16"),
        ({"source": "nowhere.pt"}, "No checkpoint at 'nowhere.pt'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Wav2Vec2(config=BASE, **options)
