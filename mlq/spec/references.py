"""References as they stand in job files: assets, components, computes, local paths.

`azureml:` is accepted wherever `mlq:` is. Nothing here looks anything up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ASSET = re.compile(r"(?:mlq|azureml):(?P<name>[A-Za-z0-9][\w.-]*)(?P<version>[:@][\w.-]+)?")
_MODEL = re.compile(r"models:/+(?P<name>[^/@\s]+)(?:/(?P<version>[\w.-]+)|@(?P<alias>[\w.-]+))")
_ARTIFACT = re.compile(r"artifact:sha256:[0-9a-f]{64}(?:/[^\s]+)?")
_CODE = re.compile(r"artifact:sha256:(?P<digest>[0-9a-f]{64})")
_WEB = re.compile(r"https?://[^\s/]+\S*")
_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/\S*/)?datastores/(?P<store>[A-Za-z0-9_-]+)/paths/(?P<path>\S*)"
)
#: Object storage, which an operator has to allow.
_STORAGE = re.compile(r"(?:s3a?|gs|gcs|abfss?|wasbs?|adl)://[^\s/]+\S*")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):")
_COMPUTE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_ENVIRONMENT = re.compile(
    r"azureml:/.*/environments/(?P<name>[A-Za-z0-9][\w.-]*)"
    r"(?:/versions/(?P<version>[\w.-]+)|/labels/(?P<label>[\w.-]+))"
)
_STEP = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")

MODEL_TYPES = frozenset({"mlflow_model", "custom_model", "triton_model"})


class BadReferenceError(ValueError):
    """A text that names nothing; `suggestion` is what was probably meant."""

    def __init__(self, message: str, *, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


def parse_asset(text: str, *, type: str = "uri_file") -> str:
    """The reference in its one spelling, as `Source.value` holds it.

    type: the port's; `mlq:NAME:3` on a model port is `models:/NAME/3`.
    Results: `mlq:NAME:VERSION`, `mlq:NAME@LABEL`, `models:/NAME/VERSION`, `models:/NAME@ALIAS`,
    `artifact:sha256:HEX[/name]`, or an address (`is_address`). Raises BadReferenceError.
    """
    text = text.strip()
    if match := _MODEL.fullmatch(text):
        if match["alias"]:
            return f"models:/{match['name']}@{match['alias']}"
        return f"models:/{match['name']}/{match['version']}"
    if is_address(text):
        return text
    if text.startswith("azureml://"):
        raise BadReferenceError(
            "azureml:// addresses of anything but datastores lead into Azure; use mlq:NAME@latest"
        )
    if match := _ASSET.fullmatch(text):
        name, version = match["name"], match["version"]
        if version is None:
            raise BadReferenceError(f"'{text}' says no version", suggestion=f"mlq:{name}@latest")
        if type not in MODEL_TYPES:
            return f"mlq:{name}{version}"
        if version == "@latest":
            return f"models:/{name}/latest"
        return f"models:/{name}{version.replace(':', '/')}"
    if _ARTIFACT.fullmatch(text):
        return text
    scheme = _SCHEME.match(text)
    if scheme is not None and scheme["scheme"].lower() in ("mlq", "azureml", "models", "artifact"):
        raise BadReferenceError(
            f"'{shorten(text)}' is not a reference; write mlq:NAME:VERSION, mlq:NAME@latest, "
            "models:/NAME/VERSION, models:/NAME@ALIAS or artifact:sha256:HEX"
        )
    if is_local_path(text):
        raise BadReferenceError(
            f"'{shorten(text)}' is a path on your machine, which the server cannot read: upload "
            "first with `mlq data create` or POST /v1/data/NAME/versions, then write "
            "mlq:NAME@latest"
        )
    raise BadReferenceError(
        f"'{shorten(text)}': addresses of this kind are not supported by this version; "
        "upload the data with `mlq data create`"
    )


def is_address(text: str) -> bool:
    """Whether `text` is where bytes are outside the store: on the web, in object storage, or below
    a datastore (`azureml://datastores/NAME/paths/PATH`).
    """
    return any(pattern.fullmatch(text) for pattern in (_WEB, _STORAGE, _DATASTORE))


def parse_datastore(text: str) -> tuple[str, str] | None:
    """Name and path of `azureml://datastores/NAME/paths/PATH`; None for other text."""
    match = _DATASTORE.fullmatch(text)
    return None if match is None else (match["store"], match["path"])


def parse_code(text: str) -> str:
    """The digest of the code folder that `artifact:sha256:HEX` names. Raises BadReferenceError."""
    text = text.strip()
    match = _CODE.fullmatch(text)
    if match is not None:
        return match["digest"]
    if is_local_path(text):
        raise BadReferenceError(
            f"'{shorten(text)}' is a folder on your machine, which the server cannot read: "
            "`mlq job create` sends it along. Over HTTP, put it with PUT /v1/trees/SHA256 and "
            "write artifact:sha256:SHA256"
        )
    raise BadReferenceError(
        f"'{shorten(text)}' is no code; name a folder beside the job file, such as ./src, or "
        "artifact:sha256:HEX"
    )


@dataclass(frozen=True, slots=True)
class NamedEnvironment:
    """A reference to an environment. version: None for the latest; labels keep their `@`.

    is_curated: whether Azure keeps one of this name for everybody.
    """

    name: str
    version: str | None
    is_curated: bool


def parse_environment(text: str) -> NamedEnvironment:
    """Take `azureml:NAME:VERSION`, `mlq:NAME@latest` or an id of Azure's apart.

    Ids are `azureml://registries/REGISTRY/environments/NAME/versions/VERSION` and the like.
    Raises BadReferenceError.
    """
    text = text.strip()
    if match := _ENVIRONMENT.fullmatch(text):
        label = None if match["label"] in (None, "latest") else f"@{match['label']}"
        is_curated = text.startswith("azureml://registries/azureml/")
        return NamedEnvironment(match["name"], match["version"] or label, is_curated)
    match = _ASSET.fullmatch(text)
    if match is None:
        raise BadReferenceError(
            f"'{shorten(text)}' names no environment; write azureml:NAME:VERSION or "
            "azureml:NAME@latest of one that is registered with `mlq environment create`"
        )
    name, version = match["name"], match["version"]
    if version is None:
        raise BadReferenceError(f"'{text}' says no version", suggestion=f"azureml:{name}@latest")
    version = None if version == "@latest" else version.removeprefix(":")
    return NamedEnvironment(name, version, name.startswith("AzureML-"))


def is_environment_file(text: str) -> bool:
    """Whether an `environment:` names a file: `file:./env.yml`, `./env.yml`, `env.yaml`."""
    return is_component_file(text)


def is_local_path(text: str) -> bool:
    """Whether `text` names a file or folder here: no scheme but `file:`, and no `${{…}}`."""
    if "${{" in text:
        return False
    scheme = _SCHEME.match(text.strip())
    return scheme is None or scheme["scheme"].lower() == "file"


def is_component_file(text: str) -> bool:
    """Whether a `component:` names a file: `./train.yml`, `file:train.yml`, `train.yaml`."""
    return text.startswith((".", "/", "file:")) or text.endswith((".yml", ".yaml"))


def parse_component(text: str) -> tuple[str, str | None]:
    """Split `mlq:train`, `azureml:train:1`, `mlq:train@latest` into (`mlq:train`, version).

    The version is None for `@latest` and when there is none; other labels keep their `@`.
    """
    match = _ASSET.fullmatch(text.strip())
    if match is None:
        return text, None
    version = match["version"]
    if version is not None:
        version = None if version == "@latest" else version.removeprefix(":")
    return f"mlq:{match['name']}", version


def parse_compute(text: str) -> str | None:
    """The tag without its `azureml:` or `mlq:` prefix; None if it cannot name a queue."""
    name = text.strip()
    for prefix in ("azureml:", "mlq:"):
        name = name.removeprefix(prefix)
    name = name.rpartition("/computes/")[2]
    return name if _COMPUTE.fullmatch(name) else None


def is_step_name(text: str) -> bool:
    """Whether `text` can name a step: letters, digits, _ and -, no dot."""
    return _STEP.fullmatch(text) is not None


def shorten(value: object, *, limit: int = 60) -> str:
    """`value` as text for a message, cut after `limit` characters."""
    text = str(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
