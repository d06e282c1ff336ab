"""Content-addressed store: blobs and trees of blobs, named by the SHA-256 of their bytes.

store.py    Store: what everybody calls
digests.py  Blob, digests and what a name may look like
trees.py    Tree: a folder as a manifest blob
local.py    objects in a folder: the local store, and the cache before a remote one
remote.py   objects behind any other fsspec address
sources.py  bytes at addresses elsewhere, which links of the store lead to
cache.py    what is dropped from the cache when it grows too large
"""

from __future__ import annotations

from mlq.artifacts.digests import Blob, check_digest
from mlq.artifacts.store import Store, Writer
from mlq.artifacts.trees import Entry, Tree

__all__ = ["Blob", "Entry", "Store", "Tree", "Writer", "check_digest"]
