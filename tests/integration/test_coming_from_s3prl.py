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
LONG = ("run", "superb", "bench", "convert", "submit")
#: Options of every recipe beside its keys.
OPTIONS = {"name", "device", "precision"}
#: Small models instead of published ones.
SMALL = {"hubert_base": "hubert_small_random", "mockingjay": "mel"}
FEW = {
    **{"total_steps": 2, "steps_per_epoch": 2, "upstream": "hubert_small_random"},
    **{f"{split}_dataloader_opts": "{num_workers: 0}" for split in
       ("train", "valid", "test")},
}  # fmt: skip
#: What S3PRL 0.4.18 has to start: files with arguments of a command line, and shells.
SCRIPTS = """run_downstream.py run_pretrain.py run_upstream.py runner_mockingjay.py
src/runner.py run_while.sh main.py ark2libri.py ark2timit.py ark2voxceleb.py
generate_len_for_bucket.py timit2ark.py get_libri_words_not_in_lexicon.py
preprocess_alignment.py preprocess_any.py preprocess_libri.py preprocess_mosi.py
preprocess_timit.py extract_mosei.py length_mosei.py segment_mosei.py
snips_prepare_data.sh snips_preprocess.py snips_text_norm.py convert_label.py
convert_label.sh segment_audio.py split_long_utter_to_short.py IEMOCAP_preprocess.py
sv_voxceleb1/preprocess.py voxceleb2_ge2e/preprocess.py common_voice_preprocess.py
downsample_cv.py preprocess_cv.sh make_rttm.py score.sh report.sh test_expdir.sh
data_prepare.py subsample.py count_sacreBLEU.py prepare_clean_paired_corpus.py
prepare_covo.sh prepare_create_config.py prepare_data.py prepare_data.sh
prepare_gen_fairseq_vocab.py prepare_normalize_tsv.py data_download.sh
vcc2020_download.sh vctk_download.sh vocoder_download.sh vc_train.sh batch_vc_train.sh
decode.sh custom_decode.sh batch_vc_decode.sh evaluate.py find_best_epoch.py
upstream/*/convert.py get_best_dev.py get_best_score.py visualize_weight.py
observe_weights.py observe_input.py observe_ckpt.py observe_speaker.py observe_lnsr.py
extract_sample.py tools/extract_feat.py utility/extract_feat.py extract_pase.py
check_hub.py test_upstream.py load_ckpt.py print_pkl.py allclose.py compare_wav2vec2.py
print_settings.py extract_settings.py overwrite_settings.py add_config_to_ckpt.py
fix_ckpt.py run_sig_test.py compute_acc.py print_url_cache_path.py
download_url_and_show_path.py assert_python_version.py submit.py demo_submit.sh
example/customize.py example/superb/train.py train_with_lightning.py inference.py
run_asr.sh run_sid.sh example/ssl/pretrain.py run.sh cmd.sh compute_fmllr.sh
dump_fbank_cmvn.sh dump_fmllr_cmvn.sh dump_mfcc_cmvn.sh format.py find_content.sh
rebuild_docs.sh install_espnet.sh"""
#: Its downstream folders.
TASKS = """a2a-vc-vctk a2o-vc-vcc2020 asr asr_lxt atis audio_snips ctc diarization
emotion enhancement_stft enhancement_stft2 example fluent_commands lxt_dtw lxt_emotion
mos_prediction mosei phone_1hidden phone_linear phone_linear_concat quesst14_dtw
quesst14_embedding separation_stft separation_stft2 sid_lxt
speaker_linear_frame_libri speaker_linear_utter_libri speech_commands
speech_translation sv_lxt sv_lxt_ge2e sv_voxceleb1 sws2013 timit_phone
timit_phone_1hidden timit_phone_linear timit_phone_linear_concat voxceleb1
voxceleb1_framelevel voxceleb2_amsoftmax_segment_eval voxceleb2_ge2e"""


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
    keys = small("SUPERB/KS").corpus(folder / "DIR")
    (folder / "data").mkdir()
    soundfile.write(folder / "a.wav", clip(LABELS[0], 0, 0.5), 16000)
    frames = {"a": clip(LABELS[0], 0, 0.1)[:1300].reshape(100, 13).astype("float32")}
    ark, scp = folder / "data/feats.ark", folder / "data/feats.scp"
    kaldiio.save_ark(str(ark), frames, scp=str(scp))
    (folder / "data/utt2spk").write_text("a ann\n")
    data = {**keys, "data_folder": folder / "DIR", "cache_folder": folder / "cache"}
    recipe = ROOT / "recipes/SUPERB/KS"
    launcher.run(command(recipe, folder / "results/RUN", **data, **FEW))
    return folder


def test_commands_run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    monkeypatch.setenv("S3PRL_SB_CACHE", str(place / "cache"))
    runs = {"RUN": "results/RUN", "OTHER_RUN": "results/RUN"}
    names = {**runs, "2": "1", **SMALL}
    short = [words for words in COMMANDS if words[0] not in LONG]
    assert {words[0] for words in short} > {"extract", "plot", "predict", "score"}
    for words in short:
        status = main([names.get(word, word) for word in words])
        shown = capsys.readouterr()
        assert not status, (words, shown.err)
        if "--output" in words:
            assert (place / words[words.index("--output") + 1]).exists(), words


@pytest.mark.parametrize("verb", ["superb", "bench", "convert", "submit"])
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
    options += "disable_cudnn multi_gpu online_config weighted_sum fine_tune "
    options += (
        "upstream_config audio_extension input_data input_path split_size flac_path "
    )
    options += "n_tokens njobs output_words feature_selection load_from eval_step "
    options += (
        "save_step log_step resume not_resume save_to dryrun fast_dev_run asr_no_lm"
    )
    short = {"mode": "`-m ", "evaluate_split": "`-t ", "init_ckpt": "`-i "}
    short |= {"upstream_ckpt": "`-k my.ckpt`, `--upstream_ckpt"}
    missing = [
        name
        for name in options.split()
        if short.get(name, f"--{name}").strip() not in TEXT
    ]
    assert not missing
    assert not [name for name in SCRIPTS.split() if name not in TEXT]
    assert not [name for name in TASKS.split() if f"`{name}`" not in TEXT]
