"""How far jobs are, and the server of a page: states, versions, addresses, its end."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from report_runs import write_benchmark, write_run

from s3prl_sb.errors import UserError
from s3prl_sb.report import progress, serving

LINE = "2026-01-01 00:00:00 Training: step 38 of 100 (38 %), loss 1, 2 s left\n"


def states(found):
    return {job.name: job.state for job in found.jobs}


def test_states_of_jobs(tmp_path):
    table = write_benchmark(tmp_path)
    last = "SID · hubert_base · seed 2"
    assert states(progress.scan([str(tmp_path)]))[last] == "waiting"
    folder = tmp_path / "hubert_base" / "SID" / "2-0a1b2c3d"
    folder.mkdir(parents=True)
    (folder / "log.txt").write_text("first\n" + LINE)
    found = progress.scan([str(tmp_path)])
    job = found.jobs[0]
    assert job == (last, "running", 38, LINE[20:].strip())
    assert found.text() == "7 of 8 runs done, 1 running"
    later = progress.scan([str(tmp_path)], now=time.time() + 1000)
    assert later.jobs[0].state == "quiet" and "nothing for 16 min" in later.jobs[0].line
    table["rows"][1]["cells"]["SID"]["runs"][1]["state"] = "failed"
    (tmp_path / "table.json").write_text(json.dumps(table))
    assert states(progress.scan([str(tmp_path)]))[last] == "failed"
    write_run(folder)
    assert states(progress.scan([str(tmp_path)]))[last] == "done"


def test_folds_and_runs_outside_benchmarks(tmp_path):
    write_run(tmp_path / "a")
    write_run(tmp_path / "a" / "fold1")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "log.txt").write_bytes(b"\xff" * 9000 + b"\nthe last\n")
    assert states(progress.scan([str(tmp_path)])) == {"a": "done", "b": "running"}


def test_the_version_changes_with_results(tmp_path):
    write_benchmark(tmp_path)
    first = progress.scan([str(tmp_path)]).version
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "fbank" / "log.txt").write_text("x")
    assert progress.scan([str(tmp_path)]).version == first
    os.utime(tmp_path / "table.json", (1, 1))
    assert progress.scan([str(tmp_path)]).version != first


@pytest.mark.parametrize("content", ["", "[]", '{"rows": [{"cells": 3}]}'])
def test_a_damaged_table(tmp_path, content):
    (tmp_path / "table.json").write_text(content)
    assert progress.scan([str(tmp_path)]).jobs == []


def test_control_characters_of_jobs_and_folders(tmp_path):
    folder = tmp_path / "a\u202eb"
    (folder / "c\u202ed").mkdir(parents=True)
    (folder / "c\u202ed" / "log.txt").write_text("half \u202e\x1b[2J\n")
    follower = serving.Follower([str(folder)])
    follower.look()
    (job,) = json.loads(follower.status)["jobs"]
    assert (job["name"], job["line"]) == ("c\\u202ed", "half \\u202e\\x1b[2J")
    assert "\u202e" not in follower.page.decode()


def test_a_page_before_the_first_run(tmp_path):
    follower = serving.Follower([str(tmp_path)])
    follower.look()
    assert b"no results.json under" in follower.page
    write_run(tmp_path / "a")
    follower.look()
    assert b'<details class="setup"' in follower.page
    page = follower.page
    follower.look()
    assert follower.page is page  # nothing has changed
    assert json.loads(follower.status)["text"] == "1 of 1 runs done"


def test_unchanged_sections_are_not_made_again(tmp_path, monkeypatch):
    made = []
    maker = lambda run, options: made.append(run.upstream)  # noqa: E731
    monkeypatch.setattr(serving.making.contents, "RUN_SECTIONS", [maker])
    follower = serving.Follower([str(tmp_path)])
    write_run(tmp_path / "a", upstream="a")
    follower.look()
    write_run(tmp_path / "b", upstream="b")
    follower.look()
    assert made == ["a", "b"]


def test_a_port_that_is_taken(tmp_path):
    follower = serving.Follower([str(tmp_path)])
    server = serving.make_server(follower, "127.0.0.1", 0)
    port = server.server_address[1]
    with pytest.raises(UserError, match="Give another port"):
        serving.make_server(follower, "127.0.0.1", port)
    server.server_close()
    with pytest.raises(UserError, match="ports are 0 to 65535"):
        serving.make_server(follower, "127.0.0.1", 70_000)


@pytest.mark.parametrize(
    "host, name, is_ours",
    [
        ("127.0.0.1", "127.0.0.1:80", True),
        ("127.0.0.1", "LOCALHOST:80", True),
        ("127.0.0.1", "192.168.0.1", False),
        ("127.0.0.1", "evil.example", False),
        ("127.0.0.1", "", False),
        ("0.0.0.0", "192.168.0.1:80", True),
        ("0.0.0.0", "[fe80::1]:80", True),
        ("0.0.0.0", "evil.example:80", False),
    ],
)
def test_names_of_the_server(tmp_path, host, name, is_ours):
    server = serving.make_server(serving.Follower([str(tmp_path)]), host, 0)
    handler = server.RequestHandlerClass
    assert handler._is_ours(handler, name) == is_ours
    server.server_close()


def test_ends_with_ctrl_c(tmp_path):
    write_run(tmp_path / "a")
    words = [sys.executable, "-m", "s3prl_sb.cli", "report", str(tmp_path)]
    with subprocess.Popen(
        [*words, "--serve", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b'<details class="setup"' in answer.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and errors.strip() == "Ended."


def test_a_slow_reader_gets_the_whole_page(monkeypatch):
    """The time limit is of a part of the page, not of all of it."""
    follower = serving.Follower([])
    follower.page = b"x" * 30_000_000
    monkeypatch.setattr(serving.Handler, "timeout", 0.5)
    server = serving.make_server(follower, "127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    with socket.create_connection(server.server_address[:2]) as reader:
        reader.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
        count, start = 0, time.monotonic()
        while part := reader.recv(1 << 20):
            count += len(part)
            if time.monotonic() - start < 1.5:
                time.sleep(0.2)
    server.shutdown()
    server.server_close()
    assert count > len(follower.page)


def test_faults_stay_on_the_page(tmp_path):
    """Also where a section is not made again."""
    write_run(tmp_path / "a")
    (tmp_path / "a" / "train_log.txt").write_text("epoch: 1, steps: x")
    (tmp_path / "a" / "predictions.csv").write_text('id,label,prediction\n"a')
    follower = serving.Follower([str(tmp_path)])
    follower.look()
    assert b"predictions.csv" in follower.page
    write_run(tmp_path / "b", upstream="b")
    follower.look()
    assert follower.page.count(b'class="setup"') == 2
    assert b"predictions.csv" in follower.page
