"""Results of the probes of all hidden states: a table, a file, a figure.

Authors
 * The s3prl_sb developers, 2026
"""

import logging
from pathlib import Path

from s3prl_sb.brains import layer_intervals, layer_plot, results
from s3prl_sb.brains.costs import with_costs_of_training
from s3prl_sb.brains.settings import SettingsError
from s3prl_sb.identity.data import digests
from s3prl_sb.runs.suite_tasks import metrics_of
from s3prl_sb.storage.csv_files import write_csv
from s3prl_sb.storage.files import FileError, read_json, write_json
from s3prl_sb.terminal import columns, quantities

logger = logging.getLogger(__name__)

FILE, TABLE, FIGURE = "layers.json", "layers.csv", "layers.png"
#: Facts of one training, which each probe has for itself.
OF_A_PROBE = ("metrics", "valid", "best_step", "stopped", "lr")


def check_test(brain, splits):
    """Checks that the results in the folder are not of another test set.

    Arguments
    ---------
    brain : s3prl_sb.brains.base.SSLBrain
        Brain of a probe.
    splits : dict
        See :func:`s3prl_sb.identity.data.digests`.

    Raises
    ------
    SettingsError
        If they are; they would be lost.
    """
    path = Path(brain.hparams.output_folder) / FILE
    try:
        tested = read_json(path, kind=dict)["test"]["sha256"]
    except (FileError, KeyError, TypeError):  # there are no results to lose
        return
    brain.data = digests(splits)
    if tested != results.test_digest(brain):
        raise SettingsError(
            f"'{path}' is of another test set: it stays as it is. Choose another "
            "output_folder (--name NAME is one beside the default)."
        )


def write(together, weights=None):
    """Writes the results of tested probes, and logs their table.

    Arguments
    ---------
    together : s3prl_sb.brains.layer_probes.LayerProbes
        Probes after their test.
    weights : dict, optional
        From :func:`~s3prl_sb.startup.layer_weights.weights_of_run`; default: those of
        the weighted sum.
    """
    whole = together.whole
    rows = _rows(together)
    summed = rows.pop("weighted sum", None)
    if weights is None and summed is not None:
        layers, numbers = results.layers_of(whole_of(together))
        weights = {"of": "weighted sum", "layers": layers, "weights": numbers}
    shared = results.facts(whole, {})
    found = {
        **{key: value for key, value in shared.items() if key not in OF_A_PROBE},
        "utterances": together.splits,
        "test": results.describe_test(whole),
        "layers": list(rows.values()),
        "weighted_sum": summed,
        "weights": weights,
        "identity": results.run_identity(whole),
    }
    publish(Path(whole.hparams.output_folder), found)


def whole_of(together):
    """Returns the Brain of the weighted sum at its best learning rate.

    Arguments
    ---------
    together : s3prl_sb.brains.layer_probes.LayerProbes
        Probes after their test.

    Returns
    -------
    s3prl_sb.brains.base.SSLBrain
    """
    wide = [i for i in together.chosen if len(together.probes[i].layers) > 1]
    return together.copies[wide[0]] if wide else together.whole


def _rows(together):
    """Returns a row for each probe, by its name without the learning rate."""
    rows = {}
    for i, probe in enumerate(together.probes):
        learner, chosen = together.learners[i], i in together.chosen
        name = probe.name(with_rate=False)
        if not chosen and name in rows:
            continue
        layer = probe.layers[0] if len(probe.layers) == 1 else None
        row = {
            "layer": layer,
            "lr": probe.rate,
            "valid": together.valid.get(i),
            "test": together.tests.get(i),
            "intervals": _intervals(together, i, layer) if chosen else None,
            "best_step": together.copies[i].optimizer_step if chosen else None,
            "stopped_at_step": together.stops.get(i),
            "diverged_at_step": learner.diverged_at,
        }
        rows[name] = row
    return rows


def _intervals(together, i, layer):
    folder = together.whole.hparams.output_folder
    brain, metrics = together.copies[i], together.tests[i]
    return layer_intervals.of_probe(brain, metrics, folder, layer)


def publish(folder, found):
    """Writes the files of a probing, and logs the table.

    Arguments
    ---------
    folder : pathlib.Path
        Output folder.
    found : dict
        Content of ``layers.json``.
    """
    write_json(folder / FILE, with_costs_of_training(folder / FILE, found))
    table = table_of(found)
    write_csv(folder / TABLE, table[0], table[1:])
    metric = metric_of_test(found)
    words = " · ".join(filter(None, (found["task"], found["upstream"])))
    layer_plot.write(folder / FIGURE, found, metric, words)
    logger.info("Layers of %s:\n%s", words, columns.as_text(_readable(table)))
    logger.info("Results: %s", folder / FILE)


def metric_of_test(found):
    """Returns the name of the metric of the test set that the table shows.

    Arguments
    ---------
    found : dict
        Content of ``layers.json``.

    Returns
    -------
    str
        Metric of SUPERB's table, otherwise the one that chooses the checkpoint.
    """
    tests = [row["test"] for row in found["layers"] if row["test"]]
    names = [metric.key for metric in metrics_of(found["task"])]
    names.append(found["chosen_by"]["metric"])
    return next((n for n in names if any(n in test for test in tests)), names[-1])


def table_of(found):
    """Returns the table of a probing.

    Arguments
    ---------
    found : dict
        Content of ``layers.json``.

    Returns
    -------
    list of list
        Header and rows; None where a probe diverged or a hidden state has no weight.
        With intervals, their ends are the last two columns.
    """
    chosen, tested = found["chosen_by"]["metric"], metric_of_test(found)
    weights = found["weights"] or {"layers": [], "weights": []}
    weight = dict(zip(weights["layers"], weights["weights"]))
    rows = [["layer", f"valid {chosen}", f"test {tested}", "best step", "lr", "weight"]]
    summed = [found["weighted_sum"]] if found["weighted_sum"] else []
    for row in [*found["layers"], *summed]:
        layer = "weighted sum" if row["layer"] is None else row["layer"]
        valid, test = (row["valid"] or {}).get(chosen), (row["test"] or {}).get(tested)
        step, rate = row["best_step"], row["lr"]
        rows.append([layer, valid, test, step, rate, weight.get(row["layer"])])
    limits = [
        layer_intervals.limits_of(row, tested) for row in [*found["layers"], *summed]
    ]
    if any(limits):
        rows[0] += [f"low {tested}", f"high {tested}"]
        for row, ends in zip(rows[1:], limits):
            row += ends or [None, None]
    return rows


def _readable(table):
    """Returns a table as text, without columns that are empty."""
    header, *rows = table
    names = [name.rpartition(" ")[2] for name in header]

    def cell(name, value):
        if value is None:
            return "-"
        if name == "weight":
            return f"{100 * value:.1f} %"
        return quantities.measure(name, value)

    text = [header, *([cell(n, v) for n, v in zip(names, row)] for row in rows)]
    full = [i for i in range(len(header)) if any(row[i] is not None for row in rows)]
    return [[row[i] for i in full] for row in text]
