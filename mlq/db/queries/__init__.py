"""Reading for people and programs: nothing in here writes."""
