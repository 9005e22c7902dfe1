"""Recordings of a folder that pipes mix into waveforms: noise, impulse responses.

Authors
 * The s3prl_sb developers, 2026
"""

import functools
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from s3prl_sb.audio.audio_names import only_audio
from s3prl_sb.dataio.audio import AudioFileError, LoadAudio


def recordings_in(folder: str | Path, kind: str) -> list[str]:
    """Returns the audio files of a folder, searched recursively.

    Links to folders are followed, but no folder is searched twice. Names that begin
    with a dot are left out, as are all files in such a folder.

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
    # `only_audio` counts what it leaves out.
    paths = sorted(_below(Path(folder).expanduser().absolute()))
    files = [str(path) for path in only_audio(paths, folder)]
    if not files:
        raise ValueError(f"no {kind} under '{folder}'")
    return files


def _below(folder: Path) -> Iterator[Path]:
    """Yields the files below a folder: first those that need no link."""
    visited, links = set(), [folder]
    while links:
        links.sort(reverse=True)
        for place, folders, names in os.walk(links.pop()):
            real = os.path.realpath(place)
            folders[:] = sorted(n for n in folders if not n.startswith("."))
            if real in visited:
                folders.clear()
                continue
            visited.add(real)
            paths = [Path(place, name) for name in folders]
            links += [path for path in paths if path.is_symlink()]
            yield from (Path(place, n) for n in names if not n.startswith("."))


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
