"""Labels of scenes: on the grid, in chunks, at other speeds, without annotation."""

import pytest
import torch

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.dataio.pipes import UnfoldChunks
from s3prl_sb.dataio.scene_labels import SceneLabels, words_tokenizer
from s3prl_sb.dataio.time_map import TimeMap
from s3prl_sb.errors import ManifestError
from s3prl_sb.lobes.upstreams import load

TOKENIZER = words_tokenizer(["ab"])
A, B = TOKENIZER.encode("ab")


@pytest.fixture(scope="module")
def upstream():
    return load("fbank")


def record(**changes):
    """One second: ann says "a" and "b", bob says "b"; a dog barks."""
    return {
        "wav": "a.wav",
        "duration": 1.0,
        "start": None,
        "stop": None,
        "speakers": ["ann", "bob"],
        "segments": [["ann", 0.1, 0.5], ["bob", 0.4, 0.8]],
        "regions": None,
        "words": [
            ["ann", 0.1, 0.2, "a"],
            ["ann", 0.3, 0.48, "B"],
            ["bob", 0.4, 0.8, "b"],
        ],
        "word_times": "exact",
        "events": [["dog", 0.6, 1.0]],
        **changes,
    }


def labelled(upstream, given, pipes=(), **options):
    made = SceneLabels(upstream, 3, ["cat", "dog"], TOKENIZER, **options)
    dataset = ManifestDataset(given, [*pipes, made])
    return [dataset[i] for i in range(len(dataset))]


def active(labels, column):
    """First frame of a label, and the one after its last."""
    frames = torch.nonzero(labels[:, column] > 0).flatten().tolist()
    return (frames[0], frames[-1] + 1) if frames else None


def test_frames(upstream):
    (made,) = labelled(upstream, {"a": record()})
    assert made["grid_frames"] == 50
    assert made["activity"].shape == (50, 3) and made["event_labels"].shape == (50, 2)
    assert [active(made["activity"], i) for i in range(3)] == [(5, 25), (20, 40), None]
    assert [active(made["event_labels"], i) for i in range(2)] == [None, (30, 50)]
    assert made["track_words"] == [TOKENIZER.encode("a b"), [B], []]
    assert made["has_words"]


def test_chunks_have_their_words(upstream):
    """A word is in the chunk that has its middle."""
    first, second = labelled(upstream, {"a": record()}, [UnfoldChunks(0.5)])
    assert first["track_words"] == [TOKENIZER.encode("a b"), [], []]
    assert second["track_words"] == [[], [B], []]
    assert active(first["activity"], 1) == (20, 25)
    assert active(second["activity"], 1) == (0, 15)
    assert active(second["event_labels"], 1) == (5, 25)


def test_labels_follow_the_speed(upstream):
    made = SceneLabels(upstream, 3, ["cat", "dog"], TOKENIZER)
    faster = TimeMap(1.0).sped(2.0)
    assert made.count(1.0, faster) == 25
    given = record()
    labels = made.activity(
        given["segments"], given["speakers"], None, given["duration"], faster
    )
    assert active(labels, 0) == (2, 12)
    words = made.track_words(given["words"], given["speakers"], 1.0, faster)
    assert words[1] == [B]


def test_what_is_not_annotated_is_unknown(upstream):
    bare = record(words=None, events=None, segments=None, speakers=None)
    (made,) = labelled(upstream, {"a": bare})
    assert made["activity"].eq(-1).all() and made["event_labels"].eq(-1).all()
    assert not made["has_words"] and made["track_words"] == [[], [], []]
    (made,) = labelled(upstream, {"a": record(words=[], events=[])})
    assert made["has_words"] and made["event_labels"].eq(0).all()


def test_regions(upstream):
    (made,) = labelled(upstream, {"a": record(regions=[[0.0, 0.7]])})
    for name in ("activity", "event_labels"):
        assert made[name][35:].eq(-1).all() and made[name][:35].ge(0).all()


def test_one_track_without_speakers(upstream):
    crowd = record(speakers=["ann", "bob", "eve", "joe"])
    (made,) = labelled(upstream, {"a": crowd}, kinds=["words"])
    assert made["track_words"] == [TOKENIZER.encode("a b b")]
    assert "activity" not in made and "event_labels" not in made


def test_too_many_speakers(upstream):
    crowd = record(speakers=["ann", "bob", "eve", "joe"])
    with pytest.raises(ManifestError, match="'a' has 4 speakers .* now 3, to the most"):
        labelled(upstream, {"a": crowd})


def test_other_characters_are_unknown():
    assert TOKENIZER.encode("aé") == [A, TOKENIZER.unknown]
    assert TOKENIZER.normalize("aé") == "AÉ"
    with pytest.raises(ValueError, match="words without any character"):
        words_tokenizer([" "])
