"""Messages and files of a run, tested through a recipe."""

import re
import signal
import subprocess
import sys
import time

from conftest import KS, REPOSITORY, command, results, run

NOISE = "speechbrain|torchvision|Gradscaler|quirks|findfont|fontManager|it/s|\r|e-0"


def test_a_run_says_what_matters(corpus, launcher, tmp_path):
    settings = {
        "data_folder": corpus,
        "labels": "folders",
        "version": "v0.02",
        "upstream": "fbank_no_cmvn",
        "total_steps": 20,
        "steps_per_epoch": 10,
        "batch_size": 4,
    }
    output = tmp_path / "out"
    argv = command(KS, output, **settings)
    said = run(argv)
    assert not re.search(NOISE, said), said
    assert len(said) < 4000
    first = said.splitlines()
    assert first[0] == f"SUPERB/KS in {output}"
    assert first[1].startswith("Upstream: fbank_no_cmvn (KaldiFeatures), no parameters")
    assert re.match(
        r"Trained: head \(UtteranceClassifier, \S+ k parameters\)", first[2]
    )
    assert re.match(r"Data: train \d+ utterances, \S+ \S+; valid \d+ utt", first[3])
    assert "20 updates of 4 utterances, lr 0.0001" in first[4]
    assert re.search(r"^Extracting pooled features .* the cache will take", said, re.M)
    epochs = re.findall(
        r"^Epoch (\d), steps (\d+): train loss .*; valid .* %$", said, re.M
    )
    assert epochs == [("1", "10"), ("2", "20")]
    accuracy = results(output)["metrics"]["accuracy"]
    assert f"accuracy {100 * accuracy:.2f} %" in first[-1]
    log = [line[20:] for line in (output / "log.txt").read_text().splitlines()]
    assert log == first
    assert "torch==" in (output / "env.log").read_text()
    assert list((output / "tensorboard").glob("events.*"))
    assert list((output / "tensorboard/test").glob("events.*"))
    code, again = launcher.said(argv)
    assert code == 0
    assert "The run has trained already: step 20 of 20" in again

    # An interruption like Ctrl-C prints one line with the command that resumes.
    argv = command(KS, tmp_path / "long", **{**settings, "total_steps": 10**7})
    process = subprocess.Popen(
        [sys.executable, *argv],
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "long/train_log.txt").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    (line,) = errors.strip().splitlines()
    start = "Interrupted. To go on from where it was: s3prl-sb run SUPERB/KS"
    assert line.startswith(start) and f"--output_folder {tmp_path}/long" in line
