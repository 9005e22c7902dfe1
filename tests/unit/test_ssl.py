"""The lobe that stands in for SpeechBrain's: arguments, numbers, Brains."""

import copy
import importlib
import json
import socket

import pytest
import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from started_processes import Fork
from tensors import noise

from s3prl_sb.foreign.trust import TrustError
from s3prl_sb.lobes.cards.conversion import convert
from s3prl_sb.lobes.cards.families import SourceError
from s3prl_sb.lobes.ssl import SSL, SSLError
from s3prl_sb.lobes.upstreams import load
from s3prl_sb.lobes.upstreams.base import AudioError
from s3prl_sb.storage.repositories import HubError

CONVOLUTIONS = [[16, 10, 5], [16, 8, 4], [16, 4, 4], [16, 2, 2]]
CONFIG = {"hidden_size": 32, "ffn_size": 64, "num_layers": 3, "num_heads": 4}
CONFIG["conv_layers"] = CONVOLUTIONS
LENGTHS = (9000, 16000, 5300)


def ragged(lengths=LENGTHS):
    wavs = noise(len(lengths), max(lengths))
    for wav, length in zip(wavs, lengths):
        wav[length:] = 0
    return wavs, torch.tensor(lengths) / max(lengths)


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    """The card file of a random HuBERT of three small layers."""
    path = tmp_path_factory.mktemp("card") / "tiny.yaml"
    entry = "!new:s3prl_sb.lobes.upstreams.hubert.Hubert"
    path.write_text(f"tiny: {entry}\n    config: {json.dumps(CONFIG)}\n")
    return str(path)


def saved(kind, path, **entries):
    """A tiny model of transformers, as it saves it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        conv_dim=[16] * 4,
        conv_kernel=[10, 8, 4, 2],
        conv_stride=[5, 4, 4, 2],
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        **entries,
    )
    getattr(transformers, f"{kind}Model")(config).save_pretrained(path)
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    extractor.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A wav2vec 2.0 of transformers."""
    return saved("Wav2Vec2", tmp_path_factory.mktemp("folder") / "model")


# ------------------------------------------------------------------- the features
@pytest.mark.parametrize("layers", ["last", 0, -2])
def test_one_layer(card, layers):
    wavs, lens = ragged()
    ssl, upstream = SSL(card, layers=layers, freeze=True), load(card)
    expected = upstream(wavs, lens)[0][-1 if layers == "last" else layers]
    found = ssl(wavs, lens)
    for i, length in enumerate(LENGTHS):
        true = upstream.frames(length)
        assert torch.equal(found[i, :true], expected[i, :true])
    assert ssl.weights is None and not list(ssl.featurizer.parameters())


@pytest.mark.parametrize("layers", ["all", [1, 3]])
def test_learned_sum(card, layers):
    ssl = SSL(card, layers=layers, freeze=True)
    states = load(card)(noise(1, 8000))[0]
    chosen = states if layers == "all" else [states[i] for i in layers]
    wanted = torch.stack(chosen).mean(0)  # weights start equal
    torch.testing.assert_close(ssl(noise(1, 8000)), wanted)
    (ssl(noise(1, 8000)) * noise(1, 1, 32)).sum().backward()
    assert ssl.weights.grad.abs().sum() > 0
    assert all(p.grad is None for p in ssl.upstream.parameters())


def test_layer_norm_before_the_sum(card):
    states = load(card)(noise(1, 8000))[0]
    wanted = torch.stack(
        [torch.nn.functional.layer_norm(state, (32,)) for state in states]
    )
    ssl = SSL(card, layers="all", layernorm=True, freeze=True)
    torch.testing.assert_close(ssl(noise(1, 8000)), wanted.mean(0))
    ssl = SSL(card, output_all_hiddens=True, layernorm=True, freeze=True)
    torch.testing.assert_close(ssl(noise(1, 8000)), wanted)


