"""Names of recipes, a second setting beside the first, and what the shell offers."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import s3prl_sb
from s3prl_sb import resources
from s3prl_sb.brains.folds import override
from s3prl_sb.cli import main, parser
from s3prl_sb.commands import completion
from s3prl_sb.commands.run import UnknownRecipe, descriptions, find
from s3prl_sb.errors import UserError
from s3prl_sb.lobes.upstreams import names
from s3prl_sb.runs.suite_tasks import tasks_of
from s3prl_sb.runs.suites import SUPERB
from s3prl_sb.startup import run_name
from s3prl_sb.startup.arguments import parse
from s3prl_sb.startup.configuration import Configuration
from s3prl_sb.startup.experiment import start
from s3prl_sb.startup.readiness import check_tables

KNOWN = ["SUPERB/KS", "SUPERB/SID", "SUPERB/ASR", "other/ASR", "pretraining/TERA"]
KS = str(resources.recipes()["SUPERB/KS"] / "hparams/train.yaml")


# ----------------------------------------------------------------------- names
@pytest.mark.parametrize(
    "name", ["KS", "ks", "Ks", "superb/ks", "SUPERB/KS", "SUPERB/ks/"]
)
def test_a_short_name(name):
    assert find(name, KNOWN) == "SUPERB/KS"


def test_a_recipe_precedes_a_variant_of_another():
    names = ["SUPERB/ASR", "SUPERB/ST", "SUPERB/ST/asr"]
    assert find("asr", names) == "SUPERB/ASR"
    assert find("superb/st/asr", names) == "SUPERB/ST/asr"
    assert find("asr", [*names, "ML-SUPERB/ASR"]) == "SUPERB/ASR"
    assert find("ml-superb/asr", [*names, "ML-SUPERB/ASR"]) == "ML-SUPERB/ASR"
    assert find("lid", ["SUPERB/ASR", "ML-SUPERB/LID"]) == "ML-SUPERB/LID"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("asr", "may be SUPERB/ASR or other/ASR: give all"),
        ("kss", "Did you mean SUPERB/KS"),
        ("superb/sdi", "Did you mean SUPERB/SID"),
        ("tear", "Did you mean pretraining/TERA"),
        ("others", "Did you mean other/ASR"),
        ("weather", "no recipe 'weather'. There are: SUPERB/KS, SUPERB/SID"),
        ("", "no recipe ''"),
    ],
)
def test_a_name_of_none_or_of_several(name, message):
    with pytest.raises(UnknownRecipe, match=re.escape(message)):
        find(name, KNOWN)


def test_the_list_says_what_each_is(capsys):
    assert main(["run", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == descriptions() and len(lines) == len(resources.recipe_files())
    assert [line.split()[0] for line in lines] == list(resources.recipe_files())
    assert all(len(line.split()) > 3 and len(line) < 100 for line in lines)
    for line in lines:  # a whole sentence, without the name of the corpus again
        name, summary = line.split(maxsplit=1)
        assert re.fullmatch(r"\w.*[\w)?]", summary), line
        assert name.partition("/")[0].lower() not in summary.lower().split(), line
    assert main(["run"]) == 1
    assert "run --list" in capsys.readouterr().err


@pytest.mark.parametrize("task", tasks_of(SUPERB))
def test_help_by_a_short_name(task, capsys):
    assert main(["run", task.lower(), "--help"]) == 0
    assert f"s3prl-sb run SUPERB/{task} --key value" in capsys.readouterr().out


# ---------------------------------------------------------------- --name
def places(*argv):
    file, _, overrides = parse([KS, *argv])
    found = Configuration(file, overrides).resolved
    return found["output_folder"], found["save_folder"]


@pytest.mark.parametrize("given", [["--name", "long"], ["--name=long"]])
@pytest.mark.parametrize("options", [[], ["--seed", "3"], ["--upstream=mel"]])
def test_a_second_setting_beside_the_first(given, options):
    before, _ = places(*options)
    output, save = places(*options, *given)
    assert output == f"{before}-long" and save == f"{output}/save"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--name"], "--name has no value"),
        (["--name", "a", "--name=b"], "given twice"),
        (["--name", "../a"], "part of a folder's name"),
        (["--name", "a/b"], "part of a folder's name"),
        (["--name", "<seed>"], "part of a folder's name"),
        (["--name", ""], "part of a folder's name"),
        (["--name", "a", "--output_folder", "/b"], "give one of the two"),
    ],
)
def test_names_that_cannot_be(argv, message):
    with pytest.raises(UserError, match=message):
        places(*argv)


def test_a_recipe_may_have_a_key_of_that_name(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("name: a\noutput_folder: !ref results/<name>\n")
    argv = [str(own), "--name", "b c"]
    assert run_name.split_name(argv) == (argv, None)
    assert run_name.split_name([KS, *argv[1:2], "b"]) == ([KS], "b")
    file, _, overrides = parse(argv)
    assert Configuration(file, overrides).resolved["output_folder"] == "results/b c"


def test_folds_lie_in_the_named_folder():
    """The name is part of the folder that each fold is given."""
    argv = override([KS, "--name", "long", "--lr=1"], output_folder="a-long/fold1")
    assert argv == [KS, "--lr=1", "--output_folder=a-long/fold1"]
    assert places(*argv[1:])[0] == "a-long/fold1"
    assert run_name.split_name(override([KS, "--name=long"], lr=1))[1] == "long"


# ----------------------------------------------------------------- completion
def offered(*words):
    return completion.candidates(list(words), parser())


def test_what_is_offered():
    assert offered("") == offered() and {"run", "score", "predict"} <= {*offered("")}
    assert offered("ext") == ["extract"]
    assert {"SUPERB/KS", "KS", "ks"} <= {*offered("run", "")}
    assert offered("run", "ks") == ["ks"]
    assert offered("run", "ks", "--total") == ["--total_steps"]
    assert "--name" in offered("run", "KS", "--n")
    assert offered("run", "SUPERB/KS", "mine.ya") == []  # files
    assert offered("run", "KS", "--upstream", "fbank") == ["fbank", "fbank_no_cmvn"]
    assert offered("superb", "--upstream", "fbank") == ["fbank", "fbank_no_cmvn"]
    assert offered("check", "fbank_") == ["fbank_no_cmvn"]
    assert offered("extract", "--dtype", "") == ["float16", "float32", "int8"]
    assert offered("predict", "--j") == ["--json"]
    assert offered("superb", "--tasks", "S") == ["SID", "SF", "SD", "ST", "SS", "SE"]
    assert offered("superb", "--tasks", "s") == ["sg"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("toy", "libris") == ["librispeech"]
    assert offered("download", "que") == ["quesst14"]
    assert offered("toy", "librispeech", "") == []  # a folder
    assert offered("superb", "--upstream", "mel", "fbank") == ["fbank", "fbank_no_cmvn"]
    assert offered("superb", "--upstream", "fbank", "fba") == ["fbank_no_cmvn"]
    assert offered("superb", "--tasks", "SID", "S") == ["SF", "SD", "ST", "SS", "SE"]
    assert offered("superb", "--upstream", "mel", "--tasks", "KS", "Q") == ["QbE"]
    assert offered("superb", "--tasks", "KS", "--se") == ["--seeds", "--seed", "--set"]
    assert offered("check", "--random", "fbank_") == ["fbank_no_cmvn"]
    assert offered("run", "KS", "--head", "ec") == ["ecapa"]
    assert offered("run", "PR", "--head", "ec") == []
    assert offered("run", "KS", "--opt_class", "adamw") == ["adamw"]
    assert offered("run", "KS", "--pooling", "me") == ["mean"]
    assert offered("run", "PR", "--pooling", "me") == []
    assert offered("run", "KS", "--cache", "o") == ["off"]
    assert offered("run", "KS", "--data_folder", "") == []  # files
    assert offered("run", "KS", "--noise.s") == ["--noise.snr"]
    assert offered("run", "KS", "--nois.s") == []
    assert offered("units", "") == ["fit", "apply", "quality"]
    assert offered("units", "fit", "--c") == ["--clusters"]
    assert offered("units", "fit", "--upstream", "fbank_") == ["fbank_no_cmvn"]
    assert offered("fly", "") == offered("predict", "a.w") == []


def test_names_are_those_of_the_cards():
    assert completion.upstreams() == names()


def test_corpora_are_those_that_can_be_fetched():
    from s3prl_sb.corpora import downloads

    assert offered("download", "") == downloads.names()


@pytest.mark.parametrize("name", resources.recipe_files())
def test_keys_are_those_of_the_recipe(name):
    from s3prl_sb.schema.keys import Schema

    file = resources.recipe_files()[name]
    assert completion.keys(file) == list(Schema.of_recipe(name))


def test_completion_imports_nothing_heavy():
    code = """
