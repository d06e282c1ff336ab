"""What is in data that is stored: rows, columns and how two versions differ. Bounded memory.

tables.py      a file or folder as batches of rows
columns.py     what is learned of one column while its values pass
profile.py     a table's profile
difference.py  two profiles side by side
drift.py       how far a distribution has moved

Nothing here is imported before it is asked for: it loads the scientific stack.
"""
