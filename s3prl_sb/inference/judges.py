"""Judges of converted speech: a recognizer for its words, a verifier for its speaker.

Any run or export of ours can judge: ASR gives error rates, ASV says whether the
converted utterance and the target speaker's are accepted as the same speaker. S3PRL's
judge of speakers is Resemblyzer, whose package brings its weights.

Authors
 * The s3prl_sb developers, 2026
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, runtime_checkable

import numpy
import torch
from torch.nn.functional import cosine_similarity

from s3prl_sb.errors import MissingExtra, UserError
from s3prl_sb.inference.loading import interface_of, load
from s3prl_sb.metrics.transcription import Edits, edits

RESEMBLYZER = "resemblyzer"
#: Thresholds of S3PRL for Resemblyzer, by the task of VCC2020.
THRESHOLDS = {1: 0.7405614256857954, 2: 0.7491883897781373}


class JudgeError(UserError, ValueError):
    """A folder that cannot judge; the message says what can."""


@runtime_checkable
class Recognizer(Protocol):
    """A model that writes down what it hears."""

    def transcribe_file(self, path: str) -> str:
        """Returns the words of an audio file."""


@runtime_checkable
class Verifier(Protocol):
    """A model that knows speakers."""

    def embed_file(self, path: str) -> torch.Tensor:
        """Returns the embedding [size] of an audio file."""


def package() -> ModuleType:
    """Returns the package resemblyzer.

    Raises
    ------
    MissingExtra
        If it is not installed.
    """
    try:
        import resemblyzer
    except ImportError as error:
        raise MissingExtra(
            f"{RESEMBLYZER} needs the package ({error}): pip install resemblyzer"
        ) from error
    return resemblyzer


class Resemblyzer:
    """Speaker embeddings of the package resemblyzer (https://arxiv.org/abs/1710.10467).

    Raises
    ------
    MissingExtra
        If it is not installed.
    """

    def __init__(self, device: str = "cpu"):
        resemblyzer = package()
        self.preprocess = resemblyzer.preprocess_wav
        self.encoder = resemblyzer.VoiceEncoder(device, verbose=False)

    def embed_file(self, path: str) -> torch.Tensor:
        """Returns the embedding [256] of an audio file."""
        embedding = self.encoder.embed_utterance(self.preprocess(Path(path)))
        return torch.from_numpy(numpy.asarray(embedding))


class WordJudge:
    """Error rates of a recognizer on converted speech.

    Arguments
    ---------
    model : Recognizer
        For example a :class:`~s3prl_sb.inference.transcriber.Transcriber`.
    """

    def __init__(self, model: Recognizer):
        self.model = model
        self.edits: dict[str, list[Edits]] = {"cer": [], "wer": []}

    def judge(self, record: Mapping[str, Any], path: str) -> dict[str, float]:
        """Judges an utterance, and adds it to the totals.

        Arguments
        ---------
        record : dict
            Record with ``text``; if this is empty, nothing is judged.
        path : str
            Audio file of the converted speech.

        Returns
        -------
        dict
            ``cer`` and ``wer`` of the utterance.
        """
        true = normalized(record.get("text") or "")
        if not true:
            return {}
        predicted = normalized(self.model.transcribe_file(path))
        words = edits(predicted.split(), true.split())
        characters = edits(predicted, true)
        self.edits["wer"].append(words)
        self.edits["cer"].append(characters)
        return {"cer": characters.rate, "wer": words.rate}

    def totals(self) -> dict[str, float]:
        """Returns ``cer`` and ``wer`` over all utterances together."""
        sums = {name: sum(each, Edits()) for name, each in self.edits.items()}
        if not sums["wer"].tokens:
            return {}
        return {name: each.rate for name, each in sums.items()}


class SpeakerJudge:
    """Share of converted utterances whose speaker is accepted as the target.

    Arguments
    ---------
    model : Verifier
        For example a :class:`~s3prl_sb.inference.verifier.SpeakerVerifier`.
    threshold : float or None
        Least cosine of the same speaker. None: Resemblyzer's of S3PRL.
    """

    def __init__(self, model: Verifier, threshold: float | None = None):
        self.model, self.threshold = model, threshold
        self.accepted: list[float] = []
        self.known: dict[str, torch.Tensor] = {}  # embeddings of targets

    def judge(self, record: Mapping[str, Any], path: str) -> dict[str, float]:
        """Judges an utterance, and adds it to the totals.

        Arguments
        ---------
        record : dict
            Record with ``target``, the target speaker's utterance, or ``enroll``;
            without either nothing is judged.
        path : str
            Audio file of the converted speech.

        Returns
        -------
        dict
            ``acceptance``, 1 or 0, and the ``speaker_cosine``.
        """
        target = record.get("target")
        references = [target] if target else record.get("enroll") or []
        if not references:
            return {}
        own = self.model.embed_file(path).double()
        mean = torch.stack([self._embedding(r) for r in references]).mean(0)
        cosine = cosine_similarity(own, mean, dim=0).item()
        threshold = self.threshold
        if threshold is None:
            threshold = THRESHOLDS[task_of(str(record.get("speaker")))]
        self.accepted.append(float(cosine >= threshold))
        return {"acceptance": self.accepted[-1], "speaker_cosine": cosine}

    def totals(self) -> dict[str, float]:
        """Returns the ``acceptance`` over all utterances."""
        if not self.accepted:
            return {}
        return {"acceptance": sum(self.accepted) / len(self.accepted)}

    def _embedding(self, path):
        if path not in self.known:
            self.known[path] = self.model.embed_file(path).double().cpu()
        return self.known[path]


class Judges:
    """Judges of converted speech, which are loaded when the first utterance comes.

    What they are is checked at once: the first utterance comes after a training.

    Arguments
    ---------
    asr : str, optional
        Folder of a run or an export of ASR.
    asv : str, optional
        Folder of a run or an export of ASV, or "resemblyzer".
    asv_threshold : float, optional
        Least cosine of the same speaker. Default: that of the equal error rate in the
        validation of the run, and S3PRL's of Resemblyzer.
    trust : bool
        Whether code that comes with the folders may run.
    device : str
        Device of the models.

    Raises
    ------
    JudgeError
        If a folder does not exist, or holds something else.
    MissingExtra
        If Resemblyzer is not installed.
    s3prl_sb.inference.finished.ExportError
        If the run of a folder is not finished.

    Note
    ----
    S3PRL recognizes with ``facebook/wav2vec2-large-960h-lv60-self``, and compares texts
    in capitals without punctuation; the latter is done here too. Error rates depend on
    the recognizer: compare those of one only.
    """

    def __init__(
        self,
        asr: str | None = None,
        asv: str | None = None,
        asv_threshold: float | None = None,
        trust: bool = False,
        device: str = "cpu",
    ):
        self.asr, self.asv, self.asv_threshold = asr, asv, asv_threshold
        self.trust, self.device = trust, device
        self.judges: list[WordJudge | SpeakerJudge] | None = None
        for key, folder, kind in (("asr", asr, Recognizer), ("asv", asv, Verifier)):
            if key == "asv" and folder == RESEMBLYZER:
                package()
            elif folder:
                self._check(key, folder, kind)

    def __bool__(self) -> bool:
        return bool(self.asr or self.asv)

    def judge(self, record: Mapping[str, Any], path: str | Path) -> dict[str, float]:
        """Judges an utterance, and adds it to the totals.

        Arguments
        ---------
        record : dict
            Record of voice conversion: ``text``, ``target``, ``speaker``, ``enroll``.
        path : str
            Audio file of the converted speech.

        Returns
        -------
        dict
            ``cer``, ``wer``, ``acceptance`` and ``speaker_cosine`` of the utterance, as
            far as there are judges and references.
        """
        values: dict[str, float] = {}
        for judge in self._loaded():
            values |= judge.judge(record, str(path))
        return values

    def totals(self) -> dict[str, float]:
        """Returns ``cer``, ``wer`` and ``acceptance`` of all utterances judged so far,
        as far as there are any."""
        values: dict[str, float] = {}
        for judge in self.judges or ():
            values |= judge.totals()
        return values

    def edits(self) -> dict[str, list[Edits]]:
        """Returns "cer" and "wer" to the edits of each utterance whose words were
        judged, in this order; empty without a judge of words."""
        for judge in self.judges or ():
            if isinstance(judge, WordJudge):
                return judge.edits
        return {}

    def _loaded(self):
        if self.judges is None:
            self.judges = []
            if self.asr:
                self.judges.append(WordJudge(self._model(self.asr)))
            if self.asv == RESEMBLYZER:
                model = Resemblyzer(self.device)
                self.judges.append(SpeakerJudge(model, self.asv_threshold))
            elif self.asv:
                verifier = self._model(self.asv)
                threshold = self.asv_threshold
                if threshold is None:
                    threshold = verifier.hparams.threshold
                self.judges.append(SpeakerJudge(verifier, threshold))
        return self.judges

    def _model(self, folder):
        return load(folder, self.trust, run_opts={"device": self.device})

    @staticmethod
    def _check(key, folder, kind):
        """Checks that a folder holds a judge, without loading it."""
        fault = "is no folder"
        if Path(folder).is_dir():
            made = interface_of(folder)
            if issubclass(made, kind):
                return
            fault = f"holds a {made.__name__}"
        raise JudgeError(
            f"{key}: '{folder}' {fault}. Give the folder of a finished run of "
            f"{key.upper()}, or of its export."
        )


def task_of(speaker: str) -> int:
    """Returns the task of VCC2020 of a target speaker; 1 for others.

    Example
    -------
    >>> task_of("TEF1"), task_of("TGM1"), task_of("ann")
    (1, 2, 1)
    """
    return 2 if speaker[:2] in ("TF", "TG", "TM") and len(speaker) == 4 else 1


def normalized(text: str) -> str:
    """Returns a text in capitals, without punctuation, with single spaces.

    Example
    -------
    >>> normalized(" We're here -- really. ")
    'WERE HERE REALLY'
    """
    kept = (c for c in text.upper() if not unicodedata.category(c).startswith("P"))
    return " ".join("".join(kept).split())
