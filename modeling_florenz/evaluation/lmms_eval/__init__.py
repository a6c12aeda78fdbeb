"""Run a Florenz, and the paper's benchmarks, in the lmms-eval harness."""
