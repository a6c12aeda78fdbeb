"""Run code in processes of their own that share one import of torch, which takes longer than most tests.

The processes are forked from a server that has imported torch, torchao and scipy and nothing else: the rest,
transformers and huggingface_hub above all, reads the environment when it is imported.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path


_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["torch", "torchao", "scipy.optimize"])


def run_code(
    code: str, *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run code as `python -c CODE ARGUMENTS` does.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout` seconds.
    """
    with tempfile.TemporaryDirectory() as folder:
        out, errors = Path(folder, "out"), Path(folder, "errors")
        environment = dict(os.environ if env is None else env)
        process = _SERVER.Process(target=_run, args=(code, arguments, environment, cwd or Path.cwd(), out, errors))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(code, timeout)
        return subprocess.CompletedProcess(
            code, process.exitcode, out.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8")
        )


def run_florenz(
    *arguments: str, env: dict[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run `florenz ARGUMENTS`."""
    return run_code("from modeling_florenz.cli.__main__ import run; run()", *arguments, env=env, timeout=timeout)


def _run(code: str, arguments: tuple[str, ...], env: dict[str, str], cwd: Path, out: Path, errors: Path) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for path, stream in ((out, sys.stdout), (errors, sys.stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
        stream.reconfigure(encoding="utf-8")
    sys.argv = ["-c", *arguments]
    sys.path.insert(0, "")
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
