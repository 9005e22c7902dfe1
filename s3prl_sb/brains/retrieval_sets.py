"""Sets of query by example under the conditions of the test.

The test queries, the documents that they are searched in, or both get the conditions.
The dev queries choose the hidden state, as a validation set does: they stay clean, and
search clean documents.

Authors
 * The s3prl_sb developers, 2026
"""

from s3prl_sb.dataio import conditions
from s3prl_sb.dataio.dataset import ManifestDataset

#: Documents under the conditions of the test, beside the clean ones for dev.
TEST_DOCUMENTS = "test_documents"


def conditioned(hparams):
    """Returns the sets that the conditions of the test are applied to.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: the conditions, and ``test_conditions_of``, "queries" by
        default.

    Returns
    -------
    list of str
        "test", the queries, and :data:`TEST_DOCUMENTS`; empty for a clean test.

    Example
    -------
    >>> conditioned({"test_noise": {"snr": 10}}), conditioned({})
    (['test'], [])
    """
    if not conditions.tested_under(hparams):
        return []
    of = hparams.get("test_conditions_of", "queries")
    sets = {"test": ("queries", "both"), TEST_DOCUMENTS: ("documents", "both")}
    return [name for name, choices in sets.items() if of in choices]


def make_sets(hparams, records):
    """Makes the datasets of queries and documents.

    Arguments
    ---------
    hparams : dict
        Settings of the recipe: ``eval_pipes`` and the conditions of the test.
    records : dict
        Result of :func:`s3prl_sb.brains.retrieval.read_sets`.

    Returns
    -------
    dict
        Names to :class:`~s3prl_sb.dataio.dataset.ManifestDataset`; among them
        :data:`TEST_DOCUMENTS` if the test has conditions that concern documents.
    """
    under = conditioned(hparams)
    if TEST_DOCUMENTS in under:
        records = {**records, TEST_DOCUMENTS: records["documents"]}
    sets = {}
    for name, utterances in records.items():
        pipes = [*hparams["eval_pipes"]]
        pipes += conditions.test_pipes(hparams) if name in under else []
        sets[name] = ManifestDataset(utterances, pipes, ["id", "sig"])
    return sets


def searches(states):
    """Returns the sets of each search: queries, and the documents to search.

    Arguments
    ---------
    states : dict
        Names of :func:`make_sets` to sequences of features.

    Returns
    -------
    list of dict
        Arguments of :func:`s3prl_sb.brains.layer_scores.search`: one for all queries,
        or one for those of dev and one for those of the test.

    Example
    -------
    >>> searches({"documents": 1, "valid": 2, "test": 3, "test_documents": 4})
    [{'documents': 1, 'valid': 2}, {'documents': 4, 'test': 3}]
    """
    if TEST_DOCUMENTS not in states:
        return [states]
    clean = {n: each for n, each in states.items() if n not in (TEST_DOCUMENTS, "test")}
    return [clean, {"documents": states[TEST_DOCUMENTS], "test": states["test"]}]
