"""Counts the lines of a file; copies them as often as it is told."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--text", type=Path, required=True)
parser.add_argument("--times", type=int, default=1)
parser.add_argument("--out", type=Path, required=True)
args = parser.parse_args()
lines = args.text.read_text().splitlines() * args.times
args.out.mkdir(parents=True, exist_ok=True)
(args.out / "count.txt").write_text(f"{len(lines)}\n")
