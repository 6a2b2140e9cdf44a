"""Speed, as ratios measured in one run: `make bench`.

`problems` says what is computed, `peers` has one file for each tool that computes it, `compare` runs them alternately,
`peak`, `scaling` and `first_result` measure the lanes alone, `networks` does all this for the `trainings` of networks,
`report` writes what was found. A further comparison is a
module with `measure(quick)`, an entry of `PARTS` in `__main__`, and a section in `report`.
"""
