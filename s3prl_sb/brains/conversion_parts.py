"""Parts of a recipe of voice conversion: vocoder, network, datasets.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio.splits import make_splits
from s3prl_sb.dataio.target_spectrogram import TargetSpectrogram
from s3prl_sb.lobes.vocoders import load_vocoder
from s3prl_sb.startup.configuration import RecipeError
from s3prl_sb.terminal.messages import few


def vocoder_of(hparams):
    """Loads the vocoder of a recipe. A recipe calls it first: waveforms are made and
    measured at the end of a training.

    Arguments
    ---------
    hparams : dict
        Settings: ``vocoder``, ``mel``, ``vocoder_iterations`` and ``f0_range``.

    Returns
    -------
    s3prl_sb.lobes.vocoders.Vocoder

    Raises
    ------
    RecipeError
        If ``f0_range`` is no range.
    s3prl_sb.lobes.vocoders.VocoderError
        If there is no such vocoder, or it is of other spectrograms.

    Example
    -------
    >>> from s3prl_sb.lobes.mel import MelSettings
    >>> settings = {"mel": MelSettings(), "vocoder": "griffin_lim"}
    >>> vocoder_of({**settings, "vocoder_iterations": 8, "f0_range": [70, 200]}).band
    7600.0
    """
    limits = hparams["f0_range"]
    if limits and not (len(limits) == 2 and limits[0] < limits[1]):
        raise RecipeError(
            f"f0_range is [lowest, highest], in Hz, such as [70, 250], not {limits}."
        )
    options = hparams["mel"], hparams["vocoder_iterations"]
    return load_vocoder(hparams["vocoder"], *options)


def frame_ratio(upstream, settings):
    """Returns the number of mel frames in one frame of an upstream.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream of the features.
    settings : MelSettings
        Settings of the spectrograms.

    Returns
    -------
    float

    Example
    -------
    >>> from s3prl_sb.lobes.mel import MelSettings
    >>> from s3prl_sb.lobes.upstreams import load
    >>> frame_ratio(load("fbank"), MelSettings())
    0.9375
    """
    rate = settings.sample_rate / settings.hop
    return rate * upstream.stride / upstream.sample_rate


def network_of(hparams, speakers=None):
    """Makes the network of a recipe of voice conversion.

    Arguments
    ---------
    hparams : dict
        Settings: ``head``, ``mel`` and ``upstream_model``.
    speakers : s3prl_sb.dataio.enrolled_speakers.EnrolledSpeaker, optional
        Pipe of the target speakers; default: there is one.

    Returns
    -------
    s3prl_sb.lobes.heads.spectrogram.SpectrogramPredictor
    """
    mel, size = hparams["mel"], getattr(speakers, "size", 0)
    ratio = frame_ratio(hparams["upstream_model"], mel)
    return hparams["head"](num_mels=mel.n_mels, ratio=ratio, speaker_size=size)


def conversion_splits(hparams, records, speakers=None):
    """Returns the three datasets of a recipe of voice conversion.

    Arguments
    ---------
    hparams : dict
        Settings: ``save_folder`` with ``train.json``, ``valid.json`` and ``test.json``;
        ``mel``, ``train_pipes`` and ``eval_pipes``; ``train_fraction`` or
        ``train_hours`` for few-shot training.
    records : dict
        Output of :func:`~s3prl_sb.dataio.splits.read_splits`.
    speakers : s3prl_sb.dataio.enrolled_speakers.EnrolledSpeaker, optional
        Pipe of the target speakers, which adds ``speaker_embedding``.

    Returns
    -------
    dict
        "train", "valid", "test" to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`,
        whose examples have ``id``, ``sig`` and, except in the test, ``mel``.

    Raises
    ------
    RecipeError
        If there are several target speakers that nothing tells apart.
    """
    names = sorted({record["speaker"] for record in records["train"].values()})
    if speakers is None and len(names) > 1:
        raise RecipeError(
            f"{len(names)} speakers to train on ({few(names)}), and speaker_embedding "
            "is null: the network would learn their mean. Give one target speaker's "
            "speech, or set speaker_embedding, as in hparams/any_to_any.yaml."
        )
    splits = {}
    pipes = [TargetSpectrogram(hparams["mel"]), *filter(None, [speakers])]
    for split, utterances in records.items():
        # A test may lack targets; they are read when an utterance is converted.
        keys = ["id", "sig"] + ["mel"] * (split != "test")
        keys += ["speaker_embedding"] * (speakers is not None)
        made = make_splits(hparams, {split: utterances}, pipes, keys)
        splits[split] = made[split]
    return splits
