"""Loggers of other programs: stand-ins take what the libraries would, and the libraries
themselves offline, where they are installed."""

import json
import logging
import os
import random
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from speechbrain.utils.train_logger import TrainLogger

from s3prl_sb import resources
from s3prl_sb.audio.writing import write_waveform
from s3prl_sb.benchmark.contents import counting
from s3prl_sb.brains import plots
from s3prl_sb.brains.course import Course
from s3prl_sb.brains.results import publish
from s3prl_sb.brains.tensorboard import TensorboardLogger
from s3prl_sb.brains.winner import Diary
from s3prl_sb.errors import MissingExtra
from s3prl_sb.loggers.chosen import LoggerError, make, named
from s3prl_sb.loggers.services import SERVICES
from s3prl_sb.startup.configuration import load_recipe
from s3prl_sb.startup.experiment import start

BOTH = pytest.mark.parametrize("service", SERVICES)


class Service(types.ModuleType):
    """Stand-in of both libraries: keeps the runs by their ids, as a server does."""

    def __init__(self, name, fails=()):
        super().__init__(name)
        self.runs, self.inits, self.current, self.fails = {}, [], None, fails

    def init(self, **given):
        if "init" in self.fails:
            raise OSError("no network: https://me:secret@host\nand more")
        self.inits.append(given)
        assert given["resume"] == "allow"
        key = given.get("id") or given["name"]
        self.current = self.runs.setdefault(key, Run(self))
        self.current.open = True
        return self.current

    def finish(self):
        self.current.finish()

    class Settings(dict):
        model_fields = {"console", "host", "disable_git"}

        def __init__(self, **given):
            assert set(given) <= self.model_fields, "an unknown field is an error"
            super().__init__(given)

    class Image(str):
        pass

    class Audio(str):
        pass


class Run:
    """Run of the stand-in: the points it was sent, and its summary."""

    def __init__(self, service):
        self.service, self.points, self.summary = service, [], {}

    def define_metric(self, name, step_metric=None):
        pass

    def log(self, values, step=None):
        assert self.open
        if "log" in self.service.fails:
            raise ConnectionError("gone")
        values = dict(values)
        step = values.pop("updates", step)
        self.points += [(name, step, value) for name, value in values.items()]

    def finish(self):
        self.open = False
        if "finish" in self.service.fails:
            raise TimeoutError("still waiting")


class Brain:
    gradient_norm = torch.tensor(3.0)

    def __init__(self, step=0):
        self.optimizer_step = step
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
        self.optimizers_dict = {"optimizer": optimizer}

    def measures_since(self, reader):
        return {}


def train(logger, start, stop, epoch=20):
    """Logs like a Brain with a checkpoint at the end of each epoch."""
    logger.resume(start)
    course, brain = Course("", 100, start, epoch, [logger]), Brain(start)
    for step in range(start + 1, stop + 1):
        brain.optimizer_step = step
        course.train(torch.tensor(1.0 / step), brain)
        if step % epoch == 0:
            course.save()
            logger.log_stats({"steps": step}, {"loss": 0.5}, {"accuracy": step / 100})
            logger.log_weights(step, [0, 3], [0.25, 0.75])


@pytest.fixture
def services(monkeypatch):
    """Puts stand-ins where the libraries would be."""
    services = {name: Service(name) for name in SERVICES}
    for name, service in services.items():
        monkeypatch.setitem(sys.modules, name, service)
    return services


def logger_of(service, folder, settings=None, every=5, **more):
    names = {"project": "p", "name": "KS fbank 1", "group": "g"}
    settings = {"lr": 0.1} if settings is None else settings
    return SERVICES[service](folder, settings, every, **names, **more)


def points(service):
    (run,) = service.runs.values()
    return sorted(run.points)


@BOTH
def test_a_killed_run_goes_on_in_its_own_run(service, services, tmp_path):
    """Killed at 57, it goes on from 40: no point twice, none missing."""
    train(logger_of(service, tmp_path / "whole"), 0, 100)
    expected = points(services[service])
    services[service].runs.clear()
    train(logger_of(service, tmp_path / "broken"), 0, 57)
    train(logger_of(service, tmp_path / "broken"), 40, 73)
    train(logger_of(service, tmp_path / "broken"), 60, 100)
    assert points(services[service]) == expected
    steps = [step for name, step, _ in expected if name == "loss/step"]
    assert steps == list(range(5, 101, 5))
    names = {name for name, *_ in expected}
    assert names >= {"lr/step", "gradient_norm/step", "loss/train", "accuracy/valid"}
    assert names >= {"layer_weight/00", "layer_weight/03"}


