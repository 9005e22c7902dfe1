"""The commands of docs/coming_from_s3prl.md: run on tones, or their keys checked."""

import re
import shlex
import sys
from pathlib import Path

import pytest
import soundfile
import yaml
from conftest import LABELS, clip, command

from s3prl_sb import resources
from s3prl_sb.cli import main, parser
from s3prl_sb.commands.run import find
from s3prl_sb.lobes.upstreams import card_file
from s3prl_sb.schema.keys import Schema

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/coming_from_s3prl.md").read_text("utf-8")
COMMANDS = [
    shlex.split(line)[1:]
    for line in dict.fromkeys(re.findall(r"`(s3prl-sb [^`]+)`", TEXT))
]
#: Verbs whose commands take hours, or what others train: their arguments are checked.
LONG = ("run", "superb", "convert")
#: Options of every recipe beside its keys.
OPTIONS = {"name", "device", "precision"}
#: Small models instead of published ones.
SMALL = {"hubert_base": "hubert_small_random", "mockingjay": "hubert_small_random"}
FEW = {
    **{"total_steps": 2, "steps_per_epoch": 2, "upstream": "hubert_small_random"},
    **{f"{split}_dataloader_opts": "{num_workers: 0}" for split in
       ("train", "valid", "test")},
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory, launcher):
    """A folder with all that the commands name: audio, an ark, a finished run."""
    kaldiio = pytest.importorskip("kaldiio")
    sys.path.insert(0, str(ROOT / "tests/contract/small"))
    try:
        from tasks import small
    finally:
        sys.path.pop(0)
    folder = tmp_path_factory.mktemp("commands")
    small("TIMIT/phones").corpus(folder / "DIR")
    (folder / "data").mkdir()
    soundfile.write(folder / "a.wav", clip(LABELS[0], 0, 0.5), 16000)
    frames = {"a": clip(LABELS[0], 0, 0.1)[:1300].reshape(100, 13).astype("float32")}
    ark, scp = folder / "data/feats.ark", folder / "data/feats.scp"
    kaldiio.save_ark(str(ark), frames, scp=str(scp))
    data = {"data_folder": folder / "DIR", "cache_folder": folder / "cache"}
    recipe = ROOT / "recipes/TIMIT/phones"
    launcher.run(command(recipe, folder / "results/RUN", **data, **FEW))
    return folder


def test_commands_run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("S3PRL_SB_CACHE", str(place / "cache"))
    names = {"RUN": "results/RUN", "2": "1", **SMALL}
    short = [words for words in COMMANDS if words[0] not in LONG]
    assert {words[0] for words in short} > {"extract", "plot", "predict", "score"}
    for words in short:
        status = main([names.get(word, word) for word in words])
        shown = capsys.readouterr()
        assert not status, (words, shown.err)
        if "--output" in words:
            assert (place / words[words.index("--output") + 1]).exists(), words


@pytest.mark.parametrize("verb", ["superb", "convert"])
def test_arguments_are_known(verb):
    few = [words for words in COMMANDS if words[0] == verb]
    assert few
    for words in few:
        parser().parse_args(words)


def test_keys_of_recipes_are_known(capsys):
    runs = [words[1:] for words in COMMANDS if words[0] == "run"]
    assert len(runs) > 50
    for name, *words in runs:
        if name == "--list" or words == ["--help"]:
            assert main(["run", name, *words]) == 0
            continue
        schema = Schema.of_recipe(find(name, resources.recipe_files()))
        if words and not words[0].startswith("--"):  # a copy of the YAML
            words = words[1:]
        for option, value in zip(words[::2], words[1::2]):
            key = option.removeprefix("--")
            assert option.startswith("--"), (name, option)
            assert key in schema or key in OPTIONS, (name, key)
            yaml.safe_load(value)
            if key == "upstream" and not value.startswith("RUN/"):
                assert card_file(value)


def test_everything_of_s3prl_is_there():
    """Its scripts and options, as of 0.4.18; pages of one line each."""
    options = "mode evaluate_split override backend local_rank past_exp init_ckpt "
    options += "config downstream downstream_variant hub upstream upstream_ckpt "
    options += "upstream_model_config upstream_refresh upstream_trainable "
    options += "upstream_feature_selection upstream_layer_selection expname expdir "
    options += "upstream_feature_normalize upstream_model_name upstream_revision "
    options += "auto_resume push_to_hf_hub hf_hub_org seed device cache_dir verbose "
    options += "disable_cudnn multi_gpu online_config weighted_sum fine_tune"
    short = {"mode": "`-m ", "evaluate_split": "`-t ", "init_ckpt": "`-i "}
    short |= {"upstream_ckpt": "`-k my.ckpt`, `--upstream_ckpt"}
    missing = [
        name
        for name in options.split()
        if short.get(name, f"--{name}").strip() not in TEXT
    ]
    assert not missing
    scripts = "ark2libri ark2timit ark2voxceleb generate_len_for_bucket timit2ark "
    scripts += "get_libri_words_not_in_lexicon preprocess_alignment preprocess_any "
    scripts += "preprocess_libri preprocess_mosi preprocess_timit extract_mosei "
    scripts += "length_mosei segment_mosei snips_preprocess snips_text_norm "
    scripts += "split_long_utter_to_short get_best_dev get_best_score observe_ckpt "
    scripts += "visualize_weight run_sig_test print_settings extract_settings "
    scripts += "overwrite_settings observe_lnsr observe_weights observe_speaker "
    scripts += "observe_input extract_sample compute_acc fix_ckpt check_hub allclose "
    scripts += "add_config_to_ckpt extract_pase print_url_cache_path submit"
    assert not [name for name in scripts.split() if f"{name}.py" not in TEXT]
