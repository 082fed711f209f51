"""Data sets by their name in ``params.yaml``; another one is one module and one line here.

A module has ``Settings`` (pydantic; ``has_clock`` says whether times are those of the data),
``load_raw(folder)``, with the folder of its raw files, and ``make_tables(raw, settings, seed)``.
"""

from types import ModuleType

from mtrec.domains import (
    ecommerce,
    education_courses,
    education_mastery,
    own,
    social_reviews,
    social_trust,
    video,
)

DOMAINS: dict[str, ModuleType] = {
    "video": video,
    "ecommerce": ecommerce,
    "social_reviews": social_reviews,
    "social_trust": social_trust,
    "education_courses": education_courses,
    "education_mastery": education_mastery,
    "own": own,
}
