"""Statistics of the target spectrograms of voice conversion, computed once for a run.

Authors
 * The s3prl_sb developers, 2026
"""

import dataclasses
import logging
from pathlib import Path

import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.audio.headers import audio_info
from s3prl_sb.brains.debugging import spread
from s3prl_sb.dataio.target_spectrogram import TargetSpectrogram
from s3prl_sb.identity import digest
from s3prl_sb.lobes.mel import MelSettings, MelStatistics
from s3prl_sb.storage.files import FileError, read_json, write_json

logger = logging.getLogger(__name__)

STATISTICS = "mel_statistics.json"  # in save_folder
DEBUGGED = 20  # utterances for the statistics of a --debug run


def target_statistics(records, hparams, run_opts):
    """Returns mean and standard deviation of the mel bands over the training targets.

    Arguments
    ---------
    records : dict
        Records of the training set.
    hparams : dict
        ``mel``, and ``save_folder``, which keeps them in ``mel_statistics.json``.
    run_opts : dict
        SpeechBrain's options. With ``debug``, a few utterances are enough, and nothing
        is kept.

    Returns
    -------
    mean, deviation : torch.Tensor
        [mels] each.

    Example
    -------
    >>> import tempfile
    >>> from speechbrain.dataio import audio_io
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     wav = folder + "/a.wav"
    ...     audio_io.save(wav, torch.zeros(1, 24000), 24000)
    ...     record = {"wav": wav, "start": None, "stop": None, "duration": 1.0}
    ...     records = {"a": {**record, "target": wav}}
    ...     hparams = {"mel": MelSettings(), "save_folder": folder}
    ...     mean, deviation = target_statistics(records, hparams, {})
    >>> mean[0].item(), deviation[0].item()
    (-10.0, 1.0)
    """
    settings, debug = hparams["mel"], bool((run_opts or {}).get("debug"))
    names = spread(list(records), DEBUGGED if debug else len(records))
    key = digest([dataclasses.asdict(settings), [records[n]["target"] for n in names]])
    path = Path(hparams["save_folder"]) / STATISTICS
    try:
        kept = read_json(path, "statistics of spectrograms", kind=dict)
    except FileError:
        kept = {}
    if kept.get("of") != key:
        kept = {"of": key, **_statistics([records[n] for n in names], settings)}
        ddp_barrier()  # all processes have read
        if if_main_process() and not debug:
            write_json(path, kept)
    return torch.tensor(kept["mean"]), torch.tensor(kept["deviation"])


def _statistics(records, settings: MelSettings):
    statistics, target = MelStatistics(settings.n_mels), TargetSpectrogram(settings)
    rate = audio_info(records[0]["target"])[0]
    if rate < settings.sample_rate:
        message = (
            "The targets are of %d Hz, and their spectrograms of %d Hz: they have "
        )
        message += "bands without sound. Set mel.sample_rate to %d, and mel.fmax"
        logger.warning(message, rate, settings.sample_rate, rate)
    logger.info("Statistics of the spectrograms of %d utterances", len(records))
    for record in records:
        keys = ("wav", "target", "start", "stop", "duration")
        statistics.add(target.spectrogram("", *(record[key] for key in keys)))
    mean, deviation = statistics.result()
    return {"mean": mean.tolist(), "deviation": deviation.tolist()}
