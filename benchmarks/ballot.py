"""Has the sample's simulated raters vote at once on ``prescreen ballot --serve``, and times what they wait.

Each rater sends the votes on one picture after the other, as fast as they are taken; people take seconds for each.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from prescreen.reports.collected_votes import read_votes

TRAINING = Path(__file__).resolve().parents[1] / "data" / "sample" / "training"


def send(link: str, rater: str, pictures: dict[str, dict[str, int]]) -> list[float]:
    """Send the votes of one rater; returns how long each request took, in seconds."""
    seconds = []
    for image, votes in pictures.items():
        body = json.dumps({"rater": rater, "votes": {image: votes}}).encode()
        start = time.perf_counter()
        urllib.request.urlopen(urllib.request.Request(f"{link}votes", body, method="PUT"), timeout=120).close()
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    votes, _ = read_votes(TRAINING / "votes.csv")
    ballots: dict[str, dict[str, dict[str, int]]] = {}
    for (rater, image, trait), vote in votes.items():
        ballots.setdefault(rater, {}).setdefault(image, {})[trait] = vote
    traits = ",".join(pd.unique(pd.Series([trait for _, _, trait in votes])))
    with tempfile.TemporaryDirectory() as folder:
        words = ["ballot", str(TRAINING / "images"), "--traits", traits, "--serve", "--no-browser", "--output", folder]
        command = [sys.executable, "-m", "prescreen", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            link = server.stdout.readline().strip()
            start = time.perf_counter()
            with ThreadPoolExecutor(len(ballots)) as pool:
                waits = np.concatenate(list(pool.map(lambda rater: send(link, rater, ballots[rater]), ballots)))
            wall = time.perf_counter() - start
            server.send_signal(signal.SIGINT)
        lost = len(votes) - sum(read_votes(Path(folder) / "votes.csv")[0][key] == vote for key, vote in votes.items())
    median, late = np.quantile(waits, [0.5, 0.99])
    print(f"{len(ballots)} simulated raters at once, {waits.size} requests for {len(votes)} votes in {wall:.1f} s")
    print(f"a request took {median:.2f} s (median), {late:.2f} s (99 %); {lost} votes lost")


if __name__ == "__main__":
    main()
