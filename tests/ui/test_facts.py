"""What the page says of models fits the networks there are."""

from studio.models.common import FAMILIES
from studio.ui import facts
from studio.ui.tiles import TRANSLATORS


def test_every_network_that_makes_pictures_from_latents_is_called_a_generator_and_has_a_name_for_people() -> None:
    judges = {family for family in FAMILIES if "discriminator" in family or family in ("patchgan", "projected-patches")}
    painters = {*TRANSLATORS, "any-style"}
    generators = set(FAMILIES) - judges - painters - set(facts.UPSCALERS)
    assert generators <= set(facts.GENERATORS)
    assert generators | painters <= set(facts.FAMILY_WORDS)
