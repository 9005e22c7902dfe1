"""Model card of an export: ``README.md``, from what ``results.json`` says.

The facts stand between two comments. Text around them, and further keys of the front
matter, are somebody's own and stay when the card is written again.

Authors
 * The s3prl_sb developers, 2026
"""

import math
import re
from typing import Any, NamedTuple

from s3prl_sb.errors import UserError, printable
from s3prl_sb.sharing.licences import NO_WEIGHTS, Terms, licence_of_model
from s3prl_sb.sharing.markdown import code, plain, slug
from s3prl_sb.storage.yaml_texts import yaml_of
from s3prl_sb.terminal import columns, quantities

BEGIN = "<!-- s3prl_sb: facts, written by s3prl-sb push -->"
END = "<!-- s3prl_sb: end of the facts -->"
FRONT = re.compile(r"\A---\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.S | re.M)
LIBRARY = "s3prl_sb"
#: What the hub calls the tasks of the interfaces.
PIPELINES = {
    "Classifier": "audio-classification",
    "Tagger": "audio-classification",
    "IntentClassifier": "audio-classification",
    "EventDetector": "audio-classification",
    "Transcriber": "automatic-speech-recognition",
    "SlotFiller": "automatic-speech-recognition",
    "EntityRecognizer": "automatic-speech-recognition",
    "Translator": "automatic-speech-recognition",
    "Recognizer": "automatic-speech-recognition",
    "Enhancer": "audio-to-audio",
    "Separator": "audio-to-audio",
    "Converter": "audio-to-audio",
    "Diarizer": "voice-activity-detection",
}
#: Metrics that the hub has under another name.
METRICS = {"macro_f1": "f1", "f1": "f1", "wer_lm": "wer"}
#: Facts of the front matter that not every card has: an earlier export had them.
STALE = {"base_model", "metrics", "model-index"}
#: Keys of the front matter that say one thing together.
LICENCE = {"license", "license_name", "license_link"}
HUB_ID = re.compile(
    r"(?:https://huggingface\.co/|hf://)?([\w.-]+/[\w.-]+)(?:(?:/resolve/|@).*)?"
)
CITATION = """```bibtex
@inproceedings{yang21c_interspeech,
  title = {{SUPERB: Speech Processing Universal PERformance Benchmark}},
  author = {Shu-wen Yang and others},
  booktitle = {Interspeech},
  year = {2021}
}
@article{speechbrain,
  title = {{SpeechBrain: A General-Purpose Speech Toolkit}},
  author = {Mirco Ravanelli and Titouan Parcollet and Peter Plantinga and others},
  journal = {arXiv:2106.04624},
  year = {2021}
}
```"""


class CardError(UserError, ValueError):
    """A card with a front matter that cannot be read."""


class Export(NamedTuple):
    """Facts of an export that its card is made of.

    Arguments
    ---------
    name : str
        ``owner/name`` of the repository, with ``@REVISION`` on a branch.
    interface : str
        Name of the class that loads it.
    results : dict
        Its ``results.json``, without private facts.
    terms : Terms
        Terms of the upstream's weights.
    code : list of str
        Names of its Python files.
    licence : dict
        See :func:`~s3prl_sb.sharing.licences.decided`.
    """

    name: str
    interface: str
    results: dict[str, Any]
    terms: Terms
    code: list[str]
    licence: dict[str, str]


def front_matter(export: Export) -> dict[str, Any]:
    """Returns the front matter of a card, which the hub reads.

    Arguments
    ---------
    export : Export

    Returns
    -------
    dict
        Values for YAML.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results, test = export.results, export.results.get("test") or {}
    pipeline = PIPELINES.get(export.interface)
    task = str(results.get("task"))
    found = [
        EvalResult(
            task_type=pipeline or "other",
            task_name=task,
            dataset_type=slug(_data(results)),
            dataset_name=_data(results),
            dataset_args={"sha256": test["sha256"]} if test.get("sha256") else None,
            metric_type=METRICS.get(name, name),
            metric_name=name,
            metric_value=value,
            metric_args={f"interval_{_percent(results)}": bounds} if bounds else None,
        )
        for name, value, bounds in _metrics(results)
        if name != "loss"
    ]
    ids = [m[1] for m in map(HUB_ID.fullmatch, _sources(results)) if m]
    data = ModelCardData(
        base_model=ids or None,
        library_name=LIBRARY,
        pipeline_tag=pipeline,
        tags=[LIBRARY, "speechbrain", "audio", *map(slug, task.split("/"))],
        metrics=list(dict.fromkeys(each.metric_type for each in found)) or None,
        model_name=export.name.partition("@")[0].rpartition("/")[2],
        eval_results=found or None,
        license=export.licence.get("license"),
        license_name=export.licence.get("license_name"),
    )
    return data.to_dict()


def facts(export: Export) -> str:
    """Returns the facts of a card in Markdown.

    Arguments
    ---------
    export : Export

    Returns
    -------
    str
    """
    results = export.results
    task, upstream = (plain(results.get(key)) for key in ("task", "upstream"))
    model = results.get("upstream_model") or {}
    trained = model.get("trained") or "frozen"
    parts = [
        BEGIN,
        f"# {task} with {upstream}",
        f"A model for {task}, trained with s3prl_sb on features of the "
        f"{plain(trained)} upstream {code(results.get('upstream'))}.",
        _use(export),
        f"## Results\n\n{_results(results)}",
        f"## Training\n\n{settings(results)}",
        f"## Upstream and licence\n\n{_licence(export)}",
        f"## Citation\n\n{CITATION}",
        END,
    ]
    return "\n\n".join(parts)


def card(export: Export, own: str | None = None) -> str:
    """Returns the text of a model card.

    Arguments
    ---------
    export : Export
    own : str, optional
        A card with text of its author's own. Its facts are replaced, or come after its
        text if it has none. Its other text stays, and so do the keys of its front
        matter that are not facts.

    Returns
    -------
    str

    Raises
    ------
    CardError
        If its front matter is no YAML.
    """
    return merged(front_matter(export), facts(export), own)


def merged(meta: dict[str, Any], body: str, own: str | None = None) -> str:
    """Returns the text of a card with an author's own text around the facts.

    Arguments
    ---------
    meta : dict
        Front matter of the facts.
    body : str
        The facts, between :data:`BEGIN` and :data:`END`.
    own : str, optional
        Earlier card, or text of the author's own.

    Returns
    -------
    str

    Raises
    ------
    CardError
        If its front matter is no YAML.
    """
    kept, text = _split(own or "")
    facts_of_ours = set(meta) | (STALE if BEGIN in text else set())
    facts_of_ours |= LICENCE if "license" in meta else set()
    mine = {key: value for key, value in kept.items() if key not in facts_of_ours}
    if "tags" in kept and isinstance(kept["tags"], list):
        meta["tags"] = list(dict.fromkeys([*meta["tags"], *kept["tags"]]))
    begin, end = text.find(BEGIN), text.find(END)
    if begin >= 0 and end > begin:
        body = text[:begin] + body + text[end + len(END) :]
    elif text.strip():
        body = f"{text.strip()}\n\n{body}"
    return f"---\n{_yaml({**meta, **mine})}---\n\n{body.strip()}\n"


def _split(text):
    """Returns the front matter and the text of a card."""
    match = FRONT.match(text)
    if match is None:
        return {}, text
    try:
        kept = yaml_of(match[1], "safe")
    except Exception as error:  # YAML raises many
        raise CardError(
            f"The front matter of the card is no YAML: {printable(error)[:100]}"
        ) from error
    if not isinstance(kept, dict | None):
        raise CardError("The front matter of the card has no keys.")
    return kept or {}, text[match.end() :]


def _yaml(values):
    from huggingface_hub.utils import yaml_dump

    return yaml_dump(values, sort_keys=False)


def _use(export):
    class_of = export.interface
    lines = [
        "## Use",
        f"```bash\npip install s3prl_sb\ns3prl-sb predict {export.name} a.wav\n```",
        "```python\nfrom s3prl_sb.inference import load\n\n"
        f'model = load("{export.name}")  # {class_of}\n'
        'print(list(model.lines(["a.wav"])))\n```',
    ]
    if export.code:
        names = ", ".join(map(code, export.code))
        lines.append(
            f"**This model has code of its own**: {names}. Nothing of it runs until "
            "you trust it: read it, then give `--trust`, or `trust=True`."
        )
    return "\n\n".join(lines)


def _results(results):
    test, level = results.get("test") or {}, _percent(results)
    rows = [["metric", "value", f"{level} % interval"]]
    for name, value, bounds in _metrics(results):
        shown = [quantities.measure(name, x) for x in (value, *(bounds or ()))]
        rows.append([plain(name), shown[0], " to ".join(shown[1:]) or "–"])
    lines = [columns.as_markdown(rows, right=[1])]
    intervals = results.get("intervals") or {}
    if intervals:
        lines.append(
            f"Intervals: bootstrap over {plain(intervals.get('units'))} "
            f"{plain(intervals.get('unit'))}s, "
            f"{plain(intervals.get('resamples'))} resamples."
        )
    name, hours, number = (test.get(key) for key in ("name", "hours", "utterances"))
    about = [f"Test data: {plain(_data(results) if name else 'not stated')}"]
    about += [f"{plain(number)} utterances"] if number else []
    about += [quantities.audio(3600 * hours)] if hours else []
    digest = test.get("sha256")
    about += [f"SHA-256 of audio and labels {code(digest)}"] if digest else []
    lines.append(", ".join(about) + ".")
    if conditions := test.get("conditions"):
        lines.append(f"Tested under: {code(conditions)}.")
    protocol = results.get("protocol") or {}
    if protocol.get("followed"):
        lines.append("The run follows the protocol of the benchmark.")
    elif protocol.get("followed") is False:
        differs = ", ".join(plain(each) for each in protocol.get("differs") or ())
        lines.append(
            f"The run departs from the protocol of the benchmark ({differs}): do not "
            "compare its numbers with published ones."
        )
    return "\n\n".join(lines)


def settings(results: dict[str, Any]) -> str:
    """Returns the settings of a training as a table, and the versions it was made with.

    Arguments
    ---------
    results : dict
        Content of a ``results.json``, without private facts.

    Returns
    -------
    str
    """
    values = {key: results.get(key) for key in ("seed", "total_steps", "best_step")}
    values |= {"lr": results.get("lr"), **(results.get("training") or {})}
    values |= results.get("settings") or {}
    for split, size in (results.get("utterances") or {}).items():
        values[f"{split} utterances"] = size
    rows = [[plain(k), plain(v)] for k, v in values.items() if v is not None]
    versions = (results.get("versions") or {}).items()
    made = ", ".join(f"{plain(name)} {plain(v)}" for name, v in versions)
    table = columns.as_markdown([["setting", "value"], *rows])
    return f"{table}\n\nMade with {made}."


def _licence(export):
    terms, source = export.terms, _sources(export.results)
    name, licence = code(terms.upstream), plain(terms.licence)
    where = ", ".join(plain(each) for each in source)
    if terms.licence == NO_WEIGHTS:
        text = f"The upstream {name} has no pre-trained weights of others."
    elif terms.is_inside:
        text = (
            f"This repository holds weights of the upstream {name} ({where}), or "
            f"weights made from them. Their licence: {licence}. Its terms hold for "
            "whoever uses or passes on this model."
        )
    else:
        text = (
            f"The weights of the upstream {name} are not in this repository: they "
            f"are downloaded from {where}. Their licence: {licence}."
        )
    return f"{text}\n\n{licence_of_model(export.licence)}"


def _metrics(results):
    """Yields the name, the value and the interval of each finite metric."""
    intervals = (results.get("intervals") or {}).get("metrics") or {}
    for name, value in (results.get("metrics") or {}).items():
        if _is_finite(value):
            bounds = intervals.get(name)
            is_pair = isinstance(bounds, list) and len(bounds) == 2
            whole = is_pair and all(map(_is_finite, bounds))
            yield printable(name), value, bounds if whole else None


def _is_finite(value):
    return isinstance(value, int | float) and math.isfinite(value)


def _data(results):
    """Returns the name of the test data, and what it lacks of the real corpus."""
    name = (results.get("test") or {}).get("name") or results.get("task")
    lacks = (results.get("protocol") or {}).get("data")
    return f"{name} ({lacks})" if lacks else str(name)


def _percent(results):
    level = (results.get("intervals") or {}).get("level", 0.95)
    return f"{100 * level:g}"


def _sources(results):
    """Returns the sources of the upstream's weights."""
    source = (results.get("upstream_model") or {}).get("source")
    found = source.values() if isinstance(source, dict) else [source]
    flat = (each if isinstance(each, list) else [each] for each in found)
    named = (str(each) for several in flat for each in several if each)
    return [each.partition("#sha256=")[0] for each in named]
