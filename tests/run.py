#!/usr/bin/env python3
"""Runs every test and ends with one line, `N passed, N failed`.

usage: tests/run.py --build build [--sanitizer asan|tsan] [NAME…]
NAME selects suites whose path contains it. Suites: the C test programs under <build>/tests, the golden numbers
(`longanim parity tests/goldens`), and pytest over tests/api, tests/worker, tests/media, tests/cli."""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANITIZER_ENV = {
    "asan": {
        "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1:detect_odr_violation=0",
        "LSAN_OPTIONS": f"suppressions={ROOT}/tests/support/lsan.supp:print_suppressions=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    },
    "tsan": {"TSAN_OPTIONS": f"halt_on_error=1:suppressions={ROOT}/tests/support/tsan.supp"},
    None: {},
}


def run(command, timeout, env):
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="longanim-test-") as scratch:
        try:
            done = subprocess.run(command, cwd=ROOT, env={**env, "TMPDIR": scratch}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
            output, code = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as late:
            output, code = (late.stdout or b"").decode(errors="replace") + f"\nno end after {timeout} s", 124
    return output, code, time.monotonic() - started


def count(output, code, passed_pattern, failed_pattern):
    """Counts from a runner's own words; a run that died without them is one failure."""
    passed = sum(int(n) for n in re.findall(passed_pattern, output))
    failed = sum(int(n) for n in re.findall(failed_pattern, output))
    if code != 0 and failed == 0:
        failed = 1
    return passed, failed


def unit(program, env):
    # Threads that wait for each other sleep, as in the programs (model_lib_prepare).
    output, code, seconds = run([str(program)], 300, {"OMP_WAIT_POLICY": "passive", **env})
    return (str(program.relative_to(ROOT)), *count(output, code, r"\[  PASSED  \] (\d+) test", r"\[  FAILED  \] (\d+) test"),
            seconds, output)


def files_of(folder, wanted):
    files = sorted((ROOT / "tests" / folder).glob("test_*.py"))
    return [str(f.relative_to(ROOT)) for f in files if wanted(str(f))]


def black_box(folder, files, env):
    """The tests of a folder; they wait more than they work, so folders run side by side."""
    output, code, seconds = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files], 1800, env)
    return f"tests/{folder}", *count(output, code, r"(\d+) passed", r"(\d+) (?:failed|error)"), seconds, output


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--sanitizer", choices=["asan", "tsan"])
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    build = (ROOT / arguments.build).resolve()
    env = {**os.environ, **SANITIZER_ENV[arguments.sanitizer], "LONGANIM_BUILD": str(build)}

    def wanted(name):
        return not arguments.names or any(part in name for part in arguments.names)

    programs = sorted(p for folder in ("unit", "shim") for p in (build / "tests" / folder).rglob("test_*")
                      if p.is_file() and os.access(p, os.X_OK) and p.suffix == "" and wanted(str(p)))
    results = []

    def report(name, passed, failed, seconds, output):
        results.append((name, passed, failed))
        print(f"{'ok  ' if not failed else 'FAIL'} {name}: {passed} passed, {failed} failed, {seconds:.1f} s", flush=True)
        if failed or arguments.verbose:
            print(output, flush=True)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for result in pool.map(lambda p: unit(p, env), programs):
            report(*result)
    if wanted("parity") and arguments.sanitizer != "tsan":
        output, code, seconds = run([str(build / "longanim"), "parity", "tests/goldens", "models"], 900, env)
        report("parity", *count(output, code, r"(?m)^(\d+) passed", r"(?m)^\d+ passed, (\d+) failed"), seconds,
               "\n".join(line for line in output.splitlines() if not line.startswith("PASS")))
    folders = [f for f in ("worker", "api", "cli", "media") if files_of(f, wanted)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for result in pool.map(lambda f: black_box(f, files_of(f, wanted), env), folders):
            report(*result)
    passed, failed = sum(r[1] for r in results), sum(r[2] for r in results)
    if passed == 0:
        failed = failed or 1
        print("no test ran")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
