"""Mini-batch k-means that bounds the memory and continues after an interruption.

The updates are those of Sculley, "Web-scale k-means clustering" (WWW 2010), as in
scikit-learn's ``MiniBatchKMeans`` without reassignment. That class has no public state
from which a fit could continue; here the state is a few tensors, and each batch is a
function of (seed, pass, number).

Authors
 * The s3prl_sb developers, 2026
"""

import math
import time
from pathlib import Path

import numpy
import torch

from s3prl_sb.errors import MissingExtra
from s3prl_sb.lobes.pretext.draws import generator
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import read_safetensors, write_safetensors
from s3prl_sb.terminal import progress

SEED_FRAMES = 30_000  # frames that the first centres are chosen from
BLOCK = 50  # neighbouring frames that stay together in a batch: fast to read
PATIENCE = 100  # batches without improvement before the end
SAVE_SECONDS = 15.0  # seconds of work that a kill may cost


def assign(
    frames: torch.Tensor, centres: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the nearest centre of each frame.

    Arguments
    ---------
    frames : torch.Tensor
        [frames, size].
    centres : torch.Tensor
        [clusters, size].

    Returns
    -------
    labels : torch.Tensor
        [frames], the first of equally near centres.
    distances : torch.Tensor
        [frames], squared distances to them.

    Example
    -------
    >>> frames = torch.tensor([[0.0], [4.0]])
    >>> assign(frames, torch.tensor([[1.0], [4.0], [4.0]]))
    (tensor([0, 1]), tensor([1., 0.]))
    """
    scores = centres.square().sum(1) - 2 * frames @ centres.T
    lowest, labels = scores.min(1)
    return labels, (lowest + frames.square().sum(1)).clamp(min=0)


def update(
    centres: torch.Tensor, counts: torch.Tensor, frames: torch.Tensor
) -> torch.Tensor:
    """Moves centres towards the frames of a batch, in place.

    Each centre becomes the mean of all frames that it has been given so far.

    Arguments
    ---------
    centres : torch.Tensor
        [clusters, size].
    counts : torch.Tensor
        [clusters], frames that each centre has been given, float64.
    frames : torch.Tensor
        [frames, size].

    Returns
    -------
    torch.Tensor
        Mean squared distance to the centres before the update.

    Example
    -------
    >>> centres, counts = torch.tensor([[0.0], [9.0]]), torch.zeros(2).double()
    >>> update(centres, counts, torch.tensor([[1.0], [2.0]]))
    tensor(2.5000)
    >>> centres.tolist(), counts.tolist()
    ([[1.5], [9.0]], [2.0, 0.0])
    """
    labels, distances = assign(frames, centres)
    # A product is deterministic on every device, scattered additions are not.
    members = torch.nn.functional.one_hot(labels, len(centres)).to(frames.dtype)
    new = members.sum(0).double()
    counts += new
    step = members.T @ frames - new.to(frames.dtype)[:, None] * centres
    centres += step / counts.clamp(min=1).to(frames.dtype)[:, None]
    return distances.mean()


class MiniBatchKMeans:
    """Mini-batch k-means over an array of frames on the disk.

    It ends when the smoothed distance has not improved for 100 batches, or after a
    number of passes.

    Arguments
    ---------
    clusters : int
        Number of centres.
    seed : int
        Seed of the first centres and of the order of batches.
    batch_frames : int
        Frames in a batch.
    n_init : int
        Number of choices of first centres, of which the best one is kept.
    passes : int
        Largest number of passes over the frames.
    device : str
        Device of the computation.

    Example
    -------
    >>> frames = numpy.repeat([[0.0], [8.0]], 60, 0).astype("float16")
    >>> kmeans = MiniBatchKMeans(2, passes=2)
    >>> sorted(kmeans.fit(frames, progressbar=False).flatten().tolist())
    [0.0, 8.0]
    """

    def __init__(
        self,
        clusters: int,
        seed: int = 0,
        batch_frames: int = 10_000,
        n_init: int = 3,
        passes: int = 100,
        device: str = "cpu",
    ):
        self.clusters, self.seed, self.batch_frames = clusters, seed, batch_frames
        self.n_init, self.passes, self.device = n_init, passes, device

    def fit(
        self,
        frames: numpy.ndarray,
        state: Path | None = None,
        progressbar: bool = True,
    ) -> torch.Tensor:
        """Returns the centres.

        Arguments
        ---------
        frames : numpy.ndarray
            [frames, size], may be memory-mapped.
        state : Path, optional
            File to keep the state in, and to continue from if it exists.
        progressbar : bool
            Whether to show progress.

        Returns
        -------
        torch.Tensor
            [clusters, size], float32, on the CPU.
        """
        now = self._opened(state) or self._begun(frames, state)
        per_pass = math.ceil(math.ceil(len(frames) / BLOCK) / self._blocks)
        saved = time.monotonic()
        bar = progress.bar(
            desc="K-means",
            total=self.passes * per_pass,
            initial=now["pass"] * per_pass + now["batch"],
            unit="batch",
            plural="batches at most",
            disable=not progressbar,
        )
        with bar:
            while now["pass"] < self.passes and now["stale"] < PATIENCE:
                order = self._order(len(frames), now["pass"])
                for batch in range(now["batch"], per_pass):
                    if now["stale"] >= PATIENCE:
                        break
                    rows = self._rows(order, batch, len(frames))
                    self._step(now, self._tensor(frames[rows]), len(frames))
                    now["batch"] = batch + 1
                    if state and time.monotonic() - saved > SAVE_SECONDS:
                        self._save(now, state)
                        saved = time.monotonic()
                    bar.update()
                else:
                    now["pass"], now["batch"] = now["pass"] + 1, 0
        if state:
            self._save(now, state)
        return now["centres"].cpu()

    @property
    def _blocks(self):
        return max(1, self.batch_frames // BLOCK)

    def _order(self, frames, number):
        random = generator(self.seed, number, 0, "order of k-means")
        return random.permutation(math.ceil(frames / BLOCK))

    def _rows(self, order, batch, frames):
        blocks = order[batch * self._blocks : (batch + 1) * self._blocks]
        rows = (numpy.sort(blocks)[:, None] * BLOCK + numpy.arange(BLOCK)).ravel()
        return rows[rows < frames]

    def _tensor(self, frames):
        array = numpy.asarray(frames, dtype=numpy.float32)
        return torch.from_numpy(array).to(self.device)

    def _step(self, now, batch, frames):
        """Does one update, and smooths the distance as scikit-learn does."""
        distance = float(update(now["centres"], now["counts"], batch))
        now["updates"] += 1
        if now["updates"] == 1:  # of the first centres, which the batch did not choose
            return
        share = min(1.0, 2 * len(batch) / (frames + 1))
        before = now["smoothed"]
        now["smoothed"] = distance if math.isnan(before) else before
        now["smoothed"] += share * (distance - now["smoothed"])
        if now["smoothed"] < now["best"]:
            now["best"], now["stale"] = now["smoothed"], 0
        else:
            now["stale"] += 1

    def _begun(self, frames, state):
        rows = numpy.arange(len(frames))
        if len(frames) > SEED_FRAMES:
            random = generator(self.seed, 0, 0, "frames of the first centres")
            rows = numpy.sort(random.choice(len(frames), SEED_FRAMES, replace=False))
        sample = numpy.asarray(frames[rows], dtype=numpy.float32)
        now = {
            "centres": self._first_centres(sample),
            "counts": torch.zeros(self.clusters, dtype=torch.float64).to(self.device),
            **{"pass": 0, "batch": 0, "updates": 0, "stale": 0},
            **{"smoothed": math.nan, "best": math.inf},
        }
        if state:
            self._save(now, state)
        return now

    def _first_centres(self, sample):
        plus_plus = _kmeans_plusplus()
        frames, best = self._tensor(sample), None
        for number in range(self.n_init):
            random = generator(self.seed, number, 0, "first centres of k-means")
            seed = int(random.integers(2**31))
            chosen, _ = plus_plus(sample, self.clusters, random_state=seed)
            centres = self._tensor(chosen)
            distance = float(assign(frames, centres)[1].mean())
            if best is None or distance < best[0]:
                best = distance, centres
        return best[1].clone()

    def _save(self, now, path):
        tensors = {
            # Numbers are exact as float64.
            name: torch.as_tensor(value).double().cpu()
            for name, value in now.items()
        }
        with Part(path) as part:
            write_safetensors(part.path, tensors, {})
            part.publish()

    def _opened(self, path):
        if path is None or not path.exists():
            return None
        fix = f"Delete '{path}'."
        tensors = read_safetensors(path, "the state of k-means", fix, signed=True)
        now = {n: float(t) for n, t in tensors.items() if t.dim() == 0}
        now |= {n: int(now[n]) for n in ("pass", "batch", "updates", "stale")}
        now["centres"] = tensors["centres"].float().to(self.device)
        now["counts"] = tensors["counts"].to(self.device)
        return now


def _kmeans_plusplus():
    try:
        from sklearn.cluster import kmeans_plusplus
    except ImportError as fault:
        raise MissingExtra(
            "Fitting units needs scikit-learn: pip install 's3prl_sb[units]'"
        ) from fault
    return kmeans_plusplus


def check_extra() -> None:
    """Raises :class:`~s3prl_sb.errors.MissingExtra` if scikit-learn is absent."""
    _kmeans_plusplus()
