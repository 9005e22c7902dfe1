"""Scenes with exact truth, mixed from speech and sounds.

- :mod:`~s3prl_sb.corpora.mixing.settings`: the numbers that define a mix;
- :mod:`~s3prl_sb.corpora.mixing.speech` and :mod:`~s3prl_sb.corpora.mixing.sounds`:
  sources in files; :mod:`~s3prl_sb.corpora.mixing.toy_speech` and
  :mod:`~s3prl_sb.corpora.mixing.toy_sounds`: synthetic ones;
- :mod:`~s3prl_sb.corpora.mixing.layout`: what sounds when;
- :mod:`~s3prl_sb.corpora.mixing.rendering`: the waveforms and the truth of a scene;
- :mod:`~s3prl_sb.corpora.mixing.folder`: a folder of scenes, resumable.

Authors
 * The s3prl_sb developers, 2026
"""
