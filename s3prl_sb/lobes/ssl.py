"""An upstream as a lobe for any SpeechBrain recipe: maps waveforms to features.

It replaces SpeechBrain's lobes of self-supervised models; only the YAML changes::

    wav2vec2: !new:s3prl_sb.lobes.ssl.SSL
        source: hubert_base  # a card, a checkpoint, a folder, an id of Hugging Face
        layers: all  # learned sum of all hidden states
        freeze: True

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from s3prl_sb.errors import UserError
from s3prl_sb.lobes.cards.sources import open_source
from s3prl_sb.lobes.featurizer import Featurizer
from s3prl_sb.lobes.gradients import unreached
from s3prl_sb.schema import kinds
from s3prl_sb.storage.files import read_text


class SSLError(UserError, ValueError):
    """Arguments of :class:`SSL` that it does not support."""


class SSL(torch.nn.Module):
    """Features of a self-supervised model, with the interface of SpeechBrain's lobes.

    Arguments
    ---------
    source : str
        The name of a card (``s3prl-sb upstreams``) or its file; or a checkpoint in
        any supported format: a file, a folder, a URL, an id of Hugging Face. Its code
        is never executed.
    save_path : str, optional
        Download folder of SpeechBrain's lobes: a model that is there is not downloaded
        again. New downloads go to ``$S3PRL_SB_CACHE``, once for all experiments.
    layers : str, int or list of int, optional
        See :class:`~s3prl_sb.lobes.featurizer.Featurizer`: "last", one index, "all"
        (a learned weighted sum) or a list (a sum of these). Default: the last, or,
        with ``output_all_hiddens``, all.
    output_norm : bool
        Whether to apply layer norm without parameters to the features of each
        utterance, over its true frames and channels.
    freeze : bool
        Whether the upstream stays in eval mode without gradients, also after
        ``.train()``. The weights of a learned sum are trained nonetheless.
    freeze_feature_extractor : bool
        Whether to freeze the convolutions over the waveform of an unfrozen upstream.
    apply_spec_augment : bool
        Must be False: no upstream masks its features.
    output_all_hiddens : bool
        Whether to return all hidden states, [layers, batch, frames, size], instead of
        their sum.
    layernorm : bool
        Whether to apply layer norm without parameters to each hidden state.
    sample_rate : int
        Sample rate of the recipe's waveforms in Hz.
    trust : bool
        Whether to run code that comes with a card.
    **options
        Further arguments of the upstream: ``precision``, ``adapter``,
        ``layerdrop``, ``chunk_seconds``, … (``freeze_front_end`` is
        ``freeze_feature_extractor`` here).

    Raises
    ------
    SSLError
        If ``apply_spec_augment`` is True, an upstream without convolutions should
        freeze them, the model has another sample rate, or hidden states of different
        sizes should be one tensor.

    Note
    ----
    The names and defaults of the arguments are those of SpeechBrain's
    ``Wav2Vec2`` and ``WeightedSSLModel``, so ``freeze`` is False by default. The
    differences: a frozen model has no dropout and no masks; an utterance gets the same
    features in any batch; a trained model drops no layers.

    SpeechBrain derives the number of true frames from relative lengths, which gives up
    to two more frames than the model computes. These repeat the last frame of the
    utterance; later frames are zero.

    Without ``wav_lens``, zeros at the end of a waveform are taken for padding, which
    they are in SpeechBrain's batches.

    Example
    -------
    >>> ssl = SSL("mel", output_norm=True)
    >>> ssl(torch.randn(2, 16000), torch.tensor([1.0, 0.5])).shape
    torch.Size([2, 101, 80])
    >>> ssl.output_size, ssl.num_layers, ssl.sample_rate
    (80, 1, 16000)
    """

    def __init__(
        self,
        source: str,
        save_path: str | None = None,
        layers: str | int | Sequence[int] | None = None,
        output_norm: bool = False,
        freeze: bool = False,
        freeze_feature_extractor: bool = False,
        apply_spec_augment: bool = False,
        output_all_hiddens: bool = False,
        layernorm: bool = False,
        sample_rate: int = 16000,
        trust: bool = False,
        **options,
    ):
        super().__init__()
        self.output_norm = kinds.flag(output_norm, "output_norm")
        self.freeze = kinds.flag(freeze, "freeze")
        self.output_all_hiddens = kinds.flag(output_all_hiddens, "output_all_hiddens")
        self.freeze_feature_extractor = kinds.flag(
            freeze_feature_extractor, "freeze_feature_extractor"
        )
        if kinds.flag(apply_spec_augment, "apply_spec_augment"):
            raise SSLError(
                "apply_spec_augment: no upstream masks its own features. Give False, "
                "and augment the waveforms, or the features by "
                "s3prl_sb.lobes.spec_augment.SpecAugment."
            )
        if "freeze_front_end" in options:
            raise SSLError("freeze_front_end: give freeze_feature_extractor instead.")
        self.upstream = open_source(
            _downloaded(source, save_path), trust=trust, freeze=self.freeze, **options
        )
        if self.upstream.sample_rate != sample_rate:
            raise SSLError(
                f"'{source}' takes waveforms of {self.upstream.sample_rate} Hz, and "
                f"this recipe gives {sample_rate} Hz. Resample them, and say so: "
                f"sample_rate: {self.upstream.sample_rate}."
            )
        if layers is None:
            layers = "all" if self.output_all_hiddens else "last"
        self.featurizer = Featurizer(self.upstream.num_layers, layers, layernorm)
        sizes = [self.upstream.output_sizes[i] for i in self.featurizer.layers]
        if len(set(sizes)) > 1:
            raise SSLError(
                f"The hidden states of '{source}' have the sizes {sizes}, which "
                "cannot be one tensor: choose `layers` of one size."
            )
        self.output_size = sizes[0]
        if self.output_all_hiddens:  # there is no sum to weight
            self.featurizer.scalars = None
        if not self.freeze:
            self._set_trainable()
        if next(self.parameters(), None) is None:
            # Recipes may give the lobe a separate optimizer, and torch refuses to make
            # one without parameters.
            self.nothing = torch.nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(
        self, wavs: torch.Tensor, wav_lens: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Returns features of a padded batch.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, samples] at ``sample_rate``, in [-1, 1].
        wav_lens : torch.Tensor, optional
            [batch], relative lengths.

        Returns
        -------
        torch.Tensor
            [batch, frames, output_size] in fp32, or [layers, batch, frames,
            output_size]; ``frames`` is that of a waveform of ``samples``.

        Raises
        ------
        s3prl_sb.lobes.upstreams.base.AudioError
            For an empty or non-finite waveform.
        ValueError
            If ``wavs`` is not a batch.
        """
        if not isinstance(wavs, torch.Tensor) or wavs.dim() != 2:
            shape = list(getattr(wavs, "shape", ()))
            raise ValueError(
                "wavs must be a float tensor [batch, samples], not "
                f"{type(wavs).__name__} {shape}: give wav[None] for one waveform."
            )
        if wav_lens is None:
            wav_lens = _lengths(wavs)
        if wav_lens is not None:
            wav_lens = torch.as_tensor(wav_lens)
        states, lens = self.upstream(wavs, wav_lens)
        true = (lens * states[0].shape[1]).round().long()  # [batch], frames
        if self.output_all_hiddens:
            features = torch.stack([states[i].float() for i in self.featurizer.layers])
            if self.featurizer.normalize:
                features = F.layer_norm(features, features.shape[-1:])
        else:
            features = self.featurizer(states)[None]
        if self.output_norm:
            features = _normed(features, true)
        total = max(self.upstream.frames(wavs.shape[1]), features.shape[2])
        features = _filled(features, true, wav_lens, total)
        return features if self.output_all_hiddens else features[0]

    def extract_features(self, wavs, wav_lens=None):
        """Does the same as a call; the name is that of SpeechBrain's lobes."""
        return self(wavs, wav_lens)

    @property
    def sample_rate(self):
        """Sample rate of the waveforms in Hz."""
        return self.upstream.sample_rate

    @property
    def num_layers(self):
        """Number of hidden states."""
        return self.upstream.num_layers

    @property
    def weights(self):
        """Logits of the weights of a learned sum, [layers]; or None."""
        return self.featurizer.scalars

    @property
    def model(self):
        """Stand-in for the ``transformers`` network in SpeechBrain's lobes."""
        return Model(self.upstream)

    def _set_trainable(self):
        """Freezes the convolutions if asked to, and all weights that no feature depends
        on: in distributed training, other processes would wait for their gradients."""
        front_end = _front_end(self.upstream)
        if self.freeze_feature_extractor:
            if front_end is None:
                raise SSLError(
                    f"freeze_feature_extractor: {type(self.upstream).__name__} has no "
                    "convolutional front end to keep. Give False."
                )
            front_end.requires_grad_(False)
        elif front_end is not None and "freeze_front_end" in self.upstream.arguments:
            front_end.requires_grad_(self.upstream.adapter is None)
        if len(self.featurizer.layers) < self.num_layers:
            for parameter in unreached(self.upstream, self):
                parameter.requires_grad_(False)


