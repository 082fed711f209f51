"""``mtrec repro``: the stages of dvc.yaml run by DVC, announced, watched and, if need be, stopped.

- :mod:`~mtrec.pipeline.stages`: which stages a domain has, what each does, which are out of date;
- :mod:`~mtrec.lock`: one run at a time in a clone;
- :mod:`~mtrec.pipeline.domain`: the stages of one domain, run by one DVC process;
- :mod:`~mtrec.pipeline.screen`: lines and bars;
- :mod:`~mtrec.pipeline.run`: the command.
"""