def test_all_hidden_states(card):
    ssl = SSL(card, output_all_hiddens=True, freeze=True)
    wavs, lens = ragged()
    found = ssl(wavs, lens)
    assert found.shape == (ssl.num_layers, 3, ssl.upstream.frames(16000), 32)
    assert ssl.weights is None, "nothing to train where nothing is summed"
    two = SSL(card, output_all_hiddens=True, layers=[0, 2], freeze=True)
    assert torch.equal(two(wavs, lens), found[[0, 2]])


@pytest.mark.parametrize("every", [False, True])
def test_output_norm(card, every):
    wavs, lens = ragged()
    options = {"freeze": True, "output_all_hiddens": every}
    plain, normed = SSL(card, **options), SSL(card, output_norm=True, **options)
    found = normed(wavs, lens)
    for i, length in enumerate(LENGTHS):
        alone = plain(wavs[i : i + 1, :length])
        wanted = torch.nn.functional.layer_norm(alone, alone.shape[-2:])
        true = alone.shape[-2]
        torch.testing.assert_close(
            found[..., i, :true, :], wanted[..., 0, :, :], rtol=1e-4, atol=1e-5
        )


def test_as_many_frames_as_the_padded_batch(card):
    """Also if no utterance is as long as the batch: lengths are shares of it."""
    ssl = SSL(card, freeze=True)
    found = ssl(noise(2, 16000), torch.tensor([0.5, 0.25]))
    assert found.shape[1] == ssl.upstream.frames(16000)
    half = ssl.upstream.frames(8000)
    assert found[0, :half].any(-1).all() and not found[0, half + 2 :].any()


def test_frames_that_lengths_count_are_never_empty(card):
    """A head that uses wav_lens sees no zeros, for every rounding."""
    ssl = SSL(card, freeze=True)
    more = 0
    for length in range(400, 16000, 517):
        wavs, lens = ragged((16000, length))
        found = ssl(wavs, lens)[1]
        counted = int(torch.round(lens[1] * len(found)))
        assert found[:counted].any(-1).all()
        more += counted > ssl.upstream.frames(length)
    assert more > 3, "the rounding that this is about"


def test_lengths_in_a_list(card):
    wavs, ssl = noise(2, 8000), SSL(card, freeze=True)
    assert torch.equal(ssl(wavs, [1.0, 0.5]), ssl(wavs, torch.tensor([1.0, 0.5])))


def test_silence_and_one_sample(card):
    ssl = SSL(card, freeze=True)
    assert torch.isfinite(ssl(torch.zeros(2, 4000))).all()
    assert ssl(torch.full((1, 1), 0.1)).shape == (1, 1, 32)
    with pytest.raises(AudioError, match="utterance 1 .* is empty"):
        ssl(noise(2, 4000), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="wavs must be a float tensor"):
        ssl(noise(4000))


# --------------------------------------------------------- beside SpeechBrain's own
def theirs(folder, tmp_path, **options):
    pytest.importorskip("transformers")
    from speechbrain.integrations.huggingface.wav2vec2 import Wav2Vec2

    return Wav2Vec2(folder, str(tmp_path), **options)


@pytest.mark.parametrize("every", [False, True])
@pytest.mark.parametrize("output_norm", [False, True])
def test_theirs_on_one_utterance(folder, tmp_path, every, output_norm):
    options = {"freeze": True, "output_all_hiddens": every, "output_norm": output_norm}
    other = theirs(folder, tmp_path, **options).eval()
    wavs = noise(1, 9000)
    torch.testing.assert_close(
        SSL(folder, **options)(wavs), other(wavs), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "kind, module", [("Hubert", "hubert.HuBERT"), ("WavLM", "wavlm.WavLM")]
)
def test_their_other_lobes(kind, module, tmp_path):
    folder, wavs = saved(kind, tmp_path / "model"), noise(1, 9000)
    module, _, name = module.partition(".")
    package = f"speechbrain.integrations.huggingface.{module}"
    lobe = getattr(importlib.import_module(package), name)
    other = lobe(folder, str(tmp_path), freeze=True, output_norm=True).eval()
    ours = SSL(folder, freeze=True, output_norm=True)
    torch.testing.assert_close(ours(wavs), other(wavs), rtol=1e-4, atol=1e-5)


