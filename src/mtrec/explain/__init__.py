"""Why a model answers as it does: contributions of features and past events, and how true they are.

The joint model is explained, as a function of its embedded inputs: what each feature, past event,
context column and reading adds to the states that the shared layer reads.
"""
