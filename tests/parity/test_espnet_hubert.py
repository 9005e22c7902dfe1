"""ESPnet's HuBERT: torchaudio's numbers, ESPnet's files."""

import pytest
import torch
import torchaudio
import yaml

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.espnet_hubert import EspnetHubert, read_config

CONVOLUTIONS = [[16, 10, 5], *[[16, 3, 2]] * 4, *[[16, 2, 2]] * 2]
BASE = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": CONVOLUTIONS,
    "extractor_conv_bias": False,
    "encoder_embed_dim": 32,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 16,
    "encoder_pos_conv_groups": 4,
    "encoder_num_layers": 3,
    "encoder_num_heads": 4,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 48,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.05,
}
LARGE = {
    **BASE,
    "extractor_mode": "layer_norm",
    "extractor_conv_bias": True,
    "encoder_layer_norm_first": True,
    "encoder_num_heads": 2,
}
MASKS = dict(
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
    num_classes=100,
    final_dim=16,
    feature_grad_mult=0.1,
)


def trained(options, seed=0):
    """torchaudio's model with random weights, no norm at its start."""
    model = torchaudio.models.hubert_pretrain_model(**options, **MASKS).eval()
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=random)
            parameter.add_(0.1 * noise)
    return model


def save(folder, model, options, name="valid.loss.ave.pth"):
    """ESPnet's two files; the path of the weights."""
    states = {
        f"encoder.hubert_pretrain_model.{name}": tensor
        for name, tensor in model.state_dict().items()
    }
    states["encoder.global_step"] = torch.tensor([0])
    torch.save(states, folder / name)
    told = {"encoder": "torchaudio_hubert", "encoder_conf": {**options, "mask_prob": 1}}
    (folder / "config.yaml").write_text(yaml.safe_dump(told))
    return folder / name


@pytest.mark.parametrize("options", [BASE, LARGE], ids=["base", "large"])
def test_torchaudios_numbers(tmp_path, options):
    model = trained(options)
    path = save(tmp_path, model, options)
    upstream = EspnetHubert(str(path))
    assert upstream.num_layers == 3 and upstream.output_size == 32
    for samples in (400, 5000, 16000):
        wav = torch.randn(1, samples, generator=torch.Generator().manual_seed(samples))
        with torch.no_grad():
            expected, _ = model.wav2vec2.extract_features(wav, torch.tensor([samples]))
        found, _ = upstream(wav)
        assert len(found) == len(expected)
        for a, b in zip(found, expected):
            assert a.shape == b.shape
            assert (a - b).abs().max() < 1e-5 * b.abs().max()


def test_folder_and_architecture(tmp_path):
    model, wav = trained(BASE), torch.randn(1, 8000)
    path = save(tmp_path, model, BASE)
    expected = EspnetHubert(str(path))(wav)[0][-1]
    assert torch.equal(EspnetHubert(str(tmp_path))(wav)[0][-1], expected)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "config.yaml").rename(elsewhere / "mine.yaml")
    with pytest.raises(CheckpointError, match="architecture"):
        EspnetHubert(str(path))
    upstream = EspnetHubert(str(path), architecture=str(elsewhere / "mine.yaml"))
    assert torch.equal(upstream(wav)[0][-1], expected)
    torch.save({}, tmp_path / "2epoch.pth")
    with pytest.raises(CheckpointError, match="holds 2 files .*2epoch.pth"):
        EspnetHubert(str(tmp_path))


def test_trains_all_but_the_front_end(tmp_path):
    upstream = EspnetHubert(str(save(tmp_path, trained(LARGE), LARGE)), freeze=False)
    frozen = {n for n, p in upstream.network.named_parameters() if not p.requires_grad}
    assert frozen and all(n.startswith(("front_end.", "encoder.norm")) for n in frozen)
    upstream(torch.randn(1, 8000))[0][-1].sum().backward()
    layer = upstream.network.encoder.layers[0]
    assert layer.attention.query.weight.grad.abs().sum() > 0


def test_heads_come_from_the_configuration(tmp_path):
    model, wav = trained(BASE), torch.randn(1, 8000)
    four = EspnetHubert(str(save(tmp_path, model, BASE)))(wav)[0][-1]
    two = {**BASE, "encoder_num_heads": 2}
    assert not torch.allclose(EspnetHubert(str(save(tmp_path, model, two)))(wav)[0][-1],
                              four)  # fmt: skip


def test_other_files_are_refused(tmp_path):
    path = save(tmp_path, trained(BASE), BASE)
    other = tmp_path / "other.pth"
    torch.save({"model": {}, "args": 1}, other)
    with pytest.raises(CheckpointError, match=r"holds \['args', 'model'\]"):
        EspnetHubert(str(other))
    states = torch.load(path)
    torch.save({**states, "ctc.ctc_lo.weight": torch.ones(2, 2)}, path)
    with pytest.raises(CheckpointError, match=r"unexpected \(1\): ctc.ctc_lo.weight"):
        EspnetHubert(str(path))
    save(tmp_path, trained(BASE), {**BASE, "encoder_num_layers": 4})
    with pytest.raises(CheckpointError, match="missing"):
        EspnetHubert(str(path))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[1, 2]", "no encoder_conf"),
        ("encoder_conf: 3", "no encoder_conf"),
        ("encoder_conf: {a: !!python/name:os.system }", "plain values"),
        ("a: [", "plain values"),
        ("encoder_conf: {encoder_num_heads: many}", "encoder_num_heads: many"),
        ("encoder_conf: {extractor_mode: batch}", "extractor_mode: batch"),
        ("encoder_conf: {extractor_conv_layer_config: [[1, 2]]}", "conv_layer_config"),
    ],
)
def test_configurations_that_are_refused(tmp_path, text, message):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        read_config(tmp_path / "config.yaml")


def test_defaults_are_the_base_model(tmp_path):
    (tmp_path / "config.yaml").write_text("encoder_conf: {encoder_dropout: 0.2}")
    upstream = EspnetHubert(config=read_config(tmp_path / "config.yaml"))
    base = torchaudio.models.hubert_pretrain_base()
    count = sum(p.numel() for p in base.wav2vec2.parameters())
    count -= base.wav2vec2.encoder.transformer.pos_conv_embed.conv.parametrizations[
        "weight"
    ].original0.numel()  # the norm of the weight
    assert sum(p.numel() for p in upstream.network.parameters()) == count
    assert upstream.network.config.dropout == 0.2
