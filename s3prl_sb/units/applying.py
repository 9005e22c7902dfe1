"""Applies units: the codes of every utterance of a corpus, as an index.

Authors
 * The s3prl_sb developers, 2026
"""

import hashlib
import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import torch

from s3prl_sb.audio.waveforms import AudioError
from s3prl_sb.lobes.pretext.class_counts import perplexity
from s3prl_sb.storage.files import write_json
from s3prl_sb.storage.locks import Lock
from s3prl_sb.storage.parts import Part
from s3prl_sb.terminal import progress
from s3prl_sb.units import index
from s3prl_sb.units.errors import UnitsError
from s3prl_sb.units.fitting import LOCK
from s3prl_sb.units.frames import BAR, features
from s3prl_sb.units.growing import PROGRESS, GrowingFiles, check_plan
from s3prl_sb.units.index import UnitsIndex
from s3prl_sb.units.model import UnitsModel
from s3prl_sb.units.speech import Speech, Unreadable, waveforms

if TYPE_CHECKING:
    from s3prl_sb.lobes.upstreams.base import Upstream

logger = logging.getLogger(__name__)

LENGTHS, NAME_LENGTHS = "lengths.i64", "name_lengths.i64"  # until the end
TEXT = "units.txt"
PIECE = 1 << 20  # codes that are hashed and counted together
FEW = 2.0  # perplexity of units below which a warning appears


def apply(
    model: UnitsModel,
    upstream: "Upstream",
    speech: Speech,
    folder: str | os.PathLike,
    device: str = "cpu",
    text: bool = False,
    progressbar: bool = True,
) -> UnitsIndex:
    """Computes the codes of utterances, or the rest after an interruption.

    Arguments
    ---------
    model : UnitsModel
        Result of :func:`~s3prl_sb.units.fitting.fit`.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream that it was fitted on, frozen.
    speech : Speech
        Utterances. Those that cannot be read are left out, up to a share of them.
    folder : str
        Folder to make or complete. A finished index of the same model and list is
        opened.
    device : str
        Device of the upstream.
    text : bool
        Whether to write ``units.txt`` too: lines of a name, a tab, and codes.
    progressbar : bool
        Whether to show progress.

    Returns
    -------
    UnitsIndex

    Raises
    ------
    UnitsError
        For another upstream than the model's, a folder with something else, too many
        unreadable utterances, or fewer than two distinct units.
    """
    folder = Path(folder)
    if not len(speech):
        raise UnitsError("There are no utterances to apply units to.")
    plan = {"model": model.digest, "speech": speech.digest}
    with Lock(folder / LOCK):  # another process may be making the same
        if (folder / index.DESCRIPTION).exists():
            made = UnitsIndex(folder)
            check_plan(folder, made.about["plan"], plan)
        else:
            model.check_upstream(upstream)
            _check_names(speech)
            upstream.to(device)
            _compute(model, upstream, speech, folder, plan, device, progressbar)
            _finish(model, folder, plan)
            made = UnitsIndex(folder)
            (folder / PROGRESS).unlink()
            if made.about["perplexity"] < FEW:
                logger.warning(
                    "Almost all frames have the same unit: the perplexity is %.2f",
                    made.about["perplexity"],
                )
        if text and not (folder / TEXT).exists():
            write_text(made, folder / TEXT)
    return made


def write_text(made: UnitsIndex, path: Path) -> None:
    """Writes the codes of an index as text.

    Arguments
    ---------
    made : UnitsIndex
        The index.
    path : Path
        File to write atomically: a line has a name, a tab, and codes.
    """
    with Part(path) as part:
        with open(part.path, "w", encoding="utf-8", newline="\n") as file:
            for name, codes in made.items():
                if not name.isprintable():
                    raise UnitsError(
                        f"{name!r} cannot be written to a text. Rename the utterance, "
                        "or leave out --text."
                    )
                file.write(f"{name}\t{' '.join(map(str, codes))}\n")
        part.publish()


def _check_names(speech):
    """Raises an error if two utterances, of lists that were joined, have one name."""
    seen = set()
    for name in speech.names():
        if name in seen:
            raise UnitsError(
                f"Two utterances are called '{name}', and units are found by name. "
                "Rename a folder, or give the folder above both."
            )
        seen.add(name)


