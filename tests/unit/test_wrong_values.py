"""Errors of a recipe: a few words, before any data are read."""

import contextlib
import io
import re
import shlex
import sys

import pytest

from s3prl_sb import resources
from s3prl_sb.errors import UserError
from s3prl_sb.startup import excepthook, experiment
from s3prl_sb.startup.configuration import RecipeError, load_recipe

KS = resources.recipes()["SUPERB/KS"] / "hparams/train.yaml"


class Reached(Exception):
    """Data would have been read."""


def prepare(hparams):
    raise Reached


def message(argv, tmp_path, monkeypatch):
    """Returns what the user reads; any other exception is a failure."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    argv = [str(part) for part in argv]
    if not any(part.startswith("--output_folder") for part in argv):
        argv.append(f"--output_folder={tmp_path}/out")
    if not any(part.partition("=")[0] == "--upstream" for part in argv):
        argv.append("--upstream=hubert_small_random")
    with pytest.raises(UserError) as error, contextlib.redirect_stderr(io.StringIO()):
        experiment.start(argv, prepare)
    said = str(error.value)
    assert said.count("\n") < 3 and len(said) < 700, said
    assert not (tmp_path / "out/hyperparams.yaml").exists(), "it has begun already"
    return said


@pytest.mark.parametrize(
    "given, words",
    [
        # numbers
        ("--lr abc", "--lr is a number above 0, such as 0.0001, not 'abc'."),
        ("--lr 0,1", "--lr is a number above 0, such as 0.0001, not '0,1'."),
        ("--lr -1", "not -1"),
        ("--lr null", "not null"),
        ("--lr '[0.1]'", "not [0.1]"),
        ("--lr '{a: 1}'", "--lr is a number above 0"),
        (
            "--total_steps abc",
            "--total_steps is a whole number from 1 on, such as 2000",
        ),
        ("--total_steps 0", "not 0"),
        ("--total_steps 7", "total_steps 7 is no multiple of steps_per_epoch 5000"),
        ("--total_steps 2.5", "not 2.5"),
        ("--seed 1.5", "--seed is a whole number from 0 to 4294967295"),
        ("--seed abc", "not 'abc'"),
        ("--batch_size 0", "--batch_size is a whole number from 1 on or null"),
        ("--batch_size null", "without batch_seconds"),
        ("--grad_accumulation_factor x", "--grad_accumulation_factor: invalid int"),
        ("--max_grad_norm 0", "--max_grad_norm is a number above 0"),
        (
            "--train_fraction 3",
            "--train_fraction is a number above 0, up to 1, or null",
        ),
        ("--lr_search '[a]'", "--lr_search is a list of numbers above 0 or null"),
        ("--lr_search '[]'", "not []"),
        ("--lr_search '[0.1, 0.1]'", "different learning rates"),
        ("--lr_search '[0.1]' --freeze no", "choose lr yourself"),
        # choices, flags
        ("--cache nonsense", "--cache is auto, off, pooled or frames, not 'nonsense'."),
        ("--cache frames --freeze off", "cache: frames is impossible"),
        (
            "--cache_budget lots",
            "--cache_budget is a number from 0 on or auto, not 'lots'",
        ),
        (
            "--cache_dtype float8",
            "--cache_dtype is float16, float32 or int8, not 'float8'.",
        ),
        ("--labels other", "--labels is superb or folders, not 'other'."),
        ("--version v9", "--version is auto, v0.01 or v0.02, not 'v9'."),
        ("--freeze perhaps", "--freeze is True or False, not 'perhaps'."),
        ("--skip_prep 3", "--skip_prep is True or False, not 3."),
        # what is made
        (
            "--featurizer '{layers: 70}'",
            "--featurizer: layers: there is no hidden state",
        ),
        (
            "--featurizer '{layer: all}'",
            "Featurizer takes no 'layer'. Did you mean lay",
        ),
        ("--featurizer '{normalize: ja}'", "normalize is True or False, not 'ja'"),
        (
            "--featurizer null",
            "--featurizer is an object made by !new: (a s3prl_sb.l",
        ),
        (
            "--featurizer !new:s3prl_sb.lobes.featurizer.Featurizr",
            "Did you mean Featur",
        ),
        (
            "--featurizer !name:torch.nn.Linear",
            "--featurizer is an object made by !new",
        ),
        ("--train_pipes x", "--train_pipes is a list of objects made by !new:"),
        ("--train_pipes '[x]'", "--train_pipes is a list of objects made by !new:"),
        ("--eval_pipes '{a: 1}'", "--eval_pipes is a list of objects made by !new:"),
        (
            "--head '{hidden_sizee: 3}'",
            "--head: s3prl_sb.lobes.heads.utterance.UtteranceClassifi",
        ),
        ("--head !name:nowhere.Head", "no module 'nowhere' can be imported"),
        ("--head x", "--head: there is no head called 'x'. There are: linear"),
        ("--head 3", "--head is a class or a function named by !name:"),
        ("--opt_class '{lrr: 3}'", "torch.optim.Adam takes no 'lrr'. Did you mean lr?"),
        (
            "--opt_class !name:torch.nn.Linear",
            "(a torch.optim.Optimizer), not torch.nn",
        ),
        ("--opt_class !name:torch.optim.Adamm", "Did you mean Adam"),
        ("--epoch_counter '{limit: x}'", "--epoch_counter: invalid literal for int()"),
        ("--checkpointer null", "--checkpointer is an object made by !new:"),
        ("--train_dataloader_opts '{num_workers: x}'", "_opts.num_workers is a whole"),
        ("--train_dataloader_opts '{num_worker: 1}'", "Did you mean train_dataloader_"),
        # the upstream
        ("--upstream", "--upstream has no value. It is a text."),
        ("--upstream --lr 3", "--upstream has no value. It is a text."),
        ("--upstream hubert_bas", "Did you mean hubert_base"),
        ("--upstream none.yaml", "There is no card file 'none.yaml'"),
        ("--upstream null", "--upstream is a text, such as 'hubert_base', not null"),
        (
            "--upstream_model '{sourc: x}'",
            "Hubert takes no 'sourc'. Did you mean source",
        ),
        ("--upstream_model '{adapter: {kind: lora}}'", "set freeze: False"),
        (
            "--freeze no --upstream_model '{adapter: {kind: lor}}'",
            "Known: lora, bottle",
        ),
        (
            "--freeze no --upstream_model '{adapter: {rnk: 3}}'",
            "'lora': rnk. Known: rank",
        ),
        (
            "--upstream_model '{adapter: lora}'",
            "adapter is a mapping or null, not 'lora",
        ),
        ("--upstream_model '{precision: fp8}'", "precision is fp32, bf16 or fp16, not"),
        ("--upstream_model '{freeze: ja}'", "freeze is True or False, not 'ja'"),
        ("--upstream_model '{source: /nowhere}'", "No checkpoint at '/nowhere'"),
        # the command line
        ("--device gpu", "--device gpu: torch knows no such device. There are: cpu"),
        ("--device cuda:99", "--device cuda:99: torch sees"),
        ("--precision fp8", "--precision: invalid choice: 'fp8'"),
        ("--device meta", "--device meta: torch cannot compute on it here"),
        ("--precison fp16", "no key 'precison'. Did you mean precision"),
        ("--noprogresbar", "no key 'noprogresbar'. Did you mean noprogressbar?"),
        ("--max_grad 5", "no key 'max_grad'. Did you mean max_grad_norm?"),
        ("--debug maybe", "'maybe' belongs to no key: give --key value."),
        ("lr=3", "'lr=3' belongs to no key"),
        ("--lr 1 2", "'2' belongs to no key"),
        ("--train_csv ''", "--train_csv has no value. It is a file or null."),
        ("--data_folder=", "--data_folder has no value. It is a folder or null."),
        ("--lr '!apply:os.getcwd []'", "--lr is a number above 0, not '/"),
        (
            "--head '!new:torch.nn.Linear {in_features: 3, out_features: 3}'",
            "--head is a class or a function named by !name: (a torch.nn.Module), not",
        ),
        (
            "--featurizer '!new:torch.nn.Linear {in_features: 3, out_features: 3}'",
            "(a s3prl_sb.lobes.featurizer.Featurizer), not torch.nn",
        ),
        (
            "--train_pipes '[!new:s3prl_sb.dataio.pipes.LoadAudio {rate: 3}]'",
            "--train_pipes: s3prl_sb.dataio.pipes.LoadAudio takes no 'rate'",
        ),
        ("--opt_class '{fused: maybe}'", "fused is True or False, not 'maybe'"),
        ("--xyzzy 3", "There is no key 'xyzzy'. There are: seed, upstream"),
        ("--__keys '{lr: {is: text}}'", "There is no key '__keys'"),
        ("--lr 1 --lr 2", "--lr is given twice"),
        ("--lr '{'", "--lr { is no YAML: expected the node content"),
        ("--lr '!ref <x>'", "--lr: <x> refers to no key"),
        ("--lr '!foo 3'", "--lr: could not determine a constructor for the tag '!foo'"),
        ("--data_folder '[a, b]'", "--data_folder is a folder or null, not ['a', 'b']"),
        ("--output_folder null", "--output_folder is a folder, not null"),
    ],
)
def test_on_the_command_line(given, words, tmp_path, monkeypatch):
    assert words in message([KS, *shlex.split(given)], tmp_path, monkeypatch)


def test_a_bomb_on_the_command_line(tmp_path, monkeypatch):
    bomb = "a0: &a0 [x, x]"
    bomb += "".join(f", a{i + 1}: &a{i + 1} [*a{i}, *a{i}]" for i in range(40))
    said = message([KS, "--head", "{" + bomb + "}"], tmp_path, monkeypatch)
    assert "--head: its aliases stand for more than 1000000 values." in said


def test_no_recipe_at_all(tmp_path, monkeypatch):
    assert "begins with its YAML file" in message(["--lr=1"], tmp_path, monkeypatch)
    assert "none.yaml' cannot be read" in message(["none.yaml"], tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "old, new, words",
    [
        (
            "<upstream>",
            "<upstrem>",
            "line N: upstream_model: <upstrem> refers to no k",
        ),
        ("upstream: h", " upstream: h", "mine.yaml' is not a recipe: line N: expected"),
        ("seed: 1986", "seed 1986", "is not a recipe: line N: could not find expected"),
        ("seed: 1986", 'seed: "1986', "is not a recipe: line"),
        (
            "seed: 1986",
            "seed: abc",
            "line N: seed is a whole number from 0 to 4294967295",
        ),
        ("seed: 1986", "seed: !ref <seed>", "line N: seed: its references go round"),
        ("lr: 0.0001", "lr: fast", "lr is a number above 0, not 'fast'"),
        (
            "pipes.LoadAudio",
            "pipes.LoadAudi",
            "train_pipes: 's3prl_sb.dataio.pipes' has",
        ),
        ("dataio.pipes.L", "dataio.pipe.L", "no module 's3prl_sb.dataio.pipe' can be"),
        ("!name:torch.optim", "!new:torch.optim", "opt_class: torch.optim.Adam: Adam."),
        (
            "hidden_size: 256",
            "hidden_sizes: 256",
            "head: s3prl_sb.lobes.heads.utterance.Utteranc",
        ),
        (
            "labels: superb",
            "labels: superp",
            "labels is superb or folders, not 'superp'",
        ),
        (
            "labels: superb",
            "labels: !apply:os.listdir [/no]",
            "labels: /no: No such file",
        ),
        (
            "labels: superb",
            "labels: !include:no.yaml",
            "labels: .*no.yaml: No such file",
        ),
        (
            "labels: superb",
            "labels: !ref <seed> // 0",
            "labels: integer division or mod",
        ),
        ("upstream: hubert_base", "upstream: !PLACEHOLDER", "give --upstream VALUE"),
        ("__keys:", "__keys:\n    lr: {iz: 3}", "the declaration of 'lr': there is no"),
    ],
)
def test_in_a_yaml_of_ones_own(old, new, words, tmp_path, monkeypatch):
    text = KS.read_text("utf-8")
    assert old in text
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace(old, new, 1), "utf-8")
    argv = [mine] if "PLACEHOLDER" not in new else [mine, "--lr=1"]
    said = _said(argv, "PLACEHOLDER" in new, tmp_path, monkeypatch)
    assert re.search(words.replace("(", r"\(").replace("line N", r"line \d+"), said), (
        said
    )


def _said(argv, without_upstream, tmp_path, monkeypatch):
    if not without_upstream:
        return message(argv, tmp_path, monkeypatch)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(UserError) as error:
        experiment.start([*map(str, argv), f"--output_folder={tmp_path}/out"], prepare)
    return str(error.value)


@pytest.mark.parametrize(
    "content", [b"", b"- a\n", b"a\n", b"\x00\x01", b"a: \xff\n", b"seed: 1\nseed: 2\n"]
)
def test_files_that_are_no_recipe(content, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_bytes(content)
    said = message([tmp_path / "mine.yaml"], tmp_path, monkeypatch)
    assert "mine.yaml' is not a recipe: " in said


@pytest.mark.parametrize("key", ["1", "null", "[a, b]", "? {a: b}\n"])
def test_keys_that_are_no_texts(key, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(f"seed: 1\n{key}: 2\n")
    said = message([tmp_path / "mine.yaml"], tmp_path, monkeypatch)
    assert "mine.yaml', line 2: a key is a text, not " in said


def test_a_key_that_stands_twice_in_what_is_made(tmp_path, monkeypatch):
    text = KS.read_text("utf-8").replace(
        "    hidden_size: 256", "    hidden_size: 256\n    hidden_size: 8"
    )
    (tmp_path / "mine.yaml").write_text(text)
    said = message([tmp_path / "mine.yaml"], tmp_path, monkeypatch)
    assert 'found duplicate key "hidden_size"' in said


def test_a_key_that_the_yaml_lacks(tmp_path, monkeypatch):
    text = KS.read_text("utf-8").replace("train_csv: null", "table: null")
    (tmp_path / "mine.yaml").write_text(text)
    hparams = load_recipe(tmp_path / "mine.yaml", "upstream: mel")
    with pytest.raises(RecipeError, match="no key 'train_csv'"):
        hparams["train_csv"]
    assert hparams.get("train_csv") is None


def test_what_a_recipe_calls_later_names_its_key_too(tmp_path):
    hparams = load_recipe(KS, "upstream: mel\nhead: {input_size: null}")
    with pytest.raises(
        UserError, match="^--head: s3prl_sb.lobes.heads.utterance.Utterance"
    ):
        hparams["head"](num_classes=3)
    hparams = load_recipe(KS, "upstream: mel\nopt_class: {betas: [7, 8]}")
    with pytest.raises(UserError, match="^--opt_class: torch.optim.*: Invalid beta"):
        hparams["opt_class"](hparams["featurizer"].parameters())


@pytest.mark.parametrize("wanted", [False, True])
def test_the_traceback_is_for_whoever_wants_it(wanted, monkeypatch, caplog, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.setenv("S3PRL_SB_TRACEBACK", "1" if wanted else "")
    excepthook.install()
    with pytest.raises(UserError) as error:
        load_recipe(KS, "upstream: mel\nfeaturizer: {layers: 7}")
    sys.excepthook(error.type, error.value, error.tb)
    printed = capsys.readouterr().err
    for said in (printed, caplog.text):
        assert ("Traceback" in said and "featurizer.py" in said) == wanted
        assert "there is no hidden state 7" in said


@pytest.mark.parametrize(
    "name, given, words",
    [
        ("ASR", "--spec_augment {time_mask: 3}", "SpecAugment takes no 'time_mask'"),
        ("ASR", "--librilight_split 3h", "is 10h, 1h, 10m-0"),
        (
            "ASV",
            "--score_normalization yes",
            "--score_normalization is as_norm or null",
        ),
        ("ASV", "--loss {margins: 3}", "AMSoftmaxLoss takes no 'margins'"),
        ("ER", "--fold 6", "--fold is all, 1, 2, 3, 4 or 5, not 6"),
        ("IC", "--slots x", "--slots is a list of texts"),
        ("PR", "--unknown_words what", "--unknown_words is error, drop or spn"),
        ("QbE", "--distance euclid", "--distance is cosine_exp, cosine"),
        ("SD", "--corpus x", "--corpus is libri2mix or ami"),
        ("SD", "--cache pooled", "--cache is auto, off or frames, not 'pooled'"),
        (
            "SD",
            "--thresholds [2]",
            "--thresholds is a list of numbers above 0, up to 1",
        ),
        ("SF", "--train_speakers x", "--train_speakers is a list of texts"),
        ("SID", "--crops 0", "--crops is a whole number from 1 on or null"),
    ],
)
def test_of_each_recipe(name, given, words, tmp_path, monkeypatch):
    file = resources.recipes()[f"SUPERB/{name}"] / "hparams/train.yaml"
    argv = [file, *given.split(" ", 1)]
    assert words in message(argv, tmp_path, monkeypatch)


def test_ctrl_c_is_no_error_of_ours(monkeypatch, caplog, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.delenv("S3PRL_SB_TRACEBACK", raising=False)
    excepthook.install()
    with pytest.raises(SystemExit) as ended:
        sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert ended.value.code == 130
    assert capsys.readouterr().err.count("Traceback") == 0
    assert "Interrupted. To go on from where it was:" in caplog.text


# ------------------------------------------- what would have been said much later
HOME = resources.folder("recipes") / "SUPERB"


@pytest.mark.parametrize(
    "task, given, words",
    [
        ("PR", "--train_fraction 0.1 --batch_seconds 5", None),
        ("KS", "--batch_seconds 5", "batch_seconds and balance exclude each other"),
        ("KS", "--train_fraction 0.5 --train_per_class 2", "0.5 and train_per_class 2"),
        ("PR", "--cache pooled --head.dropout 1", "FrameClassifier takes no 'dropout'"),
        ("ASV", "--cache pooled", "cache: pooled would not be exact"),
        ("ASR", "--cache pooled", "cache: pooled would not be exact"),
        ("KS", "--cache_folder /proc/none", "Choose another cache_folder"),
        ("ASV", "--lr_search [0.1] --valid_speakers 0", "no speakers are held out"),
        ("KS", "--lr_search [0.1] --upstream_model {freeze:\\ False}", "one frozen"),
        ("ASR", "--lm LM", "pip install 's3prl_sb\\[lm\\]'"),
        ("ASR", "--lm none.arpa", "lm: '.*none.arpa' is not there"),
        ("KS", "--head {hidden_size:\\ -3}", "head: "),
    ],
)
def test_before_data_are_looked_at(
    task, given, words, tmp_path, monkeypatch, without_flashlight
):
    """All of it was found out only after the corpus had been prepared, or later."""
    (tmp_path / "LM").write_text("x")
    given = given.replace("LM", f"{tmp_path}/LM")
    argv = [HOME / task / "hparams/train.yaml", *shlex.split(given)]
    if words is None:
        argv += [f"--output_folder={tmp_path}/out", "--upstream=mel"]
        with pytest.raises(Reached):
            experiment.start([str(part) for part in argv], prepare)
    else:
        assert re.search(words, message(argv, tmp_path, monkeypatch))
