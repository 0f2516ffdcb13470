"""The same batch on Ray: actors that hold the enhancer, on this computer or on a cluster.

Every machine needs the package, the model and the sound files at the same paths.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segan.batch import Job, Options, Outcome, attempt, killed, load, remove_parts

GRACE = 10.0  # seconds for an actor to remove what it is writing, for a cluster to answer
ADDRESS = re.compile(r"auto|local|(ray://)?[\w.-]+:\d+|ray://.+")


def address(text: str) -> str:
    """Return ``text`` where it names a cluster as Ray does. Raises ValueError where it does not.

    >>> address("auto"), address("10.0.0.7:6379")
    ('auto', '10.0.0.7:6379')
    """
    if not ADDRESS.fullmatch(text):
        raise ValueError(
            f"{text!r} is no address of a cluster (auto, HOST:PORT or ray://HOST:PORT); "
            "put --ray behind the inputs"
        )
    return text


def in_cluster(
    place: str, count: int, jobs: Iterable[Job], options: Options, heard: Callable[[float], None]
) -> Iterator[Outcome]:
    """Yield the outcomes of jobs done by ``count`` actors, in the order in which they end.

    Args:
        place: address of a cluster; ``local`` starts one here, and ends it.
        count: actors; where the cluster has room for fewer, those do the work.
        jobs: taken as they are needed.
        options: how they are enhanced; see ``needs``.
        heard: is told the seconds of each file.

    An actor that dies is started again; the job that it was at has failed. Raises OSError where
    there is no such cluster and where an actor cannot start.
    """
    _reach(place)
    import ray

    with _connected(ray, place, count * (options.threads or 1)):
        kind = ray.remote(Actor).options(**needs(options), max_restarts=-1, max_concurrency=2)
        options = options._replace(model=_shared(options.model))
        actors = [kind.remote(options) for _ in range(count)]
        flying = {_start(actor): (actor, None) for actor in actors}
        try:
            yield from _done(ray, flying, iter(jobs), heard)
        finally:
            _stop(ray, actors, flying)


def needs(options: Options) -> dict[str, int]:
    """Return what an actor takes of a machine; a GPU where ``options.device`` is ``cuda``."""
    return {"num_cpus": options.threads or 1, "num_gpus": int(options.device == "cuda")}


def _done(ray, flying: dict, jobs: Iterator[Job], heard: Callable) -> Iterator[Outcome]:
    """Yield outcomes; an actor is given a job when it is free, the first when it has started."""
    left = True
    while left or any(job for _, job in flying.values()):
        (ref,), _ = ray.wait(list(flying), num_returns=1)
        actor, job = flying.pop(ref)
        outcome, alive = _outcome(ray, ref, job)
        if not alive:
            flying[_start(actor)] = actor, None
        elif following := next(jobs, None):
            flying[actor.work.remote(_absolute(following))] = actor, following
        else:
            left = False
        if outcome:
            heard(outcome.seconds)
            yield outcome


def _start(actor):
    """Return what is there when an actor is ready, for the first time or again."""
    return actor.ready.options(max_task_retries=-1).remote()


def _outcome(ray, ref, job: Job | None) -> tuple[Outcome | None, bool]:
    """Return what came of a job, None of an actor's start, and whether the actor lives."""
    try:
        outcome = ray.get(ref)
    except ray.exceptions.RayActorError as error:
        if job is None:
            reason = _last_line(error)
            raise OSError(f"--ray: an actor cannot start ({reason}); see `ray logs`") from None
        return killed(job), False
    return outcome and _as_given(outcome, job), True


def _absolute(job: Job) -> Job:
    """Return a job for a process that works in another folder."""
    return job._replace(source=Path(os.path.abspath(job.source)), target=job.target.absolute())


def _as_given(outcome: Outcome, job: Job) -> Outcome:
    """Return an outcome by the names under which the job was given."""
    far = _absolute(job)
    names = {str(far.source): job.name, str(far.target): str(job.target)}

    def near(line: str | None) -> str | None:
        for name, given in names.items():
            line = line and line.replace(name, given)
        return line

    target = outcome.target and job.target.with_name(outcome.target.name)
    notes = [near(note) for note in outcome.notes]
    return outcome._replace(job=job, target=target, notes=notes, error=near(outcome.error))


def _shared(model: str) -> str:
    return os.path.abspath(model) if Path(model).is_file() else model


def _reach(place: str) -> None:
    """Raise OSError where nothing listens at an address; Ray would try for minutes."""
    host, _, port = place.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=GRACE).close()
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"--ray {place}: no cluster there ({reason}); see `ray status`") from None


@contextmanager
def _connected(ray, place: str, cpus: int) -> Iterator[None]:
    """Join a cluster, or start one with ``cpus`` CPUs here; part with it at the end."""
    own = {"num_cpus": cpus, "include_dashboard": False} if place == "local" else {}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=place, log_to_driver=False, logging_level="ERROR", **own)
    except Exception as error:  # Ray raises that very class where its start takes too long
        reason = _last_line(error)
        raise OSError(f"--ray {place}: no cluster there ({reason}); see `ray status`") from None
    signal.signal(signal.SIGTERM, terminate)  # Ray's own would leave half-written files
    try:
        yield
    except SystemExit:  # from the handler of SIGTERM; Ray makes its status a 1
        raise SystemExit(128 + signal.SIGTERM) from None
    except ray.exceptions.RayError as error:
        raise OSError(f"--ray {place}: {_last_line(error)}; see `ray logs`") from None
    finally:
        ray.shutdown()


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _stop(ray, actors: list, flying: dict) -> None:
    """End the actors; those at work may first remove what they are writing."""
    working = {ref: (actor, job) for ref, (actor, job) in flying.items() if job}
    with suppress(ray.exceptions.RayError):
        for actor, _ in working.values():
            actor.stop.remote()
        if working:
            ray.wait(list(working), num_returns=len(working), timeout=GRACE)
    for actor in actors:
        ray.kill(actor)
    for _, job in working.values():  # of an actor that was too slow
        remove_parts(job)


class Actor:
    """What enhances files in a process of Ray's."""

    def __init__(self, options: Options):
        from segan import enhance

        self.options = options._replace(threads=options.threads or 1)
        self.backend = enhance.backend_of(options.model, options.backend)
        self.stopped = False
        self.enhancer = load(self.options)

    def ready(self) -> None:
        """Return when the enhancer is loaded."""

    def work(self, job: Job) -> Outcome | None:
        """Return what came of a job, None where it was stopped."""
        if self.backend == "torch":
            import torch

            torch.set_num_threads(self.options.threads)  # counts for the thread that sets it
        try:
            return attempt(self.enhancer, job, self.options, self._stop_if_told)
        except KeyboardInterrupt:
            return None

    def stop(self) -> None:
        """Let the job at work end, and remove what it has written."""
        self.stopped = True

    def _stop_if_told(self, _: float) -> None:
        if self.stopped:
            raise KeyboardInterrupt
