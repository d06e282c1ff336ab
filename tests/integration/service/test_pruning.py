"""Pruning removes what nobody needs, and nothing else, whatever happens at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from mlq.artifacts import Entry, Store
from mlq.cli.server import prune as command
from mlq.db import garbage, reports
from mlq.db.engine import Database
from mlq.db.reports import LogChunk, MetricValue
from mlq.db.tables import (
    artifacts,
    events,
    installation,
    jobs,
    latest_metrics,
    log_chunks,
    metrics,
    unnamed_artifacts,
)
from mlq.db.types import now, now_plus
from mlq.errors import MlqError, NotFoundError
from mlq.service import assets, data, deletion, execution, models, pruning, trees
from mlq.service.execution import Report
from mlq.service.pruning import Policy
from mlq.settings import Settings
from mlq.spec.plan import Source
from mlq.testing import invariants, outputs
from mlq_workers.janitor import Janitor
from tests.integration.db.plans import Leaf, line
from tests.integration.db.queue import Queue, Tree
from tests.integration.s3 import S3, s3
from tests.servers import wait_until

__all__ = ["s3"]

#: Nothing waits in these tests but where they say so.
AT_ONCE = Policy(unnamed_s=0)
DAY_S = 86400.0


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database.open(database_url, pool_size=4)
    yield opened
    opened.close()


@pytest.fixture
def queue(database: Database) -> Iterator[Queue]:
    yield (opened := Queue(database))
    assert opened.violations() == []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "artifacts"))


class Meddled:
    """A store in which something happens just before an act of the pruner."""

    def __init__(self, store: Store, *, before: str, act: Callable[[], object]) -> None:
        self._store, self._before, self._act = store, before, act

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name != self._before:
            return method

        def meddled(*args: Any, **more: Any) -> Any:
            act, self._act = self._act, lambda: None
            act()
            return method(*args, **more)

        return meddled


def prune(database: Database, store: Any, policy: Policy = AT_ONCE) -> pruning.Pruned:
    return pruning.prune(database, store, policy, actor="test")


def register(database: Database, digest: str, *, name: str = "d", type: str = "uri_file") -> None:
    database.transact(
        data.create_version,
        name=name,
        digest=digest,
        type=type,
        file_name="x",
        size_bytes=4,
        actor="ann",
    )


def folder_of(store: Store, tmp_path: Path, name: str, **files: str) -> set[str]:
    """Store a folder; digests of its manifest, first, and of its files."""
    folder = tmp_path / name
    folder.mkdir()
    for file, text in files.items():
        (folder / file).write_text(text)
    tree = store.put_tree(folder)
    return {tree.digest, *(entry.digest for entry in tree.entries)}


def succeed_with(queue: Queue, tree: Tree, path: str, **digests: tuple[str, str]) -> None:
    records = {
        name: {"type": "uri_file", "kind": kind, "digest": digest, "name": name, "size_bytes": 1}
        for name, (kind, digest) in digests.items()
    }
    queue.database.transact(
        execution.succeed,
        tree.claim(path),
        records,
        said=Report(),
        windows=queue.windows,
        refill=True,
    )


def everything_named(queue: Queue, store: Store, tmp_path: Path) -> set[str]:
    """One artifact for each way in which bytes are named; what is stored of it all."""

    def put(text: str) -> str:
        return store.put_stream([text.encode()]).digest

    database = queue.database
    needed = {put("data"), put("mark")}
    register(database, put("data"))
    with database.write() as conn:
        conn.execute(
            installation.insert().values(id=1, host="h", store_digest=put("mark"), created_at=now())
        )
    folder = tmp_path / "dataset"
    needed |= folder_of(store, tmp_path, "dataset", a="1", b="2")
    register(database, store.put_tree(folder).digest, name="f", type="uri_folder")

    made = folder_of(store, tmp_path, "model", MLmodel="m", weights="w")
    package = store.put_tree(tmp_path / "model").digest
    needed |= made
    with database.write() as conn:
        models.register(conn, name="churn", digest=package, size_bytes=2, actor="ann")

    code, given, output = put("code"), put("given"), put("output")
    register_blob(database, given)
    leaf = Leaf(
        spec={"code": {"digest": code}},
        inputs={"x": Source(kind="asset", value=f"artifact:sha256:{given}", type="uri_file")},
    )
    tree = queue.submit(leaf, assets=(f"artifact:sha256:{given}",))
    trained = folder_of(store, tmp_path, "trained", p="3")
    succeed_with(
        queue,
        tree,
        "",
        a=("blob", output),
        b=("tree", store.put_tree(tmp_path / "trained").digest),
    )
    waiting = put("code of a step that has not run")
    queue.submit(Leaf(spec={"code": {"digest": waiting}}))
    return needed | trained | {code, given, output, waiting}


def register_blob(database: Database, digest: str) -> None:
    """As PUT /v1/blobs does."""
    from mlq.db import registry

    database.transact(registry.add_artifacts, [registry.Artifact(digest, "blob", 1)])


def stored(store: Store) -> set[str]:
    return {digest for digest, _ in store.stored()}


def count(database: Database, table: Any) -> int:
    with database.read() as conn:
        return int(conn.scalar(select(func.count()).select_from(table)) or 0)


def test_what_anything_names_stays_and_the_rest_goes(
    queue: Queue, store: Store, tmp_path: Path
) -> None:
    needed = everything_named(queue, store, tmp_path)
    assert stored(store) == needed
    garbage_ = {store.put_stream([b"nobody names it"]).digest}
    garbage_ |= folder_of(store, tmp_path, "left", c="4")
    register_blob(queue.database, next(iter(garbage_)))

    first = prune(queue.database, store)
    assert first.artifacts.count == 0
    assert first.waiting.count == len(garbage_) == 3
    assert stored(store) == needed | garbage_

    promised = pruning.measure(queue.database, store, AT_ONCE)
    assert stored(store) == needed | garbage_
    second = prune(queue.database, store)
    assert (second.artifacts, second.waiting.count) == (promised.artifacts, 0)
    assert second.artifacts.count == 3
    assert second.artifacts.size_bytes > 0
    assert stored(store) == needed
    assert outputs.audit(queue.database, store) == []
    assert count(queue.database, unnamed_artifacts) == 0


def test_what_has_lost_its_last_name_goes_with_its_files(
    queue: Queue, store: Store, tmp_path: Path
) -> None:
    database = queue.database
    shared = {"same": "in both"}
    folder_of(store, tmp_path, "one", own="1", **shared)
    folder_of(store, tmp_path, "two", own="2", **shared)
    kept = {store.put_tree(tmp_path / "two").digest}
    kept |= {entry.digest for entry in store.tree(next(iter(kept))).entries}
    for name in ("one", "two"):
        register(database, store.put_tree(tmp_path / name).digest, name=name, type="uri_folder")
    for _ in range(2):
        assert prune(database, store).artifacts.count == 0
    database.transact(deletion.delete_data_version, "one", version=1, actor="ann")

    prune(database, store)
    assert prune(database, store).artifacts.count == 2
    assert stored(store) == kept


def test_within_the_grace_nothing_goes(database: Database, store: Store) -> None:
    blob = store.put_stream([b"x"])
    for _ in range(3):
        assert prune(database, store, Policy(unnamed_s=3600)).artifacts.count == 0
    assert pruning.measure(database, store, Policy(unnamed_s=3600)).waiting.count == 1
    with database.write() as conn:
        conn.execute(update(unnamed_artifacts).values(since=now_plus(-3601.0)))
    assert prune(database, store, Policy(unnamed_s=3600)).artifacts.count == 1
    assert not store.exists(blob.digest)


def age(store: Store, digest: str) -> None:
    """Let the clock of the file system move on, which counts in some milliseconds."""
    before = store.used_at(digest)

    def is_later() -> bool:
        store.claim(digest)
        return store.used_at(digest) != before

    wait_until(is_later, what="the time of a file changes")


def test_bytes_that_are_stored_again_wait_anew(database: Database, store: Store) -> None:
    blob = store.put_stream([b"x"])
    prune(database, store)
    age(store, blob.digest)
    store.put_stream([b"x"])  # whoever put it will name it in a moment
    assert prune(database, store).artifacts.count == 0
    assert store.exists(blob.digest)


@pytest.mark.parametrize("before", ["used_at", "remove"])
def test_an_upload_at_the_same_moment_keeps_its_bytes(
    database: Database, store: Store, tmp_path: Path, before: str
) -> None:
    """The pruner has seen that nobody names them; then somebody stores and registers them."""
    (tmp_path / "x").write_bytes(b"x")
    blob = store.put_file(tmp_path / "x")
    register_blob(database, blob.digest)
    prune(database, store)

    def upload() -> None:
        age(store, blob.digest)
        assert store.put_file(tmp_path / "x") == blob
        register(database, blob.digest)

    assert prune(database, Meddled(store, before=before, act=upload)).artifacts.count == 0
    prune(database, store)
    assert prune(database, store).artifacts.count == 0
    assert store.read(blob.digest).read() == b"x"
    with database.read() as conn:
        assert conn.scalar(select(artifacts.c.digest)) == blob.digest


def test_a_reference_at_the_same_moment_keeps_its_bytes_or_is_refused(
    database: Database, store: Store
) -> None:
    """`artifact:sha256:…` names what was uploaded before, without storing it again."""
    blob = store.put_stream([b"x"])
    reference = f"artifact:sha256:{blob.digest}"
    register_blob(database, blob.digest)
    prune(database, store)

    def refer() -> None:
        database.transact(assets.resolve, [reference])

    assert prune(database, Meddled(store, before="used_at", act=refer)).artifacts.count == 0
    assert store.exists(blob.digest)

    def refer_late() -> None:
        with pytest.raises(NotFoundError, match="There is no artifact"):
            refer()

    assert prune(database, Meddled(store, before="remove", act=refer_late)).artifacts.count == 1


def test_who_refers_first_makes_the_pruner_wait(database: Database, store: Store) -> None:
    blob = store.put_stream([b"x"])
    register_blob(database, blob.digest)
    prune(database, store)
    with database.write() as conn:
        assets.resolve(conn, [f"artifact:sha256:{blob.digest}"])
        assert garbage.take(conn, [blob.digest], grace_s=0) == set()


@pytest.mark.parametrize("again", [True, False])
def test_code_that_is_named_at_the_same_moment_keeps_its_files(
    database: Database, store: Store, tmp_path: Path, again: bool
) -> None:
    """A job names a folder that was sent long ago, or sends another list of the same files."""
    files = folder_of(store, tmp_path, "code", a="1", b="2")
    tree = store.put_tree(tmp_path / "code")
    for entry in tree.entries:
        register_blob(database, entry.digest)
    database.transact(trees.keep_tree, tree, project=None)
    other = store.put_entries(Entry(f"x{e.path}", e.digest, e.size_bytes) for e in tree.entries)
    prune(database, store)

    def name() -> None:
        if again:
            assert database.transact(trees.has_tree, tree.digest, project=None)
        else:
            database.transact(trees.keep_tree, other, project=None)

    prune(database, Meddled(store, before="files_of", act=name))
    kept = tree.digest if again else other.digest
    assert stored(store) == {*files - {tree.digest}, kept}
    assert database.transact(trees.find_missing, list(files - {tree.digest}), project=None) == []


def test_two_pruners_do_not_disturb_each_other(database: Database, store: Store) -> None:
    store.put_stream([b"x"])
    prune(database, store)
    other: list[int] = []

    def prune_too() -> None:
        other.append(prune(database, store).artifacts.count)

    mine = prune(database, Meddled(store, before="used_at", act=prune_too)).artifacts.count
    assert mine + other[0] == 1


def test_an_object_store_is_pruned_the_same_way(
    sqlite_url: str, s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store.open(f"s3://lake/mlq?{s3.options}", cache=tmp_path / "cache")
    database = Database.open(sqlite_url)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("1")
    tree = store.put_tree(tmp_path / "kept")
    register(database, tree.digest, type="uri_folder")
    left, again = store.put_stream([b"left"]), store.put_stream([b"again"])
    kept = {tree.digest, tree.entries[0].digest, again.digest}
    prune(database, store)

    def put() -> None:
        age(store, again.digest)  # to the second
        store.put_stream([b"again"])

    assert prune(database, Meddled(store, before="remove", act=put)).artifacts.count == 1
    assert stored(store) == kept
    assert not store.exists(left.digest)
    database.close()


# logs, metrics, events and whole jobs ---------------------------------------------------------


def ended_tree(queue: Queue, *, days: float, name: str = "t") -> Tree:
    """A tree that ended so long ago, with a log, two values of a metric, and an output."""
    tree = queue.submit(line(2), name=name)
    for path in ("s0", "s1"):
        attempt = tree.claim(path)
        with queue.database.write() as conn:
            claim = attempt.claim
            reports.write_logs(conn, claim.id, claim.attempt, [LogChunk("stdout", "hello\n")])
            values = [MetricValue("loss", 1.0, 0), MetricValue("loss", 0.5, 1)]
            reports.write_metrics(conn, claim.id, claim.attempt, values)
        queue.succeed(attempt, text="x")
    back = now_plus(-days * DAY_S)
    with queue.database.write() as conn:
        conn.execute(update(jobs).where(jobs.c.root_id == tree.id).values(finished_at=back))
        conn.execute(update(events).where(events.c.root_id == tree.id).values(at=back))
    return tree


def held(database: Database, table: Any, tree: Tree) -> int:
    with database.read() as conn:
        query = select(func.count()).where(table.c.job_id.in_(list(tree.ids.values())))
        return int(conn.scalar(query) or 0)


def test_logs_and_metrics_of_old_trees_go_but_for_last_values(queue: Queue, store: Store) -> None:
    old, young = ended_tree(queue, days=40), ended_tree(queue, days=20)
    live = queue.submit(line(2))
    live.run("s0")
    policy = Policy(logs_s=30 * DAY_S, metrics_s=30 * DAY_S)
    promised = pruning.measure(queue.database, store, policy)
    pruned = prune(queue.database, store, policy)
    assert pruned == promised
    assert (pruned.logs.count, pruned.logs.size_bytes, pruned.metrics) == (2, 12, 4)
    for table, left in ((log_chunks, 2), (metrics, 4), (latest_metrics, 2)):
        assert held(queue.database, table, young) == left
    assert held(queue.database, log_chunks, old) == held(queue.database, metrics, old) == 0
    assert held(queue.database, latest_metrics, old) == 2
    assert prune(queue.database, store, policy).is_empty


def test_trees_that_a_model_came_from_keep_everything(
    queue: Queue, store: Store, tmp_path: Path
) -> None:
    tree = ended_tree(queue, days=400)
    folder_of(store, tmp_path, "model", MLmodel="m")
    package = store.put_tree(tmp_path / "model").digest
    with queue.database.write() as conn:
        models.register(
            conn, name="churn", digest=package, size_bytes=1, actor="a", job_id=tree.ids["s1"]
        )
    policy = Policy(jobs_s=0, logs_s=0, metrics_s=0, events_s=0, unnamed_s=0)
    for _ in range(2):
        pruned = prune(queue.database, store, policy)
        assert (pruned.jobs, pruned.logs.count, pruned.metrics) == (0, 0, 0)
    assert held(queue.database, log_chunks, tree) == 2
    assert held(queue.database, metrics, tree) == 4
    assert tree.states() == {"": "succeeded", "s0": "succeeded", "s1": "succeeded"}
    assert store.exists(package)


def test_whole_jobs_go_and_then_their_history_and_bytes(queue: Queue, store: Store) -> None:
    database = queue.database
    old, young = ended_tree(queue, days=40), ended_tree(queue, days=20)
    waiting = queue.submit(Leaf())
    digest = store.put_stream([b"an output"]).digest
    output = queue.submit(Leaf())
    succeed_with(queue, output, "", a=("blob", digest))
    with database.write() as conn:
        back = now_plus(-40 * DAY_S)
        conn.execute(update(jobs).where(jobs.c.id == output.id).values(finished_at=back))
        conn.execute(update(events).where(events.c.root_id == output.id).values(at=back))
    policy = Policy(jobs_s=30 * DAY_S, events_s=30 * DAY_S, unnamed_s=0)
    assert pruning.measure(database, store, policy).jobs == 2
    pruned = prune(database, store, policy)
    assert pruned.jobs == 2
    assert pruned.events > 0
    assert old.states() == output.states() == {}
    assert young.states()["s1"] == "succeeded"
    assert waiting.states() == {"": "queued"}
    assert invariants.audit(database) == []
    prune(database, store, policy)
    assert not store.exists(digest)
    with database.read() as conn:
        kinds = set(conn.scalars(select(events.c.kind).where(events.c.root_id == old.id)))
        acts = conn.scalars(select(events.c.kind).where(events.c.subject == "storage")).all()
    assert kinds == {"job.delete"}
    assert acts == ["storage.prune"] * 2


def test_the_leader_prunes_once_an_hour_where_that_is_set(
    database: Database, store: Store, tmp_path: Path
) -> None:
    blob = store.put_stream([b"x"])
    clock = [1000.0]
    settings = Settings(
        home=tmp_path / "home", artifact_url=str(tmp_path / "artifacts"), keep_unnamed_s=3600
    )
    janitor = Janitor(settings, database, clock=lambda: clock[0])
    idle = Janitor(Settings(home=tmp_path), database, clock=lambda: clock[0])
    janitor.run()  # it has only begun to lead
    assert count(database, unnamed_artifacts) == 0
    clock[0] += 61
    for one in (idle, janitor, janitor):
        one.run()
    wait_until(lambda: count(database, unnamed_artifacts) == 1, what="the first look")
    with database.write() as conn:
        conn.execute(update(unnamed_artifacts).values(since=now_plus(-3601.0)))
    clock[0] += 3601

    def is_gone() -> bool:
        janitor.run()
        return not store.exists(blob.digest)

    wait_until(is_gone, what="the second look")


def test_nothing_to_prune_by_is_refused(tmp_path: Path) -> None:
    assert Policy.of(Settings(home=tmp_path)).is_empty
    with pytest.raises(MlqError, match="for ever"):
        command.main(["--dry-run"], standalone_mode=False)


def test_times_of_the_store_are_aware(store: Store) -> None:
    at = store.used_at(store.put_stream([b"x"]).digest)
    assert isinstance(at, datetime)
    assert at.tzinfo is not None
