"""The order of service."""

from __future__ import annotations

from lsp.engine.job import Job, in_turn
from lsp.engine.protocol import Generate, Priority


def job(owner: str, number: int, priority: Priority = "completion") -> Job:
    made = Job(owner, Generate(number, "key", [], 1, priority=priority), lambda _: None)
    made.arrived = float(number)
    return made


def test_higher_priorities_go_first() -> None:
    order: list[Priority] = ["warm", "guest", "anchor", "chat", "completion"]
    jobs = [job("a", number, priority) for number, priority in enumerate(order)]
    assert [j.request.id for j in in_turn(jobs)] == [4, 3, 2, 1, 0]


def test_a_window_with_many_requests_does_not_hold_up_another() -> None:
    jobs = [*(job("greedy", number) for number in range(1, 51)), job("modest", 60)]
    assert [j.request.id for j in in_turn(jobs)][:3] == [1, 60, 2]


def test_within_a_window_the_first_come_is_the_first_served() -> None:
    assert [j.request.id for j in in_turn([job("a", 2), job("a", 1)])] == [1, 2]
