"""Find the processes that work for a command."""

from pathlib import Path


def workers_of(session: int, words: str) -> list[int]:
    """Return the processes of a session whose command line has some words, such as `spawn_main`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            of = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
        except (OSError, ValueError):
            continue
        if of == session and words in command:
            found.append(int(entry.name))
    return sorted(found)
