"""mlq's verdicts on job files beside those of Azure's own package, the oracle.

`corpus` holds files written for the purpose; `verdicts.json` what the oracle says of each, and of
200 mutations of them. `python -m tests.oracle.record` writes it anew; nothing else needs the
package.
"""
