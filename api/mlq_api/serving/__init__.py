"""Model serving: the process `mlq serve`. Stateless: run as many as you like.

app.py       the application and its lifespan
endpoints.py POST /endpoints/{name}/score
oip.py       the Open Inference Protocol, version 2, under /v2
server.py    what the routes share
meters.py    what was answered: counted, stored, shown under /metrics
routes.py    what stands behind a name at this moment
watcher.py   follows the database; loads before it swaps
predictions.py  by ONNX Runtime, or in batches of many requests
json_bodies.py  bodies as JSON
packages.py  models in memory
rows.py      JSON rows to the data frame that a model takes
binary.py    the protocol's tensors as bytes behind the JSON
tensors.py   the protocol's tensors to columns, and predictions to tensors
refusals.py  errors as answers
access.py    tokens, also while the database is away
"""
