"""Where in recordings a spoken query is said.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch

from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.networks.precision import full_precision


class Match(NamedTuple):
    """The best place for a query in a document.

    Arguments
    ---------
    path : str
        The document.
    score : float
        At most 0, which is perfect: the negative mean distance on the best path.
    start, stop : float
        Seconds.
    """

    path: str
    score: float
    start: float
    stop: float


class Searcher(SpeechModel):
    """A hidden state chosen by QbE, and the search in it.

    Example
    -------
    >>> # best = Searcher.from_hparams("exported").search("query.wav", ["a.wav"])[0]
    """

    MODULES_NEEDED = ["upstream"]
    HPARAMS_NEEDED = [
        *SpeechModel.HPARAMS_NEEDED,
        *("layer", "distance", "normalize", "minmax", "mean", "deviation"),
    ]

    def search(self, query_path, document_paths, failed=None):
        """Looks for a query in recordings.

        Arguments
        ---------
        query_path : str
            Audio file of any rate and number of channels.
        document_paths : list of str
            Likewise.
        failed : callable, optional
            As for :meth:`each`, of a document.

        Returns
        -------
        list of Match
            One of each document, the best first.

        Raises
        ------
        ValueError
            If the query is shorter than 5 frames.
        """
        query, _ = self._frames(query_path)
        if len(query) < dtw.SHORTEST:
            raise ValueError(
                f"{query_path}: {len(query)} frames of {self._step():.3f} s; a query "
                f"needs {dtw.SHORTEST}."
            )
        matches = []
        for path, found in self.each(document_paths, self._frames, failed):
            document, seconds = found
            with torch.no_grad(), full_precision():
                distances = dtw.frame_distances(query, document, self.hparams.distance)
                if self.hparams.minmax:
                    dtw.normalize_rows(distances)
                cost, first, last = dtw.best_match(distances)
            stop = min((last + 1) * self._step(), seconds)
            start = min(first * self._step(), stop)
            matches.append(Match(str(path), -cost, start, stop))
        return sorted(matches, key=lambda match: -match.score)

    def features(self, wavs, wav_lens=None):
        """The chosen hidden state, normalised as in the run.

        Arguments
        ---------
        wavs : torch.Tensor or list
            As for every :class:`~s3prl_sb.inference.pretrained.SpeechModel`.
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
        features = states[self.hparams.layer].float()
        if self.hparams.normalize:
            mean, deviation = (
                torch.tensor(values, device=features.device)
                for values in (self.hparams.mean, self.hparams.deviation)
            )
            features = (features - mean) / deviation
        return features, lens

    def _frames(self, path):
        """[frames, size] of a file, and its seconds."""
        wav = self.load_file(path)
        seconds = len(wav) / self.mods.upstream.sample_rate
        return self.features(wav[None])[0][0], seconds

    def _step(self):
        """Seconds between two frames."""
        return self.mods.upstream.stride / self.mods.upstream.sample_rate

    def records(self, paths, failed=None):
        """Of each file but the first, which is the ``query``: ``wav``, ``score``, and
        the seconds where the query fits best, ``start`` and ``stop``. The best file
        first."""
        query, *documents = paths
        if not documents:
            raise ValueError(
                f"{query} is taken for the query: give the files to search after it."
            )
        for match in self.search(query, documents, failed):
            found = match._asdict()
            yield {"query": str(query), "wav": found.pop("path"), **found}

    def line(self, record):
        """Path, score and seconds."""
        seconds = f"{record['start']:.2f}\t{record['stop']:.2f}"
        return f"{record['wav']}\t{record['score']:.4f}\t{seconds}"
