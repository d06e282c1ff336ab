"""What a command sees, and how inputs come into its text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlq.errors import StepError
from mlq_workers.runner import command_environment, render_command

HOST = {
    "PATH": "/usr/bin",
    "HOME": "/home/u",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "MLQ_TOKEN": "t",
    "MLQ_DATABASE_URL": "postgresql://",
    "BASH_ENV": "/evil",
    "LD_PRELOAD": "/evil",
    "PYTHONPATH": "/elsewhere",
}


def test_few_variables_of_the_host_are_passed_on() -> None:
    made = command_environment({}, tmp=Path("/t"), host=HOST)
    bin_folder = str(Path(sys.executable).parent)
    assert made == {
        "PATH": f"{bin_folder}{os.pathsep}/usr/bin",
        "HOME": "/home/u",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": "/t",
        "CUDA_VISIBLE_DEVICES": "",
        **{name: "1" for name in made if name.endswith("_THREADS")},
    }
    assert made["OMP_NUM_THREADS"] == made["OPENBLAS_NUM_THREADS"] == "1"


def test_job_decides_except_on_its_devices_and_scratch() -> None:
    given = {
        "OMP_NUM_THREADS": "7",
        "HOME": "/elsewhere",
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
        "TMPDIR": "/etc",
        "MLQ_TOKEN": "a scoped one",
    }
    made = command_environment(given, tmp=Path("/t"), gpu=("GPU-1",), threads=2, host=HOST)
    assert made["OMP_NUM_THREADS"] == "7"
    assert made["MKL_NUM_THREADS"] == "2"
    assert made["HOME"] == "/elsewhere"
    assert made["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert made["TMPDIR"] == "/t"
    assert made["MLQ_TOKEN"] == "a scoped one"


@pytest.mark.parametrize("given", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0"}])
def test_impossible_variables_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(StepError, match="environment variable"):
        command_environment(given, tmp=Path("/t"), host=HOST)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("python train.py --lr ${{inputs.lr}}", "python train.py --lr 0.01"),
        ("run ${{ inputs.n }} ${{inputs.flag}}", "run 3 True"),
        ("echo ${{inputs.words}}", "echo two words; $HOME"),
        ("cat ${{inputs.file}} > ${{outputs.out}}/x", "cat /in/a.csv > /scratch/out/x"),
        ("cat ${{inputs.spaced}}/a", "cat '/in/a b'/a"),
        ('cat "${{inputs.spaced}}/a"', 'cat "/in/a b/a"'),
        ("cat '${{inputs.spaced}}'", "cat '/in/a b'"),
        ('echo "it\'s" ${{inputs.spaced}}', "echo \"it's\" '/in/a b'"),
        ('echo \\" ${{inputs.spaced}}', "echo \\\" '/in/a b'"),
        ("x --params ${{inputs.map}}", "x --params '{\"a\": [1]}'"),
        ("x $[[--opt ${{inputs.lr}}]] y", "x --opt 0.01 y"),
        ("x $[[ --opt ${{inputs.absent}} ]]y", "x y"),
        ("x $[[--a ${{inputs.lr}} --b ${{inputs.none}}]]", "x "),
        ("x $[[--a ${{inputs.lr}}]] $[[--b ${{inputs.none}}]] z", "x --a 0.01  z"),
        ("[[ -e $HOME ]] && echo ${x} $((1+1))", "[[ -e $HOME ]] && echo ${x} $((1+1))"),
        ("echo ${{inputs.tricky}}", "echo ${{inputs.lr}}"),
    ],
)
def test_render(template: str, expected: str) -> None:
    inputs: dict[str, Any] = {
        "lr": 0.01,
        "n": 3,
        "flag": True,
        "words": "two words; $HOME",
        "file": Path("/in/a.csv"),
        "spaced": Path("/in/a b"),
        "map": {"a": [1]},
        "none": None,
        "tricky": "${{inputs.lr}}",
    }
    assert render_command(template, inputs, {"out": Path("/scratch/out")}) == expected


@pytest.mark.parametrize("template", ["{}", "'{}'", '"{}"', "x'y'{}", '"a b "{}'])
def test_paths_survive_the_shell(template: str) -> None:
    path = Path("/in/a b'c\"d$HOME`id`\\e")
    reference = template.format("${{inputs.p}}")
    command = render_command(f"printf %s {reference}", {"p": path}, {})
    plain = render_command(f"printf %s {reference}", {"p": Path("/plain")}, {})
    shown = subprocess.run(["sh", "-ec", command], check=True, capture_output=True, text=True)
    expected = subprocess.run(["sh", "-ec", plain], check=True, capture_output=True, text=True)
    assert shown.stdout == expected.stdout.replace("/plain", str(path))


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("inputs.ephocs", "'epochs'"),
        ("inputs.zzz", "$[["),
        ("outputs.modell", "'model'"),
        ("parent.inputs.x", "${{inputs.NAME}}"),
        ("search_space.lr", "${{inputs.NAME}}"),
        ("", "${{inputs.NAME}}"),
    ],
)
def test_unknown_names_are_refused(reference: str, hint: str) -> None:
    with pytest.raises(StepError) as caught:
        render_command(f"x ${{{{{reference}}}}}", {"epochs": 1}, {"model": Path("/m")})
    assert hint in caught.value.hint
    assert caught.value.code == "unknown_reference"
