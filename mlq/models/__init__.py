"""Model packages: what both the workers and the serving process need to read and write models.

Importing this package, `metrics` and `package` is cheap; scikit-learn, pandas and skops come in
when a package is read or written.
"""
