"""Print the API's OpenAPI document; `npm run gen` makes the console's types from it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from mlq.settings import Settings
from mlq_api.app import create_app

with tempfile.TemporaryDirectory() as home:
    print(
        json.dumps(create_app(Settings(home=Path(home), broker_url="redis://localhost")).openapi())
    )
