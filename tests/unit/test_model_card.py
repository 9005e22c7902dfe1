"""Model cards: what the hub reads, what people read, and whose words stay."""

import importlib
import pkgutil
import re

import pytest
import yaml
from finished_runs import results

from s3prl_sb.sharing import model_card
from s3prl_sb.sharing.licences import Terms
from s3prl_sb.sharing.model_card import BEGIN, END, CardError, Export, card

FROZEN = Terms("MIT", False, "hubert_base")


def export(terms=FROZEN, code=(), licence=None, **changes):
    model = {"source": "https://huggingface.co/s3prl/x/resolve/main/a.pt"}
    content = results(**{"upstream_model": model, **changes})
    return Export("anna/ks", "Classifier", content, terms, list(code), licence or {})


def front(text):
    return yaml.safe_load(text.split("---\n")[1])


def test_front_matter():
    from huggingface_hub import ModelCard

    text = card(export(licence={"license": "mit"}))
    meta = front(text)
    assert meta["license"] == "mit" and meta["library_name"] == "s3prl_sb"
    assert meta["pipeline_tag"] == "audio-classification"
    assert meta["base_model"] == ["s3prl/x"] and meta["metrics"] == ["accuracy"]
    (result,) = meta["model-index"][0]["results"]
    assert result["dataset"]["name"] == "speech_commands"
    (metric,) = result["metrics"]
    assert metric["value"] == 0.9 and metric["args"] == {"interval_95": [0.8, 0.96]}
    # The library of the hub reads it, too.
    data = ModelCard(text).data
    assert [each.metric_value for each in data.eval_results] == [0.9]


def test_what_people_read():
    text = card(export(code=["my_head.py"]))
    assert "| accuracy | 90.00 % | 80.00 % to 96.00 % |" in text
    assert "bootstrap over 40 utterances, 2000 resamples" in text
    assert "departs from the protocol" in text and "total_steps 3" in text
    assert "40 utterances, 36.0 s, SHA-256 of audio and labels `aaaa" in text
    assert 'load("anna/ks")' in text and "s3prl-sb predict anna/ks a.wav" in text
    assert "**This model has code of its own**: `my_head.py`" in text
    assert "are not in this repository" in text and "Their licence: MIT." in text
    assert "| lr | 0.001 |" in text and "torch 2.11.0" in text and "@inproceed" in text


@pytest.mark.parametrize("task", ["SUPERB/ASR", "mine", "", None])
def test_runs_of_all_ages(task):
    """Older ones lack intervals, a test set, a protocol, versions."""
    bare = {"task": task, "metrics": {"wer": 0.1, "nan": float("nan")}}
    text = card(Export("anna/x", "Transcriber", bare, FROZEN, [], {}))
    assert "| wer | 10.00 % | – |" in text and "| nan" not in text
    assert front(text)["pipeline_tag"] == "automatic-speech-recognition"
    none = card(Export("anna/x", "Unheard", {}, FROZEN, [], {}))
    assert "pipeline_tag" not in front(none) and "model-index" not in front(none)


def test_toy_data_are_no_corpus():
    toy = {"followed": False, "data": "toy data", "differs": ["toy data"]}
    text = card(export(protocol=toy))
    (result,) = front(text)["model-index"][0]["results"]
    assert result["dataset"]["type"] == "speech-commands-toy-data"
    assert "Test data: speech_commands (toy data), 40" in text


def test_the_protocol_is_followed():
    followed = {"followed": True, "differs": []}
    assert "follows the protocol of the benchmark" in card(export(protocol=followed))


HOSTILE = "a|b<script>alert(1)</script>\x1b[2J](http://evil)`x`\n---\nlicense: mit\n# H"


def test_hostile_names():
    text = card(
        export(
            task=HOSTILE,
            upstream=HOSTILE,
            metrics={HOSTILE: 0.5},
            settings={HOSTILE: HOSTILE},
            test={"name": HOSTILE, "utterances": HOSTILE, "conditions": HOSTILE},
            protocol={"followed": False, "differs": [HOSTILE]},
            versions={HOSTILE: HOSTILE},
            terms=Terms(HOSTILE, True, HOSTILE),
        )
    )
    assert "license" not in front(text) and "\x1b" not in text
    _, body = text.split(BEGIN)
    assert "\n# H" not in body and "\n---\n" not in body
    prose = re.sub(r"`[^`\n]*`", "", body)
    assert not re.search(r"(?<!\\)(<(?!!--)|\]\()", prose)
    table = [line for line in body.splitlines() if line.startswith("| a")]
    assert table and all(line.count("|") - line.count("\\|") == 4 for line in table[:1])


def test_own_text_stays():
    first = card(export())
    mine = first.replace(BEGIN, f"Before.\n\n{BEGIN}").replace(END, f"{END}\n\nAfter.")
    mine = mine.replace("library_name: s3prl_sb", "library_name: x\nlanguage: [en, de]")
    mine = mine.replace("tags:\n", "tags:\n- mine\n").replace("90.00 %", "1.00 %")
    second = card(export(), mine)
    assert second.index("Before.") < second.index(BEGIN) < second.index("After.")
    assert "90.00 %" in second and "1.00 %" not in second.replace("91.00 %", "")
    meta = front(second)
    assert meta["language"] == ["en", "de"] and meta["library_name"] == "s3prl_sb"
    assert meta["tags"] == [*front(first)["tags"], "mine"]
    assert card(export(), second) == second  # and nothing is added again and again
    plain = card(export(), "# Mine\n\nText.")
    assert plain.count(BEGIN) == 1 and "# Mine\n\nText.\n\n" + BEGIN in plain
    # A licence that the owner gave on the hub is theirs.
    theirs = card(export(), "---\nlicense: cc-by-4.0\n---\nText.")
    assert front(theirs)["license"] == "cc-by-4.0"


def test_facts_of_an_earlier_export_go():
    first = card(export(licence={"license": "other", "license_name": "mine"}))
    assert front(first)["base_model"] and front(first)["model-index"]
    bare = Export("anna/ks", "Classifier", {}, FROZEN, [], {"license": "mit"})
    meta = front(card(bare, first))
    assert not {"base_model", "metrics", "model-index", "license_name"} & set(meta)
    assert meta["license"] == "mit"
    # In a text that push did not write they are its author's.
    assert front(card(bare, "---\nbase_model: x/y\n---\n"))["base_model"] == "x/y"


@pytest.mark.parametrize("bounds", [[float("nan"), 1], [0, float("inf")], ["a", 1], 3])
def test_bounds_that_are_none(bounds):
    text = card(export(intervals={"metrics": {"accuracy": bounds}}))
    assert "| accuracy | 90.00 % | – |" in text and "interval_95" not in text


@pytest.mark.parametrize("text", ["---\n[a: b\n---\n", "---\n- a\n---\n"])
def test_front_matter_that_is_none(text):
    with pytest.raises(CardError, match="front matter"):
        card(export(), text)


def test_the_tasks_of_the_hub_are_those_of_interfaces():
    from s3prl_sb import inference
    from s3prl_sb.inference.pretrained import SpeechModel

    for module in pkgutil.iter_modules(inference.__path__):
        importlib.import_module(f"{inference.__name__}.{module.name}")
    kinds = [SpeechModel]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert set(model_card.PIPELINES) <= {kind.__name__ for kind in kinds}
