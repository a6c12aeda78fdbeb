"""Counts for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Count requests, texts, what waits and how long it takes, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "florenz_requests", "Requests by path and status", ["path", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "florenz_request_seconds",
            "Time to the end of an answer",
            ["path"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.texts = Counter(
            "florenz_texts", "Texts written and scored", ["task", "language"], registry=self._registry
        )
        self.batch_rows = Histogram(
            "florenz_batch_rows", "Rows of the batch of a job", buckets=(1, 2, 4, 8, 12, 16), registry=self._registry
        )
        self.batch_seconds = Histogram(
            "florenz_batch_seconds", "Time the batch of a job took", buckets=SECONDS, registry=self._registry
        )
        self.waiting = Gauge("florenz_waiting_rows", "Rows accepted and not yet answered", registry=self._registry)

    def text(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self._registry)
