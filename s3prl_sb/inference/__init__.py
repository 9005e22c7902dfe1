"""Export, loading and use of trained experiments.

An export is a folder with weights and a ``hyperparams.yaml``::

    from s3prl_sb.inference import load
    label, score = load("exported").classify_file("a.wav")

The class that :func:`load` returns depends on the task:

===============  ===========================================================
KS, SID, ER      :class:`~s3prl_sb.inference.classifier.Classifier`
HEAR/scene       the same, or :class:`~s3prl_sb.inference.tagger.Tagger`
IC               :class:`~s3prl_sb.inference.intents.IntentClassifier`
PR, ASR          :class:`~s3prl_sb.inference.transcriber.Transcriber`
ST               :class:`~s3prl_sb.inference.translator.Translator`
SF               :class:`~s3prl_sb.inference.slot_filler.SlotFiller`
ASV              :class:`~s3prl_sb.inference.verifier.SpeakerVerifier`
SD               :class:`~s3prl_sb.inference.diarizer.Diarizer`
SE               :class:`~s3prl_sb.inference.separator.Enhancer`
SS               :class:`~s3prl_sb.inference.separator.Separator`
VC               :class:`~s3prl_sb.inference.converter.Converter`
QbE              :class:`~s3prl_sb.inference.searcher.Searcher`
recognition      :class:`~s3prl_sb.inference.recognizer.Recognizer`
===============  ===========================================================

The method ``from_hparams`` of these classes loads it too. Its YAML is data: code that
comes with it is refused until it is trusted, see :mod:`s3prl_sb.foreign.trust`.
SpeechBrain's own loaders accept it as well, but run everything that it names.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.classifier import Classifier
from s3prl_sb.inference.exporting import ExportError, export
from s3prl_sb.inference.loading import load

__all__ = ["Classifier", "ExportError", "export", "load"]
