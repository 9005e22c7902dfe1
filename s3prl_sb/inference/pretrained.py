"""What all loaded experiments share: their modules, and reading audio files.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy

from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.inference.reading import check_all_loaded, read
from s3prl_sb.lobes.precision import full_precision
from s3prl_sb.trust import require_address


class SpeechModel(Pretrained):
    """A trained experiment: upstream, featurizer and head. Base of the task types.

    A subclass says in :meth:`lines` what ``s3prl-sb predict`` prints.
    """

    MODULES_NEEDED = ["upstream", "featurizer", "head"]
    HPARAMS_NEEDED = ["audio_pipes"]

    @classmethod
    def from_hparams(cls, source, savedir=None, overrides=None, trust=False, **kwargs):
        """Loads an export.

        Arguments
        ---------
        source : str
            The folder that :func:`~s3prl_sb.inference.export` has made. Or an address
            that SpeechBrain can fetch one from; that needs trust, since SpeechBrain
            runs what its ``hyperparams.yaml`` says.
        savedir : str, optional
            Where SpeechBrain puts what it fetches; default: nowhere.
        overrides : dict, optional
            Of its ``hyperparams.yaml``.
        trust : bool
            Whether code that comes with it may be run, see :mod:`s3prl_sb.trust`.
        **kwargs
            As for SpeechBrain's ``from_hparams``, e.g.
            ``run_opts={"device": "cuda"}``.

        Returns
        -------
        SpeechModel

        Raises
        ------
        s3prl_sb.trust.TrustError
            If it would run code and is not trusted.
        s3prl_sb.files.FileError
            If a file of it is damaged or missing, or it has no weights for a module.
        """
        if Path(source).is_dir():
            return read(cls, source, overrides, trust, **kwargs)
        require_address(source, trust)
        if savedir is None:
            kwargs.setdefault("local_strategy", LocalStrategy.NO_LINK)
        model = super().from_hparams(
            source, savedir=savedir, overrides=dict(overrides or {}), **kwargs
        )
        pretrainer = getattr(model.hparams, "pretrainer", None)
        check_all_loaded(model, getattr(pretrainer, "loadables", {}), source)
        return model

    def load_file(self, path, start=None, stop=None):
        """An audio file as the experiment heard its test set.

        Arguments
        ---------
        path : str
            wav, flac, ogg or mp3, of any rate and number of channels.
        start, stop : float, optional
            Seconds.

        Returns
        -------
        torch.Tensor
            [samples].
        """
        record = {"wav": str(path), "start": start, "stop": stop}
        pipes = [p for p in self.hparams.audio_pipes if getattr(p, "audio", True)]
        return ManifestDataset({Path(path).name: record}, pipes, ["sig"])[0]["sig"]

    def features(self, wavs, wav_lens=None):
        """Features, without gradients.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        features : torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.
        """
        with self.as_tested():
            states, lens = self.mods.upstream(wavs.to(self.device), wav_lens)
            return self.mods.featurizer(states), lens

    @contextlib.contextmanager
    def as_tested(self):
        """Computes as the test of a run does: without gradients, products of float32
        in float32 unless ``run_opts`` give another ``precision``."""
        with torch.no_grad(), full_precision(), self.inference_ctx:
            yield

    def each(self, paths, compute, failed=None):
        """What is computed of audio files, one after another.

        Arguments
        ---------
        paths : list of str
            Audio files.
        compute : callable
            Takes one of them.
        failed : callable, optional
            Gets the path and the error where this goes wrong, and the next file is
            next; default: the error ends it.

        Yields
        ------
        (str, object)
            A path, and what has been computed.
        """
        for path in paths:
            try:
                found = compute(path)
            except Exception as error:  # whatever a file may cause
                if failed is None:
                    raise
                failed(path, error)
            else:
                yield path, found

    def lines(self, paths, failed=None):
        """What the model says of audio files, in text.

        Arguments
        ---------
        paths : list of str
            Audio files.
        failed : callable, optional
            As for :meth:`each`.

        Returns
        -------
        iterable of str
            Lines, as ``s3prl-sb predict`` prints them.
        """
        raise NotImplementedError
