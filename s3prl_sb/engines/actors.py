"""Actors of Ray that hold something heavy, such as an upstream, and pull items of work.

An item belongs to an actor only while the actor works at it. Actors that wait for a
place in the cluster hold none, so a node that is lost for ever does not stop the work.

Authors
 * The s3prl_sb developers, 2026
"""

import collections
import os
import sys

from s3prl_sb.engines import ray as tasks
from s3prl_sb.engines.engine import Engine
from s3prl_sb.errors import UserError

TRIES = Engine.TRIES  # of an item whose actor is lost
WAIT = 30.0  # seconds without an actor before a message to the user


def pull(make, arguments, items, number, options=(), ended=lambda item, result: None):
    """Works at items on actors, each of which takes the next one when it is free.

    Arguments
    ---------
    make : callable
        Returns the function of an item; called once on each actor.
    arguments : tuple
        Arguments of ``make``.
    items : list
        The work.
    number : int
        Number of actors.
    options : dict
        Options of an actor, such as ``num_gpus``.
    ended : callable, optional
        Called with each item that is finished, and its result.

    Raises
    ------
    UserError
        If an item has failed, or has lost several actors.
    """
    import ray

    # Another actor takes the place of one that is lost, perhaps elsewhere.
    kind = tasks.prepared(ray.remote(_Actor), dict(options), max_restarts=0)
    work = _Work(ray, items, ended)

    def start():
        actor = kind.remote(make, arguments, *tasks.surroundings())
        work.running[actor.ready.remote()] = (actor, None)

    try:
        for _ in range(min(number, len(items))):
            start()
        while work.items or work.working():
            for _ in range(work.step()):
                start()
    finally:
        for actor in work.actors():
            ray.kill(actor)


class _Work:
    """Items, and the actors that work at some of them."""

    def __init__(self, ray, items, ended):
        self.ray, self.ended = ray, ended
        self.items = collections.deque((item, 1) for item in items)
        self.running = {}  # a call -> (its actor, (item, try) or None)
        self.idle = []
        self.unborn = 0  # actors that were lost before they were ready

    def working(self):
        return any(entry is not None for _, entry in self.running.values())

    def actors(self):
        return [*self.idle, *(actor for actor, _ in self.running.values())]

    def step(self):
        """Waits for some calls; returns the number of actors to replace."""
        done, _ = self.ray.wait(list(self.running), timeout=WAIT)
        if not done and not self.working():
            print("Waits for a place in the Ray cluster …", file=sys.stderr)
        lost = 0
        for call in done:
            actor, entry = self.running.pop(call)
            try:
                result = self.ray.get(call)
            except self.ray.exceptions.RayTaskError as error:
                raise _error(error.cause) from error
            except self.ray.exceptions.RayError as error:
                lost += 1
                self._again(entry, error)
                continue
            self.idle.append(actor)
            if entry is not None:
                self.ended(entry[0], result)
        while self.idle and self.items:
            actor, entry = self.idle.pop(), self.items.popleft()
            self.running[actor.work.remote(entry[0])] = (actor, entry)
        return lost

    def _again(self, entry, error):
        reason = str(error).partition("\n")[0]
        if entry is None:
            self.unborn += 1
            if self.unborn > TRIES:
                raise UserError(f"Actors of Ray die before they work: {error}")
            return
        item, number = entry
        if number >= TRIES:
            raise UserError(f"{item} has lost {TRIES} actors of Ray: {reason}")
        print(f"again    {item} ({reason})", file=sys.stderr)
        self.items.appendleft((item, number + 1))


def _error(cause):
    """Returns the error of a worker as one of the user's, if it was."""
    if isinstance(cause, UserError):
        return cause
    return UserError(f"{type(cause).__name__}: {cause}")


class _Actor:
    """Holds what ``make`` returns."""

    def __init__(self, make, arguments, current, variables):
        for name, value in variables.items():
            os.environ.setdefault(name, value)
        if os.path.isdir(current):
            os.chdir(current)
        self.make, self.arguments = make, arguments

    def ready(self):
        """Makes it; here, errors come back as they are."""
        self.function = self.make(*self.arguments)

    def work(self, item):
        """Returns the result of an item."""
        return self.function(item)
