"""What stands in for what the model learnt of somebody or something, and why, as answers say it."""

from __future__ import annotations

from mtrec.service.state import State


def because(used: str, why: str) -> dict[str, str]:
    """What was used instead, and the reason."""
    return {"used": used, "why": why}


def of_user(state: State, user_id: str | None, user: int) -> dict[str, str] | None:
    """What stands in for what the model learnt of a user; None if nothing has to.

    Args:
        state: what is known now.
        user_id: as a request names the user.
        user: row of the user; 0 if unknown.
    """
    if user_id is None:
        return because("new user", "no user was named")
    if not user:
        return because("new user", "the user is unknown and no event of his came")
    if user >= state.users.modelled:
        return because(
            "events", "the user came after training: history, context and means speak for him"
        )
    return None
