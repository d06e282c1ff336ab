"""Scores mini-batches of files, or of a table's rows; fails as it is told."""

import argparse
from pathlib import Path


def init():
    global arguments
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail", default="nothing")
    parser.add_argument("--out")
    arguments = parser.parse_known_args()[0]


def run(mini_batch):
    if not isinstance(mini_batch, list):  # a table
        return mini_batch.assign(double=mini_batch["n"] * 2)
    rows = []
    for path in map(Path, mini_batch):
        number = path.read_text().strip()
        if number == arguments.fail:
            raise ValueError(f"{number} cannot be scored")
        rows.append(f"{path.stem} {int(number) ** 2}")
        if arguments.out:
            Path(arguments.out, f"{path.stem}.score").write_text(number)
    return rows
