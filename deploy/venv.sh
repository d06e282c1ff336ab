#!/bin/sh
# Make a virtual environment in $1 with the first fit interpreter: $PYTHON, python3.13 … python3.
# An interpreter is fit when it runs (a version manager's shim may not), is 3.11 or newer and can
# make environments (Debian packs that apart).
set -eu

target=$1
without_venv=''

for name in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    # A name may be on the PATH several times, and only a later one may work.
    for python in $(command -v "$name" || true) /usr/local/bin/"$name" /usr/bin/"$name"; do
        [ -x "$python" ] || continue
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            without_venv=$python
            continue
        fi
        echo "==> Creating $target with $("$python" -V) ($python)"
        exec "$python" -m venv --clear "$target"
    done
done

if [ -n "$without_venv" ]; then
    echo "$without_venv cannot make virtual environments. Install its package, then call make again:" >&2
    echo "    apt-get install python3-venv" >&2
else
    echo "No Python 3.11 or newer was found${PYTHON:+ as '$PYTHON'}. Install one, or name it: PYTHON=/path/to/python make …" >&2
fi
exit 1