def _compute(model, upstream, speech, folder, plan, device, progressbar):
    codes = index.CODES.format(_kind(model))
    files = {codes: index.DTYPES[_kind(model)], LENGTHS: "int64"}
    files |= {index.NAMES: "uint8", NAME_LENGTHS: "int64"}
    seconds = numpy.array([speech.seconds(row) for row in range(len(speech))])
    with GrowingFiles(folder, files, plan) as grown:
        done = grown.position
        failed = grown.facts.get("failed", 0)
        unreadable = Unreadable(len(speech), speech.unreadable_share, failed)
        bar = progress.bar(
            desc="Computing units",
            total=math.ceil(seconds.sum()),
            initial=float(seconds[:done].sum()),
            unit="s of audio",
            bar_format=BAR,
            disable=not progressbar,
        )
        rows = range(done, len(speech))
        with bar:
            for row, wav in waveforms(speech, rows, upstream.sample_rate, unreadable):
                if wav is not None:
                    try:
                        frames = features(upstream, model.about["layer"], wav, device)
                    except AudioError as error:
                        unreadable.skip(speech.name(row), error)
                    else:
                        units = model.codes(frames)
                        name = speech.name(row).encode("utf-8", "surrogatepass")
                        grown.append(codes, units)
                        grown.append(LENGTHS, [len(units)])
                        grown.append(index.NAMES, numpy.frombuffer(name, "uint8"))
                        grown.append(NAME_LENGTHS, [len(name)])
                if grown.is_due() or row + 1 == len(speech):
                    grown.commit(row + 1, failed=unreadable.failed)
                bar.update(seconds[row])


def _finish(model, folder, plan):
    """Writes the tables over the files that have grown, and the description last."""
    offsets = {}
    for lengths, name in ((LENGTHS, index.OFFSETS), (NAME_LENGTHS, index.NAME_OFFSETS)):
        lengths = index.mapped(folder / lengths, "int64")
        offsets[name] = numpy.concatenate([[0], numpy.cumsum(lengths)]).astype("int64")
        _write(folder / name, offsets[name])
    names = index.mapped(folder / index.NAMES, "uint8")
    limits = offsets[index.NAME_OFFSETS]
    hashes = numpy.array(
        [
            index.name_hash(
                names[start:stop].tobytes().decode("utf-8", "surrogatepass")
            )
            for start, stop in zip(limits[:-1], limits[1:])
        ],
        dtype=numpy.uint64,
    )
    rows = numpy.argsort(hashes, kind="stable")
    _write(folder / index.HASHES, hashes[rows])
    _write(folder / index.ROWS, rows.astype("int64"))
    counts, content = _counted(model, folder, names, offsets)
    about = {
        key: model.about[key] for key in ("upstream", "layer", "stride", "sample_rate")
    }
    about |= {
        "classes": model.classes,
        "utterances": len(rows),
        "units": int(counts.sum()),
        "used": int((counts > 0).sum()),
        "perplexity": perplexity(torch.from_numpy(counts)),
        "dtype": _kind(model),
        "plan": plan,
        "digest": content,
    }
    if about["used"] < 2:
        raise UnitsError(
            f"Only {about['used']} of {model.classes} units occur in this audio, so "
            "nothing can be learned from them. Fit units on audio like this one, or on "
            "another layer."
        )
    write_json(folder / index.DESCRIPTION, about, signed=True)
    for name in (LENGTHS, NAME_LENGTHS):
        (folder / name).unlink(missing_ok=True)


def _counted(model, folder, names, offsets):
    """Returns how often each unit occurs, and the hash of the whole content."""
    kind = _kind(model)
    codes = index.mapped(folder / index.CODES.format(kind), index.DTYPES[kind])
    counts = numpy.zeros(model.classes, dtype=numpy.int64)
    content = hashlib.sha256(model.digest.encode())
    for array in (names, *offsets.values()):
        content.update(numpy.ascontiguousarray(array).data)
    for start in range(0, len(codes), PIECE):
        piece = numpy.ascontiguousarray(codes[start : start + PIECE])
        counts += numpy.bincount(piece, minlength=model.classes)
        content.update(piece.data)
    return counts, content.hexdigest()


def _kind(model):
    return "u16" if model.classes <= 1 << 16 else "u32"


def _write(path, array):
    with Part(path) as part:
        array.tofile(part.path)
        part.publish()
