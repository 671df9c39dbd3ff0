"""Whoever dies, sleeps or fails at any named point: the job still ends rightly, once, and nothing is left lying about."""
import os
import subprocess

import pytest

import matrix
from longanim import BUILD

CASES = list(enumerate(matrix.cases()))


@pytest.fixture(scope="module")
def outcome(request, tmp_path_factory):
    """All cases that were asked for, played in lanes beside each other."""
    names = {item.name for item in request.session.items}
    wanted = [(n, c) for n, c in CASES if f"test_a_job_ends_once_and_rightly[{case_id(n)}]" in names]
    lanes = min(len(wanted), 5)  # they wait for leases most of the time
    return matrix.play_all(tmp_path_factory.mktemp("matrix"), wanted, max(lanes, 1))


def case_id(number):
    case = matrix.cases()[number]
    return f"{case.point}-{case.action}-{case.nth}"


@pytest.mark.parametrize("number", range(len(CASES)), ids=case_id)
def test_a_job_ends_once_and_rightly(outcome, number):
    assert outcome[number] is None, outcome[number]


def test_nothing_is_left_lying_about(outcome):
    assert outcome["audit"] == []


def test_every_point_of_the_table_is_struck():
    assert {c.point for _, c in CASES} == set(matrix.all_points()) and len(matrix.all_points()) >= 40


@pytest.mark.parametrize("program", ["longanim-api", "longanim-worker"])
def test_a_fault_that_nobody_enabled_keeps_a_program_from_starting(program, tmp_path):
    env = {**os.environ, "LONGANIM_FAULT": "worker.claimed:die", "LONGANIM_REDIS": f"unix:{tmp_path}/no.sock",
           "LONGANIM_STORE": f"file:{tmp_path}/store", "LONGANIM_DATA": str(tmp_path)}
    done = subprocess.run([BUILD / program], env=env, capture_output=True, text=True, timeout=10)
    assert done.returncode == 2 and "LONGANIM_FAULT_ENABLE" in done.stderr
