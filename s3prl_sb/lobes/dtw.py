"""Subsequence dynamic time warping: finds a spoken query in a document.

A path advances one frame in the query at a time, and zero, one or two in the document
(the *asymmetric* pattern of Giorgino, https://doi.org/10.18637/jss.v031.i07). It may
begin and end anywhere in the document::

    cost[i, j] = distance[i, j] + min(cost[i-1, j], cost[i-1, j-1], cost[i-1, j-2])

No step stays in one row, so a row depends only on three shifts of the previous row:
whole rows of many queries and documents are computed at once.

Authors
 * The s3prl_sb developers, 2026
"""

import torch
import torch.nn.functional as F

from s3prl_sb.lobes.networks.precision import full_precision

DISTANCES = ("cosine_exp", "cosine", "cosine_neg_log", "euclidean", "cityblock")
LEAST = 1e-9  # lower bound of divisors and of arguments of logarithms
SHORTEST = 5  # frames; shorter queries score 0
BLOCK = 1 << 22  # frame distances in memory at once on a CPU; 16 MB


def frame_distances(queries, documents, kind="cosine_exp"):
    """Returns the distance of every query frame to every document frame.

    Arguments
    ---------
    queries : torch.Tensor
        [frames, size].
    documents : torch.Tensor
        [document frames, size].
    kind : str
        "cosine" is 1 - cos; "cosine_exp" exp(1 - cos) - 1; "cosine_neg_log" -log(cos),
        for features that are not negative, such as posteriors; "euclidean";
        "cityblock".

    Returns
    -------
    torch.Tensor
        [frames, document frames].

    Raises
    ------
    ValueError
        If the distance does not exist.

    Note
    ----
    A frame of zeros has a cosine distance of 1 to all others; SciPy, which S3PRL
    calls, returns NaN. In "cosine_neg_log" a cosine that is not positive counts as
    1e-9; S3PRL takes the logarithm of a negative number.

    Example
    -------
    >>> frames = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> frame_distances(frames, frames, "cosine").tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    if kind == "euclidean":
        return torch.cdist(queries, documents)
    if kind == "cityblock":
        return torch.cdist(queries, documents, p=1)
    if kind not in DISTANCES:
        raise ValueError(f"distance: '{kind}', there are {', '.join(DISTANCES)}")
    cosines = F.normalize(queries, dim=-1) @ F.normalize(documents, dim=-1).T
    if kind == "cosine_neg_log":
        return cosines.clamp_(LEAST, 1).log_().neg_()
    distances = cosines.neg_().add_(1).clamp_(min=0)
    return distances.expm1_() if kind == "cosine_exp" else distances


def subsequence_costs(distances, batch_sizes, lens):
    """Returns the cost of the best path of each query in each document.

    Arguments
    ---------
    distances : torch.Tensor
        [frames of the queries, documents, document frames]. The queries are packed as
        by `torch.nn.utils.rnn.pack_sequence`: all their first frames, then all the
        second ones, the longest query first.
    batch_sizes : list of int
        Number of queries that have a first frame, a second one, ...
    lens : torch.Tensor
        [documents], number of frames of each; distances beyond them are ignored.

    Returns
    -------
    torch.Tensor
        [queries, documents], the mean distance on the path (the sum over the frames
        of the query, divided by their number).

    Example
    -------
    >>> distances = torch.tensor([[3.0, 0.0, 3.0, 3.0], [3.0, 3.0, 3.0, 1.0]])
    >>> subsequence_costs(distances[:, None], [1, 1], torch.tensor([4]))  # 1 to 3
    tensor([[0.5000]])
    """
    documents, frames = distances.shape[1:]
    beyond = torch.arange(frames, device=distances.device) >= lens[:, None]
    costs = distances.new_empty(batch_sizes[0], documents)
    first, row = 0, None
    for count, (size, following) in enumerate(zip(batch_sizes, [*batch_sizes[1:], 0])):
        local = distances[first : first + size]
        first += size
        row = local if row is None else _least(row[:size]).add_(local)
        # Paths only go forward, so frames beyond the end do not affect earlier ones.
        ended = row[following:].masked_fill(beyond, torch.inf).amin(-1)
        costs[following:size] = ended / (count + 1)
    return costs


def _least(row):
    """Returns the minimum over the three possible predecessors of a path."""
    least = row.clone()
    torch.minimum(least[..., 1:], row[..., :-1], out=least[..., 1:])
    torch.minimum(least[..., 2:], row[..., :-2], out=least[..., 2:])
    return least


def best_match(distances):
    """Returns cost, begin and end of the best path of one query in one document.

    Arguments
    ---------
    distances : torch.Tensor
        [frames, document frames].

    Returns
    -------
    cost : float
        Mean distance on the path, as from `subsequence_costs`.
    first, last : int
        First and last frame of the document on the path.

    Example
    -------
    >>> distances = torch.tensor([[3.0, 0.0, 3.0, 3.0], [3.0, 3.0, 3.0, 1.0]])
    >>> best_match(distances)
    (0.5, 1, 3)
    """
    costs, starts = distances[0], torch.arange(distances.shape[1])
    starts = starts.to(distances.device)
    for local in distances[1:]:
        # [3, document frames]: from 0, 1 and 2 frames before
        before = torch.stack([_shifted(costs, k, torch.inf) for k in range(3)])
        begun = torch.stack([_shifted(starts, k, 0) for k in range(3)])
        least, which = before.min(dim=0)
        costs, starts = least + local, begun.gather(0, which[None])[0]
    cost, last = costs.min(dim=0)
    return cost.item() / len(distances), int(starts[last]), int(last)


def _shifted(row, count, value):
    return F.pad(row, (count, 0), value=value)[: len(row)]


def normalize_rows(distances):
    """Scales each frame's distances within a document to [0, 1], in place.

    Arguments
    ---------
    distances : torch.Tensor
        [..., document frames]. Padding of a document must repeat one of its frames.

    Returns
    -------
    torch.Tensor
        The same tensor.

    Example
    -------
    >>> normalize_rows(torch.tensor([[1.0, 2.0, 5.0], [7.0, 7.0, 7.0]])).tolist()
    [[0.0, 0.25, 1.0], [0.0, 0.0, 0.0]]
    """
    least, most = distances.aminmax(dim=-1, keepdim=True)
    return distances.sub_(least).div_((most - least).clamp_(min=LEAST))


def search(
    queries,
    documents,
    distance="cosine_exp",
    minmax=True,
    transform=None,
    device="cpu",
    block=None,
    tick=lambda documents: None,
):
    """Scores every query in every document.

    Arguments
    ---------
    queries : sequence of torch.Tensor
        Queries [frames, size], loaded one at a time.
    documents : sequence of torch.Tensor
        Documents [frames, size], loaded one at a time.
    distance : str
        See `frame_distances`.
    minmax : bool
        Whether each frame's distances within a document are scaled to [0, 1].
    transform : callable, optional
        Applied to the features, in float32 on the device; e.g. a normalization.
    device : str
        Device of the computation.
    block : int, optional
        Number of frame distances in memory at once; default 4 million (16 MB) on a
        CPU, which fits into its cache, 128 million on a GPU.
    tick : callable
        Called with the number of documents finished.

    Returns
    -------
    torch.Tensor
        [queries, documents], float32 on the CPU: the negative mean distance on the best
        path, at most 0; 0 for queries of less than 5 frames.

    Note
    ----
    The scores equal S3PRL's, which computes one pair at a time in a pool of processes.

    Example
    -------
    >>> document = torch.randn(50, 8)
    >>> search([document[20:30]], [document, document[:20]])[0].round(decimals=4)[0]
    tensor(-0.)
    """
    if block is None:
        block = BLOCK if torch.device(device).type == "cpu" else BLOCK * 32

    def prepare(features):
        features = features.to(device).float()
        return features if transform is None else transform(features)

    with torch.no_grad(), full_precision():
        return _search(queries, documents, distance, minmax, prepare, block, tick)


def _search(queries, documents, distance, minmax, prepare, block, tick):
    scores = torch.zeros(len(queries), len(documents))
    packs = list(_packs(queries, prepare, block))
    rows = max((len(pack[1]) for pack in packs), default=1)
    for numbers, padded, lens in _batches(documents, prepare, block // rows):
        count, frames, size = padded.shape
        for places, data, batch_sizes in packs:
            distances = frame_distances(data, padded.view(-1, size), distance)
            distances = distances.view(len(data), count, frames)
            if minmax:
                normalize_rows(distances)
            costs = subsequence_costs(distances, batch_sizes, lens)
            scores[places[:, None], numbers] = -costs.cpu()
        tick(count)
    return scores


def _packs(queries, prepare, block):
    """Packs queries that are long enough: (their numbers, frames, batch sizes)."""
    lens = torch.tensor([len(query) for query in queries])
    pack, frames = [], 0
    for number in [*lens.argsort(stable=True, descending=True).tolist(), None]:
        ends = number is None or lens[number] < SHORTEST
        # Leave room for at least 512 document frames in a block.
        if pack and (ends or frames + lens[number] > max(block // 512, lens[pack[0]])):
            packed = torch.nn.utils.rnn.pack_sequence(
                [prepare(queries[index]) for index in pack]
            )
            yield torch.tensor(pack), packed.data, packed.batch_sizes.tolist()
            pack, frames = [], 0
        if ends:
            return
        pack.append(number)
        frames += int(lens[number])


def _batches(documents, prepare, most):
    """Pads documents of similar length: (their numbers, [documents, frames, size],
    lengths); at most ``most`` frames at once, or one document."""
    lens = torch.tensor([len(document) for document in documents])
    batch = []
    for number in [*lens.argsort(stable=True).tolist(), None]:
        full = number is None or lens[number] * (len(batch) + 1) > most
        if batch and full:
            yield _padded(batch, [prepare(documents[index]) for index in batch])
            batch = []
        batch.append(number)


def _padded(numbers, features):
    lens = torch.tensor([len(f) for f in features], device=features[0].device)
    padded = torch.nn.utils.rnn.pad_sequence(features, batch_first=True)
    for row, length in zip(padded, lens.tolist()):
        row[length:] = row[0]  # so the minimum and maximum stay the same
    return torch.tensor(numbers), padded, lens
