"""What all loaded experiments share: their modules, and reading audio files.

Authors
 * The s3prl_sb developers, 2026
"""

import contextlib
from pathlib import Path

import torch
from speechbrain.inference.interfaces import Pretrained
from speechbrain.utils.fetching import LocalStrategy

from s3prl_sb.audio.waveforms import batched
from s3prl_sb.dataio.dataset import ManifestDataset
from s3prl_sb.foreign.trust import require_address
from s3prl_sb.inference.reading import check_all_loaded, read
from s3prl_sb.lobes.checkpoints import finiteness
from s3prl_sb.lobes.precision import full_precision


class SpeechModel(Pretrained):
    """A trained experiment: upstream, featurizer and head. Base of the task types.

    A subclass says in :meth:`records` what there is to say of audio files, and in
    :meth:`line` how ``s3prl-sb predict`` prints it.
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
            Whether its own code may be run, see :mod:`s3prl_sb.foreign.trust`.
        **kwargs
            As for SpeechBrain's ``from_hparams``, e.g.
            ``run_opts={"device": "cuda"}``.

        Returns
        -------
        SpeechModel

        Raises
        ------
        s3prl_sb.foreign.trust.TrustError
            If it would run code and is not trusted.
        s3prl_sb.storage.files.FileError
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
        wavs : torch.Tensor or list
            [batch, samples] at the upstream's rate; or waveforms of any kind, or names
            of files, as :func:`s3prl_sb.audio.waveforms.waveforms` takes them.
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
        with self.as_tested():
            return self.mods.featurizer(states), lens

    def hidden_states(self, wavs, wav_lens=None):
        """What the upstream gives, without gradients.

        Arguments
        ---------
        wavs, wav_lens
            As for :meth:`features`.

        Returns
        -------
        hidden_states : list of torch.Tensor
            [batch, frames, size].
        lens : torch.Tensor
            [batch], relative lengths.

        Raises
        ------
        s3prl_sb.lobes.checkpoints.finiteness.WeightsError
            If they are not finite, such as in half precision.
        """
        upstream = self.mods.upstream
        wavs, wav_lens = batched(wavs, wav_lens, upstream.sample_rate)
        with self.as_tested():
            states, lens = upstream(wavs.to(self.device), wav_lens)
            if not upstream.freeze:  # a frozen one has looked itself
                finiteness.check(upstream, states, wavs)
        return states, lens

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

    def records(self, paths, failed=None):
        """What the model says of audio files.

        Arguments
        ---------
        paths : list of str
            Audio files.
        failed : callable, optional
            As for :meth:`each`.

        Returns
        -------
        iterable of dict
            JSON values, one a file, or a pair of files.
        """
        raise NotImplementedError

    def line(self, record):
        """One of :meth:`records` as text, of one line or more.

        Arguments
        ---------
        record : dict
            What is said.

        Returns
        -------
        str
        """
        raise NotImplementedError

    def files(self, records):
        """The files in which a task's results are usually kept, beside
        ``predictions.csv`` and ``predictions.json``.

        Arguments
        ---------
        records : list of dict
            From :meth:`records`.

        Returns
        -------
        dict
            Names to texts.
        """
        return {}

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
        for record in self.records(paths, failed):
            yield from filter(None, self.line(record).split("\n"))
