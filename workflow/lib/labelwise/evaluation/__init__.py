"""Classes to numbers: statistics, verdicts, and which rows of an experiment are shown."""
