"""Where mlq and the oracle are meant to differ: two tables, and an example for each row.

A file that only one of them accepts has to be explained by rows of its table, message by message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """name: what it is about. pattern: of mlq's messages where mlq is stricter, of the oracle's
    where mlq accepts more. why: in a sentence. example: a file that shows it, of a job or of a
    component.
    """

    name: str
    pattern: str
    why: str
    example: str
    is_component: bool = False

    def explains(self, message: str) -> bool:
        return re.search(self.pattern, message) is not None


_ENVIRONMENT = "environment: azureml:AzureML-sklearn-1.5@latest"
_COMMAND = f"command: echo hello\n{_ENVIRONMENT}\n"

#: What mlq refuses and the oracle's `load_job` or `load_component` lets pass.
STRICTER = (
    Rule(
        "cycle",
        r"wait for each other|waits for an output of its own|leads back to itself",
        "Steps that wait for each other never start.",
        """\
type: pipeline
jobs:
  a: {component: ../components/sort.yml, inputs: {text: "${{parent.jobs.b.outputs.sorted}}"}}
  b: {component: ../components/sort.yml, inputs: {text: "${{parent.jobs.a.outputs.sorted}}"}}
""",
    ),
    Rule(
        "unbound reference",
        r"The pipeline has no input|There is no step|there is no such (input|output|parameter)|"
        r"has no output|declares no output|is given no input",
        "A binding leads to an input, output or step that there is.",
        """\
type: pipeline
jobs:
  a: {component: ../components/sort.yml, inputs: {text: "${{parent.inputs.txet}}"}}
""",
    ),
    Rule(
        "unwritten output",
        r"No step writes this output",
        "An output of a pipeline comes from a step.",
        """\
type: pipeline
outputs: {nothing: {type: uri_file}}
jobs:
  a: {component: ../components/minimal.yml}
""",
    ),
    Rule(
        "unknown key",
        r"^Unknown key",
        "The oracle passes over unknown keys of steps, components and settings: a typing error "
        "goes unnoticed.",
        """\
type: pipeline
jobs:
  a: {component: ../components/minimal.yml, environment_variabels: {A: b}}
""",
    ),
    Rule(
        "unknown input",
        r"^(component|\S+:\S+) has no input",
        "A step is given inputs that its component has.",
        """\
type: pipeline
jobs:
  a: {component: ../components/trial.yml, inputs: {word: fig, rate: 0.5, width: 2}}
""",
    ),
    Rule(
        "missing input",
        r"is required \(.*\), but not given|This input has no (path|value)|which is not given",
        "A required input is given, with a value.",
        """\
type: pipeline
jobs:
  a: {component: ../components/sort.yml}
""",
    ),
    Rule(
        "range",
        r"takes at (least|most)|takes one of|is greater than max_value",
        "A value lies within `min`, `max` and `enum` of its input.",
        """\
type: pipeline
inputs: {text: {type: uri_file, path: ../data/notes.txt}}
jobs:
  a:
    component: ../components/count.yml
    inputs: {text: "${{parent.inputs.text}}", times: 100}
""",
    ),
    Rule(
        "type of a value",
        r"takes (a number|an integer|text|true or false|uri_file|uri_folder|mltable|\w+_model)|"
        r"^Rows are appended to a file",
        "A value has the type of its input; what rows are appended to is a file.",
        """\
type: pipeline
jobs:
  a: {component: ../components/trial.yml, inputs: {word: fig, rate: fast}}
""",
    ),
    Rule(
        "environment variable",
        r"^This must be text; got",
        "The value of an environment variable is text, or a number.",
        """\
type: pipeline
jobs:
  a: {component: ../components/minimal.yml, environment_variables: {A: [b]}}
""",
    ),
    Rule(
        "way of sampling",
        r"^The key 'sampling_algorithm' is required",
        "A sweep says how it draws.",
        f"""\
type: sweep
trial: {{command: "echo ${{{{search_space.rate}}}}", {_ENVIRONMENT}}}
search_space: {{rate: {{type: choice, values: [1, 2]}}}}
objective: {{goal: maximize, primary_metric: score}}
limits: {{max_total_trials: 2}}
""",
    ),
    Rule(
        "work of a step",
        r"^It is not said what this job runs",
        "A step says what it runs.",
        "type: pipeline\njobs: {a: {inputs: {word: fig}}}\n",
    ),
    Rule(
        "empty pipeline",
        r"The key 'jobs' is required|A pipeline needs at least one step",
        "A pipeline has steps.",
        "type: pipeline\njobs: {}\n",
    ),
    Rule(
        "one machine",
        r"A step runs on one machine|leave instance_count at 1",
        "A step runs on one machine; several processes there with `pytorch`.",
        f"{_COMMAND}resources: {{instance_count: 2}}\n",
    ),
    Rule(
        "type of job",
        r"^'(spark|automl)' is not supported",
        "There are no `automl` and `spark` jobs.",
        """\
type: automl
task: classification
primary_metric: accuracy
target_column_name: fruit
training_data: {type: mltable, path: ../data/table}
""",
    ),
    Rule(
        "script of a task",
        r"The key '(entry_script|task)' is required|A parallel job needs input_data|"
        r"is no (input|output) of this job|cut by number or size|must be a number of files",
        "A parallel job has a script, and an input that it is for.",
        f"""\
type: pipeline
jobs:
  a:
    type: parallel
    inputs: {{files: {{type: uri_folder, path: ../data/folder}}}}
    input_data: ${{{{inputs.files}}}}
    mini_batch_size: "1"
    task: {{type: run_function, code: ../src, {_ENVIRONMENT}}}
""",
    ),
    Rule(
        "requirement",
        r"requirements must be|is no requirement|is not taken here",
        "Requirements of a conda file's pip part are what pip would take.",
        """\
