"""Commands, files, links and names in the documents exist; the site has all pages.

The site itself is built by `make docs` alone, which takes minutes: here are the checks
of what it is made from.
"""

import argparse
import doctest
import fnmatch
import importlib
import pkgutil
import re
import sys
from pathlib import Path

import pytest
from hyperpyyaml import load_hyperpyyaml

import s3prl_sb
from s3prl_sb import cli, resources
from s3prl_sb.commands.run import find
from s3prl_sb.foreign import trust
from s3prl_sb.lobes.upstreams import names
from s3prl_sb.schema.keys import Schema

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "docs"))
documents_of_site = pytest.importorskip("site_pages.documents", reason="no documents")
generated = importlib.import_module("site_pages.generated")

DOCUMENTS = documents_of_site.pages(ROOT)
VERBS = set(cli.parser()._subparsers._group_actions[0].choices)
pytestmark = pytest.mark.skipif(
    not (ROOT / "README.md").is_file(), reason="installed without its documents"
)


def documents():
    return pytest.mark.parametrize(
        "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
    )


def code(path):
    """Blocks and inline code of a document."""
    text = path.read_text("utf-8")
    blocks = re.findall(r"^```.*?\n(.*?)^```", text, re.M | re.S)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", text)])


def options(verb):
    parser = cli.parser()._subparsers._group_actions[0].choices[verb]
    return set(_options(parser))


def _options(parser):
    """Yields the options of a parser, and of those below it."""
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)


@documents()
def test_verbs_and_their_options(path):
    for verb, rest in re.findall(r"s3prl-sb ([a-z][a-z-]*)\b([^\n`|#]*)", code(path)):
        assert verb in VERBS, f"{path.name}: s3prl-sb {verb}"
        if verb not in ("run", "layers", "score"):  # whose options are the recipe's
            used = set(re.findall(r"(?<!\S)(--[a-z][a-z_-]*)", rest))
            assert used <= options(verb), f"{path.name}: {verb} {used - options(verb)}"


@documents()
def test_recipes_and_upstreams(path):
    text = code(path)
    recipes = set(re.findall(r"s3prl-sb run ([A-Za-z]+/[\w-]+)", text))
    assert recipes <= set(resources.recipe_files()), path.name
    named = set(re.findall(r"--upstream[ =](?!my_)([a-z]\w+)(?![\w./])", text))
    assert named <= set(names()), f"{path.name}: {named - set(names())}"


def test_from_a_wav_to_features(tmp_path, monkeypatch, capsys):
    """The README's first block prints what it says; with random weights."""
    import numpy
    import soundfile

    text = (ROOT / "README.md").read_text("utf-8")
    block = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1]
    assert len(list(filter(None, block.splitlines()))) <= 5
    soundfile.write(tmp_path / "a.wav", 0.1 * numpy.ones(16000), 16000)
    monkeypatch.chdir(tmp_path)
    random = block.replace('load("hubert_base")', 'load("hubert_base", source=None)')
    assert random != block
    exec(random, {})
    assert capsys.readouterr().out.strip() == block.strip().rpartition("# ")[2]


def test_data_pipes(tmp_path, monkeypatch, capsys):
    """The code of docs/data_pipes.md prints what its comments say."""
    import numpy
    import soundfile

    text = (ROOT / "docs/data_pipes.md").read_text("utf-8")
    block = re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1]
    for name, seconds in (("1.wav", 3), ("2.wav", 10)):
        samples = 0.1 * numpy.ones(seconds * 16000)
        soundfile.write(tmp_path / name, samples, 16000)
    monkeypatch.chdir(tmp_path)
    exec(block, {})
    said = re.findall(r"^# (.*)$", block, re.M)
    assert capsys.readouterr().out.splitlines() == said and len(said) == 3


