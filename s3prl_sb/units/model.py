"""A model of units: the centres of k-means, and the hidden state that they cluster.

Authors
 * The s3prl_sb developers, 2026
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch

from s3prl_sb.identity import digest
from s3prl_sb.identity.content import hash_file
from s3prl_sb.identity.upstreams import changed_since
from s3prl_sb.storage.files import read_json, write_json
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import read_safetensors, write_safetensors
from s3prl_sb.units.clustering import assign
from s3prl_sb.units.errors import UnitsError

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

DESCRIPTION, CENTRES = "units.json", "centres.safetensors"
FIX = "Give a folder that `s3prl-sb units fit` has made."


class UnitsModel:
    """Centres of k-means over one hidden state of an upstream.

    Arguments
    ---------
    centres : torch.Tensor
        [classes, size].
    about : dict
        JSON values: ``upstream``, ``identity``, ``layer``, ``stride`` in samples and
        ``sample_rate`` in Hz, and what else is known of the fit.

    Example
    -------
    >>> about = {"upstream": "mfcc", "layer": 0, "stride": 160, "sample_rate": 16000}
    >>> model = UnitsModel(torch.tensor([[0.0], [1.0]]), about)
    >>> model.codes(torch.tensor([[0.9], [0.2], [0.7]]))
    array([1, 0, 1])
    """

    def __init__(self, centres: torch.Tensor, about: dict[str, Any]):
        self.centres, self.about = centres, about

    @property
    def classes(self) -> int:
        """Number of units."""
        return len(self.centres)

    @property
    def stride(self) -> int:
        """Samples from one unit to the next."""
        return self.about["stride"]

    @property
    def digest(self) -> str:
        """Hash of everything that the codes of an utterance depend on."""
        keys = ("identity", "layer")
        return digest([self.about.get("centres"), *(self.about.get(k) for k in keys)])

    def codes(self, frames: torch.Tensor) -> numpy.ndarray:
        """Returns the unit of each frame.

        Arguments
        ---------
        frames : torch.Tensor
            [frames, size].

        Returns
        -------
        numpy.ndarray
            [frames], from 0 to ``classes - 1``.
        """
        return assign(frames.float(), self.centres)[0].numpy()

    def check_upstream(self, upstream: "Upstream") -> None:
        """Checks that an upstream is the one that the centres were fitted on.

        Raises
        ------
        UnitsError
            With the differences of weights, files and arguments.
        """
        changes = changed_since(self.about["identity"], upstream)
        if changes:
            raise UnitsError(
                f"The units were fitted on another upstream than "
                f"{self.about['upstream']} is now: {'; '.join(changes)}. Fit them "
                "again, or give the right card with --upstream."
            )

    def save(self, folder: str | os.PathLike) -> None:
        """Writes the model; the description comes last and completes it."""
        path = Path(folder) / CENTRES
        with Part(path) as part:
            tensors = {"centres": self.centres.contiguous()}
            write_safetensors(part.path, tensors, {})
            part.publish()
        self.about["centres"] = hash_file(str(path))
        write_json(Path(folder) / DESCRIPTION, self.about, signed=True)

    @classmethod
    def load(cls, folder: str | os.PathLike) -> "UnitsModel":
        """Reads a model.

        Arguments
        ---------
        folder : str
            Folder that ``s3prl-sb units fit`` has made.

        Returns
        -------
        UnitsModel

        Raises
        ------
        s3prl_sb.storage.files.FileError
            If it is not one, or is damaged.
        """
        about = read_json(Path(folder) / DESCRIPTION, "a model of units", FIX, dict)
        path = Path(folder) / CENTRES
        tensors = read_safetensors(path, "the centres of units", FIX, signed=True)
        if hash_file(str(path)) != about.get("centres"):
            raise UnitsError(f"'{path}' is not the file that was fitted. {FIX}")
        return cls(tensors["centres"], about)
