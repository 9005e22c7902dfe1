"""Licences of the weights in an export: known, unknown, restricted, one's own."""

import pytest

from s3prl_sb.hyperyaml.nodes import plain
from s3prl_sb.lobes.upstreams import card
from s3prl_sb.sharing.licences import LicenceError, Terms, decided, terms_of


def run(name, source, trained="frozen"):
    return {"upstream": name, "upstream_model": {"source": source, "trained": trained}}


def published(name):
    return plain(card(name).get("source"))


@pytest.mark.parametrize(
    "results, files, licence, is_inside",
    [
        (run("hubert_base", published("hubert_base")), [], "MIT", False),
        (
            run("hubert_base", published("hubert_base"), "fine-tuned"),
            ["upstream.ckpt"],
            "MIT",
            True,
        ),
        # An adapter alone has none of the weights that it is added to.
        (
            run("hubert_base", published("hubert_base"), "lora"),
            ["upstream.ckpt"],
            "MIT",
            False,
        ),
        # Other weights under the name of a card have another licence.
        (run("hubert_base", "/x/mine.pt"), ["upstream_source.pt"], "not stated", True),
        (run("hubert_base", ["a.pt"]), [], "not stated", False),
        (run("mine", "/x/mine.pt"), ["upstream_source/a.pt"], "not stated", True),
        (run("hf_mms_300m", published("hf_mms_300m")), [], "CC-BY-NC-4.0", False),
        (run("mine", None, "fine-tuned"), ["upstream.ckpt"], "no weights", False),
        ({}, [], "no weights", False),
    ],
)
def test_terms(results, files, licence, is_inside):
    terms = terms_of(results, files)
    assert (terms.licence, terms.is_inside) == (licence, is_inside)


@pytest.mark.parametrize(
    "licence, given, accepted, front",
    [
        ("MIT", None, False, {"license": "mit"}),
        ("Apache-2.0", "cc-by-4.0", False, {"license": "cc-by-4.0"}),
        ("CC-BY-NC-4.0", None, True, {"license": "cc-by-nc-4.0"}),
        ("CC-BY-NC-4.0", "cc-by-nc-sa-4.0", True, {"license": "cc-by-nc-sa-4.0"}),
        ("not stated", "mit", True, {"license": "mit"}),
        ("not stated", None, True, {}),
        (
            "by NTT, evaluation only",
            None,
            True,
            {"license": "other", "license_name": "by-ntt-evaluation-only"},
        ),
    ],
)
def test_weights_inside(licence, given, accepted, front):
    assert decided(Terms(licence, True, "x"), given, accepted) == front


@pytest.mark.parametrize(
    "licence, given, accepted, words",
    [
        ("CC-BY-NC-4.0", None, False, "restricts their use: CC-BY-NC-4.0"),
        ("by NTT, evaluation only", "mit", False, "restricts their use"),
        ("not stated", "mit", False, "is not known"),
        ("MIT; not stated", None, False, "is not known"),
        ("CC-BY-NC-4.0", "mit", True, "mit grants more"),
    ],
)
def test_refused(licence, given, accepted, words):
    with pytest.raises(LicenceError, match=words):
        decided(Terms(licence, True, "x"), given, accepted)


def test_without_weights_the_head_is_its_authors():
    assert decided(Terms("CC-BY-NC-4.0", False, "x"), "apache-2.0") == {
        "license": "apache-2.0"
    }
    assert decided(Terms("MIT", False, "x")) == {}
