"""What the page says of protocols and metrics."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

SCALING, PROFILE = "scaling_", "repro_profile"  # names of protocols with tables of their own
QUESTIONS = {
    "rating_u1": "MovieLens-100K ratings, official fold u1.",
    "rating_u1_u5_mean": "MovieLens-100K ratings, mean of the official folds u1 to u5.",
    "like_random": "MovieLens-100K, rating of 4 or more, rows at random 8:1:1.",
    "like_temporal": "MovieLens-100K, rating of 4 or more, in time order 8:1:1.",
    "topn_811": "MovieLens-100K top-N, each user's events at random 8:1:1, all films ranked.",
    "leave_last_out": "MovieLens-100K, each user's last film among all films.",
    "ecommerce_purchase": "The Complete Journey: will the household buy the product this week?",
    "ecommerce_spend": "The Complete Journey: spend on the product if it is bought.",
    "ecommerce_category": "The Complete Journey: department of the next purchase, grocery among "
    "them (the label until now).",
    "ecommerce_basket": "The Complete Journey: categories in the coming week's baskets.",
    "next_basket_all": "The Complete Journey: products of the next basket.",
    "next_basket_repeat": "The Complete Journey: next basket, what was bought before.",
    "next_basket_explore": "The Complete Journey: next basket, what was never bought before.",
    "step_cost": "A training step of the joint model, in units of its single-task twins'.",
    "cold_items": "Items without any event in training.",
    "cold_users": "Users without any event in training.",
    "own_million": "A stranger's million events, from `mtrec new` to trained models.",
    "train_speed": "One epoch of the same MMoE on 400,000 rows.",
    "embed_speed": "SmolLM2-135M's states for texts of all domains, bfloat16; all 30 layers, or "
    "the 16 that the pipeline uses. A bold figure is the best with all layers.",
    "serve_latency": "Ten best of 100,000 items for one user, one request at a time. There is no "
    "peer: the product of a state and all items is a floor under what serving can take.",
    "repro_profile": "Where the time of `make repro` goes: wall seconds of each stage.",
    "scaling_events": "Preparing and one epoch, by number of events; each size ran once.",
    "scaling_tasks": "One epoch of 18,000 rows, by number of tasks; each size ran once.",
    "scaling_items": "One step of 64 rows with a ranking task, by number of items; each size ran "
    "once.",
}
# What each side is given and how often it may choose, and what our lead is likely due to.
SEEN = {
    "rating_*": "Given: all get users, films, times and side information, and use what their "
    "method can: Surprise's models the ids alone, LightGBM and CatBoost the columns with time as a "
    "number, myFM and ours days, implicit feedback, side information and what a user rates within "
    "a day. Systems `to the second` also read what a user rates within a minute and a second, "
    "which nobody knows before the rating is written. How far one of them is ahead of a system "
    "without is partly what minutes and seconds are worth; no target counts it. Rows of ours that "
    "read days alone are not measured yet. A row of myFM whose note names days and no user's days "
    "had the former alone. Trials: "
    "fourteen per peer and fold, on the fold's validation rows; thirteen of ours, once for all, on "
    "those of u1. These, a tenth of the tests of u2 to u5, and the rest of u1's training rows had "
    "a part in that choice, so that only u1 is wholly apart from it; `unseen rmse` leaves the "
    "former out. Differences are paired, and positive is better.",
    "like_*": "Given: as for ratings. Peers learn likes, but for myFM's ordered probit and MMoE, "
    "which learn ratings (too), as ours do. Trials: fourteen per peer; ours are the settings of "
    "`rating_u1`.",
    "topn_811": "Given: peers the events, SASRec also their order. Ours reads stars and times as "
    "well, and how popular a film was around the days of a user, in events of others that came "
    "before and after. A split by lot allows that; no recommender in use could read the latter, so "
    "this lead is one in this protocol alone. Trials: four to twelve per peer; the last choice of "
    "ours is among four, and designs before it were not counted. Differences are paired, and "
    "positive is better.",
    "leave_last_out": "Given: as under 8:1:1; popularity is also that around the last day that is "
    "known of a user, in events of others before and after. Trials: as there. Differences are "
    "paired, and positive is better.",
    "ecommerce_*": "Given: ours also reads texts and the last sixteen purchases; peers read the "
    "same columns without texts, and the history's length and last event, which is what tables "
    "hold. Where our heads start from running means (category, basket), LightGBM's trees do, "
    "too; MMoE has no such start. Trials: some 72 of ours, 80 of LightGBM, 72 of MMoE.",
    "next_basket_*": "Given: peers the baskets; ours also days, product types and the day of the "
    "basket that is asked for. Trials: 106 of TIFU-kNN, 45 of UP-CF; the last choice of ours is "
    "among three, and designs before it were not counted. Differences are paired, and positive is "
    "better.",
    "cold_*": "Given: CatBoost and LightFM get our columns and text vectors, without histories. "
    "Trials: six per peer, task and seed; five of ours, once for all. Differences are paired, and "
    "positive is better.",
    "train_speed": "`mtrec` trains this network in a form written for speed: the tables as one, "
    "experts and gates as one product each (`mtrec.bench.models.stacked`). The losses of the epoch "
    "differ, likely because torch draws dense layers narrower than Keras does.",
}
LEADS = {
    "rating_*": "averaging, over draws and over models: on u1 and with days alone our network and "
    "our factor model are not told apart from myFM, their blend is ahead. Users of this file rate "
    "page by page, so that minutes and seconds say more; given these, myFM was level with ours on "
    "another split, and nearer to ours on u1. All by hand, with one seed (docs/decisions.md).",
    "like_*": "as for ratings; likes are the upper end of an ordinal model that saw the stars.",
    "topn_811": "a network ranks what item regressions, a graph filter and popularity around the "
    "days of a user propose. The last reads events before and after those days; no peer does.",
    "leave_last_out": "the last film is mostly one that is popular around that day, before and "
    "after it, and fits the last few that were seen; peers know the one or the other.",
    "next_basket_*": "a network weighs repeats, recency and neighbours by household, knows product "
    "types, and is told the day.",
    "train_speed": "a hundred steps run in one graph, each core has an operation of its own, and "
    "the network has few, large products.",
    "ecommerce_*": "heads of category and basket start from running means, averaged weights and a "
    "penalty keep the rest from learning ids by heart.",
}
PIPELINE = "joint_"  # protocols of the pipeline's own models
UNITS = {
    "rows_per_second": "training rows per second",
    "tokens_per_second": "tokens per second",
    "p50_ms": "median latency [ms]",
    "rmse": "RMSE (less is better)",
    "auc": "AUC (more is better)",
    "ndcg@10": "NDCG@10 (more is better)",
    "accuracy": "accuracy (more is better)",
    "map": "mean average precision (more is better)",
}


def question(protocol: str) -> str:
    """What a protocol asks, and what each side was given."""
    asked = QUESTIONS.get(protocol, "")
    if protocol.startswith(PIPELINE):
        asked = (
            f"The joint model of `{protocol.removeprefix(PIPELINE)}` and its single-task twins, "
            "the pipeline's settings, three seeds. Differences are paired, and positive is better."
        )
    return " ".join(part for part in (asked, told(protocol, SEEN)) if part)


def told(protocol: str, words: Mapping[str, str]) -> str:
    """The words of the first pattern that a protocol has."""
    return next((text for name, text in words.items() if fnmatch.fnmatch(protocol, name)), "")
