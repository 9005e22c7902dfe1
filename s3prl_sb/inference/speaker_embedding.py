"""Speaker embeddings by name, for conversion to any speaker.

=================  ================================================================
``upstream``       mean over frames and layers of the hidden states of an upstream
``resemblyzer``    the package of that name, whose embeddings S3PRL takes
a folder           of a finished run of ASV, or of its export
=================  ================================================================

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from speechbrain.utils.distributed import ddp_barrier, if_main_process

from s3prl_sb.audio.loading import load_waveform
from s3prl_sb.dataio.enrolled_speakers import check_enrolled
from s3prl_sb.identity import digest
from s3prl_sb.identity.upstreams import first_identity
from s3prl_sb.inference.judges import RESEMBLYZER, JudgeError, Resemblyzer, Verifier
from s3prl_sb.inference.loading import interface_of, load
from s3prl_sb.lobes.upstreams.base import Upstream
from s3prl_sb.storage.files import FileError
from s3prl_sb.storage.parts import Part
from s3prl_sb.storage.tensor_files import (
    read_metadata,
    read_safetensors,
    write_safetensors,
)

logger = logging.getLogger(__name__)

UPSTREAM = "upstream"
FILE = "speaker_embeddings.safetensors"  # in save_folder


class MeanFeatures:
    """Mean over frames and layers of the hidden states of an upstream.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        The upstream.

    Example
    -------
    >>> from s3prl_sb.lobes.upstreams import load
    >>> MeanFeatures(load("fbank_no_cmvn")).embed(torch.randn(16000)).shape
    torch.Size([240])
    """

    def __init__(self, upstream: Upstream):
        self.upstream = upstream

    def embed_file(self, path: str) -> torch.Tensor:
        """Returns the embedding [output_size] of an audio file."""
        rate = self.upstream.sample_rate
        return self.embed(load_waveform(str(path), str(path), sample_rate=rate))

    def embed(self, wav: torch.Tensor) -> torch.Tensor:
        """Returns the embedding [output_size] of a waveform [samples]."""
        with torch.no_grad():  # on the device of the upstream
            states = self.upstream.extract([wav])["hidden_states"]
        return torch.stack([state[0].float().mean(0) for state in states]).mean(0).cpu()


def embedder_of(
    name: str, upstream: Upstream, device: str | torch.device = "cpu"
) -> Verifier:
    """Returns what embeds speakers.

    Arguments
    ---------
    name : str
        One of the names above.
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Upstream of the name ``upstream``, which stays on its device.
    device : str
        Device of other models.

    Returns
    -------
    Verifier
        It has ``embed_file(path)``.

    Raises
    ------
    JudgeError
        If a folder is missing, or holds something else.
    """
    if name == UPSTREAM:
        return MeanFeatures(upstream)
    if name == RESEMBLYZER:
        return Resemblyzer(str(device))
    if not (Path(name).is_dir() and issubclass(interface_of(name), Verifier)):
        raise JudgeError(
            f"speaker_embedding: '{name}' is no folder of a run or an export of ASV. "
            f"Give one, or {UPSTREAM}, or {RESEMBLYZER}."
        )
    return load(name, run_opts={"device": str(device)})


def embedded(embedder: Verifier, paths: Iterable[str]) -> dict[str, torch.Tensor]:
    """Returns the embeddings of audio files, [size] each, float32, by their names."""
    paths = dict.fromkeys(paths)
    return {path: embedder.embed_file(path).float().cpu().flatten() for path in paths}


def enrolled(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the names of all enrolled files of some records."""
    return sorted({path for record in records for path in record.get("enroll") or ()})


def speaker_embeddings(
    records: Mapping[str, Mapping[str, Mapping[str, Any]]],
    hparams: dict[str, Any],
    run_opts: Mapping[str, Any],
) -> dict[str, torch.Tensor]:
    """Returns the embeddings of all enrolled files of a recipe.

    Arguments
    ---------
    records : dict
        Names of sets to ``{id: record}`` with ``enroll``.
    hparams : dict
        ``speaker_embedding``, ``upstream_model``, and ``save_folder``, which keeps the
        embeddings for the next start of the run.
    run_opts : dict
        SpeechBrain's options, with ``device``.

    Returns
    -------
    dict
        Names of files to embeddings, [size] each.

    Raises
    ------
    ManifestError
        If an utterance has no target speaker.
    JudgeError
        For the features of an upstream that is trained: those of its first weights
        would be embeddings in training, and those of its last ones in inference.
    """
    for each in records.values():
        check_enrolled(each)
    name, upstream = hparams["speaker_embedding"], hparams["upstream_model"]
    if name == UPSTREAM and not upstream.freeze:
        raise JudgeError(
            f"speaker_embedding: {UPSTREAM} needs freeze: True, since the features of "
            f"an upstream that is trained change. Take {RESEMBLYZER}, or the folder of "
            "a run or an export of ASV."
        )
    paths = enrolled(record for each in records.values() for record in each.values())
    identity = first_identity(upstream) if name == UPSTREAM else name
    key, file = digest([identity, paths]), Path(hparams["save_folder"]) / FILE
    if if_main_process() and not _has(file, key):
        logger.info("Speaker embeddings (%s) of %d files", name, len(paths))
        device = (run_opts or {}).get("device") or "cpu"
        table = embedded(embedder_of(name, upstream.to(device), device), paths)
        with Part(file) as part:
            tensors = {"embeddings": torch.stack([table[path] for path in paths])}
            write_safetensors(part.path, tensors, {"of": key})
            part.publish()
    ddp_barrier()
    return dict(zip(paths, read_safetensors(file)["embeddings"]))


def _has(file, key):
    """Returns whether a file has the embeddings of a key."""
    try:
        return read_metadata(file).get("of") == key
    except FileError:
        return False  # there are none yet
