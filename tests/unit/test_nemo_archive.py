"""Archives of NeMo: published names, and what is refused."""

import io
import tarfile

import pytest
import torch

from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.nemo_archive import read_nemo
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.huggingface import HuggingFace

pytest.importorskip("transformers")

#: Of NEST Large, in the words of its archive.
CONFIG = """
preprocessor:
  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor
  sample_rate: 16000
  normalize: per_feature
  window_size: 0.025
  window_stride: 0.01
  window: hann
  features: &bands 80
  n_fft: 512
  log: true
  dither: 1.0e-05
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: *bands
  n_layers: 17
  d_model: 512
  subsampling: dw_striding
  subsampling_factor: 8
  subsampling_conv_channels: 256
  causal_downsampling: false
  ff_expansion_factor: 4
  self_attention_model: rel_pos
  n_heads: 8
  att_context_size: [-1, -1]
  xscaling: true
  untie_biases: true
  conv_kernel_size: 9
  conv_norm_type: batch_norm
"""


def names(layers=17, size=512, heads=8, bands=80, channels=256, kernel=9):
    """Names and shapes of the encoder's weights as NeMo writes them."""
    shapes = {"encoder.pre_encode.out.weight": (size, channels * bands // 8)}
    shapes["encoder.pre_encode.out.bias"] = (size,)
    for i, shape in {
        0: (channels, 1, 3, 3),
        2: (channels, 1, 3, 3),
        3: (channels, channels, 1, 1),
        5: (channels, 1, 3, 3),
        6: (channels, channels, 1, 1),
    }.items():
        shapes[f"encoder.pre_encode.conv.{i}.weight"] = shape
        shapes[f"encoder.pre_encode.conv.{i}.bias"] = (channels,)
    layer = {}
    for name in ("feed_forward1", "feed_forward2", "conv", "self_att", "out"):
        for part in ("weight", "bias"):
            layer[f"norm_{name}.{part}"] = (size,)
    for name in ("feed_forward1", "feed_forward2"):
        layer[f"{name}.linear1.weight"] = (4 * size, size)
        layer[f"{name}.linear1.bias"] = (4 * size,)
        layer[f"{name}.linear2.weight"] = (size, 4 * size)
        layer[f"{name}.linear2.bias"] = (size,)
    layer["conv.pointwise_conv1.weight"] = (2 * size, size, 1)
    layer["conv.pointwise_conv1.bias"] = (2 * size,)
    layer["conv.depthwise_conv.weight"] = (size, 1, kernel)
    layer["conv.pointwise_conv2.weight"] = (size, size, 1)
    for name in ("depthwise_conv", "pointwise_conv2", "batch_norm"):
        layer[f"conv.{name}.bias"] = (size,)
    for name in ("weight", "running_mean", "running_var"):
        layer[f"conv.batch_norm.{name}"] = (size,)
    layer["conv.batch_norm.num_batches_tracked"] = ()
    for name in ("q", "k", "v", "out"):
        layer[f"self_attn.linear_{name}.weight"] = (size, size)
        layer[f"self_attn.linear_{name}.bias"] = (size,)
    layer["self_attn.linear_pos.weight"] = (size, size)
    for name in "uv":
        layer[f"self_attn.pos_bias_{name}"] = (heads, size // heads)
    for i in range(layers):
        shapes.update({f"encoder.layers.{i}.{n}": shape for n, shape in layer.items()})
    others = {"preprocessor.featurizer.window": (400,), "mask_processor.mask": (80,)}
    return {**shapes, **others, "decoder.layers.0.weight": (8192, size, 1)}


def written(path, config=CONFIG, weights=None, mode="w", more=()):
    """Writes an archive."""
    file = io.BytesIO()
    if weights is None:
        weights = {n: torch.zeros(()).expand(shape) for n, shape in names().items()}
    torch.save(weights, file)
    content = [("./model_config.yaml", config.encode())]
    content += [("./model_weights.ckpt", file.getvalue()), *more]
    with tarfile.open(path, mode) as archive:
        for name, data in content:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_every_published_name(tmp_path):
    config, weights = read_nemo(written(tmp_path / "nest.nemo"))
    with sizes_only():
        network = HuggingFace(config=config).network
    assert {f"model.{name}": tuple(t.shape) for name, t in weights.items()} == {
        name: tuple(t.shape) for name, t in network.state_dict().items()
    }
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(
        109e6, rel=0.02
    )


def tiny_weights():
    generator = torch.Generator().manual_seed(0)
    sizes = {"layers": 2, "size": 32, "heads": 4, "bands": 16, "channels": 8}
    return {
        name: 0.2 * torch.randn(shape, generator=generator).abs()
        if shape
        else torch.tensor(0)
        for name, shape in names(**sizes).items()
    }


TINY = CONFIG.replace("17", "2").replace("d_model: 512", "d_model: 32")
TINY = TINY.replace("bands 80", "bands 16").replace("heads: 8", "heads: 4")
TINY = TINY.replace("channels: 256", "channels: 8")


def test_same_as_parakeet_of_these_weights(tmp_path):
    weights = tiny_weights()
    upstream = HuggingFace(written(tmp_path / "a.nemo", TINY, weights))
    assert upstream.stride == 1280 and upstream.features.mel.n_mels == 16
    layer = upstream.network.model.layers[1]
    for own, name in (
        (layer.self_attn.relative_k_proj.weight, "self_attn.linear_pos.weight"),
        (layer.self_attn.bias_v, "self_attn.pos_bias_v"),
        (layer.conv.norm.running_var, "conv.batch_norm.running_var"),
        (layer.feed_forward2.linear1.bias, "feed_forward2.linear1.bias"),
    ):
        assert torch.equal(own, weights[f"encoder.layers.1.{name}"])
    states, _ = upstream(torch.randn(1, 8000))
    assert [tuple(state.shape) for state in states] == [(1, 7, 32)] * 3


def test_what_is_refused(tmp_path):
    file = tmp_path / "a.nemo"

    def refused(match, **options):
        written(file, **{"config": TINY, "weights": tiny_weights(), **options})
        with pytest.raises(CheckpointError, match=match):
            HuggingFace(file)

    refused("a.nemo' is no tar archive, or a compressed one", mode="w:gz")
    refused(
        "norm_type is layer_norm; the", config=TINY.replace("batch_norm", "layer_norm")
    )
    refused("has no encoder of FastConformer", config="encoder: {}")
    refused("twice, or a link", more=[("more/model_config.yaml", b"")])
    with tarfile.open(file, "w") as archive:
        archive.addfile(tarfile.TarInfo("data"))
    with pytest.raises(CheckpointError, match="without model_config.yaml and model_w"):
        HuggingFace(file)
