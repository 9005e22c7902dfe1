"""M2D equals its authors' code, over files in its published layouts."""

import zipfile

import npz_fixtures
import published_weights
import pytest
import torch

from s3prl_sb.lobes.checkpoints.building import sizes_only
from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.m2d import M2d, read_m2d

NAMES = ("m2d_vit_base-80x41p16x16", "m2d_s_vit_base-80x40p80x2")
PLAIN = NAMES[0]


def published(folder, name=PLAIN, prefix="", more=None):
    """Writes a checkpoint under its published name; returns the file."""
    folder.mkdir(exist_ok=True)
    weights, *_ = published_weights.fixture(name)
    state = {prefix + n: torch.from_numpy(x.copy()) for n, x in weights.items()}
    file = folder / name / "checkpoint-300.pth"
    file.parent.mkdir(exist_ok=True)
    torch.save({"model": {**state, **(more or {})}}, file)
    return file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Zips are unpacked in it."""
    monkeypatch.setenv("S3PRL_SB_CACHE", str(tmp_path / "cache"))


def shapes_of(state):
    return {name: list(tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("name", NAMES)
def test_hidden_states_are_the_authors(tmp_path, name):
    """In a batch of unequal lengths, of which the longer ones run in chunks."""
    *_, expected = published_weights.fixture(name)
    upstream = M2d(str(published(tmp_path, name)))
    wavs = [torch.tensor(published_weights.utterance(samples)) for samples in expected]
    features = upstream.extract(wavs)
    assert len(features["hidden_states"]) == 3
    for layer, state in enumerate(features["hidden_states"]):
        for mine, samples in zip(state, expected):
            parts = [
                torch.tensor(chunk[1:]).unflatten(0, (upstream.config.grid[0], -1))
                for chunk in expected[samples][layer]
            ]
            theirs = torch.cat([x.transpose(0, 1).flatten(1) for x in parts])
            assert len(theirs) == upstream.frames(samples)
            error = (mine[: len(theirs)] - theirs).abs().max() / theirs.abs().max()
            assert error < 1e-4


def test_other_layouts_hold_the_same_network(tmp_path):
    """Pre-training's weights, fine-tuning's, M2D-CLAP's of 2025, and the zip."""
    plain = M2d(str(published(tmp_path)))
    one = torch.ones(1)
    layouts = [
        published(
            tmp_path / "pretraining",
            more={
                name: one
                for name in (
                    "mask_token",
                    "decoder_pos_embed",
                    "decoder_blocks.0.norm1.weight",
                    "target_blocks.0.norm1.weight",
                    "target_norm.weight",
                    "offline_predictor.weight",
                    "audio_proj.0.weight",
                    "audio_proj.sem_blocks.0.norm1.weight",
                    "text_proj.weight",
                )
            },
        ),
        published(
            tmp_path / "tagging",
            prefix="module.ar.runtime.backbone.",
            more={
                "module.head.norm.running_mean": one,
                "module.head.mlp.mlp.0.weight": one,
                "module.ar.runtime.to_spec.mel_basis": one,
            },
        ),
        published(
            tmp_path / "clap", PLAIN, "backbone.", {"text_encoder.a.weight": one}
        ),
    ]
    archive = tmp_path / f"0123456789abcdef-{PLAIN}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(layouts[0], f"{PLAIN}/checkpoint-300.pth")
        file.writestr(f"{PLAIN}/log.txt", "loss")
    state = plain.network.state_dict()
    for file in (*layouts, archive):
        other = M2d(str(file))
        assert other.config == plain.config
        for name, tensor in other.network.state_dict().items():
            assert torch.equal(tensor, state[name])


