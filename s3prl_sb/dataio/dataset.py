"""A dataset over a manifest, whose randomness can be repeated.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import math

import torch
from speechbrain.dataio.dataset import DynamicItemDataset

from s3prl_sb.errors import ManifestError

COMPUTED = ("draw", "sig", "feats")  # items of all tasks


def generator(seed, utterance, draw):
    """Random numbers of one utterance, the ``draw``-th time it is seen.

    Whatever order, worker or process an utterance is loaded in, and whether
    or not the run was interrupted before, these numbers are the same.

    Arguments
    ---------
    seed : int
        Of the pipe that asks.
    utterance : str
        Its id.
    draw : int
        Which time; 0 in evaluation.

    Returns
    -------
    torch.Generator

    Example
    -------
    >>> a, b = (torch.rand(1, generator=generator(0, "a", 7)) for _ in range(2))
    >>> bool(a == b)
    True
    """
    text = f"{seed}|{utterance}|{draw}".encode()
    number = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
    return torch.Generator().manual_seed(number)


class Pipe:
    """A pipe that always gives the same; base of the others.

    ``audio`` says whether it has a part in the waveform.
    """

    audio = False

    def variants(self, record):
        """In how many forms an utterance comes; None: endlessly many."""
        return 1


class ManifestDataset(DynamicItemDataset):
    """SpeechBrain's dataset with one more item: ``draw``.

    It can be indexed by a position, as any dataset, or by ``(position,
    draw)``, as :class:`~s3prl_sb.dataio.sampler.StepSampler` does.

    Arguments
    ---------
    records : dict
        ``{id: {"wav": …, "start": …, …}}``, see
        :mod:`s3prl_sb.dataio.manifest`.
    pipes : list of callable
        Each adds dynamic items, see :mod:`s3prl_sb.dataio.pipes`.
    output_keys : list of str
        Items that an example consists of.

    Raises
    ------
    ManifestError
        If records have a key that is the name of an item which is computed:
        SpeechBrain would take what the records say.

    Example
    -------
    >>> dataset = ManifestDataset({"a": {"x": 1}}, output_keys=["id", "draw"])
    >>> dataset[0], dataset[0, 5]
    ({'id': 'a', 'draw': 0}, {'id': 'a', 'draw': 5})
    """

    def __init__(self, records, pipes=(), output_keys=()):
        if not records:
            raise ValueError("a dataset without utterances")
        super().__init__(dict(records))
        self.columns = set().union(*records.values())
        for name in COMPUTED:
            self._check_column(name)
        self.pipeline.add_static_keys(["draw"])
        self.pipes = []
        for pipe in pipes:
            self.add_pipe(pipe)
        self.set_output_keys(list(output_keys))

    def _check_column(self, name):
        if name in self.columns:
            raise ManifestError(
                f"the column '{name}' of your data: the program computes an item of "
                "that name itself. Rename the column, or drop it."
            )

    def add_dynamic_item(self, func, takes=None, provides=None):
        """As SpeechBrain's, for items that the records do not have.

        Arguments
        ---------
        func : callable
            Computes the item.
        takes : str or list of str
            Items that it is given.
        provides : str or list of str
            Its name; one that another function provides is refined.
        """
        if provides is None:  # a DynamicItem, which says it itself
            names = func.provides
        else:
            names = [provides] if isinstance(provides, str) else provides
        for name in names:
            self._check_column(name)
        super().add_dynamic_item(func, takes, provides)

    def add_pipe(self, pipe):
        """Applies a pipe to this dataset.

        Arguments
        ---------
        pipe : callable
            Takes the dataset.
        """
        pipe(self)
        self.pipes.append(pipe)

    def keep(self, ids):
        """Drops all utterances but some.

        Arguments
        ---------
        ids : list of str
            Those to keep, in their order from now on.

        Example
        -------
        >>> dataset = ManifestDataset({"a": {"x": 1}, "b": {"x": 2}}, [], ["x"])
        >>> dataset.keep(["b"])
        >>> len(dataset), dataset[0]
        (1, {'x': 2})
        """
        self.data = {name: self.data[name] for name in ids}
        self.data_ids = list(self.data)

    def variants(self, index):
        """In how many forms an utterance comes, ``draw`` 0 to n - 1.

        Arguments
        ---------
        index : int
            Position of the utterance.

        Returns
        -------
        int or None
            None: endlessly many.
        """
        record = self.data[self.data_ids[index]]
        # A pipe that does not say is taken for a random one.
        counts = [
            pipe.variants(record) if hasattr(pipe, "variants") else None
            for pipe in self.pipes
        ]
        return None if None in counts else math.lcm(*counts)

    def __getitem__(self, index):
        index, draw = index if isinstance(index, tuple) else (index, 0)
        data_id = self.data_ids[index]
        return self.pipeline.compute_outputs(
            {"id": data_id, "draw": draw, **self.data[data_id]}
        )
