"""Count mypy's errors by package and compare them with `.ci/type_errors.json`, where a count may only fall.

What the file does not list has no errors. Run with the Python that has mypy and the package's dependencies.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path


ROOT = Path(__file__).parents[1]
LISTED = ROOT / ".ci" / "type_errors.json"
ERROR = re.compile(r"(?:modeling_florenz/)?(\w+).*: error: ")


def main() -> int:
    """Print the errors of a package that has too many, and each count that can be lowered.

    Returns:
        0 where each count is as listed, 1 otherwise.
    """
    result = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    lines = result.stdout.splitlines()
    errors = [(match[1], line) for line in lines if (match := ERROR.match(line))]
    if result.returncode not in (0, 1) or (result.returncode == 1 and not errors):
        print(result.stdout, result.stderr, sep="\n")
        return 1
    found = Counter(package for package, _ in errors)
    listed = json.loads(LISTED.read_text())
    wrong = False
    for package in sorted({*found, *listed}):
        count, limit = found[package], listed.get(package, 0)
        if count > limit:
            print(*(line for name, line in errors if name == package), sep="\n")
            print(f"{package}: {count} errors of types, at most {limit} are allowed")
        elif count < limit:
            print(f"{package}: {count} errors of types are left: lower {limit} to that in .ci/type_errors.json")
        wrong = wrong or count != limit
    if not wrong:
        print(f"mypy: {len(errors)} errors, all of them listed in .ci/type_errors.json")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