class Model:
    """The part of a ``transformers`` network that recipes of SpeechBrain use.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream of the lobe.

    Example
    -------
    >>> Model(SSL("mel").upstream).encoder
    Traceback (most recent call last):
    ...
    AttributeError: `.model` has no `encoder`: …
    """

    def __init__(self, upstream):
        front_end = _front_end(upstream)
        if front_end is not None:
            self.feature_extractor = FeatureExtractor(front_end)

    def __getattr__(self, name):
        raise AttributeError(
            f"`.model` has no `{name}`: this lobe is s3prl_sb.lobes.ssl.SSL, whose "
            "network is `.upstream` and none of transformers. Of `.model` it has "
            "`feature_extractor` alone, where there are convolutions over the waveform."
        )


class FeatureExtractor(torch.nn.Module):
    """Convolutions over the waveform, with the method that recipes call.

    Arguments
    ---------
    front_end : torch.nn.Module
        The convolutions.

    Example
    -------
    >>> front_end = torch.nn.Conv1d(1, 8, 10)
    >>> FeatureExtractor(front_end)._freeze_parameters()
    >>> front_end.weight.requires_grad
    False
    """

    def __init__(self, front_end):
        super().__init__()
        self.convolutions = front_end

    def _freeze_parameters(self):
        """Freezes the convolutions."""
        self.requires_grad_(False)


