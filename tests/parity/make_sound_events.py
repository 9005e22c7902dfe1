"""Makes fixtures/sound_events.json: scores of sound events by sed_eval and
sed_scores_eval.

    python tests/parity/make_sound_events.py

needs `pip install sed_eval sed_scores_eval "pandas<3"`, in an environment of its own.
Timelines and scores of frames are made of a seed here and in test_sound_events.py, so
that the fixture holds results alone.

Authors
 * The s3prl_sb developers, 2026
"""

import json
from pathlib import Path

import numpy

FIXTURE = Path(__file__).parent / "fixtures" / "sound_events.json"
LABELS = ["cat", "dog barks", "rain", "silence"]  # nothing has the last one
SEEDS = range(6)
#: Collar in seconds, and share of the length by which an offset may differ.
COLLARS = [(0.2, None), (0.05, None), (0.2, 0.2), (0.05, 0.5)]
RESOLUTIONS = [1.0, 0.37]
FRAME = 0.02  # seconds
SCENARIOS = [
    {"dtc": 0.7, "gtc": 0.7, "alpha_st": 1.0},
    {"dtc": 0.1, "gtc": 0.1, "cttc": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
    {"dtc": 0.5, "gtc": 0.5, "e_max": 400.0},
    {"dtc": 0.3, "gtc": 0.6, "cttc": 0.2, "alpha_ct": 1.0, "e_max": 1000.0},
]


def timelines(seed):
    """Returns reference, estimate and durations of recordings, by their names.

    Some recordings are empty on one side or on both, some labels are on one side only,
    some events end with the recording, and some are simultaneous and of equal labels.
    """
    random = numpy.random.default_rng(seed)
    reference, estimate, durations = {}, {}, {}
    for number in range(7):
        name = f"recording {number}"
        durations[name] = seconds = float(random.uniform(5, 20))
        true = _events(random, seconds, LABELS[: 1 + seed % 3])
        found = [
            (
                label,
                *numpy.clip(numpy.add(times, random.normal(0, 0.15, 2)), 0, seconds),
            )
            for label, *times in true
            if random.random() < 0.8
        ]
        found += _events(random, seconds, LABELS[:3])[:2]
        if true:
            true.append((LABELS[0], seconds - 1.0, seconds))
            found.append((LABELS[0], seconds - 1.1, seconds))
            found.append(found[0])
            true.append(true[0])
        found = [(label, float(a), float(b)) for label, a, b in found if b > a]
        reference[name] = [] if number == 1 else true
        estimate[name] = [] if number == 2 else found
    reference["nothing"], estimate["nothing"], durations["nothing"] = [], [], 3.0
    return reference, estimate, durations


def _events(random, seconds, labels):
    """Returns random events, which overlap."""
    starts = random.uniform(0, seconds - 0.5, random.integers(0, 12))
    return [
        (str(random.choice(labels)), float(a), float(min(a + b, seconds)))
        for a, b in zip(starts, random.exponential(1.0, len(starts)) + 0.1)
    ]


def scores(seed):
    """Returns scores of frames, apart true events without overlaps within a label, and
    durations."""
    random = numpy.random.default_rng(100 + seed)
    made, reference, durations = {}, {}, {}
    labels = LABELS[:3]
    for number in range(5):
        name, frames = f"recording {number}", int(random.integers(150, 400))
        durations[name] = frames * FRAME
        values = numpy.cumsum(random.normal(0, 0.3, (frames, 3)), axis=0) / 4
        values += random.normal(0, 0.3, (frames, 3))
        reference[name] = []
        for column, label in enumerate(labels):
            edges = numpy.sort(random.uniform(0, durations[name], 2 * (number % 4)))
            for start, stop in edges.reshape(-1, 2).tolist():
                reference[name].append((label, start, stop))
                first, last = round(start / FRAME), round(stop / FRAME)
                values[first:last, column] += 2.5
                values[first:last, (column + 1) % 3] += 1.0
        # Rounded, so that frames and recordings share thresholds
        made[name] = (1 / (1 + numpy.exp(-values))).round(2)
    return made, reference, durations


def by_sed_eval(seed):
    """Returns F1 scores and error rates of sed_eval."""
    import sed_eval.sound_event as oracle

    reference, estimate, durations = timelines(seed)
    results = {}
    for resolution in RESOLUTIONS:
        metric = oracle.SegmentBasedMetrics(LABELS, time_resolution=resolution)
        metric.empty_system_output_handling = "zero_score"
        for name in reference:
            lists = _listed(reference[name]), _listed(estimate[name])
            metric.evaluate(*lists, evaluated_length_seconds=durations[name])
        results[f"segments {resolution}"] = _read(metric, by_segments=True)
    for collar, share in COLLARS:
        metric = oracle.EventBasedMetrics(
            LABELS,
            evaluate_offset=share is not None,
            t_collar=collar,
            percentage_of_length=share or 0.5,
            empty_system_output_handling="zero_score",
        )
        for name in reference:
            metric.evaluate(_listed(reference[name]), _listed(estimate[name]))
        results[f"events {collar} {share}"] = _read(metric)
    return results


def _listed(events):
    import dcase_util

    keys = ("event_label", "onset", "offset")
    rows = [dict(zip(keys, event)) for event in events]
    return dcase_util.containers.MetaDataContainer(rows)


def _read(metric, by_segments=False):
    overall = metric.results_overall_metrics()
    each = metric.results_class_wise_metrics()
    there = [label for label in LABELS if each[label]["count"]["Nref"]]
    f1 = {label: each[label]["f_measure"]["f_measure"] for label in there}
    rates = [each[label]["error_rate"]["error_rate"] for label in there]
    values = {
        **overall["f_measure"],
        "labels": f1,
        "macro_f1": metric.results_class_wise_average_metrics()["f_measure"][
            "f_measure"
        ],
        "macro_error_rate": sum(rates) / len(rates),
    }
    if by_segments:
        values["error_rate"] = overall["error_rate"]["error_rate"]
    return values


def by_sed_scores_eval(seed):
    """Returns PSDS of sed_scores_eval."""
    from sed_scores_eval import intersection_based
    from sed_scores_eval.base_modules.scores import create_score_dataframe

    made, reference, durations = scores(seed)
    frames = {
        name: create_score_dataframe(
            values, numpy.arange(len(values) + 1) * FRAME, LABELS[:3]
        )
        for name, values in made.items()
    }
    truth = {
        name: [(start, stop, label) for label, start, stop in events]
        for name, events in reference.items()
    }
    results = []
    for scenario in SCENARIOS:
        names = {"dtc": "dtc_threshold", "gtc": "gtc_threshold"}
        names |= {"cttc": "cttc_threshold", "e_max": "max_efpr"}
        keys = {names.get(key, key): value for key, value in scenario.items()}
        value, by_label, *_ = intersection_based.psds(frames, truth, durations, **keys)
        results.append({"value": value, "labels": by_label})
    return results


def main():
    """Writes the fixture."""
    results = {
        str(seed): {"events": by_sed_eval(seed), "psds": by_sed_scores_eval(seed)}
        for seed in SEEDS
    }
    FIXTURE.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
