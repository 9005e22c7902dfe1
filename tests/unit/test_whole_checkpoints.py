"""Checkpoints of others: whatever has changed inside of a tensor is found."""

import io
import json
import random
import re
import shutil
import struct
import time
import zipfile

import pytest
import torch

from s3prl_sb.lobes.checkpoints import archives, values
from s3prl_sb.lobes.checkpoints.building import converted
from s3prl_sb.lobes.checkpoints.reading import CheckpointError, load_weights, read
from s3prl_sb.lobes.checkpoints.values import is_finite
from s3prl_sb.lobes.upstreams.hubert import Hubert


def weights():
    torch.manual_seed(0)
    kinds = (torch.float32, torch.float16, torch.bfloat16)
    found = {f"w{i}": torch.randn(40 + i, 3).to(kind) for i, kind in enumerate(kinds)}
    return {**found, "batches": torch.tensor(7), "positions": torch.arange(5)}


#: As fairseq, S3PRL, Lightning and Hugging Face lay their files out.
LAYOUTS = {
    "fairseq": lambda w: {"model": w, "args": None, "cfg": {"a": [1, 2]}},
    "s3prl": lambda w: {"Upstream_Config": {"x": 1}, "Transformer": w, "Optimizer": {}},
    "lightning": lambda w: {"state_dict": w, "epoch": 3},
    "bare": lambda w: w,
}


@pytest.fixture(params=LAYOUTS)
def path(request, tmp_path):
    path = tmp_path / f"{request.param}.pt"
    torch.save(LAYOUTS[request.param](weights()), path)
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {i.filename: archive.read(i) for i in archive.infolist()}


