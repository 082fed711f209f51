"""Requests that came while others were answered are answered in one go."""

import asyncio

import pytest

from mtrec.service.together import Together


def ask(together, asked):
    async def run():
        return await asyncio.gather(*(together.ask(one) for one in asked), return_exceptions=True)

    return asyncio.run(run())


def test_each_gets_its_own_answer_a_few_at_a_time():
    sizes = []

    def double(asked):
        sizes.append(len(asked))
        return [2 * one for one in asked]

    assert ask(Together(double, 4), range(10)) == [2 * n for n in range(10)]
    assert sizes == [4, 4, 2]


def test_an_error_is_that_of_the_request_which_made_it():
    def halve(asked):
        return [ValueError("odd") if one % 2 else one // 2 for one in asked]

    first, second, third = ask(Together(halve, 4), [4, 5, 6])
    assert (first, third) == (2, 3)
    assert isinstance(second, ValueError)


def test_when_all_fail_everyone_is_told():
    def fail(asked):
        raise RuntimeError("no memory")

    found = ask(Together(fail, 2), [1, 2, 3])
    assert [str(one) for one in found] == ["no memory"] * 3


def test_who_has_gone_is_not_answered_and_disturbs_nobody():
    answered = []

    def echo(asked):
        answered.extend(asked)
        return list(asked)

    async def run():
        together = Together(echo, 4)
        gone, stays = (asyncio.ensure_future(together.ask(name)) for name in ("gone", "stays"))
        await asyncio.sleep(0)  # both are in the queue
        gone.cancel()
        assert await stays == "stays"
        with pytest.raises(asyncio.CancelledError):
            await gone

    asyncio.run(run())
    assert "stays" in answered


def test_the_queue_goes_on_after_it_was_empty():
    together = Together(lambda asked: list(asked), 4)

    async def run():
        return [await together.ask(1), await together.ask(2)]

    assert asyncio.run(run()) == [1, 2]
