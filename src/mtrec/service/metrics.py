"""What the service counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """The counters of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mtrec_requests", "Requests by path and status", ("path", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "mtrec_seconds", "Time in the service by path", ("path",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.events = Counter(
            "mtrec_events", "Events by what became of them", ("outcome",), registry=self.registry
        )
        self.fallbacks = Counter(
            "mtrec_fallbacks", "Lists by what stood in for the user", ("used",),
            registry=self.registry,
        )  # fmt: skip
        self.known = Gauge(
            "mtrec_known", "Users and items, with those that came after training", ("side",),
            registry=self.registry,
        )  # fmt: skip
        self.reloads = Counter(
            "mtrec_reloads", "New models by what became of them", ("outcome",),
            registry=self.registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self.registry)
