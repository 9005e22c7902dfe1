"""Pipes on dictionaries of records, in any order that makes sense."""

import importlib
import itertools
from pkgutil import iter_modules

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.encoder import CategoricalEncoder

from s3prl_sb import dataio
from s3prl_sb.dataio.dataset import ManifestDataset, Pipe
from s3prl_sb.dataio.pipes import (
    AddNoise,
    ChangeSpeed,
    EncodeCategory,
    EncodeTokens,
    LoadAudio,
    RandomCrop,
    UnfoldChunks,
)
from s3prl_sb.dataio.records import completed
from s3prl_sb.dataio.sequential import SequentialPipe
from s3prl_sb.dataio.tokenizers import CharacterTokenizer
from s3prl_sb.errors import ManifestError

RATE = 16000


def audio_pipe():
    return LoadAudio()


def text_pipe():
    return EncodeTokens(CharacterTokenizer())


def noise_pipe():
    return AddNoise(snr=[3, 6])


def chunk_pipe():
    return UnfoldChunks(seconds=4, min_seconds=2)


@pytest.fixture
def data(tmp_path):
    """Two utterances of 3 and 9 seconds."""
    rng, data = np.random.default_rng(0), {}
    for name, seconds, text in (("1", 3, "hello"), ("2", 9, "good morning")):
        wav = tmp_path / f"{name}.wav"
        soundfile.write(wav, 0.1 * rng.standard_normal(seconds * RATE), RATE)
        data[name] = {"wav": str(wav), "text": text}
    return data


def same(one, other):
    """Returns if two datasets have equal items, in any order within an example."""
    if len(one) != len(other):
        return False
    for left, right in zip(one, other):
        if left.keys() != right.keys():
            return False
        for key, value in left.items():
            if torch.is_tensor(value):
                if not torch.equal(value, right[key]):
                    return False
            elif value != right[key]:
                return False
    return True


def test_the_example_of_s3prl(data):
    before = {name: dict(record) for name, record in data.items()}
    dataset = text_pipe()(audio_pipe()(data))
    assert isinstance(dataset, ManifestDataset) and len(dataset) == 2
    assert [len(item["sig"]) for item in dataset] == [3 * RATE, 9 * RATE]
    tokenizer = CharacterTokenizer()
    assert dataset[1]["tokens"].tolist() == tokenizer.encode("good morning")
    clean = dataset[1]["sig"]

    dataset = noise_pipe()(dataset)
    noise = dataset[1]["sig"] - clean
    ratio = 10 * (clean.pow(2).mean() / noise.pow(2).mean()).log10()
    assert 3 <= float(ratio) <= 6

    dataset = chunk_pipe()(dataset)
    assert dataset.data_ids == ["1-0000", "2-0000", "2-0001"]  # without one of 1 s
    assert [len(item["sig"]) / RATE for item in dataset] == [3, 4, 4]
    assert [item["chunk"] for item in dataset] == [0, 0, 1]

    pipes = [audio_pipe(), text_pipe(), noise_pipe(), chunk_pipe()]
    assert same(SequentialPipe(*pipes)(data), dataset)
    assert same(ManifestDataset(completed(data), pipes), dataset)
    assert data == before


MAKERS = (audio_pipe, text_pipe, noise_pipe, chunk_pipe)


@pytest.mark.parametrize(
    "order",
    itertools.permutations(MAKERS),
    ids=lambda o: "-".join(m.__name__ for m in o),
)
def test_every_order_gives_the_same_or_says_why_not(order, data):
    pipe = SequentialPipe(*(make() for make in order))
    if order.index(noise_pipe) < order.index(audio_pipe):
        with pytest.raises(ManifestError, match="AddNoise changes 'sig'.* LoadAudio f"):
            pipe(data)
        return
    assert same(pipe(data), SequentialPipe(*(make() for make in MAKERS))(data))


def test_pipes_of_a_composition_are_those_of_the_dataset(data):
    crop = RandomCrop(seconds=1, crops=4)
    inner = SequentialPipe(audio_pipe(), crop)
    whole = SequentialPipe(inner, text_pipe())
    dataset = ManifestDataset(completed(data), [whole])
    assert dataset.pipes == [*inner.pipes, whole.pipes[1]]
    record = {"duration": 9.0}
    assert dataset.variants(1) == whole.variants(record) == 4
    assert whole.audio and not SequentialPipe(text_pipe()).audio
    assert SequentialPipe(whole, noise_pipe()).variants(record) is None
    speed = SequentialPipe(inner, ChangeSpeed([0.5, 2.0]))
    assert speed.variants(record) == 4 and speed.timed
    assert [speed.form_seconds(9.0, draw) for draw in range(3)] == [2.0, 0.5, 2.0]
    assert ManifestDataset(completed(data), [speed]).form_seconds(1) == [2, 0.5] * 2
    assert noise_pipe()(dataset).variants(1) is None


