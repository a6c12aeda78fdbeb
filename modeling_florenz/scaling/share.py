"""Share the runs of a grid among processes of this machine, or among jobs of a Slurm cluster."""

import multiprocessing
from pathlib import Path

from ..extras import install_command
from ..parent_process import end_with_parent
from .grid_run import run_grid


def run_in_processes(grid: Path, folder: Path, rows: Path, processes: int) -> int:
    """Run a grid in several processes, wait for all of them and return how many failed."""
    if processes == 1:
        run_grid(grid, folder, rows)
        return 0
    context = multiprocessing.get_context("spawn")  # a forked process inherits threads that torch has started
    workers = [context.Process(target=_run_grid, args=(grid, folder, rows)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(worker.exitcode != 0 for worker in workers)


def _run_grid(grid: Path, folder: Path, rows: Path) -> None:
    end_with_parent()
    run_grid(grid, folder, rows)


def submit(grid: Path, folder: Path, rows: Path, jobs: int, partition: str, cluster: str | None = None) -> list[str]:
    """Submit as many jobs as share the runs; their logs are in `folder/slurm`.

    Args:
        grid, folder, rows: see `run_grid`; on a file system that all machines share.
        jobs: number of jobs, each with one CPU.
        partition: of the Slurm cluster.
        cluster: `slurm` if None; `local` and `debug` run the jobs here.

    Returns:
        numbers of the jobs.

    Raises:
        ValueError: submitit is not installed.
    """
    try:
        import submitit
    except ModuleNotFoundError:
        raise ValueError(f"jobs on a cluster need submitit: {install_command('cluster')}") from None

    executor = submitit.AutoExecutor(folder / "slurm", cluster=cluster or "slurm")
    executor.update_parameters(cpus_per_task=1, timeout_min=24 * 60, slurm_partition=partition, name="florenz-grid")
    with executor.batch():
        found = [executor.submit(run_grid, grid.resolve(), folder.resolve(), rows.resolve()) for _ in range(jobs)]
    if cluster is not None:
        for job in found:
            job.result()
    return [job.job_id for job in found]
