"""Long work takes turns: how many do a piece of it does not make a turn of the loop longer."""

import asyncio

from exporter.transport.turns import CHEAP, TURN, Turns


async def turns_taken(turns: Turns, costs: list[float]) -> list[int]:
    """In which turn of the loop each of some pieces was let go on."""
    at, turn = [-1] * len(costs), 0

    def gone(number: int) -> None:
        at[number] = turn

    for number, cost in enumerate(costs):
        turns.after(cost, lambda number=number: gone(number))  # type: ignore[misc]
    while -1 in at:
        await asyncio.sleep(0)
        turn += 1
        assert turn < 1000
    return at


async def test_dear_pieces_go_one_after_the_other() -> None:
    at = await turns_taken(Turns(), [TURN] * 20)
    assert at == sorted(set(at)), "two in one turn"


async def test_a_turn_takes_as_many_as_fit() -> None:
    at = await turns_taken(Turns(), [TURN / 4] * 20)
    assert max(map(at.count, at)) == 4
    assert at == sorted(at)


async def test_cheap_pieces_wait_for_nobody() -> None:
    at = await turns_taken(Turns(), [TURN] * 20 + [CHEAP / 2] * 20)
    assert max(at[20:]) <= 1
    assert max(at[:20]) >= 19


async def test_one_by_itself_goes_on_in_the_next_turn() -> None:
    assert await turns_taken(Turns(), [10.0]) == [0]


async def test_who_gave_up_is_passed_over() -> None:
    turns = Turns()
    waiting = [asyncio.ensure_future(turns.pause(TURN)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.wait(waiting)
    assert [task.cancelled() for task in waiting] == [False, True, False]


async def test_who_fails_holds_up_nobody() -> None:
    turns, told, gone = Turns(), [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    turns.after(TURN, lambda: 1 / 0)
    turns.after(TURN, lambda: gone.append(True))
    for _ in range(3):
        await asyncio.sleep(0)
    assert gone
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_a_loop_that_ended_leaves_nothing_behind() -> None:
    turns = Turns()

    async def leave() -> None:
        for _ in range(5):
            turns.after(TURN, lambda: None)

    asyncio.run(leave())
    assert asyncio.run(turns_taken(turns, [TURN, TURN])) == [0, 1]
