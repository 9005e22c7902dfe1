"""Audio examples of a run: waveforms, their spectrograms, and a page to listen to them.

========================  =======================================================
``examples/*.wav``        ``<utterance>_<kind>.wav``, at the level of the test set
``examples/*.png``        spectrograms of an utterance, all kinds on one scale
``examples.html``         a table with players and pictures; it needs the folder
``examples/index.json``   list of the examples, in order
========================  =======================================================

TensorBoard gets the same waveforms and pictures at the end of the run.

Authors
 * The s3prl_sb developers, 2026
"""

import html
import logging
from pathlib import Path
from urllib.parse import quote

from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.brains.spectrogram_plot import spectrograms
from s3prl_sb.errors import UserError, printable
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.files import FileError, read_json, write_json, write_text

logger = logging.getLogger(__name__)

# No number of a run depends on its examples.
COMPUTES = False

FOLDER, PAGE, INDEX = "examples", "examples.html", "index.json"

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Audio examples</title><style>
body { margin: 16px auto; max-width: 1200px; font: 15px sans-serif; background: #fff }
section { border-top: 1px solid #ccc; margin-top: 16px }
figure { display: inline-block; margin: 8px 16px 8px 0 }
figcaption { font-size: 13px }
img { max-width: 100% }
</style></head><body><h1>Audio examples</h1>
"""


def write(folder, name, waveforms, rate):
    """Writes the waveforms of an utterance, and adds them to the page.

    An utterance that is written again replaces the earlier one. A waveform that is not
    finite is left out, with a warning. Without matplotlib there is no picture.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of the run.
    name : str
        Id of the utterance.
    waveforms : dict
        Kinds, such as "mixture", "estimate_1" and "clean_1", to [samples].
    rate : int
        Hz.

    Example
    -------
    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(folder, "ann/1", {"mixture": torch.zeros(800)}, 16000)
    ...     [tag for tag, _ in sounds(folder)]
    ['ann/1/mixture']
    """
    place, stem, files = Path(folder) / FOLDER, file_stem(name), {}
    for kind, samples in waveforms.items():
        file = f"{stem}_{kind}.wav"
        try:
            write_waveform(place / file, samples, rate, name=f"{kind} of '{name}'")
        except FileError:
            raise
        except UserError as error:
            logger.warning("No audio example: %s", error)
            continue
        files[kind] = file
    if not files:
        return
    picture = place / f"{stem}.png"
    written = {kind: waveforms[kind] for kind in files}
    spectrograms(picture, written, rate, f"{name} · dB, one scale")
    entry = {"name": name, "files": files, "picture": None}
    if picture.exists():
        entry["picture"] = picture.name
    entries = [other for other in _entries(folder) if other["name"] != name]
    write_json(place / INDEX, {"examples": [*entries, entry]})
    write_text(Path(folder) / PAGE, page([*entries, entry]))


def sounds(folder):
    """Returns the waveforms of a run.

    Arguments
    ---------
    folder : str or pathlib.Path
        Folder of the run.

    Returns
    -------
    list of (str, pathlib.Path)
        ``<utterance>/<kind>`` and the file; empty without examples.
    """
    place = Path(folder) / FOLDER
    return [
        (f"{entry['name']}/{kind}", place / file)
        for entry in _entries(folder)
        for kind, file in entry["files"].items()
    ]


def pictures(folder):
    """Returns the paths of the spectrograms of a run."""
    return sorted((Path(folder) / FOLDER).glob("*.png"))


def _entries(folder):
    """Returns the examples that have been written so far."""
    path = Path(folder) / FOLDER / INDEX
    return read_json(path, kind=dict)["examples"] if path.is_file() else []


def page(entries):
    """Returns the page with the players.

    Arguments
    ---------
    entries : list of dict
        ``name`` of an utterance, its ``files`` by kind, and its ``picture`` or None.

    Returns
    -------
    str
        HTML; audio and pictures are in the folder ``examples`` beside it.
    """
    parts = [HEAD]
    for entry in entries:
        parts.append(f"<section><h2>{_text(entry['name'])}</h2>\n")
        for kind, file in entry["files"].items():
            caption = _text(kind.replace("_", " "))
            player = f'<audio controls preload="none" src="{_link(file)}"></audio>'
            parts.append(
                f"<figure><figcaption>{caption}</figcaption>{player}</figure>\n"
            )
        if entry["picture"]:
            parts.append(f'<div><img alt="" src="{_link(entry["picture"])}"></div>\n')
        parts.append("</section>\n")
    return "".join([*parts, "</body></html>\n"])


def _text(text):
    return html.escape(printable(text))


def _link(file):
    return html.escape(quote(f"{FOLDER}/{file}", errors="surrogateescape"))
