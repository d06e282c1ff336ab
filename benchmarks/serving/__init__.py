"""Model serving beside other servers: `python -m benchmarks.serving`.

__main__.py  the runs and their table
problem.py   the two models and the rows that are asked
peers.py     the other servers, each in an environment of its own
apps/        what those serve with, run by their own Python
subject.py   mlq's server on a database and a store of its own
flips.py     how fast a change goes live
load.py      connections that ask as fast as answers come; a process of its own
process.py   servers as processes
"""
