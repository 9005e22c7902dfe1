"""The recipe of ABX: its lists, its choice of a hidden state, its comparisons."""

import re

import numpy
import pytest
import soundfile
import torch

from s3prl_sb.analysis.discrimination import few
from s3prl_sb.analysis.item_tables import (
    items_of,
    load_item_table,
    prepare_item_tables,
    prepare_librispeech_items,
)
from s3prl_sb.analysis.items import COLUMNS, Item
from s3prl_sb.analysis.triples import Triples
from s3prl_sb.dataio import manifest
from s3prl_sb.errors import ManifestError
from s3prl_sb.inference.comparer import Comparer
from s3prl_sb.lobes.item_distances import frames_between


def part(corpus, name, speakers=(19,), items="triphone-{}.item"):
    """Writes a part of LibriSpeech, with a recording without items."""
    rows = [COLUMNS]
    for speaker in speakers:
        for number in range(2):
            stem = f"{speaker}-198-{number:04d}"
            path = corpus / name / str(speaker) / "198" / f"{stem}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, numpy.zeros(8000), 16000)
            rows += [f"{stem} 0.1 0.2 AE K T {speaker}"] if number == 0 else []
    path = corpus / items.format(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(rows) + "\n")


def read(paths):
    return {split: manifest.read(path) for split, path in paths.items()}


@pytest.mark.parametrize("items", ["triphone-{}.item", "{}.item", "{0}/{0}.item"])
def test_parts_of_librispeech(tmp_path, items):
    for name in ("dev-clean", "dev-other"):
        part(tmp_path / "LibriSpeech", name, items=items)
    splits = read(prepare_librispeech_items(str(tmp_path), str(tmp_path / "save")))
    assert {split: len(records) for split, records in splits.items()} == {
        "valid": 1,
        "test": 1,
    }
    ((name, record),) = splits["test"].items()
    assert record["wav"].endswith("dev-clean/19/198/19-198-0000.flac")
    assert items_of(splits["test"]) == [Item(name, 0.1, 0.2, "AE", ("K", "T"), "19")]


def test_items_of_alignments(tmp_path):
    """The speaker is that of the path."""
    for name in ("dev-clean", "dev-other"):
        part(tmp_path, name)
    rows = ["utterance\tstart\tstop\tphone"]
    times = ((0.0, 0.1, "K"), (0.1, 0.2, "AE"), (0.2, 0.3, "T"), (0.3, 0.4, "SIL"))
    rows += [f"19-198-0001\t{a}\t{b}\t{phone}" for a, b, phone in times]
    aligned = tmp_path / "alignments.tsv"
    aligned.write_text("\n".join(rows) + "\n")
    save = str(tmp_path / "save")
    splits = read(prepare_librispeech_items(tmp_path, save, aligned=str(aligned)))
    (item,) = items_of(splits["test"])
    assert item[1:] == (0.0, 0.3, "AE", ("K", "T"), "19")


def test_what_is_missing_is_named(tmp_path):
    part(tmp_path, "dev-clean")
    place = tmp_path, tmp_path / "save"
    with pytest.raises(ManifestError, match="dev-other: no such folder"):
        prepare_librispeech_items(*place)
    part(tmp_path, "dev-other", items="elsewhere/{}.item")
    with pytest.raises(ManifestError, match="no triphone-dev-other.item, dev-other.it"):
        prepare_librispeech_items(*place)
    table = tmp_path / "a.csv"
    table.write_text("id,wav\nb,dev-clean/19/198/19-198-0000.flac\n")
    with pytest.raises(ManifestError, match=f"items of {re.escape(str(table))}, --te"):
        load_item_table(str(table), None)
    with pytest.raises(ManifestError, match="valid_csv is not set: give both"):
        prepare_item_tables(None, table, None, None, tmp_path / "save")
    items = tmp_path / "a.item"
    rows = [f"b 0.1 0.2 AE K T {speaker}" for speaker in "xy"]
    items.write_text("\n".join([COLUMNS, *rows]))
    with pytest.raises(ManifestError, match="'b' has items of the speakers x and y"):
        load_item_table(str(table), str(items))


def test_few_utterances_are_of_two_speakers():
    records = {
        f"{speaker}{number}": {"speaker": speaker, "items": [0] * number}
        for speaker in "abc"
        for number in range(1, 5)
    }
    assert sorted(few(records)) == ["a3", "a4", "b3", "b4"]
    assert sorted(few({"a1": records["a1"]})) == ["a1"]


def test_errors_of_phones_have_the_error_as_their_mean():
    phones = ("AE", "AE", "IH", "IH", "EH", "EH")
    items = [Item("u", 0, 1, phone, ("K", "T"), "mo") for phone in phones]
    triples = Triples(items, "within")
    distances = numpy.random.default_rng(0).random(len(triples.pairs))
    found = triples.by_phones(distances)
    assert len(found) == 6 and ("AE", "IH") in found
    assert numpy.mean(list(found.values())) == triples.error(distances)
    where = {tuple(pair): d for pair, d in zip(triples.pairs.tolist(), distances)}
    wrong = [
        where[0, 1] > where[x, b] for x in (0, 1) for b in (2, 3)
    ]  # A and X are the two first items
    assert found["AE", "IH"] == pytest.approx(numpy.mean(wrong))


class Angles(Comparer):
    """A comparer without a model."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.hparams = type("Hparams", (), {"distance": "angular"})
        self.inference_ctx = torch.no_grad()


def test_distance_of_two_items():
    """Against a path by hand: two equal frames, and one at a right angle."""
    model, axes = Angles(), torch.eye(2)
    x, y = axes[[0, 0, 1]], axes[[0, 1]]
    assert model.distance(x, y) == pytest.approx(0, abs=1e-6)
    # The best path has three pairs, of which the first two are right angles
    assert model.distance(axes[[1]], axes[[0, 0, 1]]) == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="an item has no frame"):
        model.distance(x[:0], y)
    assert frames_between(0.1, 0.2, 0.02, 7) == (5, 7)
