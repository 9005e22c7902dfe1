"""Items of ABX and their triples, against loops over all triples."""

import itertools
from collections import defaultdict
from statistics import mean

import numpy
import pytest

from s3prl_sb.analysis.errors import AnalysisError
from s3prl_sb.analysis.items import (
    COLUMNS,
    Item,
    aligned_items,
    read_items,
    speakers,
)
from s3prl_sb.analysis.triples import Triples
from s3prl_sb.storage.files import FileError
from s3prl_sb.units.alignments import Alignments, alignment_of

RECORDS = {"dev/1-2-3": {"wav": "/data/dev/1-2-3.flac"}}


def random_items(seed, count=60):
    random = numpy.random.default_rng(seed)
    labels = random.integers([4, 3, 3], size=(count, 3)).tolist()
    return [Item("u", 0, 1, f"p{p}", (f"c{c}", "d"), f"s{s}") for p, c, s in labels]


def naive(items, task, by_context, distance):
    """Mean error over contexts and X's speakers, then speakers, then phones."""
    cells = defaultdict(list)
    for x, a, b in itertools.permutations(range(len(items)), 3):
        one, other, third = items[x], items[a], items[b]
        fits = one.phone == other.phone != third.phone
        fits &= other.speaker == third.speaker
        fits &= (one.speaker == other.speaker) == (task == "within")
        contexts = {one.context, other.context, third.context}
        if fits and (len(contexts) == 1 or not by_context):
            near = (
                distance[min(x, a), max(x, a)] if task == "within" else distance[x, a]
            )
            far = distance[x, b]
            place = (other.speaker, other.phone, third.phone)
            cell = (one.context if by_context else None, one.speaker)
            cells[place, cell].append((near > far) + 0.5 * (near == far))
    by_place, by_phones = defaultdict(list), defaultdict(list)
    for (place, _), errors in cells.items():
        by_place[place].append(mean(errors))
    for (_, a, b), errors in by_place.items():
        by_phones[a, b].append(mean(errors))
    return mean(map(mean, by_phones.values()))


@pytest.mark.parametrize("task", ["within", "across"])
@pytest.mark.parametrize("by_context", [True, False])
def test_errors_equal_loops(task, by_context):
    items = random_items(0)
    distance = numpy.random.default_rng(1).integers(9, size=(60, 60))  # with ties
    triples = Triples(items, task, by_context, most_items=100)
    assert (numpy.diff(triples.blocks) >= 0).all()
    error = triples.error(distance[tuple(triples.pairs.T)].astype("float32"))
    assert error == pytest.approx(naive(items, task, by_context, distance))


def test_limits_are_drawn_by_the_seed():
    items = [
        Item("u", 0, 1, phone, ("c", "d"), speaker)
        for phone, speaker in itertools.product(["a", "b"], "ABCDEFGH")
        for _ in range(12)
    ]
    for task, number in (("within", 8 * 2 * 10 * 9 * 10), ("across", 8 * 2 * 5000)):
        first, again, other = (Triples(items, task, seed=s) for s in (0, 0, 1))
        assert first.number == number == other.number
        assert first.pairs.tolist() == again.pairs.tolist()
        assert first.pairs.tolist() != other.pairs.tolist()


def test_without_triples_the_error_has_the_way_out():
    with pytest.raises(AnalysisError, match="of one speaker, 's'.*--speakers within"):
        Triples([Item("u", 0, 1, a, ("c", "d"), "s") for a in "aab"], "across")
    with pytest.raises(AnalysisError, match="--context none"):
        Triples([Item("u", 0, 1, "a", ("c", "d"), "s")] * 3, "within")


def test_item_files_belong_to_ids_or_file_names(tmp_path):
    path = tmp_path / "a.item"
    path.write_text(f"{COLUMNS}\n1-2-3 0.1 0.34 AH K T 1\n9-9-9 0 1 AH K T 9\n\n")
    [item] = read_items(path, RECORDS)
    assert item == Item("dev/1-2-3", 0.1, 0.34, "AH", ("K", "T"), "1")
    [item] = read_items(path, {"9-9-9": {"wav": "other.wav"}})
    assert item.utterance == "9-9-9"