def test_theirs_on_unequal_lengths(folder, tmp_path):
    """Same weights: alone or in a batch, theirs differs, this does not."""
    wavs, lens = ragged()

    def difference(lobe):
        together, worst = lobe(wavs, lens), 0
        for i, length in enumerate(LENGTHS):
            alone = lobe(wavs[i : i + 1, :length])[0]
            worst = max(worst, (together[i, : len(alone)] - alone).abs().max().item())
        return worst

    options = {"freeze": True, "output_norm": True}
    assert difference(theirs(folder, tmp_path, **options).eval()) > 0.1
    assert difference(SSL(folder, **options)) < 2e-5


def test_frozen_is_frozen(folder, tmp_path):
    wavs = noise(1, 9000)
    ours, other = (
        make(folder)
        for make in (
            lambda f: SSL(f, freeze=True).train(),
            lambda f: theirs(f, tmp_path, freeze=True).train(),
        )
    )
    assert torch.equal(ours(wavs), ours(wavs)) and not ours.upstream.training
    assert not torch.equal(other(wavs), other(wavs)), "its dropout is on"


# ------------------------------------------------------------------------ the source
def test_sources(card, folder, tmp_path):
    """A card, a folder and a bare file; the class is found from what they hold."""
    assert type(SSL("fbank").upstream).__name__ == "KaldiFeatures"
    assert type(SSL(card).upstream).__name__ == "Hubert"
    assert SSL(folder)(noise(1, 4000)).shape[-1] == 32
    path, _ = convert(card, str(tmp_path / "converted"))
    bare = SSL(str(path.parent / "model.safetensors"), freeze=True)
    assert torch.equal(bare(noise(1, 4000)), SSL(card, freeze=True)(noise(1, 4000)))
    assert type(bare.upstream).__name__ == "Hubert" and bare.upstream.freeze


def test_what_speechbrain_has_downloaded(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("S3PRL_SB_OFFLINE", "1")
    kept = tmp_path / "models--somebody--wav2vec2" / "snapshots"
    kept.mkdir(parents=True)
    (kept / "0a1b").symlink_to(folder)
    ssl = SSL("somebody/wav2vec2", save_path=str(tmp_path), freeze=True)
    assert torch.equal(ssl(noise(1, 4000)), SSL(folder, freeze=True)(noise(1, 4000)))
    with pytest.raises(HubError, match="somebody/wav2vec2"):
        SSL("somebody/wav2vec2", save_path=str(tmp_path / "elsewhere"))


def test_the_last_revision_that_speechbrain_has_downloaded(folder, tmp_path):
    """Not the first by its name."""
    place = tmp_path / "models--somebody--wav2vec2"
    (place / "snapshots").mkdir(parents=True), (place / "refs").mkdir()
    (place / "snapshots/0old").mkdir()
    (place / "snapshots/0old/config.json").write_text("{}")
    (place / "snapshots/1new").symlink_to(folder)
    (place / "refs/main").write_text("1new")
    assert SSL("somebody/wav2vec2", save_path=str(tmp_path), freeze=True).num_layers


def test_code_beside_a_card(tmp_path):
    """It runs only where it is trusted, as everywhere."""
    (tmp_path / "loudness.py").write_text(
        "from s3prl_sb.lobes.upstreams.base import Upstream\n"
        "class Loudness(Upstream):\n"
        "    stride, num_layers, output_size = 100, 1, 1\n"
        "    def frames(self, samples):\n"
        "        return max(1, samples // 100)\n"
        "    def encode(self, wavs):\n"
        "        return [wavs.unfold(1, 100, 100).abs().mean(2, keepdim=True)]\n"
    )
    card = tmp_path / "card.yaml"
    card.write_text("loudness: !new:loudness.Loudness\n")
    with pytest.raises(TrustError):
        SSL(str(card))
    assert SSL(str(card), trust=True)(noise(1, 1000)).shape == (1, 10, 1)


def test_half_precision(card):
    ssl = SSL(card, freeze=True, precision="bf16")
    found, wanted = ssl(noise(1, 4000)), SSL(card, freeze=True)(noise(1, 4000))
    assert found.dtype == torch.float32 and not torch.equal(found, wanted)
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.1)


