"""Which cut-outs and scenes the benchmark is made of, and which of them are for what.

Three portions that share nothing: models are trained on the first, the benchmark is developed on the second, and reported on
the third. Kinds that are the same species (hen and rooster, duck and drake) or the same animal lie in one portion.
"""

from __future__ import annotations

from typing import Final, Literal

Portion = Literal["training", "development", "reported"]

WATER_BIRDS: Final[dict[Portion, tuple[str, ...]]] = {
    "training": ("drake", "duck", "heron_greatblue", "heron_greatblue_flying", "penguin", "seagull"),
    "development": ("gander", "little-penguin", "pelican"),
    "reported": ("pink_flamingo", "magellanic_penguin", "silver-gull"),
}
LAND_BIRDS: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *("adelaide-rosella", "blackbird", "chicken_profile", "cuckoo", "guineafowl", "helmeted_guineafowl"),
        *("hen", "rooster", "nandou", "pigeon", "turkey"),
    ),
    "development": ("crow", "lark", "ostrich", "peacock", "tucan"),
    "reported": ("magpie", "owl", "quetzal", "rainbow-lorikeet", "vulture"),
}
MAMMALS: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *(
            "chimp",
            "otter",
            "bear",
            "european-bear",
            "bison",
            "cow",
            "cow_white",
            "bull",
            "zebu",
            "yak",
            "goat",
        ),
        *("mountaingoat", "lion", "lion-2", "caribou", "deer", "doe", "wapiti", "dog", "dingo", "elephant"),
        *("pig", "pig_golden", "pig_golden2", "wildboar", "rat", "mouse"),
    ),
    "development": (
        *("gorilla", "badger", "ferret", "sheep", "ram", "sheep_lamb", "tiger", "tiger_sumatran", "donkey"),
        *("donkey_eating", "beaver", "hippopotamus"),
    ),
    "reported": (
        *("sea_lion", "gnu-stand", "gnu-sitting", "indian_blackbuck", "camel", "dromedary", "fox", "horse"),
        *("zebra", "giraffe", "rabbit", "rabbit-2", "capybara", "marmot", "squirrel", "rhino_black"),
    ),
}
FLOWERS: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *("adeenia", "anemone_red", "bolsom", "daffodil", "flower1", "flower2", "flower4", "flower6"),
        *("flower8", "marigold", "rose"),
    ),
    "development": ("flower3", "flower5", "flower9", "iris", "pigface"),
    "reported": ("flower10", "flower7", "red-gazania", "whitestar-petunia", "yellow-flower"),
}
WATER_SCENES: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *(
            "anders-jilden-307322",
            "christian-joudrey-96208",
            "geran-de-klerk-290418",
            "oskar-vertetics-53043",
        ),
        *("priscilla-du-preez-181896", "BytheWater", "EveningGlow"),
    ),
    "development": ("eberhard-grossgasteiger-311213", "nathan-anderson-316188", "summer_1am", "ColdRipple"),
    "reported": (
        "sean-afnan-244576",
        "stefan-kunze-26932",
        "sweet-ice-cream-photography-143023",
        "DarkestHour",
    ),
}
LAND_SCENES: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *("ales-krivec-107499", "artem-sapegin-229391", "christoph-bengtsson-lissalde-80291"),
        *("david-marcu-114194", "ilnur-kalimullin-218996", "jeremy-bishop-330225", "sam-ferrara-136526"),
        *("aitzgorri", "GreenMeadow", "FallenLeaf"),
    ),
    "development": (
        "cristina-gottardi-259243",
        "davide-cantelli-139887",
        "seeding",
        "Path",
        "wil-stewart-18242",
    ),
    "reported": (
        *("grant-ritchie-338179", "sophie-higginbottom-133982", "stefan-stefancik-105376", "picosdeeuropa"),
        *("Dune", "dino-reichmuth-84359"),
    ),
}
TOWN_SCENES: Final[dict[Portion, tuple[str, ...]]] = {
    "training": (
        *("berlin-cathedral", "fort-sumter", "gateway-of-india", "giza-pyramid", "great-wall", "living-room"),
        *("mont-saint-michel", "neuschwanstein"),
    ),
    "development": ("palais-des-papes", "qutub-minar", "lincoln-memorial", "hilltop-sunset"),
    "reported": ("machu-picchu", "golden-temple", "schwerin-palace", "victoria-memorial"),
}
TONES: Final[dict[Portion, tuple[str, ...]]] = {
    "training": ("default", "medium", "dark"),
    "development": ("light",),
    "reported": ("medium-light", "medium-dark"),
}
