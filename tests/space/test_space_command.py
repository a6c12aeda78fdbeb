"""`florenz space`: it ends with its process, says when its port is taken, and prints nothing but its address."""

import importlib.util
import signal
import socket
import sys

import pytest
from forked import run_florenz
from space_server import serve_space


if importlib.util.find_spec("gradio") is None:
    pytest.skip("gradio is not installed: pip install .[space]", allow_module_level=True)

COMMAND = [sys.executable, "-m", "modeling_florenz.cli", "space"]


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_no_server_behind(number: signal.Signals, code: int, tmp_path: str) -> None:
    with serve_space(COMMAND, TMPDIR=str(tmp_path)) as served:
        host, port = served.address.removeprefix("http://").split(":")
        served.process.send_signal(number)
        assert served.process.wait(600) == code
        with pytest.raises(OSError):
            socket.create_connection((host, int(port)), timeout=5).close()


def test_a_taken_port_and_a_foreign_address_are_one_sentence_each() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, sentence in (
            (["--port", port], f"florenz space: port {port} is taken: give another one\n"),
            (["--host", "192.0.2.1"], "florenz space: the Space cannot listen at 192.0.2.1, port "),
        ):
            done = run_florenz("space", *arguments, timeout=600)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith(sentence)
            assert done.stderr.count("\n") == 1
