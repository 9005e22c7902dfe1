"""``s3prl-sb extract``: the model of a command line, and the parts of its cache.

Authors
 * The s3prl_sb developers, 2026
"""


def model(arguments):
    """Returns the upstream, or the classifier as one.

    Arguments
    ---------
    arguments : argparse.Namespace
        Values of the arguments of :func:`s3prl_sb.commands.extract.add_arguments`.

    Returns
    -------
    s3prl_sb.lobes.upstreams.base.Upstream
    """
    if arguments.posteriors:
        from s3prl_sb.inference.posteriors import load_posteriors
        from s3prl_sb.startup import devices

        device = devices.chosen(arguments.device)
        priors = arguments.priors
        return load_posteriors(arguments.posteriors, priors, device=device)
    from s3prl_sb.errors import UserError
    from s3prl_sb.lobes.upstreams import load
    from s3prl_sb.storage.yaml_texts import yaml_of

    overrides = {"source": arguments.source} if arguments.source else {}
    if arguments.upstream_model:
        changes = yaml_of(arguments.upstream_model)
        if not isinstance(changes, dict):
            raise UserError(
                f"--upstream_model '{arguments.upstream_model}': give keys and values, "
                'such as "{size: 13}".'
            )
        overrides.update(changes)
    return load(arguments.upstream, freeze=True, **overrides)


def filler(upstream, source, arguments):
    """Returns the function that writes a part of the features into a cache.

    Arguments
    ---------
    upstream : s3prl_sb.lobes.upstreams.base.Upstream
        Frozen upstream.
    source : str
        The audio.
    arguments : argparse.Namespace
        Values of the arguments of :func:`s3prl_sb.commands.extract.add_arguments`.

    Returns
    -------
    callable
        Takes the part (i, n), and other arguments of
        :func:`~s3prl_sb.dataio.extraction.extract`; returns the cache.
    """
    from s3prl_sb.dataio.dataset import ManifestDataset
    from s3prl_sb.dataio.extraction import extract
    from s3prl_sb.dataio.pipes import LoadAudio
    from s3prl_sb.errors import UserError
    from s3prl_sb.feature_files.sources import records_of
    from s3prl_sb.feature_files.writing import Processing
    from s3prl_sb.startup import devices

    cmvn, pooling = arguments.cmvn, arguments.pooling
    processing = Processing(arguments.deltas, cmvn, None, pooling)
    if processing.has_second_pass or arguments.cmvn_stats:
        raise UserError(
            "A cache holds what an utterance gives alone. Choose another --format for "
            "--cmvn speaker and global."
        )
    kind = "frames"
    if pooling == "mean" and not (arguments.deltas or cmvn):
        kind, processing = "pooled", Processing()
    records = records_of(source, upstream.input_size)
    processed = processing.upstream(upstream)
    dataset = ManifestDataset(records, [LoadAudio(upstream.sample_rate)])
    device = devices.chosen(arguments.device)

    def fill(part, **more):
        return extract(
            processed,
            dataset,
            arguments.output,
            kind=kind,
            layers=arguments.layers,
            dtype=arguments.dtype or "float16",
            device=device,
            num_processes=arguments.processes,
            part=part,
            **more,
        )

    return fill
