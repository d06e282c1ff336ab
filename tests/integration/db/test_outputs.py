"""The audit of outputs: what is gone or changed is named."""

from __future__ import annotations

from pathlib import Path

from mlq.artifacts import Store
from mlq.service import execution
from mlq.service.execution import Report
from mlq.testing import outputs
from tests.integration.db.plans import Leaf
from tests.integration.db.queue import Queue


def test_outputs_are_what_was_stored(queue: Queue, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "artifacts"))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    blob, tree = store.put_stream([b"model"]), store.put_tree(folder)
    job = queue.submit(Leaf())
    queue.database.transact(
        execution.succeed,
        job.claim(""),
        {
            "model": {"type": "uri_file", "kind": "blob", "digest": blob.digest},
            "folder": {"type": "uri_folder", "kind": "tree", "digest": tree.digest},
            "best": {"type": "number", "value": 1},
        },
        said=Report(),
        windows=queue.windows,
        refill=True,
    )
    assert outputs.audit(queue.database, store) == []

    stored = next(
        path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()
        and path.read_bytes() == b"model"
    )  # fmt: skip
    stored.chmod(0o600)
    stored.write_bytes(b"other")
    store.delete(tree.entries[0].digest)
    found = sorted(outputs.audit(queue.database, store))
    assert len(found) == 2
    assert f"{job.id} (root), output folder: a.txt: " in found[0]
    assert f"{blob.digest} is stored, but its bytes are " in found[1]
