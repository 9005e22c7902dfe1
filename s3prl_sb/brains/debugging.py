"""Selection of the few batches of data that ``--debug`` needs.

Authors
 * The s3prl_sb developers, 2026
"""

import logging

logger = logging.getLogger(__name__)

BATCHES = 2  # SpeechBrain's default of --debug_batches


def keep_few(splits, hparams, run_opts):
    """Reduces each set to a few batches, in place.

    The other utterances are neither hashed nor extracted. The selected ones are spread
    over the whole set, so that they cover many classes.

    Arguments
    ---------
    splits : dict
        "train", "valid" and "test" to
        :class:`~s3prl_sb.dataio.dataset.ManifestDataset`.
    hparams : dict
        Settings of the recipe: ``batch_size`` or ``batch_seconds``, and the
        ``<split>_dataloader_opts``.
    run_opts : dict
        SpeechBrain's options, ``debug_batches`` among them.
    """
    batches = int(run_opts.get("debug_batches", BATCHES))
    for split, dataset in splits.items():
        options = hparams.get(f"{split}_dataloader_opts") or {}
        size = options.get("batch_size", hparams.get("batch_size"))
        count, seconds = batches, None
        if split == "train":
            count *= int(hparams.get("grad_accumulation_factor") or 1)
            seconds = hparams.get("batch_seconds")
        before = len(dataset)
        if seconds:
            ids = spread(dataset.data_ids, before)
            ids = _lasting(ids, dataset.data, count * seconds)
        else:
            ids = spread(dataset.data_ids, count * int(size or 1))
        dataset.keep(ids)
        message = "Debug: %d of the %d utterances of %s are looked at"
        logger.info(message, len(dataset), before, split)


def spread(items, count):
    """Selects items evenly spread over a list.

    Arguments
    ---------
    items : list
        Items to select from.
    count : int
        Number of items to select; all if the list is shorter.

    Returns
    -------
    list
        Selected items in the same order.

    Example
    -------
    >>> spread("abcdef", 3), spread("ab", 5)
    (['a', 'c', 'e'], ['a', 'b'])
    """
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _lasting(ids, records, seconds):
    """Selects utterances with a given total duration, spread over the set."""
    mean = sum(float(r.get("duration") or 1.0) for r in records.values()) / len(ids)
    return spread(ids, max(1, round(seconds / max(mean, 1e-3)) + 1))


def few_queries(records, trials, batches):
    """Selects a few queries that occur in documents, and a few documents.

    Arguments
    ---------
    records : dict
        "documents" and sets of queries to ``{id: record}``.
    trials : dict
        Each set to ``{query: ids of the documents that contain it}``.
    batches : int
        Number of batches.

    Returns
    -------
    dict
        Same structure as ``records``.
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
