"""Use a trained experiment: export it, load it, predict.

An export is a folder of weights and of a ``hyperparams.yaml``::

    from s3prl_sb.inference import load
    label, score = load("exported").classify_file("a.wav")

What :func:`load` gives depends on the task:

===============  ===========================================================
KS, SID, ER      :class:`~s3prl_sb.inference.classifier.Classifier`
IC               :class:`~s3prl_sb.inference.intents.IntentClassifier`
PR, ASR          :class:`~s3prl_sb.inference.transcriber.Transcriber`
SF               :class:`~s3prl_sb.inference.slot_filler.SlotFiller`
ASV              :class:`~s3prl_sb.inference.verifier.SpeakerVerifier`
SD               :class:`~s3prl_sb.inference.diarizer.Diarizer`
QbE              :class:`~s3prl_sb.inference.searcher.Searcher`
===============  ===========================================================

These classes' ``from_hparams`` loads it too. Its YAML is data: what would run code
of its own is refused until it is trusted, see :mod:`s3prl_sb.foreign.trust`.
SpeechBrain's own loaders take it as well, but run whatever it says, as they do
everywhere.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.inference.classifier import Classifier
from s3prl_sb.inference.exporting import ExportError, export
from s3prl_sb.inference.loading import load

__all__ = ["Classifier", "ExportError", "export", "load"]
