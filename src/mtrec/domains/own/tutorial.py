"""A small bookshop for notebook 11: its files, and a repository of its own to try things in."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mtrec.domains.own.draft import Answers, Draft
from mtrec.domains.own.new import Made, new
from mtrec.domains.own.talk import talk
from mtrec.paths import find_root

GENRES = {
    "crime": ["The Silent Witness", "Murder at the Harbour", "The Last Alibi", "Cold Evidence",
              "The Inspector's Daughter", "A Body in the Library Garden", "Poison by Post",
              "The Locked Study", "Fingerprints", "The Stranger on the Night Train"],
    "romance": ["A Summer in Provence", "Letters to Isabel", "The Wedding Next Door",
                "Second Chance at Love", "Kisses in the Rain", "The Duke's Promise",
                "Always the Bridesmaid", "Hearts and Tulips", "The Café on the Corner",
                "Dancing with Mr Hale"],
    "science fiction": ["Colony on Titan", "The Android's Dream", "Beyond the Ninth Orbit",
                        "Signals from the Void", "The Last Starship", "Time Engineers",
                        "Robots of the Red Desert", "Gravity Thieves", "The Terraformers",
                        "Clones of Neptune"],
    "cookery": ["Bread for Beginners", "One Pot Suppers", "The Art of Pasta", "Baking with Butter",
                "Spices of the South", "Soups and Stews", "The Vegetable Kitchen",
                "Cakes for Every Day", "Grill Masters", "Pickles and Preserves"],
}  # fmt: skip
READERS, EVENTS = 80, 2400
START, SPAN = 1_700_000_000, 120 * 86_400  # epoch seconds, from November 2023


@dataclass(frozen=True)
class Sandbox:
    """A repository of its own in a temporary folder: ``params.yaml``, ``dvc.yaml``, the files."""

    root: Path
    files: dict[str, Path]

    def contents(self) -> pd.DataFrame:
        """Files of the sandbox and their size."""
        found = sorted(path for path in self.root.rglob("*") if path.is_file())
        rows = [(path.relative_to(self.root).as_posix(), path.stat().st_size) for path in found]
        return pd.DataFrame(rows, columns=["file", "bytes"])

    def block(self, domain: str) -> str:
        """What ``params.yaml`` says about ``domain``."""
        text = (self.root / "params.yaml").read_text(encoding="utf-8")
        return text[text.index(f"\n  {domain}:") + 1 :]

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.root)


def sandbox(seed: int) -> Sandbox:
    """Make a sandbox with the bookshop's files in it; the repository itself is only read."""
    root, home = Path(tempfile.mkdtemp(prefix="mtrec-")), find_root()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(home / name, root / name)
    files = {}
    for name, (frame, encoding) in _shop(seed).items():
        files[name] = root / f"{name}.csv"
        frame.to_csv(files[name], index=False, sep=";", encoding=encoding)
    return Sandbox(root, files)


def weights() -> Path:
    """Folder of the language model's weights, which stay in the repository."""
    return find_root() / "data"


def _shop(seed: int) -> Mapping[str, tuple[pd.DataFrame, str]]:
    """Sales and books with their encodings; every reader has a favourite genre."""
    rng = np.random.default_rng(seed)
    genre = np.repeat(list(GENRES), [len(titles) for titles in GENRES.values()])
    titles = [title for group in GENRES.values() for title in group]
    books = pd.DataFrame(
        {
            "isbn": [f"978-{number:04d}" for number in range(len(titles))],
            "title": titles,
            "genre": genre,
            "pages": rng.integers(120, 600, len(titles)),
        }
    )
    reader = rng.integers(0, READERS, EVENTS)
    favourite = rng.choice(list(GENRES), READERS)[reader]
    own = rng.random(EVENTS) < 0.6
    book = rng.integers(0, len(titles), EVENTS)
    liked = pd.Series(np.arange(len(titles))).groupby(genre).agg(list)
    within = [liked[name][pick] for name, pick in zip(favourite, book % 10, strict=True)]
    book = np.where(own, within, book)
    level = np.where(genre[book] == favourite, 4.3, 2.9)
    sales = pd.DataFrame(
        {
            "customer": [f"reader{number:02d}" for number in reader],
            "isbn": books["isbn"].to_numpy()[book],
            "sold_at": START + np.sort(rng.integers(0, SPAN, EVENTS)),
            "stars": np.clip(np.round(level + rng.normal(0, 0.8, EVENTS)), 1, 5).astype(int),
            "gift": rng.choice(["yes", "no"], EVENTS, p=[0.2, 0.8]),
        }
    )
    return {"events": (sales, "utf-8"), "items": (books, "cp1252")}


def converse(box: Sandbox, domain: str, answers: Iterable[str]) -> Made:
    """Make a domain of sales by day as in a terminal, and print what is asked and answered.

    Days are such that they may be months, and a reader who buys a book twice in one is two rows.
    """
    sales = pd.read_csv(box.files["events"], sep=";", dtype=str)
    moment = pd.to_datetime(sales.pop("sold_at").astype("int64"), unit="s")
    months = moment.dt.month.astype(str).str.zfill(2)
    days = (moment.dt.day % 12 + 1).astype(str).str.zfill(2)
    sales["day"] = days + "/" + months + "/" + moment.dt.year.astype(str)
    file = box.root / "sales_by_day.csv"
    sales.to_csv(file, index=False)
    given = iter(answers)

    def read(prompt: str) -> str:
        answer = next(given, "")
        print(f"{prompt}{answer}")
        return answer

    def asked(make: Callable[[Answers], Draft], flags: Answers) -> Draft:
        return talk(make, flags, read)

    return new(domain, {**box.files, "events": file}, roles={}, start=box.root, talk=asked)


def damage(box: Sandbox, domain: str) -> None:
    """Spoil the copies of a domain's files in ways that files are spoilt."""
    folder = box.root / "own" / domain
    events = pd.read_csv(folder / "events.csv", sep=";", dtype=str)
    events.loc[3, "sold_at"] = "2200000000"
    events.loc[4, "sold_at"] = "tomorrow"
    events.loc[5, "stars"] = "five"
    events.loc[6, "isbn"] = "978-9999"
    events.to_csv(folder / "events.csv", sep=";", index=False)
    items = pd.read_csv(folder / "items.csv", sep=";", dtype=str, encoding="cp1252")
    items.loc[1, "isbn"] = items.loc[0, "isbn"]
    items = items.rename(columns={"pages": "page_count"})
    items.to_csv(folder / "items.csv", sep=";", index=False)