@pytest.mark.parametrize(
    "row",
    [
        "1-2-3 0.1 0.34 AH K T",
        "1-2-3 x 0.34 AH K T 1",
        "1-2-3 0.4 0.34 AH K T 1",
        "1-2-3 0.4 inf AH K T 1",
    ],
)
def test_a_wrong_row_is_named_with_its_line(tmp_path, row):
    path = tmp_path / "a.item"
    path.write_text(f"{COLUMNS}\n1-2-3 0.1 0.34 AH K T 1\n{row}\n")
    with pytest.raises(FileError, match=r"a\.item(?s:.)*line 3(?s:.)*onset offset"):
        read_items(path, RECORDS)


@pytest.mark.parametrize("head", ["", "1-2-3 0.1 0.2 AH K T 1\n"])
def test_the_first_line_names_the_columns(tmp_path, head):
    """Otherwise the first item would be lost."""
    path = tmp_path / "a.item"
    path.write_text(f"{head}1-2-3 0.2 0.3 AH K T 1\n" if head else "")
    with pytest.raises(FileError, match="a.item.*first line does not name"):
        read_items(path, RECORDS)


def test_items_of_other_or_ambiguous_audio_are_errors(tmp_path):
    path = tmp_path / "a.item"
    path.write_text(f"{COLUMNS}\n\n1-2-3 0.1 0.34 AH K T 1\n")
    with pytest.raises(AnalysisError, match="such as of '1-2-3', is in one of the 1"):
        read_items(path, {"b": {"wav": "b.wav"}})
    with pytest.raises(AnalysisError, match="line 3: '1-2-3' may be 'a' or 'b'"):
        read_items(path, {n: {"wav": f"{n}/1-2-3.wav"} for n in "ab"})
    path.write_text(f"{COLUMNS}\n\n")
    with pytest.raises(
        AnalysisError, match="a.item. has no items. A line is: #file onset"
    ):
        read_items(path, RECORDS)


def test_items_of_alignments_touch_no_silence_and_no_gap():
    ends = [("sil", 0.1), ("K", 0.2), ("AE", 0.3), ("T", 0.4), ("S", 0.5), ("", 0.6)]
    rows, start = [], 0.0
    for phone, stop in ends:
        rows.append([start, stop, phone])
        start = stop
    rows += [[0.6, 0.7, "B"], [0.8, 0.9, "IY"], [0.9, 1.0, "T"]]  # 0.1 s between
    alignments = Alignments({"a": alignment_of(rows)})
    records = {"a": {"wav": "a.wav", "spk": 7}, "b": {"wav": "b.wav", "spk": 8}}
    long, short = (aligned_items(records, alignments, t, None) for t in (True, False))
    assert [(i.phone, i.start, i.stop) for i in long] == [
        ("AE", 0.1, 0.4),
        ("T", 0.2, 0.5),
    ]
    assert [(i.start, i.stop) for i in short] == [(0.2, 0.3), (0.3, 0.4)]
    assert {i.speaker for i in long} == {"7"}


def test_limits_that_leave_nothing_are_named():
    items = [Item("u", 0, 1, p, ("c", "d"), "s") for p in "aab"]
    for limit in ("most_items", "most_speakers"):
        with pytest.raises(AnalysisError, match=f"{limit} is 1 or more, not -1"):
            Triples(items, "within", **{limit: -1})
    with pytest.raises(
        AnalysisError, match=r"of another\. Raise --most_items, or give"
    ):
        Triples(items, "within", by_context=False, most_items=1)


def test_speakers_are_in_a_column_or_the_path():
    wav = {"wav": "dev/84/121123/84-121123-0000.flac", "who": "mo"}
    assert speakers({"a": wav}, "librispeech") == {"a": "84"}
    assert speakers({"a": wav}, "who") == {"a": "mo"}
    with pytest.raises(AnalysisError, match="no column speaker or spk(?s:.)*--speaker"):
        speakers({"a": wav})
    for layout in ("timit", "librispeech"):  # of another corpus: no speaker by accident
        with pytest.raises(AnalysisError, match=f"'a'.*noisy/1.wav.*not in {layout}'s"):
            speakers({"a": {"wav": "noisy/1.wav"}}, layout)
    assert speakers({"a": {"wav": "dr1/faks0/sa1.wav"}}, "timit") == {"a": "faks0"}
