import os
import subprocess
import time
from pathlib import Path

import pytest

from dspctl.benchmarks.remote.channel import printable
from dspctl.benchmarks.remote.connection import Connection, check_host
from dspctl.errors import (
    ConnectionLost,
    HostAnswer,
    HostProblem,
    HostRefused,
    HostUnreachable,
    InvalidHost,
)
from tests.benchmarks.remote.board import HOST, Board, wait_until_gone

NASTY = "a 'quoted' \"$HOME\" `date` ; rm -rf x \\ \n & | * é"


def masters() -> set[str]:
    """Command lines of connections that stay in the background."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return {line for line in listed.stdout.splitlines() if "ControlMaster" in line}


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch x",
        "user@-oX",
        "",
        "user@",
        "a b",
        "a\tb",
        "a\nb",
        "a;b",
        "$(a)",
        "`a`",
    ],
)
def test_a_host_that_is_an_option_or_a_command_is_refused(host: str) -> None:
    with pytest.raises(InvalidHost, match="no name of a machine"):
        check_host(host)


@pytest.mark.parametrize(
    "host", ["board", "me@board.local", "ssh://me@10.0.0.2:2222", "me@[fe80::1%eth0]", "a-b_c"]
)
def test_names_of_machines_pass(host: str) -> None:
    check_host(host)


def test_arguments_and_data_arrive_as_they_were_sent(board: Board) -> None:
    board.start()
    script = 'printf "%s|" "$@"; cat'
    with Connection(HOST) as connection:
        done = connection.run(script, NASTY, "", "-x", data=b"\0\xff\nend")
    assert done.code == 0
    assert done.output == f"{NASTY}||-x|".encode() + b"\0\xff\nend"


def test_exit_codes_and_complaints_come_back_without_control_characters(board: Board) -> None:
    board.start()
    with Connection(HOST) as connection:
        done = connection.run(r"printf 'first\n\033[31mlast\033[0m\007\n' >&2; exit 7")
    assert (done.code, done.output, done.complaint) == (7, b"", "[31mlast[0m")


def test_what_the_login_shell_prints_first_is_passed_over(board: Board) -> None:
    wrapper = board.folder / "noisy"
    wrapper.write_text(
        '#!/bin/sh\necho "Welcome, it is not JSON"\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    wrapper.chmod(0o755)
    board.start(force=wrapper)
    with Connection(HOST) as connection:
        assert connection.run("echo mine").output == b"mine\n"


def test_a_machine_that_runs_no_commands_is_named(board: Board) -> None:
    wrapper = board.folder / "closed"
    wrapper.write_text("#!/bin/sh\necho 'This account is currently not available.'\nexit 1\n")
    wrapper.chmod(0o755)
    board.start(force=wrapper)
    with pytest.raises(HostUnreachable, match="not available"), Connection(HOST):
        pass


def test_noise_without_an_end_is_cut_off(board: Board) -> None:
    wrapper = board.folder / "endless"
    wrapper.write_text(
        '#!/bin/sh\ncase "$SSH_ORIGINAL_COMMAND" in *echo*) exec yes;; esac\n'
        'exec sh -c "$SSH_ORIGINAL_COMMAND"\n'
    )
    wrapper.chmod(0o755)
    board.start(force=wrapper)
    with Connection(HOST) as connection, pytest.raises(HostAnswer, match="prints without end"):
        connection.run("echo mine")


def test_an_answer_that_is_too_long_is_cut_off_and_its_command_ends(board: Board) -> None:
    board.start()
    with Connection(HOST) as connection, pytest.raises(HostAnswer, match="more than 1000 bytes"):
        connection.run("yes", limit_bytes=1000)
    assert wait_until_gone(board) == []


def test_a_command_that_takes_too_long_is_a_lost_connection(board: Board) -> None:
    board.start()
    with Connection(HOST) as connection, pytest.raises(ConnectionLost, match="no answer in time"):
        connection.run("cat", held=True, timeout_s=0.2)
    assert wait_until_gone(board) == []  # standard input ended with the channel


def test_nobody_listens_there(board: Board) -> None:
    with pytest.raises(HostUnreachable, match="Connection refused"):
        Connection(HOST)


def test_no_such_machine(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    config = board.folder / "config"
    config.write_text(config.read_text().replace("127.0.0.1", "board.invalid"))
    with pytest.raises(HostUnreachable, match=r"board\.invalid"):
        Connection(HOST)


def test_a_key_that_the_machine_does_not_know_is_refused(board: Board) -> None:
    board.start()
    board.use(key="stranger")
    with pytest.raises(HostRefused, match="Permission denied"):
        Connection(HOST)


def test_a_machine_with_another_key_than_known_is_not_accepted(board: Board) -> None:
    board.start()
    board.use(host_key="stranger")
    with pytest.raises(HostRefused, match="Host key verification failed"):
        Connection(HOST)


def test_a_missing_client_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSPCTL_SSH", str(tmp_path / "nowhere"))
    with pytest.raises(HostProblem, match="openssh-client"):
        Connection("board")


def test_a_broken_line_is_a_lost_connection_and_never_opened_again(board: Board) -> None:
    board.start()
    with Connection(HOST) as connection:
        channel = connection.start("echo on; cat", held=True)
        lines = channel.lines()
        assert next(lines) == b"on"
        assert board.cut() == 1
        assert list(lines) == []
        with pytest.raises(ConnectionLost, match="was lost"):
            channel.code()
        channel.close()
        with pytest.raises(ConnectionLost):
            connection.run("echo again")
    assert wait_until_gone(board) == []


def test_all_commands_share_one_connection_which_ends_with_the_block(board: Board) -> None:
    board.start()
    before = masters()
    with Connection(HOST) as connection:
        for _ in range(3):
            assert connection.run('echo "$SSH_CLIENT"').code == 0
        ports = {connection.run('echo "$SSH_CLIENT"').output for _ in range(2)}
        assert len(ports) == 1
        folder = connection._folder
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()
    end = time.monotonic() + 10
    while masters() - before and time.monotonic() < end:
        time.sleep(0.05)
    assert masters() - before == set()


def test_the_agent_and_forwarded_ports_stay_here(board: Board) -> None:
    board.start()
    config = board.folder / "config"
    config.write_text(config.read_text() + " ForwardAgent yes\n RemoteCommand echo no\n")
    with Connection(HOST) as connection:
        assert connection.run('echo "${SSH_AUTH_SOCK:-none}"').output == b"none\n"


def test_a_line_for_the_terminal_has_no_control_characters() -> None:
    assert printable(b"one\r\n\x1b]0;title\x07two\xe2\x80\xae\x9b3\r\n\r\n") == "]0;titletwo\ufffd3"
    assert printable(b"") == ""
    assert len(printable("x" * 10_000)) == 300


def test_ssh_is_found_on_the_path_without_the_variable(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.start()
    folder = board.folder / "local"
    folder.mkdir()
    (folder / "ssh").write_text(f'#!/bin/sh\nexec "{board.client}" "$@"\n'.replace("ssh -F", "ssh"))
    (folder / "ssh").chmod(0o755)
    text = board.client.read_text().replace("exec ssh", "exec /usr/bin/ssh")
    board.client.write_text(text)
    monkeypatch.delenv("DSPCTL_SSH")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    with Connection(HOST) as connection:
        assert connection.run("echo on").output == b"on\n"
