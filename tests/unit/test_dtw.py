"""Subsequence DTW: against a plain recursion, and against the package of S3PRL."""

import math

import pytest
import torch

from s3prl_sb.dataio.statistics import Moments, Standardize
from s3prl_sb.lobes import dtw

SIZE = 6


def utterances(*frames, positive=False):
    found = [torch.randn(n, SIZE) for n in frames]
    return [f.abs() + 0.1 for f in found] if positive else found


def distance(a, b, kind):
    """Between two frames, in plain Python."""
    a, b = a.tolist(), b.tolist()
    if kind == "euclidean":
        return math.dist(a, b)
    if kind == "cityblock":
        return sum(abs(x - y) for x, y in zip(a, b))
    cosine = sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)
    return {
        "cosine": 1 - cosine,
        "cosine_exp": math.exp(1 - cosine) - 1,
        "cosine_neg_log": -math.log(cosine) if cosine > 0 else None,
    }[kind]


def plain_distances(query, document, kind, minmax):
    rows = [[distance(q, d, kind) for d in document] for q in query]
    if not minmax:
        return rows
    return [
        [(x - min(row)) / max(max(row) - min(row), 1e-9) for x in row] for row in rows
    ]


def plain_match(rows):
    """Cost, first and last frame of the best path, by trying all steps."""
    paths = [(x, j) for j, x in enumerate(rows[0])]
    for row in rows[1:]:
        paths = [
            (x + cost, start)
            for j, x in enumerate(row)
            for cost, start in [min(paths[max(0, j - 2) : j + 1], key=lambda p: p[0])]
        ]
    last = min(range(len(paths)), key=lambda j: paths[j][0])
    return paths[last][0] / len(rows), paths[last][1], last


@pytest.mark.parametrize("minmax", (True, False))
@pytest.mark.parametrize("kind", dtw.DISTANCES)
def test_search_is_the_plain_recursion(kind, minmax):
    positive = kind == "cosine_neg_log"
    queries = utterances(9, 4, 5, 14, 9, positive=positive)  # one is too short
    documents = utterances(20, 1, 2, 31, 7, positive=positive)
    expected = [
        [
            -plain_match(plain_distances(q, d, kind, minmax))[0] if len(q) >= 5 else 0
            for d in documents
        ]
        for q in queries
    ]
    found = dtw.search(queries, documents, kind, minmax)
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-6, rtol=1e-5)
    for block in (1, 60, 700):  # in other batches
        other = dtw.search(queries, documents, kind, minmax, block=block)
        torch.testing.assert_close(other, found, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ("cosine_exp", "euclidean"))
def test_search_is_s3prls(kind):
    """SciPy's distances and dtw-python, as S3PRL calls them."""
    package = pytest.importorskip("dtw")
    cdist = pytest.importorskip("scipy.spatial.distance").cdist
    np = pytest.importorskip("numpy")
    queries, documents = utterances(30, 6, 5, 50), utterances(40, 3, 100)
    for i, row in enumerate(dtw.search(queries, documents, kind)):
        for j, score in enumerate(row):
            x, y = queries[i].numpy(), documents[j].numpy()
            table = cdist(x, y, kind.split("_")[0])
            table = np.exp(table) - 1 if kind == "cosine_exp" else table
            low, high = table.min(1)[:, None], table.max(1)[:, None]
            table = (table - low) / np.clip(high - low, 1e-9, np.inf)
            theirs = package.dtw(
                table, step_pattern="asymmetric", open_begin=True, open_end=True
            )
            assert score.item() == pytest.approx(-theirs.normalizedDistance, abs=1e-6)
            match = dtw.best_match(torch.tensor(table))
            assert match[0] == pytest.approx(theirs.normalizedDistance)
            assert match[1:] == (theirs.index2[0], theirs.index2[-1])


def test_best_match_is_the_plain_recursion():
    for frames, length in ((5, 1), (7, 2), (9, 30), (1, 4)):
        table = torch.rand(frames, length, dtype=torch.float64)
        cost, first, last = plain_match(table.tolist())
        assert dtw.best_match(table) == (pytest.approx(cost), first, last)


def test_a_query_is_found_where_it_is():
    document = torch.randn(60, SIZE)
    table = dtw.frame_distances(document[20:35], document)
    cost, first, last = dtw.best_match(table)
    assert cost == pytest.approx(0, abs=1e-6) and (first, last) == (20, 34)
    fast = document[20:40:2]  # steps of two
    assert dtw.best_match(dtw.frame_distances(fast, document))[1:] == (20, 38)


def test_memory_stays_in_blocks(monkeypatch):
    """Frame distances held at once, whatever the number of documents."""
    sizes, original = [], dtw.frame_distances

    def noting(queries, documents, kind):
        sizes.append(len(queries) * len(documents))
        return original(queries, documents, kind)

    monkeypatch.setattr(dtw, "frame_distances", noting)
    dtw.search(utterances(*[20] * 30), utterances(*[50] * 40), block=10_000)
    assert sum(sizes) == 30 * 20 * 40 * 50 and max(sizes) <= 10_000


def test_zeros_are_no_nan():
    frames = torch.zeros(6, SIZE)
    assert dtw.frame_distances(frames, frames, "cosine").unique().tolist() == [1]
    assert torch.isfinite(dtw.search([frames], [frames])).all()
    opposite = dtw.frame_distances(
        torch.ones(1, 2), -torch.ones(1, 2), "cosine_neg_log"
    )
    assert opposite.item() == pytest.approx(-math.log(1e-9))


def test_unknown_distance():
    with pytest.raises(ValueError, match="'manhattan', there are cosine_exp, cosine,"):
        dtw.frame_distances(torch.ones(1, 2), torch.ones(1, 2), "manhattan")


def test_precision_setting_is_put_back(monkeypatch):
    """Distances in full precision, and then what was set."""
    within, original = [], dtw.frame_distances

    def noting(*args):
        within.append(torch.get_float32_matmul_precision())
        return original(*args)

    monkeypatch.setattr(dtw, "frame_distances", noting)
    torch.set_float32_matmul_precision("medium")
    try:
        dtw.search(utterances(6), utterances(6))
        assert within == ["highest"]
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_moments_are_exact_where_sums_of_squares_are_not():
    frames = [torch.randn(n, 3) + 1000 for n in (5, 1, 70)]
    moments = Moments()
    for part in frames:
        moments.add(part)
    whole = torch.cat(frames).double()
    torch.testing.assert_close(moments.mean, whole.mean(0))
    torch.testing.assert_close(moments.deviation(), whole.std(0).float())
    normed = Standardize(moments.mean.float(), moments.deviation())(torch.cat(frames))
    torch.testing.assert_close(normed.std(0), torch.ones(3), atol=1e-4, rtol=0)


def test_constant_features_have_a_deviation():
    moments = Moments()
    moments.add(torch.ones(4, 2))
    assert moments.deviation().tolist() == pytest.approx([1e-9, 1e-9])
