"""Recordings of a folder that pipes mix into waveforms: noise, impulse responses.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import itertools
from pathlib import Path

import torch

from s3prl_sb.audio.audio_names import is_audio, only_audio
from s3prl_sb.dataio.audio import AudioFileError, LoadAudio


def recordings_in(folder: str | Path, kind: str) -> list[str]:
    """Returns the audio files of a folder, searched recursively.

    Arguments
    ---------
    folder : str
        Folder of recordings.
    kind : str
        Kind of recordings, for the error.

    Returns
    -------
    list of str
        Sorted absolute paths, so that they count by content in an identity.

    Raises
    ------
    ValueError
        If there are none.
    """
    there = Path(folder).expanduser().absolute().rglob("[!.]*")
    # `only_audio` counts what it leaves out, and a folder is no file.
    paths = sorted(path for path in there if is_audio(path) or not path.is_dir())
    files = [str(path) for path in only_audio(paths, folder)]
    if not files:
        raise ValueError(f"no {kind} under '{folder}'")
    return files


def random_recording(
    files: list[str], loader: LoadAudio, generator: torch.Generator
) -> torch.Tensor:
    """Loads one of several recordings, or the next one that is not silent.

    The last ones stay in memory.

    Arguments
    ---------
    files : list of str
        Paths of the recordings.
    loader : s3prl_sb.dataio.audio.LoadAudio
        Pipe that loads them.
    generator : torch.Generator
        Generator of the choice.

    Returns
    -------
    torch.Tensor
        [samples].

    Raises
    ------
    AudioFileError
        If all recordings are silent.
    """
    first = int(torch.randint(len(files), (1,), generator=generator))
    for path in itertools.chain(files[first:], files[:first]):
        recording = _loaded(loader, path)
        if recording.any():
            return recording
    folder = Path(files[0]).parent
    raise AudioFileError(f"'{folder}' has only silent recordings: give another folder.")


@functools.lru_cache(maxsize=16)
def _loaded(loader, path):
    return loader.load(f"recording {path}", path)
