"""Costs of a run in its results, which a command that finds all done does not know.

Authors
 * The s3prl_sb developers, 2026
"""

import json

from s3prl_sb.storage.files import FileError, json_text, read_json

#: Costs of a run, which differ each time.
COSTS = ("seconds", "peak_memory_gb", "peak_gpu_memory_gb")


def with_costs_of_training(path, results):
    """Returns the results in the file if they differ only in the costs.

    The command that trained knows the costs; a later one that finds everything done
    does not.

    Arguments
    ---------
    path : pathlib.Path
        File of results, which may be missing.
    results : dict
        Results to write.

    Returns
    -------
    dict
    """
    try:
        before = read_json(path, kind=dict)
    except FileError:
        return results
    costs = [key for key in before if key in COSTS]
    now = {**json.loads(json_text(results)), **{key: before[key] for key in costs}}
    return before if now == before else results
