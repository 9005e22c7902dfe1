"""Model card of a pre-trained upstream: ``README.md``, from what its card says.

Authors
 * The s3prl_sb developers, 2026
"""

import math
from typing import Any, NamedTuple

from s3prl_sb.sharing.licences import NO_WEIGHTS, Terms, licence_of_model
from s3prl_sb.sharing.markdown import code, plain, slug
from s3prl_sb.sharing.model_card import (
    BEGIN,
    CITATION,
    END,
    LIBRARY,
    merged,
    settings,
)
from s3prl_sb.storage.repositories import repository
from s3prl_sb.terminal import columns, quantities

#: Words for the facts that name other upstreams.
WORDS = {"init": "begun with the weights of", "teacher": "taught by"}


class Pretrained(NamedTuple):
    """Facts of an upstream that its card is made of, without private ones.

    Arguments
    ---------
    name : str
        ``owner/name`` of the repository, with ``@REVISION`` on a branch.
    label : str
        Name of its card.
    kind : str
        Name of its class.
    network : dict
        Facts about the network, names to values.
    pretraining : dict
        Facts under ``_pretraining`` in its card; empty for converted weights.
    about : dict
        Facts under ``_about`` in its card: paper, data, licence.
    results : dict
        ``results.json`` of the pre-training; empty without one.
    terms : Terms
        Terms of weights that it was made from.
    code : list of str
        Names of its Python files.
    licence : dict
        See :func:`~s3prl_sb.sharing.licences.decided`.
    """

    name: str
    label: str
    kind: str
    network: dict[str, Any]
    pretraining: dict[str, Any]
    about: dict[str, Any]
    results: dict[str, Any]
    terms: Terms
    code: list[str]
    licence: dict[str, str]


def upstream_card(upstream: Pretrained, own: str | None = None) -> str:
    """Returns the text of the model card of an upstream.

    Arguments
    ---------
    upstream : Pretrained
    own : str, optional
        See :func:`~s3prl_sb.sharing.model_card.merged`, also for the errors.

    Returns
    -------
    str
    """
    return merged(_front_matter(upstream), _facts(upstream), own)


def _front_matter(upstream):
    from huggingface_hub import ModelCardData

    facts = upstream.pretraining
    named = [repository(str(facts[key])) for key in WORDS if key in facts]
    task = str(facts.get("task") or "upstream")
    data = ModelCardData(
        base_model=[place.name for place in named if place] or None,
        library_name=LIBRARY,
        pipeline_tag="feature-extraction",
        tags=[LIBRARY, "speechbrain", "audio", "speech", *map(slug, task.split("/"))],
        license=upstream.licence.get("license"),
        license_name=upstream.licence.get("license_name"),
    )
    return data.to_dict()


def _facts(upstream):
    task = upstream.pretraining.get("task")
    made = f"pre-trained with s3prl_sb ({plain(task)})" if task else "in s3prl_sb"
    parts = [
        BEGIN,
        f"# {plain(upstream.label)}",
        f"Encoder of speech and audio, {made}. Every task of s3prl_sb takes it by its "
        "name.",
        _use(upstream),
        f"## Network\n\n{_table({'class': upstream.kind, **upstream.network})}",
        *_pretraining(upstream),
        f"## Licence\n\n{_licence(upstream)}",
        f"## Citation\n\n{CITATION}",
        END,
    ]
    return "\n\n".join(parts)


def _use(upstream):
    lines = [
        "## Use",
        "```python\nimport torch\nfrom s3prl_sb.lobes.upstreams import load\n\n"
        f'upstream = load("{upstream.name}")\n'
        f"wavs = torch.randn(2, {upstream.network.get('sample rate, Hz', 16000)})  "
        "# [batch, samples]\n"
        "hidden_states, lens = upstream(wavs, torch.tensor([1.0, 0.5]))\n```",
        "```bash\npip install s3prl_sb\n"
        f"s3prl-sb check {upstream.name}\n"
        f"s3prl-sb run SUPERB/KS --upstream {upstream.name} --data_folder DIR\n```",
    ]
    if upstream.code:
        names = ", ".join(map(code, upstream.code))
        lines.append(
            f"**This upstream has code of its own**: {names}. Nothing of it runs until "
            "you trust it: read it, then give `--trust`, or `trust=True`."
        )
    return "\n\n".join(lines)


def _pretraining(upstream):
    """Returns the sections about the training."""
    facts, results, about = upstream.pretraining, upstream.results, upstream.about
    values = {"objective": str(facts.get("objective") or "").rpartition(".")[2]}
    values["updates"] = facts.get("steps")
    hours = facts.get("hours")
    if isinstance(hours, int | float):
        values["audio learned from"] = quantities.audio(3600 * hours)
    values["data"] = about.get("data")
    digests = (results.get("identity") or {}).get("data") or {}
    values |= {f"digest of {name} data": digest for name, digest in digests.items()}
    values |= {words: facts.get(key) for key, words in WORDS.items()}
    values |= {"seed": facts.get("seed"), "paper": about.get("paper")}
    values = {key: value for key, value in values.items() if value not in (None, "")}
    sections = []
    if values:
        sections.append(f"## Pre-training\n\n{_table(values)}")
    if table := _measures(facts, results):
        sections.append(table)
    if results:
        sections.append(f"## Settings\n\n{settings(results)}")
    return sections


def _measures(facts, results):
    """Returns the measures of the weights, and the last values of the curves."""
    history = results.get("history") or []
    columns_of = {"held out": facts.get("held_out") or {}}
    if history:
        last = history[-1]
        columns_of["last, held out"] = last.get("valid") or {}
        columns_of["last, in training"] = last.get("train") or {}
    names = list(
        dict.fromkeys(name for values in columns_of.values() for name in values)
    )
    if not names:
        return None
    rows = [["measure", *columns_of]]
    for name in names:
        cells = (values.get(name) for values in columns_of.values())
        rows.append([plain(name), *map(_number, cells)])
    text = "The first column is of these weights, on held-out audio"
    if history:
        steps = plain(history[-1].get("step"))
        text += f"; the others are the ends of the curves, at {steps} updates"
    return (
        f"## Measures\n\n{columns.as_markdown(rows, range(1, len(rows[0])))}\n\n{text}."
    )


def _number(value):
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.4g}" if is_number else "–"


def _table(values):
    rows = [[plain(key), plain(value)] for key, value in values.items()]
    return columns.as_markdown([["fact", "value"], *rows])


def _licence(upstream):
    terms = upstream.terms
    if terms.licence == NO_WEIGHTS:
        text = "It was trained from random weights: there are none of others in it."
    elif terms.upstream == upstream.label:
        text = (
            f"Licence of the weights, as their card states it: {plain(terms.licence)}."
        )
    else:
        text = (
            f"Its weights were made from those of {code(terms.upstream)}, whose "
            f"licence is: {plain(terms.licence)}. Its terms hold for whoever uses or "
            "passes on this model."
        )
    return f"{text}\n\n{licence_of_model(upstream.licence)}"
