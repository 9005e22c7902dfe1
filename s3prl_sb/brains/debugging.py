"""What ``--debug`` needs of the data: a few batches of each set, and no more.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

logger = logging.getLogger(__name__)

BATCHES = 2  # SpeechBrain's default of --debug_batches


def keep_few(splits, hparams, run_opts):
    """Cuts sets down to what a few batches of each are made of, in place.

    What is left out is neither hashed nor extracted. The utterances are spread over
    the whole set, so that many classes are among them.

    Arguments
    ---------
    splits : dict
        "train", "valid" and "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    hparams : dict
        Of the recipe: ``batch_size`` or ``batch_seconds``, and the
        ``<split>_dataloader_opts``.
    run_opts : dict
        SpeechBrain's options, ``debug_batches`` among them.
    """
    batches = int(run_opts.get("debug_batches", BATCHES))
    for split, dataset in splits.items():
        options = hparams.get(f"{split}_dataloader_opts") or {}
        size, seconds = options.get("batch_size", hparams.get("batch_size")), None
        if split == "train":
            batches_of_it = batches * int(hparams.get("grad_accumulation_factor") or 1)
            seconds = hparams.get("batch_seconds")
        else:
            batches_of_it = batches
        before = len(dataset)
        if seconds:
            ids = spread(dataset.data_ids, before)
            ids = _lasting(ids, dataset.data, batches_of_it * seconds)
        else:
            ids = spread(dataset.data_ids, batches_of_it * int(size or 1))
        dataset.keep(ids)
        message = "Debug: %d of the %d utterances of %s are looked at"
        logger.info(message, len(dataset), before, split)


def spread(items, count):
    """So many of a list, evenly spread over it.

    Arguments
    ---------
    items : list
        Any.
    count : int
        How many; all, if there are not so many.

    Returns
    -------
    list
        In the same order.

    Example
    -------
    >>> spread("abcdef", 3), spread("ab", 5)
    (['a', 'c', 'e'], ['a', 'b'])
    """
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _lasting(ids, records, seconds):
    """Utterances that last so long together, of all parts of the set."""
    mean = sum(float(r.get("duration") or 1.0) for r in records.values()) / len(ids)
    return spread(ids, max(1, round(seconds / max(mean, 1e-3)) + 1))


def few_queries(records, trials, batches):
    """A few queries that are there to be found, and a few documents.

    Arguments
    ---------
    records : dict
        "documents" and sets of queries to ``{id: record}``.
    trials : dict
        Each set to ``{query: ids of the documents that hold it}``.
    batches : int
        How few.

    Returns
    -------
    dict
        As ``records``.
    """
    chosen = {"documents": []}
    for split in [name for name in records if name != "documents"]:
        held = {
            query: [d for d in trials[split][query] if d in records["documents"]]
            for query in records[split]
        }
        chosen[split] = [query for query in held if held[query]][: 2 * batches]
        chosen["documents"] += [held[query][0] for query in chosen[split]]
    chosen["documents"] += list(records["documents"])[: 4 * batches]
    return {name: {i: records[name][i] for i in ids} for name, ids in chosen.items()}