@BOTH
def test_a_kill_before_the_first_checkpoint(service, services, tmp_path):
    """Same settings: same run. Others: another training, and another run."""
    train(logger_of(service, tmp_path), 0, 12)
    train(logger_of(service, tmp_path), 0, 20)
    assert len(services[service].runs) == 1
    steps = [s for name, s, _ in points(services[service]) if name == "loss/step"]
    assert steps == [5, 10, 15, 20]
    train(logger_of(service, tmp_path, {"lr": 0.2}), 0, 20)
    assert len(services[service].runs) == 2
    *_, run = services[service].runs.values()
    assert len([p for p in run.points if p[0] == "loss/step"]) == 4


@BOTH
def test_a_journal_that_a_kill_or_a_full_disk_has_cut(service, services, tmp_path):
    train(logger_of(service, tmp_path), 0, 10)
    path = tmp_path / f"loggers/{service}.jsonl"
    path.write_bytes(path.read_bytes() + b'\0\xff\n[1]\n{"kind": "st')
    train(logger_of(service, tmp_path), 0, 20)
    assert len(services[service].runs) == 1
    steps = [s for name, s, _ in points(services[service]) if name == "loss/step"]
    assert steps == [5, 10, 15, 20]


@BOTH
def test_a_search_of_rates_tells_the_best_one(service, services, tmp_path):
    logger = logger_of(service, tmp_path)
    train(logger, 0, 20)
    diary = Diary(tmp_path / "diary.jsonl", [logger])
    assert diary.every == 5
    train(diary, 0, 40)
    diary.tell([logger])
    *_, run = services[service].runs.values()
    assert len(services[service].runs) == 2  # what was there is another run
    steps = [step for name, step, _ in run.points if name == "loss/step"]
    assert steps == list(range(5, 41, 5))


@BOTH
def test_results(service, services, tmp_path):
    plots.layer_weights(tmp_path / "layer_weights.png", [0, 1], [0.2, 0.8], "a")
    write_waveform(tmp_path / "a.wav", torch.full((80,), 0.5), 8000)
    sounds = [("u1/clean", tmp_path / "a.wav")]
    media = [tmp_path / "layer_weights.png"], 20, "test", sounds
    intervals = {"accuracy": [0.5, 0.875]}
    for _ in range(2):  # tested again, by another process
        logger = logger_of(service, tmp_path)
        train(logger, 20, 20)
        logger.log_results({}, {"accuracy": 0.75}, *media, intervals)
    found = {name: value for name, _, value in points(services[service])}
    assert len(points(services[service])) == 5
    assert found["accuracy/test"] == 0.75
    assert (found["accuracy_low/test"], found["accuracy_high/test"]) == (0.5, 0.875)
    assert found["pictures/layer_weights"] == str(tmp_path / "layer_weights.png")
    assert found["sounds/u1/clean"] == str(tmp_path / "a.wav")
    (run,) = services[service].runs.values()
    assert not run.open
    if service == "wandb":
        assert run.summary["accuracy/test"] == 0.75
    logger.log_results({}, {"accuracy": 0.5}, *media)  # on another test set
    assert len(points(services[service])) == 8
    logger.log_results({}, {"loss": 0.5}, [], 10, "valid")  # a pre-training
    assert ("loss/best", 20, 0.5) in points(services[service])


