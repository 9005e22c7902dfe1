"""Files of an evaluated recognizer: predictions, timelines, cross-effects.

Authors
 * The s3prl_sb developers, 2026
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3prl_sb.brains import plots
from s3prl_sb.brains.cross_effect_plot import cross_effect_plot
from s3prl_sb.brains.recognition_scores import ERRORS, SceneScores
from s3prl_sb.brains.timeline_plot import scene_timeline
from s3prl_sb.dataio.timeline import ENDINGS, FORMATS, items_of
from s3prl_sb.metrics.cross_effects import cross_effects
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.file_names import file_stem
from s3prl_sb.storage.files import write_json, write_text

if TYPE_CHECKING:
    from s3prl_sb.brains.recognition import RecognitionBrain

TIMELINES = 4  # number of plotted scenes
COLUMNS = ("der", "cpwer", "tcpwer", "segment_f1", "onset_f1", "event_f1")


def write(brain: "RecognitionBrain") -> None:
    """Writes the files of a tested Brain into its ``output_folder``.

    * ``predictions.csv``: the measures of each scene;
    * ``counts.json``: numerator and denominator of each measure of each scene, also of
      the twins that ``measures.json`` is not of;
    * ``hyp.jsonl`` and ``ref.jsonl``, whole timelines; ``.rttm``, ``.seglst.json`` and
      ``.tsv``, their speakers, words and events;
    * ``timelines``: pictures of the worst scenes;
    * with matched twins, ``cross_effects.json`` and ``cross_effects.png``.

    Arguments
    ---------
    brain : RecognitionBrain
        Brain with ``seen`` and ``timelines``.
    """
    folder = Path(brain.hparams.output_folder)
    labels = brain.decisions.event_labels
    scores = SceneScores(brain.seen, brain.timelines, labels, brain.kinds)
    names = sorted(brain.seen)
    rates = {name: scores.rates(name) for name in names}
    header = ["id", "duration", "speakers", "twin", *COLUMNS]
    rows = [_row(name, brain.seen[name], rates[name]) for name in names]
    write_csv(folder / "predictions.csv", header, rows)
    counts = scores.counts()
    write_json(folder / "counts.json", counts)
    timelines = {
        "hyp": {name: brain.timelines[name] for name in names},
        "ref": {name: items_of(brain.seen[name]) for name in names},
    }
    for side, each in timelines.items():
        for kind, end in ENDINGS.items():
            write_text(folder / f"{side}.{end}", FORMATS[kind](each))
    (folder / "timelines").mkdir(exist_ok=True)
    heading = plots.heading(brain, {})
    for name in sorted(names, key=lambda n: (-badness(rates[n]), n))[:TIMELINES]:
        scene_timeline(
            folder / "timelines" / f"{file_stem(name)}.png",
            timelines["ref"][name],
            timelines["hyp"][name],
            brain.seen[name]["duration"],
            title=f"{heading} · {name}",
        )
    if any(r.get("twin") not in (None, "both") for r in brain.seen.values()):
        effects = cross_effects(brain.seen, counts)
        write_json(folder / "cross_effects.json", effects)
        cross_effect_plot(folder / "cross_effects.png", effects, heading)


def badness(rates: Mapping[str, float]) -> float:
    """Returns how bad the timeline of a scene is, a mean over its kinds.

    Arguments
    ---------
    rates : dict
        Measures of the scene.

    Returns
    -------
    float
        0 for a perfect one, or one without anything to find.

    Example
    -------
    >>> badness({"der": 0.25, "cpwer": 9.0, "event_f1": 0.75})
    0.25
    """
    costs = [
        rates[name] if name in ERRORS else 1 - rates[name]
        for name in ("der", "tcpwer", "event_f1")
        if name in rates
    ]
    return sum(costs) / len(costs) if costs else 0.0


def _row(name: str, record: Mapping[str, Any], rates: Mapping[str, float]) -> list:
    """Returns the row of a scene in ``predictions.csv``."""
    speakers = "" if record["speakers"] is None else len(record["speakers"])
    row = [name, f"{record['duration']:.3f}", speakers, record.get("twin") or ""]
    return row + [f"{rates[c]:.6f}" if c in rates else "" for c in COLUMNS]