def test_flags_of_s3prl_are_keys_here():
    """The first equivalents of S3PRL's flags exist, and all tasks are named."""
    text = (ROOT / "docs/tutorials/from_s3prl.md").read_text("utf-8")
    table = text.partition("\n## The same commands\n")[2].partition("\n## ")[0]
    lines = table.splitlines()
    rows = [line.split(" | ")[1] for line in lines if " | " in line][2:]
    assert len(rows) > 6
    known = set(Schema.of_recipe("SUPERB/KS")) | {"train_data"}
    known |= {name.removeprefix("--") for name in options("extract")}
    used = [key for row in rows for key in re.findall(r"--([a-z_]+)", row)]
    assert used and set(used) <= known, set(used) - known
    text = (ROOT / "docs/coming_from_s3prl.md").read_text("utf-8")
    named = re.findall(r"`s3prl-sb run ([A-Z][\w/-]+)", text)
    assert {find(name, resources.recipe_files()) for name in named} >= {
        name for name in resources.recipes() if name.startswith("SUPERB/")
    }


@documents()
def test_make_targets(path):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    assert set(re.findall(r"(?:^|\n)make ([a-z]+)", code(path))) <= targets, path.name


@documents()
def test_links(path):
    """Files, pictures and anchors."""
    for target in links(path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), f"{path.name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{path.name} links to {target}"


def links(text):
    """The relative links of a document, outside of its code."""
    text = re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S)
    text = re.sub(r"`[^`\n]*`", "`", text)
    return re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text)