@BOTH
@pytest.mark.parametrize("fault", ["init", "log", "finish"])
def test_a_service_never_ends_a_training(fault, service, services, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    services[service].fails = (fault,)
    logger = logger_of(service, tmp_path)
    train(logger, 0, 40)
    logger.log_results({}, {"accuracy": 0.75}, [], 40)
    logger.close()
    warned = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(warned) == 1
    assert warned[0].startswith(f"{service} gets nothing more of this run, which goes")
    assert "secret" not in warned[0] and "\n" not in warned[0]


@BOTH
def test_numbers_of_the_training_stay(service, services, tmp_path):
    """Its random numbers are those of a run without a logger."""
    random.seed(1)
    torch.manual_seed(1)
    train(logger_of(service, tmp_path), 0, 20)
    found = random.random(), torch.rand(1).item()
    random.seed(1)
    torch.manual_seed(1)
    assert found == (random.random(), torch.rand(1).item())


def test_only_the_main_process_logs(tmp_path, services, monkeypatch):
    """The others have no such logger, whose calls would wait for them."""
    for is_main, count in ((True, 3), (False, 2)):
        distributed = "speechbrain.utils.distributed.if_main_process"
        monkeypatch.setattr(distributed, lambda: is_main)
        argv = recipe(tmp_path / str(is_main), logger="wandb")
        hparams, _ = start(argv, lambda hparams: None)
        assert len(hparams["train_loggers"]) == count


def recipe(tmp_path, **more):
    file = resources.recipe_files()["SUPERB/KS"]
    given = {"upstream": "mel", "output_folder": tmp_path / "out", "cache": "off"}
    given |= {"data_folder": tmp_path, **more}
    return [str(file), *(f"--{key}={value}" for key, value in given.items())]


def test_a_missing_library_is_an_error_before_the_data(tmp_path, monkeypatch):
    prepared = []
    for name in ("wandb", "trackio", "tensorboard"):
        monkeypatch.setitem(sys.modules, name, None)
        extra = {"tensorboard": "plots"}.get(name, name)
        with pytest.raises(MissingExtra, match=rf"pip install 's3prl_sb\[{extra}\]'"):
            start(recipe(tmp_path / name, logger=name), prepared.append)
    assert not prepared
    hparams, _ = start(recipe(tmp_path / "none"), prepared.append)  # imports neither
    assert len(hparams["train_loggers"]) == 2


def test_any_recipe_gets_them(tmp_path, services):
    """Names, groups and options; no secret, which the folder of a run would keep."""
    logger = "[{name: wandb, entity: us, tags: [a], every: 7}, trackio, tensorboard]"
    url = "https://me:s3cret@host/list.csv?X-Amz-Signature=abc"
    argv = recipe(tmp_path, logger=logger, seed=5, data_folder=url)
    hparams, _ = start(argv, lambda hparams: None)
    *_, tensorboard, wandb, trackio = hparams["train_loggers"]
    assert isinstance(tensorboard, TensorboardLogger)
    assert not services["wandb"].inits  # begins with the first point
    for each in (wandb, trackio):
        train(each, 0, 100)
    (given,) = services["wandb"].inits
    assert given["project"] == "s3prl_sb" and given["entity"] == "us"
    assert given["name"] == given["group"] == "SUPERB/KS mel 5"
    assert given["tags"] == ["a"] and wandb.every == 7
    assert given["settings"] == {"console": "off", "host": "-", "disable_git": True}
    assert given["dir"] == str(tmp_path / "out/loggers")
    config = given["config"]
    assert config["task"] == "SUPERB/KS" and config["seed"] == 5
    assert config["sample_rate"] == 16000 and "logger" not in config
    json.dumps(config)
    (given,) = services["trackio"].inits
    assert given["name"].startswith("SUPERB-KS mel 5 ") and trackio.every == 100
    told = json.dumps([services["trackio"].inits, config], default=str)
    told += "".join(p.read_text() for p in (tmp_path / "out/loggers").glob("*.jsonl"))
    assert "s3cret" not in told and "Signature=abc" not in told


def test_not_in_the_identity_of_a_run():
    assert counting("KS", {"logger": "wandb", "lr": 0.1}) == {"lr": 0.1}


def test_groups(tmp_path, services):
    """Folds belong to their run, and runs of a benchmark to it."""
    file = resources.recipe_files()["SUPERB/ER"]
    for inside, group in (("", "SUPERB/ER mel 1986"), ("bench", "bench")):
        if inside:
            (tmp_path / inside).mkdir()
            (tmp_path / inside / "configurations.json").write_text("{}")
        folder = tmp_path / inside / "mel/ER/1986-abc/fold2"
        overrides = f"{{upstream: mel, fold: 2, output_folder: {folder}}}"
        hparams = load_recipe(file, overrides)
        hparams["logger"] = "wandb"
        logger = make(hparams, {}, "SUPERB/ER")[-1]
        assert logger.names["name"] == "SUPERB/ER mel 1986 fold 2"
        assert logger.names["group"] == group


@pytest.mark.parametrize(
    "value, message",
    [
        ("wandbb", "'wandbb' is none. Did you mean wandb"),
        (3, "3 is none"),
        ({"project": "x"}, "None is none"),
        (["wandb", {"name": "wandb"}], "wandb is there twice"),
        ({"name": "wandb", "api_key": "x"}, "no option 'api_key'.*environment"),
        (
            {"name": "tensorboard", "project": "x"},
            "tensorboard has no option 'project'",
        ),
        ({"name": "wandb", "every": 0}, "every of wandb is a whole number from 1"),
        ({"name": "wandb", "every": True}, "every of wandb is a whole number from 1"),
        ({"name": "trackio", "private": "x"}, "private of trackio is a bool, not 'x'"),
        ({"name": "wandb", "tags": "a"}, "tags of wandb is a list, not 'a'"),
    ],
)
def test_wrong_values(value, message):
    with pytest.raises(LoggerError, match=message):
        named(value)


def test_tensorboard_by_the_key(tmp_path):
    pytest.importorskip("tensorboard")
    mine = TensorboardLogger(str(tmp_path))
    hparams = {"train_loggers": [mine], "output_folder": str(tmp_path)}
    hparams["logger"] = {"name": "tensorboard", "every": 3}
    assert make(hparams, {}, "KS") == [mine] and mine.every == 3
    with pytest.raises(LoggerError, match="no log for tensorboard"):
        make({**hparams, "train_loggers": []}, {}, "KS")


CODE = """
import os, sys
sys.path.insert(0, {here!r})
from test_loggers import *
train(logger_of({service!r}, {folder!r}), {first}, {last})
{end}
"""


@BOTH
def test_the_library_itself(service, tmp_path):
    """Offline; killed, and continued in the same run."""
    pytest.importorskip(service)
    places = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio")}
    kill = "import time; time.sleep(2.5); os.kill(os.getpid(), 9)"
    results = "plots.layer_weights('{0}/a.png', [0, 1], [0.2, 0.8], 'a')\n"
    results += "logger_of({1!r}, '{0}').log_results({{}}, {{'accuracy': 0.75}}, "
    results += "[Path('{0}/a.png')], 40)"
    ends = [kill, results.format(tmp_path, service)]
    for first, last, end in ((0, 27, ends[0]), (20, 40, ends[1])):
        given = {"service": service, "folder": str(tmp_path), "here": str(HERE)}
        code = CODE.format(**given, first=first, last=last, end=end)
        environment = {**os.environ, **places}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "gets nothing more" not in done.stderr, done.stderr
        assert done.returncode == (-9 if end == kill else 0), done.stderr
    if service == "wandb":
        files = list((tmp_path / "loggers/wandb").glob("offline-run-*/*.wandb"))
        assert len(files) == 2 and len({path.name for path in files}) == 1
        content = b"".join(path.read_bytes() for path in files)
        assert content.count(b"accuracy/test") and b"KS fbank 1" in content
        return
    import sqlite3

    (path,) = (tmp_path / "trackio").glob("*.db")
    rows = list(
        sqlite3.connect(path).execute("select run_id, step, metrics from metrics")
    )
    assert len({run for run, *_ in rows}) == 1
    steps = [step for _, step, text in rows if "loss/step" in str(text)]
    assert steps == list(range(5, 41, 5))


HERE = Path(__file__).parent


class Early(TrainLogger):
    """A logger that was written when there were no intervals."""

    def log_results(self, settings, metrics, pictures, step, split="test", sounds=()):
        self.got = metrics, step, split


class Late(TrainLogger):
    def log_results(self, *args, **kwargs):
        self.got = kwargs


def test_a_logger_of_the_yaml_that_knows_no_intervals(tmp_path):
    """Nor do SpeechBrain's own get a call that they do not have."""
    loggers = [Early(), Late(), TrainLogger()]
    given = {"output_folder": str(tmp_path), "train_loggers": loggers}
    facts = dict.fromkeys(("task", "upstream", "seed", "lr", "total_steps"), 1)
    results = {
        **facts,
        "metrics": {"wer": 0.5},
        "best_step": 7,
        "settings": None,
        "training": {},
        "upstream_model": {"trained": True, "precision": "fp32"},
        "intervals": {"metrics": {"wer": [0.4, 0.6]}},
    }
    publish(SimpleNamespace(hparams=SimpleNamespace(**given)), results, "wer 50 %")
    assert loggers[0].got == ({"wer": 0.5}, 7, "test")
    assert loggers[1].got == {"intervals": {"wer": [0.4, 0.6]}}