command: echo hello
environment:
  image: mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest
  conda_file: {dependencies: [{pip: ["two words"]}]}
""",
    ),
    Rule(
        "no such file",
        r"There is no file|cannot be read|is not there; code names|is a folder; a uri_file",
        "Local files that a job names are there when it is submitted.",
        f"{_COMMAND}inputs: {{text: {{type: uri_file, path: ../data/none.txt}}}}\n",
    ),
    Rule(
        "address within Azure",
        r"lead into Azure|addresses of this kind are not supported",
        "Addresses within Azure, but for those of datastores, mean nothing on one's own machines.",
        f"{_COMMAND}inputs:\n  all:\n    type: uri_folder\n"
        "    path: azureml://jobs/plum/outputs/fruit/paths/\n",
    ),
    Rule(
        "named output",
        r"Naming an output as a data asset",
        "Outputs are found by their job.",
        f"{_COMMAND}outputs: {{fruit: {{type: uri_file, name: fruit}}}}\n",
    ),
    Rule(
        "registered component",
        r"^There is no component",
        "A component that a step names is registered.",
        "type: pipeline\njobs: {a: {component: 'azureml:unheard_of:1'}}\n",
    ),
    Rule(
        "registered environment",
        r"^There is no environment",
        "An environment by name is registered, or one of Azure's curated ones.",
        "command: echo hello\nenvironment: azureml:unheard_of:1\n",
    ),
    Rule(
        "binding in a command",
        r"cannot stand in a command|is not closed",
        "A command knows its inputs and outputs.",
        f"command: echo ${{{{parent.inputs.x}}}}\n{_ENVIRONMENT}\n",
    ),
)

#: What the oracle refuses and mlq accepts; `pattern` is of the oracle's messages.
ADDITIONS = (
    Rule(
        "no environment",
        r"environment: Missing data",
        "Without `environment` a command runs in the worker's own.",
        "command: echo hello\n",
    ),
    Rule(
        "mlq's names",
        r"In order to specify an existing",
        "`mlq:NAME`, and bare names of computes.",
        "type: pipeline\njobs: {a: {component: 'mlq:pass'}}\n",
    ),
    Rule(
        "mlq's keys",
        r"(timeout|retries|repeat|priority|warm_start|finally)'?: (\[')?Unknown field",
        "Keys that only mlq has.",
        f"{_COMMAND}timeout: 60\n",
    ),
    Rule(
        "control flow",
        r"Value '(if_else|do_while|parallel_for)' passed|is_control",
        "Branches and loops, which the oracle has behind a switch of its own.",
        """\
type: pipeline
jobs:
  a: {component: ../components/minimal.yml}
  b: {type: if_else, condition: true, true_block: "${{parent.jobs.a}}"}
""",
    ),
    Rule(
        "pipelines in place",
        r"component'?: (\[')?Missing data",
        "The steps of an inner pipeline may stand right there.",
        """\
type: pipeline
jobs:
  a:
    type: pipeline
    jobs: {b: {component: ../components/minimal.yml}}
""",
    ),
    Rule(
        "null",
        r"may not be null",
        "`key:` without a value is a key that is left out.",
        f"{_COMMAND}display_name:\n",
    ),
    Rule(
        "lists and mappings",
        r"inputs.*(Invalid input type|Not a valid (boolean|integer|number|string)|value.*Unknown "
        r"field)|"
        r"^outputs: Invalid input type",
        "Inputs may be lists and mappings; outputs may be bound where they are declared.",
        f"{_COMMAND}inputs: {{columns: [a, b]}}\n",
    ),
    Rule(
        "type left out",
        r"'type': \['Missing data|^inputs\.\w+\.value\.(path|type): Unknown field",
        "An output without `type` is a folder, as an input with `path`; an input has the type of "
        "its default.",
        """\
type: pipeline
jobs:
  a:
    component:
      name: inline
      type: command
      command: echo hello > ${{outputs.a}}/a.txt
      environment: azureml:AzureML-sklearn-1.5@latest
      outputs: {a: {mode: upload}}
""",
    ),
    Rule(
        "type of a job left out",
        r"^(command: Missing data|(jobs|component): Unknown field)",
        "What has `jobs` is a pipeline, what has `component` a step of it, whatever `type` says.",
        "jobs: {a: {component: ../components/minimal.yml}}\n",
    ),
    Rule(
        "name left out",
        r"^name: Missing data",
        "A component needs no name where it is used from its file.",
        f"type: command\n{_COMMAND}",
        is_component=True,
    ),
    Rule(
        "values of a choice",
        r"^search_space\.\w+\.value",
        "A choice may be between values of any kind.",
        f"""\
type: sweep
trial: {{command: "echo ${{{{search_space.rate}}}}", {_ENVIRONMENT}}}
search_space: {{rate: {{type: choice, values: [true, 2]}}}}
sampling_algorithm: random
objective: {{goal: maximize, primary_metric: score}}
limits: {{max_total_trials: 2}}
""",
    ),
    Rule(
        "limits left out",
        r"^limits: Missing data",
        "A sweep over a grid ends by itself: it needs no `limits`.",
        f"""\
type: sweep
trial: {{command: "echo ${{{{search_space.rate}}}}", {_ENVIRONMENT}}}
search_space: {{rate: {{type: choice, values: [1, 2]}}}}
sampling_algorithm: grid
objective: {{goal: maximize, primary_metric: score}}
""",
    ),
    Rule(
        "not looked into",
        r"^(identity|services|queue_settings|environment\.build)\.",
        "`identity`, `services`, `queue_settings` and a `build` are ignored, whatever they hold.",
        f"{_COMMAND}identity: {{type: nobody}}\n",
    ),
)
