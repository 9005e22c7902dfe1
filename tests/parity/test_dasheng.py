"""Dasheng and CED equal their authors' code, over files in their published layouts."""

import json

import npz_fixtures
import published_weights
import pytest
import torch
import torchaudio

from s3prl_sb.lobes.checkpoints.reading import CheckpointError
from s3prl_sb.lobes.upstreams.ced import Ced
from s3prl_sb.lobes.upstreams.dasheng import Dasheng

FAMILIES = {"dasheng": Dasheng, "ced": Ced}


def tensors(weights):
    return {name: torch.from_numpy(array.copy()) for name, array in weights.items()}


def shapes_of(state):
    return {name: list(tensor.shape) for name, tensor in state.items()}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The files of the authors: Dasheng's has a configuration, CED's only weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for name in FAMILIES:
        weights, config, _ = published_weights.fixture(name)
        content = tensors(weights)
        if name == "dasheng":
            content = {"model": content, "config": config}
        torch.save(content, folder / f"{name}.pt")
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_hidden_states_are_the_authors(checkpoints, name):
    """In a batch of unequal lengths, of which the longer ones run in chunks."""
    *_, expected = published_weights.fixture(name)
    upstream = FAMILIES[name](str(checkpoints / f"{name}.pt"))
    wavs = [torch.tensor(published_weights.utterance(samples)) for samples in expected]
    features = upstream.extract(wavs)
    assert len(features["hidden_states"]) == 3
    for layer, state in enumerate(features["hidden_states"]):
        for mine, samples in zip(state, expected):
            parts = [
                torch.tensor(chunk).unflatten(0, (upstream.config.grid[0], -1)).mean(0)
                for chunk in expected[samples][layer]
            ]
            theirs = torch.cat(parts)
            assert len(theirs) == upstream.frames(samples)
            error = (mine[: len(theirs)] - theirs).abs().max() / theirs.abs().max()
            assert error < 1e-5


