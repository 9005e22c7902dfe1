"""Kaldi's data folders for diarization.

=============  ====================================================================
``wav.scp``    ``<recording> <path>``
``segments``   ``<utterance> <recording> <start> <stop>``, in seconds; the stop -1 is
               the recording's end
``utt2spk``    ``<utterance> <speaker>``
``rttm``       read if ``segments`` and ``utt2spk`` are absent
=============  ====================================================================

``spk2utt`` and ``reco2dur``, which are often there too, add nothing and are not read:
durations are those of the audio files.

Authors
 * The s3prl_sb developers, 2026
"""

import os

from s3prl_sb.corpora.moved import Moved
from s3prl_sb.corpora.recordings import TO_THE_END, make_records
from s3prl_sb.dataio.kaldi_folders import ENDS, SEGMENT, check_file, table
from s3prl_sb.dataio.manifest import ManifestError
from s3prl_sb.dataio.rttm import rttm_rows, seconds


def read_kaldi(folder, roots=()):
    """Reads a data folder.

    Arguments
    ---------
    folder : str
        Folder with ``wav.scp``, and ``segments`` with ``utt2spk`` or ``rttm``.
    roots : list of str
        Other folders where relative paths may start, besides ``folder``.

    Returns
    -------
    dict
        ``{recording: record}``, see :mod:`s3prl_sb.corpora.recordings`.

    Raises
    ------
    ManifestError
        With the file and the line.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     for name, line in {
    ...         "wav.scp": "a a.wav", "segments": "a-1 a 0 0.5", "utt2spk": "a-1 ann"
    ...     }.items():
    ...         _ = Path(folder, name).write_text(line)
    ...     read_kaldi(folder)["a"]["segments"]
    [['ann', 0.0, 0.5]]
    """
    folder = os.path.abspath(folder)
    rttm = os.path.join(folder, "rttm")
    if os.path.isfile(os.path.join(folder, "segments")):
        segments = _segments(folder)
    elif os.path.isfile(rttm):
        segments = [(*row[:4], f"{rttm}:{row[4]}") for row in rttm_rows(rttm)]
    else:
        raise ManifestError(
            f"{folder}: neither 'segments' nor 'rttm', so nothing says who speaks when."
        )
    audio, scp, moved = {}, os.path.join(folder, "wav.scp"), Moved([*roots, folder])
    for name, (path, place) in table(scp, "recording file", has_text=True).items():
        check_file(name, path, place)
        audio[name] = moved.find(path), place
    if not audio:
        raise ManifestError(f"{scp}: names no recording. Get a sound copy of it.")
    moved.report(scp)
    return make_records(audio, segments)


def _segments(folder):
    path = os.path.join(folder, "segments")
    speakers = table(os.path.join(folder, "utt2spk"), "utterance speaker")
    segments = []
    for utterance, (recording, start, stop, place) in table(path, SEGMENT).items():
        if utterance not in speakers:
            raise ManifestError(
                f"{place}: the utterance '{utterance}' has no speaker: "
                f"{folder}/utt2spk lacks it. Add it there."
            )
        speaker = speakers[utterance][0]
        start = seconds(start, "start", place)
        end = TO_THE_END if ENDS.fullmatch(stop) else seconds(stop, "stop", place)
        segments.append((recording, speaker, start, end, place))
    return segments
