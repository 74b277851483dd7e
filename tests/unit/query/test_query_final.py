"""A table whose rows are merged in time is read as merged, however the query says it."""

import pytest

from gateway.query.fence import fence
from gateway.query.resolved import Resolved


def resolve(name: str) -> Resolved | None:
    return {"jobs": Resolved("ws", "service_jobs", is_final=True), "plain": Resolved("ws", "t_1")}.get(name)


@pytest.mark.parametrize(
    "sql, fenced",
    [
        ("SELECT * FROM jobs", "SELECT * FROM `ws`.`service_jobs` AS `jobs` FINAL"),
        ("SELECT * FROM jobs FINAL", "SELECT * FROM `ws`.`service_jobs` AS `jobs` FINAL"),
        (
            "SELECT j.id FROM jobs AS j FINAL WHERE j.id = 1",
            "SELECT `j`.`id` FROM `ws`.`service_jobs` AS `j` FINAL WHERE `j`.`id` = 1",
        ),
        (
            "SELECT 1 FROM plain JOIN jobs ON plain.a = jobs.a",
            "SELECT 1 FROM `ws`.`t_1` AS `plain` JOIN `ws`.`service_jobs` AS `jobs` FINAL ON `plain`.`a` = `jobs`.`a`",
        ),
        ("SELECT * FROM plain", "SELECT * FROM `ws`.`t_1` AS `plain`"),
    ],
)
def test_final_stands_behind_it_once(sql, fenced):
    assert fence(sql, resolve).sql == fenced