def _front_end(upstream):
    """Returns the convolutions over the waveform if a family separates them."""
    network = getattr(upstream, "network", None)
    for owner, name in (
        (network, "front_end"),
        (network, "latent_extractor"),  # SpeechBrain's
        (getattr(network, "model", None), "feature_extractor"),  # transformers'
        (getattr(network, "coder", None), "front_end"),  # of codes
    ):
        front_end = getattr(owner, name, None)
        if isinstance(front_end, torch.nn.Module):
            return front_end
    return None


def _downloaded(source, save_path):
    """Returns the folder where SpeechBrain has downloaded a model, or the source."""
    place = Path(save_path or "", f"models--{source}".replace("/", "--"))
    configs = sorted((place / "snapshots").glob("*/config.json"))
    if not save_path or not configs:
        return source
    if (place / "refs" / "main").is_file():  # the latest of several revisions
        latest = read_text(place / "refs" / "main", "a revision of a download").strip()
        configs = [file for file in configs if file.parent.name == latest] or configs
    return str(configs[0].parent)


def _lengths(wavs):
    """Returns relative lengths [batch] without trailing zeros; 1 for silence."""
    if wavs.dim() != 2 or not wavs.shape[1]:
        return None  # the upstream raises the error
    silent = (wavs.flip(1) != 0).int()
    zeros = torch.where(silent.amax(1) > 0, silent.argmax(1), 0)
    return 1 - zeros.double() / wavs.shape[1]


def _normed(features, true):
    """Normalizes each utterance of [layers, batch, frames, size] over true frames."""
    mask = torch.arange(features.shape[2], device=true.device) < true[:, None]
    mask, count = mask[None, :, :, None], true.view(1, -1, 1, 1) * features.shape[-1]
    mean = (features * mask).sum((2, 3), keepdim=True) / count
    centred = (features - mean) * mask
    variance = centred.square().sum((2, 3), keepdim=True) / count
    return centred * (variance + 1e-5).rsqrt()


def _filled(features, true, wav_lens, total):
    """Returns ``total`` frames; those that only SpeechBrain counts as true repeat the
    last frame of the utterance."""
    if wav_lens is None:
        wav_lens = torch.ones(len(true), device=true.device)
    counted = (wav_lens.to(true.device).double() * total - 1e-3).ceil().long()
    frames = torch.arange(total, device=true.device)
    index = torch.minimum(frames[None], true[:, None] - 1)  # [batch, total]
    counted = torch.maximum(counted, true)[:, None]
    index = index[None, :, :, None].expand(*features.shape[:2], -1, features.shape[3])
    return features.gather(2, index) * (frames < counted)[None, :, :, None]