def written(path, content):
    """A zip of these members, stored, with sound checksums."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return path


def fails(path):
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_every_byte_of_every_tensor_counts(path):
    content, chance = path.read_bytes(), random.Random(path.name)
    reader = torch._C.PyTorchFileReader(str(path))
    found = 0
    for name, data in members(path).items():
        if "/data/" not in name:
            continue
        start = reader.get_record_offset(name.partition("/")[2])
        assert content[start : start + len(data)] == data
        for _ in range(6):
            place = start + chance.randrange(len(data))
            bit = 1 << chance.randrange(8)
            changed = bytearray(content)
            changed[place] ^= bit
            path.write_bytes(changed)
            message = fails(path)
            assert "damaged" in message and "data/" in message
            found += 1
    assert found >= 24


def test_blocks_of_zeros_and_of_another_file(path):
    """As disks and broken transfers leave them."""
    content = path.read_bytes()
    reader = torch._C.PyTorchFileReader(str(path))
    start = reader.get_record_offset("data/0")
    for block in (bytes(64), bytes(range(64))):
        path.write_bytes(content[:start] + block + content[start + 64 :])
        assert "damaged" in fails(path)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_members_too_short(share, path):
    """With sound checksums: torch would read on in the next tensor."""
    content = members(path)
    for name in [name for name in content if "/data/" in name]:
        cut = {**content, name: content[name][: int(len(content[name]) * share)]}
        written(path, cut)
        assert "bytes" in fails(path)
    written(path, {**content, name: content[name] + b"\0" * 8})
    assert "bytes" in fails(path)  # nor longer


def test_members_swapped_and_missing(path):
    content = members(path)
    one, other = [name for name in content if "/data/" in name][:2]
    written(path, {**content, one: content[other], other: content[one]})
    assert "bytes" in fails(path)
    written(path, {k: v for k, v in content.items() if k != one})
    fails(path)


def test_truncations(path):
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        fails(path)


def test_sound_ones_load(path):
    def equal(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
        return torch.equal(a, b) if torch.is_tensor(a) else a == b

    assert equal(read(path), LAYOUTS[path.stem](weights()))


def test_written_without_checksums(tmp_path):
    path = tmp_path / "a.pt"
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(weights(), path)
    finally:
        torch.serialization.set_crc32_options(before)
    assert read(path).keys() == weights().keys()


@pytest.mark.parametrize("count", [2**40, 10**6, -1])
def test_pickles_that_promise_more_than_the_file_has(count, tmp_path):
    """For other files than zip, torch allocates the sizes in the pickle."""
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(1234)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    number = b"M" + struct.pack("<H", 1234)  # in the storage's description
    assert content.count(number) >= 1
    changed = content.replace(number, b"\x8a\x08" + struct.pack("<q", count), 1)
    path.write_bytes(changed)
    started = time.process_time()
    fails(path)
    assert time.process_time() - started < 2


def test_old_pickles_cut_anywhere(tmp_path):
    path, buffer = tmp_path / "a.pt", io.BytesIO()
    torch.save(weights(), buffer, _use_new_zipfile_serialization=False)
    for size in range(0, len(buffer.getvalue()) - 1, 61):
        path.write_bytes(buffer.getvalue()[:size])
        fails(path)


def test_the_pass_over_the_file_is_cheap(tmp_path):
    path = tmp_path / "large.pt"
    torch.save({f"w{i}": torch.zeros(500_000) for i in range(20)}, path)  # 40 MB
    started = time.process_time()
    archives.members(path)
    assert time.process_time() - started < 1


# ------------------------------------------------------------------------- values
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_not_finite(value, kind):
    network = torch.nn.Linear(3, 2)
    state = {k: v.detach().to(kind) for k, v in network.state_dict().items()}
    load_weights(network, state, "x.pt")
    state["weight"] = state["weight"].clone()
    state["weight"][1, 2] = value
    with pytest.raises(CheckpointError, match="'x.pt' is damaged.*weight"):
        load_weights(network, state, "x.pt")


@pytest.mark.parametrize("kind", [torch.int32, torch.int8, torch.bool])
def test_whole_numbers_are_no_weights(kind):
    network = torch.nn.Linear(3, 2)
    state = {k: v.detach().to(kind) for k, v in network.state_dict().items()}
    with pytest.raises(CheckpointError, match="'x.pt' holds another.*bias"):
        load_weights(network, state, "x.pt")


def test_whole_numbers_where_they_belong():
    network = torch.nn.BatchNorm1d(2)
    load_weights(network, network.state_dict(), "x.pt")
    state = {**network.state_dict(), "num_batches_tracked": torch.tensor(0.5)}
    with pytest.raises(CheckpointError, match="num_batches_tracked"):
        load_weights(network, state, "x.pt")


def test_is_finite():
    for kind in (torch.float64, torch.float32, torch.float16, torch.float8_e5m2):
        assert is_finite(torch.zeros(3, 3).to(kind))
        assert not is_finite(torch.tensor([0, float("nan"), 1]).to(kind))
    assert is_finite(torch.zeros(0)) and is_finite(torch.arange(3))


# ----------------------------------------------------------------- as users see it
TINY = {"hidden_size": 16, "ffn_size": 16, "num_layers": 1, "num_heads": 2}
TINY |= {"position_kernel": 8, "position_groups": 2, "conv_layers": [[8, 10, 5]]}


@pytest.fixture
def folder(tmp_path):
    """A converted HuBERT."""
    from s3prl_sb.lobes.cards.conversion import convert

    card = tmp_path / "tiny.yaml"
    card.write_text(
        "tiny: !new:s3prl_sb.lobes.upstreams.hubert.Hubert\n"
        f"    config: {TINY}\n".replace("'", "")
    )
    return convert(str(card), tmp_path / "converted")[0].parent


def test_convert_refuses_what_is_damaged(folder, tmp_path, capsys):
    from safetensors.torch import load_file, save_file

    from s3prl_sb.cli import main

    model = folder / "model.safetensors"
    metadata = {"s3prl_sb": json.dumps(converted(model))}
    state = load_file(model)
    name = sorted(n for n, t in state.items() if t.dim() > 1)[0]
    state[name] = state[name].clone()
    state[name].view(-1)[0] = float("nan")
    save_file(state, model, metadata)
    assert main(["convert", str(model), str(tmp_path / "again")]) == 1
    shown = capsys.readouterr()
    assert name in shown.err and "not finite" in shown.err
    assert "equal" not in shown.out and not (tmp_path / "again").exists()


# ------------------------------------------------------------------ sizes in files
def test_more_layers_than_weights(folder):
    """In the metadata of a converted file."""
    from safetensors.torch import load_file, save_file

    model = folder / "model.safetensors"
    about = converted(model)
    for number in (10**6, 10**12):
        about["config"]["num_layers"] = number
        save_file(load_file(model), model, {"s3prl_sb": json.dumps(about)})
        started = time.process_time()
        with pytest.raises(CheckpointError, match=f"safetensors.*num_layers.*{number}"):
            Hubert(source=str(model))
        assert time.process_time() - started < 10


@pytest.mark.parametrize("key", ["num_layers", "hidden_size", "ffn_size"])
def test_random_networks_fit_into_the_machine(key):
    started = time.process_time()
    with pytest.raises(CheckpointError, match=key):
        Hubert(config={key: 12 * 10**6 if key != "num_layers" else 10**6})
    assert time.process_time() - started < 10


def test_folders_of_hugging_face(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.HubertConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=2,
        num_hidden_layers=1, conv_dim=[8], conv_kernel=[10], conv_stride=[5],
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.HubertModel(config).save_pretrained(tmp_path)
    from s3prl_sb.lobes.upstreams.huggingface import HuggingFace

    text = (tmp_path / "config.json").read_text()
    sound = '"num_hidden_layers": 1'
    assert sound in text
    for number in (10**6, 10**10):
        broken = text.replace(sound, f'"num_hidden_layers": {number}')
        (tmp_path / "config.json").write_text(broken)
        for family in (Hubert, HuggingFace):
            started = time.process_time()
            with pytest.raises(CheckpointError, match=f"{tmp_path}.*num_\\w*layers"):
                family(source=str(tmp_path))
            assert time.process_time() - started < 15


def test_options_too_large_are_named():
    values.check_options({"a": [1, {"b": 2.5}], "c": 1e30, "d": True}, "x")
    with pytest.raises(CheckpointError, match=r"'x': a\[1\].b is 100000000000"):
        values.check_options({"a": [1, {"b": 10**11}]}, "x")


def test_bounds_leave_no_hook_behind():
    for _ in range(2):
        with pytest.raises(CheckpointError), values.bounded({"n": 1}, {"w": 1}, "x.pt"):
            with torch.device("meta"):
                [torch.nn.Linear(1, 1) for _ in range(2000)]
    [torch.nn.Linear(1, 1) for _ in range(2000)]


def test_a_copy_of_a_copy(path, tmp_path):
    """A file that is cut while it is copied."""
    target = tmp_path / "copy.pt"
    shutil.copyfile(path, target)
    with open(target, "r+b") as file:
        file.truncate(target.stat().st_size - 1)
    fails(target)


def test_an_index_says_how_many_bytes_there_are(tmp_path):
    """A large number that is not a valid size."""
    from safetensors.torch import save_file

    from s3prl_sb.lobes.checkpoints.huggingface_folder import weights as read_weights

    parts = {}
    for name in ("a", "b"):
        parts[name] = f"model-{name}.safetensors"
        save_file({name: torch.ones(2)}, tmp_path / parts[name])
    index = tmp_path / "model.safetensors.index.json"
    about = {"metadata": {"total_size": 2**40}, "weight_map": parts}
    index.write_text(json.dumps(about))
    assert read_weights(tmp_path).keys() == {"a", "b"}
    for broken in ("{}", "[1]", "{", '{"weight_map": 3}'):
        index.write_text(broken)
        with pytest.raises(ValueError, match="model.safetensors.index.json"):
            read_weights(tmp_path)


@pytest.mark.parametrize("family", ["renaming", "huggingface_folder"])
def test_whole_numbers_that_a_reader_computes_with(family):
    """Weight norm is multiplied out, after which they would be weights as any other."""
    from s3prl_sb.lobes.checkpoints import huggingface_folder, renaming

    name = "encoder.positions.convolutions.0.weight"
    norm = {f"{name}_v": torch.ones(4, 4, 3), f"{name}_g": torch.ones(1, 1, 3)}
    for part in norm:
        state = {**norm, part: norm[part].int()}
        with pytest.raises(CheckpointError, match=f"whole numbers.*{part} .int32"):
            if family == "renaming":
                renaming.renamed(state, [], re.compile("$^"))
            else:
                huggingface_folder.without_norm(state)


def test_conversions_carry_a_checksum(folder):
    """Weights, names, shapes and configuration: any bit of the file."""
    model, chance = folder / "model.safetensors", random.Random(0)
    content = model.read_bytes()
    sound = read(model)
    for _ in range(150):
        changed = bytearray(content)
        changed[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        model.write_bytes(changed)
        try:
            Hubert(source=str(model))
            found = read(model)  # what was changed says nothing, as spaces do
        except CheckpointError as error:
            assert str(model) in str(error)
        else:
            assert all(torch.equal(found[name], sound[name]) for name in sound)


@pytest.mark.parametrize("value", ["a", None, [1], {"b": 1}, 0, 1e9])
def test_configurations_of_wrong_types(value, folder):
    """Whatever is raised on the way is an error that names the file."""
    from safetensors.torch import load_file, save_file

    model = folder / "model.safetensors"
    about = converted(model)
    for key in ("num_layers", "hidden_size", "conv_layers", "num_heads"):
        config = {**about["config"], key: value}
        text = json.dumps({**about, "config": config})
        save_file(load_file(model), model, {"s3prl_sb": text})
        with pytest.raises(CheckpointError, match=str(model)):
            Hubert(source=str(model))


@pytest.mark.parametrize("key", ["frame_length", "num_mel_bins"])
def test_spectral_features_fit_into_the_machine(key):
    from s3prl_sb.lobes.upstreams.features import KaldiFeatures

    started = time.process_time()
    with pytest.raises(CheckpointError, match="there may be 10000, and 10 s"):
        KaldiFeatures(**{key: 10**6})
    assert time.process_time() - started < 2
