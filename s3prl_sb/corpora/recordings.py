"""Manifest of a diarization corpus: recordings with several speakers.

A record is a whole recording: ``wav``, ``duration`` (seconds, of the audio file),
``speakers`` (sorted), ``segments`` ([[speaker, start, stop], …], in seconds, sorted by
start) and ``regions``: [[start, stop], …] that are annotated and scored, or null for
the whole recording.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.audio import headers
from s3prl_sb.dataio.manifest import ManifestError

TO_THE_END = -1.0  # Kaldi's stop for the end of the recording
TOLERANCE = 0.1  # seconds that an annotation may exceed the audio
IN_RTTM = ("recording", "record_id", "speaker")  # names in RTTM files


def check_speech(splits, sources, label="speaker"):
    """Checks that each set has speech, or other labels in time, which training and
    error rates need.

    Arguments
    ---------
    splits : dict
        ``{split: {recording: record}}``.
    sources : dict
        ``{split: file}``, for the error message.
    label : str
        Noun for the labels, for the error message.

    Raises
    ------
    ManifestError
        With the set and its file.

    Example
    -------
    >>> record = {"segments": [["ann", 0.5, 2.0]], "regions": [[1.0, 3.0]]}
    >>> check_speech({"test": {"a": record}}, {"test": "test.rttm"})
    """
    for split, records in splits.items():
        if not any(map(_has_speech, records.values())):
            nothing = "nobody speaks" if label == "speaker" else f"there is no {label}"
            raise ManifestError(
                f"{sources[split]}: {nothing} in any of the {len(records)} recordings "
                f"of the {split} set. Nothing could be learned or measured: add "
                "segments."
            )


def _has_speech(record):
    spans, segments = record["regions"], record["segments"]
    if spans is None:
        return bool(segments)
    return any(start < b and stop > a for _, start, stop in segments for a, b in spans)


def make_records(audio, segments, regions=None, label="speaker"):
    """Combines audio and annotation, and checks that they fit.

    Arguments
    ---------
    audio : dict
        ``{recording: (path, place)}``; ``place`` ("file:line") is for errors.
    segments : list
        (recording, speaker, start, stop, place); the stop may be ``TO_THE_END``. A
        segment of a recording that is not in ``audio`` is an error, and so is one
        beyond the audio if a region has it. A recording without segments is silent.
    regions : dict, optional
        ``{recording: [(start, stop), ...]}``; it may have more recordings.
    label : str
        Noun for the labels of the segments, for errors.

    Returns
    -------
    dict
        ``{recording: record}``.

    Raises
    ------
    ManifestError
        With the place.

    Example
    -------
    >>> import tempfile, numpy, soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     soundfile.write(folder + "/a.wav", numpy.zeros(16000), 16000)
    ...     audio = {"a": (folder + "/a.wav", "wav.scp:1")}
    ...     record = make_records(audio, [("a", "ann", 0.1, 0.9, "segments:1")])["a"]
    >>> record["duration"], record["segments"], record["speakers"], record["regions"]
    (1.0, [['ann', 0.1, 0.9]], ['ann'], None)
    """
    paths, places = [path for path, _ in audio.values()], [p for _, p in audio.values()]
    records = {}
    for name, length in zip(audio, headers.durations(paths, places)):
        spans = None if regions is None else regions.get(name)
        records[name] = {
            "wav": audio[name][0],
            "duration": length,
            "start": None,
            "stop": None,
            "segments": [],
            "regions": spans and [[a, min(b, length)] for a, b in spans if a < length],
        }
    noun = "recording" if label == "speaker" else "the name"
    for name, (_, place) in audio.items():
        check_name(name, noun, place)
    for name, speaker, start, stop, place in segments:
        check_name(speaker, label, place)
        if name not in records:
            raise ManifestError(
                f"{place}: a segment of '{name}', which has no audio. Add the file, or "
                "drop the line."
            )
        length = records[name]["duration"]
        stop = length if stop == TO_THE_END else stop
        if not 0 <= start <= stop:
            raise ManifestError(
                f"{place}: '{name}': a segment from {start} to {stop} s. Times are in "
                "seconds, 0 <= start <= stop."
            )
        # Outside the regions anything may be annotated: a meeting of AMI has such words
        spans = None if regions is None else regions.get(name)
        last = stop if spans is None else max((b for _, b in spans), default=0.0)
        counted = min(stop, last)
        if counted > length + TOLERANCE:
            raise ManifestError(
                f"{place}: '{name}': a segment until {stop} s, but {audio[name][0]} "
                f"has {length:.3f} s. Is it another version of the corpus?"
            )
        if start < min(stop, length):
            records[name]["segments"].append([speaker, start, min(stop, length)])
    for record in records.values():
        record["segments"].sort(key=lambda s: (s[1], s[2], s[0]))
        record["speakers"] = sorted({speaker for speaker, _, _ in record["segments"]})
    return records


def check_name(name, what, place):
    """Checks that a name fits into the files that a run writes at its end.

    Names of recordings and speakers go into RTTM files, which cannot hold spaces. Other
    labels, such as those of sounds, and the names of their recordings may have single
    spaces between words.

    Arguments
    ---------
    name : str
        The name.
    what : str
        Noun for it: "recording", "speaker", or one for other labels.
    place : str
        "file:line", for the error.

    Raises
    ------
    ManifestError
        With the place.

    Example
    -------
    >>> check_name("dog barks", "label", "a.csv:2")
    >>> check_name("dog  barks", "label", "a.csv:2")
    Traceback (most recent call last):
    ...
    s3prl_sb.errors.ManifestError: a.csv:2: label 'dog  barks' has a line break, a tab …
    """
    if what in IN_RTTM:
        if name.split() != [name]:
            raise ManifestError(
                f"{place}: {what} {name!r} has a space or a line break, which RTTM "
                "files cannot hold. Rename it."
            )
    elif " ".join(name.split()) != name or not name:
        raise ManifestError(
            f"{place}: {what} {name!r} has a line break, a tab or a space that is not "
            "between two words. Rename it."
        )
