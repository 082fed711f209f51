"""Data sets by their name in ``params.yaml``; another one is one module and one line here.

A module has ``Settings`` (pydantic), ``load_raw(folder)`` and ``make_tables(raw, settings, seed)``.
"""

from types import ModuleType

from mtrec.domains import ecommerce, video

DOMAINS: dict[str, ModuleType] = {"video": video, "ecommerce": ecommerce}