@pytest.mark.parametrize(
    "name, patch, grid, frames, rate, stride, size",
    [
        ("m2d_vit_base-80x608p16x16-221006-mr7", (16, 16), (5, 38), 608, 16, 160, 3840),
        ("m2d_clap_vit_base-80x1001p16x16p16kpBpTI-2025", (16, 16), (5, 62), 992, 16,
         160, 3840),
        ("m2d_as_vit_base-80x608p16x16p32k-240413_enconly", (16, 16), (5, 38), 608, 32,
         160, 3840),
        ("m2d_vit_base-80x200p16x4-230529", (16, 4), (5, 50), 200, 16, 40, 3840),
        ("m2d_s_vit_base-80x608p80x2-230220", (80, 2), (1, 304), 608, 16, 20, 768),
        ("renamed", (16, 16), (5, 62), 992, 16, 160, 3840),
    ],
)  # fmt: skip
def test_the_name_of_the_folder_has_the_sizes(
    tmp_path, name, patch, grid, frames, rate, stride, size
):
    """Names and shapes of the published files, with zeros that take no room."""
    shapes = {
        "cls_token": [1, 1, 768],
        "pos_embed": [1, 1 + grid[0] * grid[1], 768],
        "patch_embed.proj.weight": [768, 1, *patch],
        "patch_embed.proj.bias": [768],
        "norm.weight": [768],
        "norm.bias": [768],
    }
    for i in range(12):
        for part, shape in (
            ("norm1", [768]),
            ("attn.qkv", [2304, 768]),
            ("attn.proj", [768, 768]),
            ("norm2", [768]),
            ("mlp.fc1", [3072, 768]),
            ("mlp.fc2", [768, 3072]),
        ):
            shapes[f"blocks.{i}.{part}.weight"] = shape
            shapes[f"blocks.{i}.{part}.bias"] = shape[:1]
    weights = npz_fixtures.published(shapes)
    (tmp_path / name).mkdir()
    file = tmp_path / name / "weights_ep69it3124-0.48494.pth"
    torch.save(weights, file)
    config, read = read_m2d(file)
    assert (config["mean"], config["std"]) == (-7.1, 4.2)
    with sizes_only():
        upstream = M2d(config=config)
    npz_fixtures.assert_fits(M2d, config, read)
    assert upstream.config.num_heads == 12
    assert (upstream.chunk, upstream.sample_rate) == (frames, rate * 1000)
    assert (upstream.stride, upstream.output_size) == (stride * rate, size)
    assert (upstream.features.n_fft, upstream.features.hop) == (25 * rate, 10 * rate)


def test_statistics_of_other_data(tmp_path):
    """They replace those of the checkpoint, which are its norm_stats."""
    file = str(published(tmp_path))
    own, other = M2d(file), M2d(file, statistics=[-10.5, 4.25])
    assert (own.features.mean, own.features.std) == (-7.5, 4.5)
    wav = torch.tensor(published_weights.utterance(9000))
    (mine,), (theirs,) = own.features([wav]), other.features([wav])
    torch.testing.assert_close(theirs, (mine * 4.5 - 7.5 + 10.5) / 4.25)
    with pytest.raises(ValueError, match="must be a mean and a standard deviation"):
        M2d(file, statistics=[-10.5])


def test_sample_rate_of_a_file_without_a_telling_name(tmp_path):
    """It is that of the card; a name, if there is one, knows better."""
    card = {"sample_rate": 32000}
    file = published(tmp_path)
    assert M2d(str(file), config=card).sample_rate == 16000
    bare = file.rename(tmp_path / "renamed.pth")
    assert M2d(str(bare)).sample_rate == 16000
    upstream = M2d(str(bare), config=card)
    assert (upstream.sample_rate, upstream.features.n_fft) == (32000, 800)


def test_positions_are_not_trained(tmp_path):
    """They are sines."""
    upstream = M2d(str(published(tmp_path)), freeze=False)
    assert set(dict(upstream.network.named_parameters())) - {
        name.removeprefix("network.") for name in upstream.trainable
    } == {"positions"}


def test_other_files_are_refused(tmp_path):
    """With what is wrong: the name, the number of positions, or the content."""
    file = published(tmp_path)
    wrong = tmp_path / "m2d_vit_base-80x608p16x16"
    file.parent.rename(wrong)
    with pytest.raises(
        CheckpointError, match="which is not what 'm2d_vit_base-80x608p"
    ):
        M2d(str(wrong / file.name))
    content = torch.load(wrong / file.name)
    content["model"]["pos_embed"] = torch.ones(1, 13, 32)
    torch.save(content, tmp_path / "vit.pth")
    with pytest.raises(CheckpointError, match="12 positions are not those of patches"):
        M2d(str(tmp_path / "vit.pth"))
    torch.save({"a.weight": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="is not a checkpoint of M2D"):
        M2d(str(tmp_path / "other.pth"))
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(CheckpointError, match="a zip with 0 checkpoints"):
        M2d(str(tmp_path / "empty.zip"))