def anchors(path):
    """The anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
    found = []
    for title in re.findall(r"^#+ +(.*?) *$", text, re.M):
        title = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)
        found.append(re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-"))
    return found


def test_links_and_anchors_are_found(tmp_path):
    """The two functions above, on a page that has every case."""
    page = tmp_path / "page.md"
    page.write_text(
        "# What's `new`, *now*?\n## A [link](x.md) B\n```bash\n# no heading\n```\n"
        "[a](a.md#b) ![p](p.png) [w](https://x.org) `f[0](g)` [h](#a-link-b)\n"
    )
    assert anchors(page) == ["whats-new-now", "a-link-b"]
    assert links(page.read_text()) == ["x.md", "a.md#b", "p.png", "#a-link-b"]


@documents()
def test_named_files(path):
    """Paths in code, from the root or from the document."""
    folders = "s3prl_sb|hparams|recipes|templates|tests|benchmarks"
    for name in re.findall(rf"(?<![\w/.<])((?:{folders})/[\w./-]*\w)", code(path)):
        if "my_" not in name:  # the reader's own
            found = (ROOT / name).exists() or (path.parent / name).exists()
            assert found, f"{path.name} names {name}"


@documents()
def test_named_objects(path):
    """Dotted names of the package."""
    named = set(re.findall(r"\bs3prl_sb(?:\.\w+)+", code(path)))
    for name in (name for name in named if "my_" not in name):
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found = importlib.import_module(".".join(parts[:length]))
            except ImportError:
                continue
            for part in parts[length:]:
                assert hasattr(found, part), f"{path.name} names {name}"
                found = getattr(found, part)
            break


@documents()
def test_extras(path):
    setup = (ROOT / "setup.py").read_text("utf-8")
    for extra in re.findall(r"(?:\.|s3prl_sb)\[([a-z,]+)\]", code(path)):
        assert set(extra.split(",")) <= {
            *re.findall(r'^    "(\w+)": \[', setup, re.M),
            "all",
        }


def test_installation_names_every_extra():
    setup = (ROOT / "setup.py").read_text("utf-8")
    named = (ROOT / "docs/install.md").read_text("utf-8")
    for extra in re.findall(r'^    "(\w+)": \[', setup, re.M):
        assert f"`{extra}`" in named, extra


def test_readme_is_where_setup_looks():
    assert "README.md" in (ROOT / "setup.py").read_text("utf-8")
    assert (ROOT / "LICENSE").is_file()


def test_security_says_how_trust_is_given():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    takers = [verb for verb in VERBS if trust.FLAG in options(verb)]
    ways = [
        trust.FLAG,
        trust.VARIABLE,
        "s3prl-sb trust FOLDER",
        "trust=True",
        "sys.path",
    ]
    for words in (*ways, *options("trust") - {"-h", "--help"}, *takers):
        assert words in text, words
    for kind in ("checkpoints", "card", "export", "metadata", "recipe", "from_hparams"):
        assert kind in text, kind


CARDS = [
    p for p in sorted(ROOT.glob("templates/*/*.yaml")) if "!new:my" in p.read_text()
]


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.parent.name)
def test_templates_say_at_once_that_their_code_needs_trust(card):
    [module] = re.findall(r"!new:(my\w+)[.]", card.read_text("utf-8"))
    for path, lines in ((card, 3), (card.with_name(f"{module}.py"), 8)):
        head = path.read_text("utf-8").splitlines()[:lines]
        assert any("s3prl-sb trust" in line for line in head), path.name


def test_there_are_such_templates():
    assert CARDS


def test_heads_in_a_project_of_speechbrain():
    """The blocks of docs/heads.md run, one after the other."""
    text = (ROOT / "docs/heads.md").read_text("utf-8")
    [yaml] = re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    names = {"hparams": load_hyperpyyaml(yaml)}
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 3 and names["logits"].shape == (4, 12)


# ----------------------------------------------------------------------- the site
@pytest.fixture(scope="module")
def pages():
    """The pages that are made from the code."""
    return generated.made(ROOT)


def test_every_page_is_in_the_contents(pages):
    """Every document of the site is in a toctree, and every entry is a page."""
    contents = (ROOT / documents_of_site.CONTENTS).read_text("utf-8")
    entries = documents_of_site.entries(contents)
    assert len(entries) == len(set(entries))
    patterns = [
        entry.lstrip("/")
        for text in generated.READMES.values()
        for entry in re.findall(r"^   (/\S+)$", text, re.M)
    ]
    names = [p.relative_to(ROOT).with_suffix("").as_posix() for p in DOCUMENTS]
    left_out = [
        name
        for name in {*names, "docs/upstreams"} - {documents_of_site.ROOT_PAGE}
        if name not in entries
        and not any(fnmatch.fnmatch(name, pattern) for pattern in patterns)
    ]
    assert not left_out, "add them to docs/contents.md"
    made = {f"docs/reference/{name}" for name in pages}
    made = {name.removesuffix(".rst") for name in made}
    assert set(entries) <= {*names, *made, "docs/upstreams"}


def test_every_module_verb_and_recipe_has_a_page(pages):
    walked = pkgutil.walk_packages(s3prl_sb.__path__, "s3prl_sb.")
    modules = {module.name for module in walked} | {"s3prl_sb"}
    public = {name for name in modules if "._" not in name}
    for name in public:
        page = pages[f"api/{name}.rst"]
        assert f".. automodule:: {name}\n" in page
        package = name.rpartition(".")[0]
        assert not package or f"<{name}>`" in pages[f"api/{package}.rst"], name
    for verb in VERBS:
        page = pages[f"commands/{verb}.rst"]
        for option in options(verb) - {"-h", "--help"}:
            assert option in page, f"{verb} {option}"
    for name, file in resources.recipe_files().items():
        page = pages[f"recipes/{generated.slug(name)}.rst"]
        for key in Schema.of(file):
            assert f"``--{key} " in page or f"``--{key}``" in page, f"{name}: {key}"


def test_code_in_the_words_of_a_verb_is_code(pages):
    assert "``hf auth login`` first" in pages["commands/push.rst"]


@pytest.mark.parametrize("name", ["documents", "links", "markup", "once", "types"])
def test_the_examples_of_the_site_run(name):
    module = pytest.importorskip(f"site_pages.{name}", reason="no Sphinx")
    done = doctest.testmod(module)
    assert done.attempted and not done.failed


def test_readme_is_short_and_its_pictures_are_small():
    text = (ROOT / "README.md").read_text("utf-8")
    # One screen and a half of 1280 x 900, with its pictures.
    assert len(text.splitlines()) <= 45 and len(text) < 4_500
    pictures = re.findall(r"!\[(.*?)\]\((.*?)\)", text)
    assert len(pictures) >= 3
    for words, name in pictures:
        assert words and (ROOT / name).stat().st_size < 300_000, name
