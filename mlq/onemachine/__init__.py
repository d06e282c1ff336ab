"""Everything on one machine: the supervisor behind `mlq up`."""
