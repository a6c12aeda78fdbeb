"""Convert a full-size random checkpoint beside `cp` of the same files; print time, throughput and peak memory.

python tests/benchmarks/conversion.py --size 3.5b --dtype fp32 --folder /somewhere/with/45GB
"""

import argparse
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from modeling_florenz.cli.writing import DTYPES, torch_dtype
from modeling_florenz.sizes import config_from_size


sys.path.append(str(Path(__file__).parents[1] / "support"))
from research_checkpoint import write_research_checkpoint


CONVERT = """
import resource, sys
from modeling_florenz.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(code)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="3.5b")
    parser.add_argument("--dtype", default="fp32", choices=list(DTYPES))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--verify", action="store_true")
    arguments = parser.parse_args()
    source, copy, out = (arguments.folder / name for name in ("source", "copy", "florenz"))
    if not source.exists():
        write_research_checkpoint(source, config_from_size(arguments.size), torch_dtype(arguments.dtype))
    size = sum(path.stat().st_size for path in source.iterdir())
    print(
        f"{arguments.size} {arguments.dtype}: {size / 1e9:.2f} GB in {len(list(source.glob('*.safetensors')))} files"
    )
    print(f"peak memory of writing it: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")

    shutil.rmtree(copy, ignore_errors=True)
    start = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(copy)], check=True)
    copied = time.perf_counter() - start
    shutil.rmtree(copy)

    shutil.rmtree(out, ignore_errors=True)
    command = ["convert", str(source), str(out), "--no-processor"]
    start = time.perf_counter()
    run = subprocess.run([sys.executable, "-c", CONVERT, *command], check=True, stdout=subprocess.PIPE, text=True)
    converted = time.perf_counter() - start
    print(run.stdout.strip())
    peak = int(run.stdout.split("peak")[1])
    print("| | seconds | GB/s | peak memory |\n|---|---|---|---|")
    print(f"| cp | {copied:.1f} | {size / copied / 1e9:.2f} | |")
    print(f"| florenz convert | {converted:.1f} | {size / converted / 1e9:.2f} | {peak / 1e9:.2f} GB |")
    print(f"throughput against cp: {copied / converted:.2f}")
    if arguments.verify:
        shutil.rmtree(out)
        start = time.perf_counter()
        verifying = [sys.executable, "-c", CONVERT, *command, "--verify"]
        run = subprocess.run(verifying, check=True, stdout=subprocess.PIPE, text=True)
        print(run.stdout.strip())
        print(f"with --verify: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
