"""Distance of what is said in two recordings, in a hidden state.

Authors
 * The s3prl_sb developers, 2026
"""

import torch

from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.lobes.item_distances import FrameDistances, frames_between
from s3prl_sb.lobes.warping import path_means


class Comparer(SpeechModel):
    """Comparison of phones or words with the hidden state that ABX chose.

    Example
    -------
    >>> # Comparer.from_hparams("exported").distance_of_files("a.wav", "b.wav")
    """

    MODULES_NEEDED = ["upstream"]
    HPARAMS_NEEDED = [*SpeechModel.HPARAMS_NEEDED, "layer", "distance"]

    def frames_of_file(self, path, start=None, stop=None):
        """Returns the frames of an item in its recording, or of the recording.

        Arguments
        ---------
        path : str
            Audio file of any rate and number of channels.
        start, stop : float, optional
            Seconds. The upstream hears the whole recording.

        Returns
        -------
        torch.Tensor
            [frames, size].
        """
        frames = self.features(self.load_file(path)[None])[0][0]
        if start is None:
            return frames
        upstream = self.mods.upstream
        seconds = upstream.stride / upstream.sample_rate
        first, last = frames_between(start, stop, seconds, len(frames))
        return frames[first:last]

    def features(self, wavs, wav_lens=None):
        """Returns the chosen hidden state.

        Arguments
        ---------
        wavs : torch.Tensor or list
            See :meth:`s3prl_sb.inference.pretrained.SpeechModel.features`.
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        features : torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.
        """
        states, lens = self.hidden_states(wavs, wav_lens)
        return states[self.hparams.layer].float(), lens

    def distance(self, x, y):
        """Returns the distance of two sequences of frames.

        Arguments
        ---------
        x, y : torch.Tensor
            [frames, size], one frame at least.

        Returns
        -------
        float
            Mean distance of frames on the best path of dynamic time warping.

        Raises
        ------
        ValueError
            If a sequence has no frame.
        """
        if not len(x) or not len(y):
            raise ValueError("an item has no frame: it is too short to be compared")
        with self.as_tested():
            between = FrameDistances(torch.cat([x, y]), self.hparams.distance)
            matrix = between(
                torch.arange(len(x)), torch.arange(len(x), len(x) + len(y))
            )
            sizes = ([0], [len(y)], [len(x)], [len(y)])
            places = torch.tensor(sizes, device=matrix.device)
            return path_means(matrix.flatten(), *places).item()

    def distance_of_files(self, path, other):
        """Returns the distance of two recordings, see :meth:`distance`.

        Arguments
        ---------
        path, other : str
            Audio files.

        Returns
        -------
        float
        """
        return self.distance(self.frames_of_file(path), self.frames_of_file(other))

    def records(self, paths, failed=None):
        """Yields ``item``, the first file, and ``wav`` and ``distance`` of each other
        file, the nearest first."""
        first, *others = paths
        if not others:
            raise ValueError(
                f"{first} is compared with others: give these files after it."
            )
        item = self.frames_of_file(first)
        found = [
            {"item": str(first), "wav": str(path), "distance": self.distance(item, x)}
            for path, x in self.each(others, self.frames_of_file, failed)
        ]
        yield from sorted(found, key=lambda record: record["distance"])

    def line(self, record):
        """Returns the path and the distance."""
        return f"{record['wav']}\t{record['distance']:.4f}"
