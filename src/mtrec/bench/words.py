"""What the page calls protocols and metrics."""

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
    "ecommerce_category": "The Complete Journey: department of the next purchase.",
    "ecommerce_basket": "The Complete Journey: categories in the coming week's baskets.",
    "next_basket_all": "The Complete Journey: products of the next basket.",
    "next_basket_repeat": "The Complete Journey: next basket, what was bought before.",
    "next_basket_explore": "The Complete Journey: next basket, what was never bought before.",
    "step_cost": "A training step of the joint model, in units of its single-task twins'.",
    "cold_items": "Items without any event in training.",
    "cold_users": "Users without any event in training.",
    "own_million": "A stranger's million events, from `mtrec new` to trained models.",
    "train_speed": "One epoch of the same MMoE on 400,000 rows.",
    "embed_speed": "SmolLM2-135M's states for texts of all domains, bfloat16.",
    "serve_latency": "Ten best of 100,000 items for one user, one request at a time.",
    "repro_profile": "Where the time of `make repro` goes: wall seconds of each stage.",
    "scaling_events": "Preparing and one epoch, by number of events.",
    "scaling_tasks": "One epoch of 18,000 rows, by number of tasks.",
    "scaling_items": "One step of 64 rows with a ranking task, by number of items.",
}
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