import sys
from pathlib import Path
from s3prl_sb.cli import main
main(["completion", "words", "run", "KS", "--upstream", "hub"])
heavy = {"torch", "numpy", "speechbrain", "hyperpyyaml", "ruamel"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "hubert_base" in done.stdout.split()


def test_completion_of_names_imports_no_torch():
    code = """
import sys
from s3prl_sb.cli import main
main(["completion", "words", "run", "KS", "--head", "ec"])
heavy = {"torch", "numpy", "speechbrain", "hyperpyyaml"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.split() == ["ecapa"], done.stderr


def test_bash_completes(tmp_path):
    """The script itself, in the shell."""
    program = tmp_path / "s3prl-sb"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m s3prl_sb.cli "$@"\n')
    program.chmod(0o755)
    code = """
eval "$(s3prl-sb completion bash)"
complete -p s3prl-sb
COMP_WORDS=(s3prl-sb run ks --total_s); COMP_CWORD=3
_s3prl_sb; printf '%s\\n' "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    found = subprocess.run(
        ["bash", "-c", code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(Path(s3prl_sb.__file__).parents[1]),
        },
    )
    assert found.stdout.splitlines()[-1] == "--total_steps", found.stderr


@pytest.mark.parametrize("shell", completion.SCRIPTS)
def test_every_shell_has_a_script(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "s3prl-sb completion words" in text and text.startswith("# s3prl-sb")


# -------------------------------------------------------------- interruptions
@pytest.mark.parametrize(
    ("begins", "said"),
    [("", "Interrupted. To go on"), ("interruption.heed()", "caught in order")],
    ids=["imports", "runs"],
)
def test_ctrl_c_from_the_first_second(begins, said, tmp_path):
    """While a recipe imports there is nothing to clear up; later there is."""
    script = tmp_path / "train.py"
    script.write_text(
        f"import sys, time\nfrom s3prl_sb.processes import interruption\n{begins}\n"
        "try:\n    print(sys.argv[1:], __name__, flush=True)\n    time.sleep(60)\n"
        "except BaseException as error:\n"
        "    sys.exit(f'caught in order {type(error).__name__}')\n"
    )
    command = [sys.executable, "-m", "s3prl_sb.startup.script", str(script), "a.yaml"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, preexec_fn=_heeding, **pipes)
    try:
        assert process.stdout.readline() == "['a.yaml'] __main__\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert said in err and "Traceback" not in err
    assert process.returncode == (1 if begins else 130)


def _heeding():
    """A shell's background processes ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


# ------------------------------------------------------------------ own tables
@pytest.mark.parametrize("first", ["train_csv", "documents_csv"])
@pytest.mark.parametrize("given", ["valid_csv", "test_csv"])
def test_a_table_is_not_passed_over(first, given, caplog):
    """Tables to test on need a table to train on, and a corpus beside them is named."""
    check_tables({first: "a.csv", given: "b.csv"})
    assert not caplog.messages
    check_tables({first: "a.csv", given: "b.csv", "data_folder": "corpus"})
    assert caplog.messages == [f"data_folder is not read: {first} has the data."]
    check_tables({first: None, given: None})
    check_tables({given: "b.csv"})  # a custom recipe
    with pytest.raises(UserError, match=f"{given} is given without {first}.*score RUN"):
        check_tables({first: None, given: "b.csv"})


@pytest.mark.parametrize("task", tasks_of(SUPERB))
def test_every_recipe_says_it_before_it_prepares(task, tmp_path):
    def prepare(hparams):
        raise AssertionError("it has begun")

    file = resources.recipes()[f"SUPERB/{task}"] / "hparams" / "train.yaml"
    argv = [str(file), "--upstream", "mel", "--test_csv", "my.csv"]
    argv += ["--output_folder", str(tmp_path / "run")]
    with pytest.raises(UserError, match="test_csv is given without"):
        start(argv, prepare)