def test_refusals(card, folder):
    with pytest.raises(SSLError, match="apply_spec_augment: no upstream masks"):
        SSL(card, apply_spec_augment=True)
    with pytest.raises(SSLError, match="freeze_feature_extractor: StftFeatures has no"):
        SSL("mel", freeze_feature_extractor=True)
    with pytest.raises(SSLError, match="give freeze_feature_extractor"):
        SSL(card, freeze_front_end=True)
    with pytest.raises(SSLError, match="takes waveforms of 16000 Hz, and .* 8000 Hz"):
        SSL(card, sample_rate=8000)
    with pytest.raises(ValueError, match="no hidden state 4"):
        SSL(card, layers=4)
    with pytest.raises(SourceError, match="takes no quantization_config"):
        SSL(folder, quantization_config={})
    for nothing in (None, "", 3):
        with pytest.raises(SourceError, match="names no model. Give a card"):
            SSL(nothing)
    with pytest.raises(SourceError, match="precision: fp16 is for a frozen") as found:
        SSL(folder, precision="fp16")
    assert "\n" not in str(found.value)
    with pytest.raises(AttributeError, match="no `encoder`.*`.upstream`"):
        SSL(card).model.encoder
    with pytest.raises(ValueError, match="freeze"):
        SSL(card, freeze="perhaps")


