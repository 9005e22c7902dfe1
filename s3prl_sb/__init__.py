"""Self-supervised speech models and the SUPERB benchmark on SpeechBrain."""

__version__ = "0.1.0"