def test_levels_are_relative_to_the_loudest_of_the_utterance(checkpoints):
    """As torchaudio's, with silence that is more than 120 dB below it."""
    wav = torch.cat(
        [torch.tensor(published_weights.utterance(8000)), torch.zeros(4000)]
    )
    front_end = torchaudio.transforms.MelSpectrogram(
        n_fft=512, hop_length=160, n_mels=64, f_max=8000
    )
    theirs = torchaudio.transforms.AmplitudeToDB(top_db=120)(front_end(wav)[None])
    for name, family in FAMILIES.items():
        upstream = family(str(checkpoints / f"{name}.pt"))
        mine, _ = upstream.spectrograms([wav, 1000 * wav])
        assert mine.min() == mine.max() - 120
        torch.testing.assert_close(mine, theirs[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_folders_of_hugging_face(checkpoints, tmp_path, name):
    """They hold the same weights under other names, without the front end."""
    weights, config, _ = published_weights.fixture(name)
    renamed = {
        f"encoder.{key}" if not key.startswith("outputlayer.") else key: tensor
        for key, tensor in tensors(weights).items()
        if not key.startswith("front_end.")
    }
    options = {"encoder_kwargs": config, "name": "dasheng-base"}
    if name == "ced":
        renamed = {k.replace("init_bn.1.", "init_bn."): x for k, x in renamed.items()}
        options = {"embed_dim": 32, "num_heads": 1, "n_mels": 64, "f_max": 8000}
    options = {"model_type": name, **options}
    (tmp_path / "config.json").write_text(json.dumps(options))
    settings = {"feature_size": 64, "f_max": None, "sampling_rate": 16000}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(settings))
    torch.save(renamed, tmp_path / "pytorch_model.bin")
    of_folder = FAMILIES[name](str(tmp_path))
    of_file = FAMILIES[name](str(checkpoints / f"{name}.pt"))
    assert of_folder.config == of_file.config
    state = of_file.network.state_dict()
    assert all(
        torch.equal(x, state[k]) for k, x in of_folder.network.state_dict().items()
    )


@pytest.mark.parametrize(
    "kind, hidden, depth, heads, patch, grid, millions",
    [
        (Dasheng, 768, 12, 12, (64, 4), (1, 252), 86),
        (Dasheng, 1280, 32, 16, (64, 4), (1, 252), 630),
        (Dasheng, 1536, 40, 24, (64, 4), (1, 252), 1134),
        (Ced, 192, 12, 3, (16, 16), (4, 63), 5.4),
        (Ced, 768, 12, 12, (16, 16), (4, 63), 85),
    ],
)
def test_every_published_weight_has_its_place(
    tmp_path, kind, hidden, depth, heads, patch, grid, millions
):
    """Names and shapes of the files, which hold zeros that take no room."""
    tiny, *_ = published_weights.fixture("dasheng" if kind is Dasheng else "ced")
    layer = {n: x.shape for n, x in tiny.items() if n.startswith("blocks.0.")}
    scale = hidden // 32
    shapes = {n: x.shape for n, x in tiny.items() if not n.startswith("blocks.")}
    for i in range(depth):
        shapes |= {n.replace("blocks.0", f"blocks.{i}"): s for n, s in layer.items()}
    shapes = {
        name: [size * scale if size in (32, 96, 128) else size for size in shape]
        for name, shape in shapes.items()
    }
    shapes["time_pos_embed"][3] = grid[1]
    if "outputlayer.1.weight" in shapes:
        shapes["outputlayer.1.weight"][0] = shapes["outputlayer.1.bias"][0] = 527
    weights = npz_fixtures.published(shapes)
    file = tmp_path / "published.pt"
    torch.save({"model": weights, "config": {}}, file)
    config, read = kind.read(file)
    assert (config["num_heads"], config["patch"]) == (heads, list(patch))
    assert config["grid"] == list(grid)
    count = npz_fixtures.assert_fits(kind, config, read) / 1e6
    assert count == pytest.approx(millions, rel=0.01)


def test_other_files_are_refused(checkpoints, tmp_path):
    """Each family names the other one; a different front end is named as well."""
    with pytest.raises(CheckpointError, match="Is it a checkpoint of CED?"):
        Dasheng(str(checkpoints / "ced.pt"))
    with pytest.raises(CheckpointError, match="Is it a checkpoint of Dasheng?"):
        Ced(str(checkpoints / "dasheng.pt"))
    content = torch.load(checkpoints / "dasheng.pt")
    content["config"]["n_mels"] = 128
    torch.save(content, tmp_path / "bands.pt")
    with pytest.raises(CheckpointError, match="n_mels: 128; this class builds 64 only"):
        Dasheng(str(tmp_path / "bands.pt"))
    torch.save({"model": {"a.weight": torch.ones(2)}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="these have time_pos_embed"):
        Dasheng(str(tmp_path / "other.pt"))
    content["config"].pop("n_mels")
    content["model"]["cls_token"] = torch.ones(1, 1, 32)
    torch.save(content, tmp_path / "token.pt")
    with pytest.raises(CheckpointError, match="unexpected .*cls_token"):
        Dasheng(str(tmp_path / "token.pt"))


def test_bands_are_side_by_side_or_averaged(checkpoints):
    """The mean of the patches at one time is that of the parts of "concat"."""
    wav = torch.tensor(published_weights.utterance(9999))[None]
    mean, concat = (
        Ced(str(checkpoints / "ced.pt"), bands=bands)(wav)[0][-1]
        for bands in ("mean", "concat")
    )
    assert concat.shape == (1, 3, 4 * 32)
    torch.testing.assert_close(concat.unflatten(2, (4, 32)).mean(2), mean)


def test_frames_of_long_audio(checkpoints):
    """They are 40 or 160 ms apart across chunks, too."""
    dasheng = Dasheng(str(checkpoints / "dasheng.pt"))
    ced = Ced(str(checkpoints / "ced.pt"))
    assert [dasheng.frames(n) for n in (16000, 64000, 64640)] == [25, 100, 101]
    assert ced.chunk == 32
    assert [ced.frames(n * 160 - 1) for n in (36, 47, 48, 72, 88)] == [2, 2, 3, 4, 5]