# ----------------------------------------------------------------------- fine-tuning
def gradients(ssl):
    ssl.train()(noise(2, 8000)).square().mean().backward()
    return {
        name.removeprefix("upstream.network.").split(".")[0]
        for name, parameter in ssl.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize("freeze", [True, False])
def test_an_optimizer_of_what_has_no_weights(freeze):
    """As recipes make one for the lobe alone."""
    ssl = SSL("fbank", freeze=freeze)
    optimizer = torch.optim.Adam(ssl.parameters())
    head = torch.nn.Linear(ssl.output_size, 2)
    head(ssl.train()(noise(2, 8000))).sum().backward()
    optimizer.step()
    assert not any(p.requires_grad for p in ssl.parameters())
    assert SSL("fbank").load_state_dict(ssl.state_dict())


def test_what_is_trained(card):
    assert "front_end" in gradients(SSL(card))
    assert "front_end" not in gradients(SSL(card, freeze_feature_extractor=True))
    ssl = SSL(card)
    ssl.model.feature_extractor._freeze_parameters()  # as recipes do it
    assert gradients(ssl) == gradients(SSL(card, freeze_feature_extractor=True))
    ssl = SSL(card, adapter={"kind": "lora", "rank": 2})
    gradients(ssl)
    trained = {n for n, p in ssl.named_parameters() if p.requires_grad}
    assert trained and all("lora" in n or "adapter" in n for n in trained), trained


@pytest.mark.parametrize("layers", ["last", "all", 1, [0, 2]])
def test_all_that_is_trained_has_a_gradient(card, layers):
    """Or other processes would wait for it."""
    ssl = SSL(card, layers=layers)
    gradients(ssl)
    missing = [
        n for n, p in ssl.named_parameters() if p.requires_grad and p.grad is None
    ]
    assert not missing


def test_dropout_when_trained(card):
    ssl, wavs = SSL(card), noise(1, 8000)
    assert not torch.equal(ssl.train()(wavs), ssl(wavs))
    assert torch.equal(ssl.eval()(wavs), ssl(wavs))


def test_copies(card):
    ssl = SSL(card, layers="all")
    other = SSL(card, layers="all", seed=7)
    assert not torch.equal(other.eval()(noise(1, 4000)), ssl.eval()(noise(1, 4000)))
    other.load_state_dict(ssl.state_dict())
    assert torch.equal(other(noise(1, 4000)), ssl(noise(1, 4000)))
    assert torch.equal(copy.deepcopy(ssl)(noise(1, 4000)), ssl(noise(1, 4000)))


# --------------------------------------------------------------- Brains and interfaces
YAML = """
seed: !apply:torch.manual_seed [5]
wav2vec2: !new:s3prl_sb.lobes.ssl.SSL
    source: {card}
    output_norm: True
    freeze: {freeze}
    layers: {layers}
    save_path: {folder}/wav2vec2
enc: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <wav2vec2.output_size>
    n_neurons: 5
modules: {{wav2vec2: !ref <wav2vec2>, enc: !ref <enc>}}
opt_class: !name:torch.optim.Adam {{lr: 0.001}}
counter: !new:speechbrain.utils.epoch_loop.EpochCounter {{limit: 3}}
checkpointer: !new:speechbrain.utils.checkpoints.Checkpointer
    checkpoints_dir: {folder}/save
    recoverables:
        wav2vec2: !ref <wav2vec2>
        enc: !ref <enc>
        counter: !ref <counter>
"""


class CTC(sb.Brain):
    """Uses of a lobe in SpeechBrain's recipes."""

    def compute_forward(self, batch, stage):
        feats = self.modules.wav2vec2(batch["wavs"], batch["lens"])
        return self.modules.enc(feats).log_softmax(-1)

    def compute_objectives(self, predictions, batch, stage):
        lens = batch["lens"]
        return sb.nnet.losses.ctc_loss(
            predictions, batch["tokens"], lens, torch.ones(len(lens)), blank_index=0
        )

    def on_stage_end(self, stage, stage_loss, epoch=None):
        if stage == sb.Stage.VALID:
            self.checkpointer.save_and_keep_only(meta={"loss": stage_loss})
        self.losses = [*getattr(self, "losses", []), stage_loss]


def brain_of(card, folder, run_opts=None, **options):
    options = {"freeze": False, "layers": "last", **options}
    found = load_hyperpyyaml(YAML.format(card=card, folder=folder, **options))
    brain = CTC(
        found["modules"], found["opt_class"], found, run_opts, found["checkpointer"]
    )
    brain.checkpointer.add_recoverable("brain_losses", found["counter"])
    return brain


def batches(count=4):
    tokens = torch.randint(1, 5, (3, 4), generator=torch.Generator().manual_seed(1))
    made = []
    for i in range(count):
        wavs, lens = ragged()
        made.append(
            {"wavs": wavs + noise(1, 1, seed=i), "lens": lens, "tokens": tokens}
        )
    return torch.utils.data.DataLoader(made, batch_size=None)


@pytest.mark.parametrize("options", [{}, {"freeze": True, "layers": "all"}])
def test_trains_and_resumes(card, tmp_path, options):
    """Three epochs in one go, or stopped after the first, give the same weights."""

    def fit(folder, epochs):
        brain = brain_of(card, folder, {"noprogressbar": True}, **options)
        before = copy.deepcopy(brain.modules.state_dict())
        for epoch in epochs:
            torch.manual_seed(100 + epoch)
            brain.hparams.counter.limit = epoch
            brain.fit(brain.hparams.counter, batches(), batches(1))
        return brain, before

    whole, before = fit(tmp_path / "whole", [1, 2, 3])
    fit(tmp_path / "parts", [1])
    again, _ = fit(tmp_path / "parts", [2, 3])
    assert again.hparams.counter.current == 3
    for name, value in whole.modules.state_dict().items():
        assert torch.equal(value, again.modules.state_dict()[name]), name
    moved = {n for n, v in whole.modules.state_dict().items() if (v != before[n]).any()}
    if options:
        assert moved == {"wav2vec2.featurizer.scalars", "enc.w.weight", "enc.w.bias"}
    else:
        assert any("front_end" in name for name in moved)


def test_encoder_classifier(card, tmp_path):
    """SpeechBrain's own interface over a folder with a hyperparams.yaml."""
    from speechbrain.inference.classifiers import EncoderClassifier

    text = f"""
compute_features: !new:s3prl_sb.lobes.ssl.SSL
    source: {card}
    freeze: True
    layers: all
mean_var_norm: !new:speechbrain.processing.features.InputNormalization
    norm_type: sentence
embedding_model: !new:speechbrain.nnet.pooling.StatisticsPooling {{return_std: False}}
classifier: !new:speechbrain.nnet.linear.Linear
    input_size: !ref <compute_features.output_size>
    n_neurons: 3
label_encoder: !new:speechbrain.dataio.encoder.CategoricalEncoder
modules:
    compute_features: !ref <compute_features>
    mean_var_norm: !ref <mean_var_norm>
    embedding_model: !ref <embedding_model>
    classifier: !ref <classifier>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        compute_features: !ref <compute_features>
        label_encoder: !ref <label_encoder>
"""
    made = tmp_path / "made"
    made.mkdir()
    trained = SSL(card, freeze=True, layers="all")
    trained.featurizer.scalars.data[1] = 3.0
    torch.save(trained.state_dict(), made / "compute_features.ckpt")
    encoder = sb.dataio.encoder.CategoricalEncoder()
    encoder.update_from_iterable("abc")
    encoder.save(made / "label_encoder.ckpt")
    (made / "hyperparams.yaml").write_text(text)
    classifier = EncoderClassifier.from_hparams(str(made), savedir=str(tmp_path / "s"))
    wavs, lens = ragged()
    found = classifier.mods.compute_features(wavs, lens)
    assert torch.equal(found, trained(wavs, lens))
    probabilities, *_, labels = classifier.classify_batch(wavs, lens)
    assert probabilities.shape == (3, 3) and set(labels) <= set("abc")
    alone = classifier.classify_batch(wavs[2:, : LENGTHS[2]], torch.ones(1))[0]
    torch.testing.assert_close(alone[0], probabilities[2], rtol=1e-3, atol=1e-3)


def test_in_a_chain_that_hands_on_lengths(card):
    """speechbrain.nnet.containers.LengthsCapableSequential, as EncoderASR has it."""
    from speechbrain.nnet.containers import LengthsCapableSequential

    ssl = SSL(card, freeze=True)
    chain = LengthsCapableSequential(ssl=ssl)
    wavs, lens = ragged()
    wavs[0, LENGTHS[0] :] = 0.3  # garbage, which is not to be seen
    assert torch.equal(chain(wavs, lens), ssl(wavs, lens))


PROCESS = """
import os, sys, torch, speechbrain as sb
import test_ssl as t
card, folder, port, rank = sys.argv[1:]
os.environ.update(RANK=rank, LOCAL_RANK=rank, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2")
os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=port)
opts = {"distributed_backend": "gloo", "distributed_launch": True, "device": "cpu"}
sb.utils.distributed.ddp_init_group(opts)
rank = torch.distributed.get_rank()
assert torch.distributed.get_world_size() == 2
for name, options in t.SHARED.items():
    opts = {**opts, "noprogressbar": True}
    brain = t.brain_of(card, f"{folder}/{name}", opts, **options)
    torch.manual_seed(rank)
    brain.hparams.counter.limit = 2
    brain.fit(brain.hparams.counter, t.batches(2), t.batches(1))
    torch.save(brain.modules.state_dict(), f"{folder}/{name}-{rank}.pt")
"""
SHARED = {"tuned": {"layers": 1}, "probed": {"layers": "all", "freeze": True}}


def test_two_processes(card, tmp_path):
    """Their weights stay equal, and no process waits for what has no gradient."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    running = [Fork(PROCESS, card, str(tmp_path), str(port), rank) for rank in "01"]
    assert [process.read()[1] for process in running] == [0, 0]
    for name, options in SHARED.items():
        one, two = (torch.load(tmp_path / f"{name}-{rank}.pt") for rank in (0, 1))
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        before = brain_of(card, tmp_path / f"{name}-new", **options).modules
        after = {key.replace("module.", ""): value for key, value in one.items()}
        moved = {
            key
            for key, value in before.state_dict().items()
            if not torch.equal(value, after[key])
        }
        assert any(key.startswith("wav2vec2.") for key in moved), (name, moved)