def test_every_pipe_is_called_in_the_same_way():
    for module in iter_modules(dataio.__path__):
        importlib.import_module(f"s3prl_sb.dataio.{module.name}")
    kinds = [Pipe]
    for kind in kinds:
        kinds += [k for k in kind.__subclasses__() if "dataio" in k.__module__]
    pipes = {kind for kind in kinds if not kind.__subclasses__()}
    assert {LoadAudio, AddNoise, ChangeSpeed, SequentialPipe} <= pipes
    for kind in pipes - {SequentialPipe}:
        classes = map(vars, kind.__mro__[: kind.__mro__.index(Pipe)])
        written = {name for names in classes for name in names}
        assert "add_to" in written and "__call__" not in written, kind


def test_a_pipe_is_registered_once(data):
    class Old(Pipe):
        """A user's pipe that defines the call itself."""

        def __call__(self, dataset):
            dataset.add_dynamic_item(str.upper, ["text"], "loud")

    old, load, encode = Old(), audio_pipe(), text_pipe()

    def plain(dataset):
        encode(dataset)

    dataset = load(data)
    for pipe in (old, plain):
        dataset.add_pipe(pipe)
    assert dataset.pipes == [load, old, encode, plain]
    assert dataset.variants(0) is None  # a plain function may be random
    assert dataset[0]["loud"] == "HELLO"


def test_items_of_an_example(data):
    dataset = audio_pipe()(data)
    assert list(dataset[0]) == ["id", "sig"]
    encoder = CategoricalEncoder()
    encoder.update_from_iterable(record["text"] for record in data.values())
    EncodeCategory(encoder, key="text")(dataset)
    batch = PaddedBatch([dataset[0], dataset[1]])
    assert batch.text_encoded.tolist() == [0, 1]
    assert batch.sig.data.shape == (2, 9 * RATE)
    dataset.set_output_keys(["text"])
    assert text_pipe()(dataset)[0] == {"text": "hello"}  # as chosen
    with dataset.output_keys_as(["tokens_list", "id"]):
        assert list(dataset[0]) == ["tokens_list", "id"]
    assert dataset[0] == {"text": "hello"}


def test_records_are_completed(data):
    wav = data["2"]["wav"]
    given = {
        "whole": {"wav": wav},
        "part": {"wav": wav, "start": 1.0, "stop": 2.5},
        "rest": {"wav": wav, "start": 7.5},
        "full": {"wav": wav, "start": None, "stop": None, "duration": 9.0},
    }
    found = completed(given)
    times = {n: (r["start"], r["stop"], r["duration"]) for n, r in found.items()}
    assert times == {
        "whole": (None, None, 9.0),
        "part": (1.0, 2.5, 1.5),
        "rest": (7.5, 9.0, 1.5),
        "full": (None, None, 9.0),
    }
    lengths = [len(item["sig"]) / RATE for item in audio_pipe()(given)]
    assert lengths == [9, 1.5, 1.5, 9]


@pytest.mark.parametrize(
    "records, words",
    [
        ({"a": {"wav": "none.wav"}}, "none.wav: no such audio file"),
        ({"a": "a.wav"}, "the records: dict instead of"),
        ([{"wav": "a.wav"}], "the records: list instead of"),
    ],
)
def test_what_are_no_records(records, words):
    with pytest.raises(ManifestError, match=words):
        audio_pipe()(records)


def test_faults_in_records(data):
    wav = data["1"]["wav"]
    with pytest.raises(ManifestError, match="'b': missing key text"):
        audio_pipe()({"a": {"wav": wav, "text": "x"}, "b": {"wav": wav}})
    with pytest.raises(ManifestError, match="'a': stop 1 <= start 2"):
        audio_pipe()({"a": {"wav": wav, "start": 2, "stop": 1}})
    with pytest.raises(ValueError, match="without utterances"):
        audio_pipe()({})
    with pytest.raises(ManifestError, match="'a' has no duration"):
        chunk_pipe()({"a": {"text": "x"}})
    with pytest.raises(ManifestError, match="RandomCrop changes 'sig'"):
        RandomCrop(seconds=1)(data)
