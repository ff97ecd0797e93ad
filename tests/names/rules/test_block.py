"""What another name is worth, and what two halves agree on."""

from tests.names.rules.world import World


def test_another_units_name_is_worth_nothing(world: World) -> None:
    names = world.names(world.tokens == "king", world.before() == "whose")
    assert names.units.judged("f1").min() > 0.9
    assert names.units.swapped_f1.max() < 0.1
