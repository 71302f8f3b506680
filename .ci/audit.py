"""Ask a public service for known vulnerabilities of the pinned versions.

Exit code 0: none is known; 1: some are, and are listed; 75: the service was not reached. With ``--lenient`` the last is
0.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"
NOT_REACHED = 75


def ask() -> subprocess.CompletedProcess[str]:
    """Run pip-audit over the pinned versions."""
    words = ["--progress-spinner", "off", "--format", "json", "--no-deps", "--disable-pip", "-r", str(CONSTRAINTS)]
    return subprocess.run([sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True)


def judge(answer: str) -> tuple[int, list[str]]:
    """Return the exit code for what pip-audit printed, and the messages."""
    try:
        dependencies = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return NOT_REACHED, ["audit: pip-audit gave no answer: the service was not reached"]
    asked = [each for each in dependencies if "skip_reason" not in each]
    if not asked:
        return NOT_REACHED, ["audit: the service knows none of the packages: not reached, or another service"]
    found = [
        f"{each['name']} {each['version']}: {vulnerability['id']}"
        + (f", fixed in {', '.join(fixed)}" if (fixed := vulnerability.get("fix_versions")) else "")
        for each in asked
        for vulnerability in each["vulns"]
    ]
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    told = [*found, f"audit: {len(asked)} packages asked for, {len(found)} known vulnerabilities"]
    return int(bool(found)), told + ([f"audit: unknown to the service: {', '.join(skipped)}"] if skipped else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lenient", action="store_true", help="a service that was not reached is no failure")
    options = parser.parse_args()
    done = ask()
    code, told = judge(done.stdout)
    print(*told, *([] if done.stdout else done.stderr.splitlines()[-1:]), sep="\n")
    return 0 if code == NOT_REACHED and options.lenient else code


if __name__ == "__main__":
    sys.exit(main())
