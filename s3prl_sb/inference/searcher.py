"""Query by example: search of a spoken query in recordings.

Authors
 * The s3prl_sb developers, 2026
"""

from typing import NamedTuple

import torch

from s3prl_sb.inference.pretrained import SpeechModel
from s3prl_sb.lobes import dtw
from s3prl_sb.lobes.networks.precision import full_precision


class Match(NamedTuple):
    """Best match of a query in a document.

    Arguments
    ---------
    path : str
        Path of the document.
    score : float
        Negative mean distance on the best path; at most 0, which is perfect.
    start, stop : float
        Seconds.
    """

    path: str
    score: float
    start: float
    stop: float


class Searcher(SpeechModel):
    """Search for queries with the hidden state that QbE chose.

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
        """Searches a query in recordings.

        Arguments
        ---------
        query_path : str
            Audio file of any rate and number of channels.
        document_paths : list of str
            Audio files of the recordings.
        failed : callable, optional
            Called for documents, see :meth:`each`.

        Returns
        -------
        list of Match
            A match for each document, the best first.

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
        for path, frames in self.each(document_paths, self._frames, failed):
            document, seconds = frames
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
        """Returns the chosen hidden state, normalized as in the run.

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
        features = states[self.hparams.layer].float()
        if self.hparams.normalize:
            mean, deviation = (
                torch.tensor(values, device=features.device)
                for values in (self.hparams.mean, self.hparams.deviation)
            )
            features = (features - mean) / deviation
        return features, lens

    def _frames(self, path):
        """Returns the features of a file, [frames, size], and its seconds."""
        wav = self.load_file(path)
        seconds = len(wav) / self.mods.upstream.sample_rate
        return self.features(wav[None])[0][0], seconds

    def _step(self):
        """Returns the seconds between two frames."""
        return self.mods.upstream.stride / self.mods.upstream.sample_rate

    def records(self, paths, failed=None):
        """Yields ``query``, the first file, and ``wav``, ``score``, ``start`` and
        ``stop`` (seconds of the best match) of each other file, the best first."""
        query, *documents = paths
        if not documents:
            raise ValueError(
                f"{query} is taken for the query: give the files to search after it."
            )
        for match in self.search(query, documents, failed):
            values = match._asdict()
            yield {"query": str(query), "wav": values.pop("path"), **values}

    def line(self, record):
        """Returns the path, the score and the seconds."""
        seconds = f"{record['start']:.2f}\t{record['stop']:.2f}"
        return f"{record['wav']}\t{record['score']:.4f}\t{seconds}"
