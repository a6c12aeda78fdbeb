"""Build the sprites and names of the emoji scenes from an emoji font and Unicode CLDR.

Run `python -m modeling_florenz.data.emoji_scenes.build_sprites --font TTF --annotations DIR --groups JSON`, where TTF
is a Noto Color Emoji bitmap font, DIR the `annotations` folder of the npm package cldr-annotations-modern and JSON the
`data-by-emoji.json` of the npm package unicode-emoji-json.
"""

import argparse
import json
import re
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont


LANGUAGES = ("en", "de", "fr", "es", "ru", "zh", "it")
OUTPUT = Path(__file__).parent / "emoji"
CELL = 56
COLUMNS = 24
FONT_SIZE = 109  # the only size of the bitmaps in the font

# Broader word -> slugs of its core nouns. A broader word may not be the English name of a noun.
BROADER = {
    "fruit": "grapes watermelon tangerine lemon banana pineapple pear cherries strawberry kiwi_fruit coconut",
    "vegetable": "tomato avocado eggplant carrot ear_of_corn cucumber broccoli garlic onion",
    "dish": "hamburger pizza hot_dog taco spaghetti french_fries sushi",
    "food": "bread cheese_wedge egg popcorn croissant pretzel",
    "sweet": "doughnut cookie chocolate_bar lollipop ice_cream cupcake",
    "drink": "wine_glass cocktail_glass beer_mug glass_of_milk hot_beverage",
    "pet": "dog cat rabbit",
    "farm animal": "cow pig ewe goat horse rooster",
    "wild animal": "elephant giraffe zebra tiger kangaroo rhinoceros camel deer bat hedgehog skunk monkey gorilla",
    "bird": "eagle duck swan owl flamingo peacock parrot penguin",
    "sea animal": "whale dolphin shark octopus crab squid jellyfish seal tropical_fish",
    "reptile": "turtle crocodile lizard snake",
    "insect": "butterfly ant honeybee lady_beetle mosquito cricket",
    "flower": "rose sunflower tulip hibiscus cherry_blossom hyacinth",
    # "plant" is also a homograph: a factory is one.
    "plant": "palm_tree cactus potted_plant shamrock mushroom factory",
    "car": "automobile taxi police_car racing_car",
    "vehicle": "locomotive bus fire_engine delivery_truck tractor",
    "bike": "bicycle motorcycle kick_scooter",
    "boat": "sailboat canoe speedboat ship",
    "aircraft": "airplane helicopter rocket flying_saucer",
    "building": "house castle church mosque hut hospital",
    "clock": "alarm_clock watch mantelpiece_clock",
    "ball": "soccer_ball basketball volleyball tennis",
    "toy": "teddy_bear yo_yo kite balloon puzzle_piece game_die",
    "instrument": "trumpet saxophone guitar violin drum accordion microscope telescope",
    "clothing": "jeans t_shirt dress coat scarf gloves socks necktie",
    "hat": "top_hat graduation_cap woman_s_hat crown",
    "shoe": "running_shoe woman_s_boot thong_sandal",
    "eyewear": "glasses sunglasses goggles",
    "bag": "handbag backpack luggage briefcase",
    "tool": "hammer axe wrench screwdriver carpentry_saw",
    "device": "mobile_phone laptop television camera radio printer",
    "stationery": "pencil crayon paintbrush paperclip pushpin straight_ruler scissors",
}
# The same for nouns outside the core.
BROADER_ELSEWHERE = {
    "fruit": "mango peach blueberries red_apple green_apple melon",
    "vegetable": "potato hot_pepper bell_pepper beans pea_pod",
    "dish": "sandwich pancakes burrito tamale falafel fondue green_salad pot_of_food curry_rice dumpling oden",
    "food": "butter bacon bagel baguette_bread flatbread waffle cooked_rice rice_ball meat_on_bone poultry_leg",
    "sweet": "candy custard shortcake birthday_cake soft_ice_cream shaved_ice dango moon_cake pie fortune_cookie",
    "drink": "bubble_tea teacup_without_handle beverage_box cup_with_straw tumbler_glass",
    "pet": "hamster poodle",
    "farm animal": "donkey chicken ram ox goose baby_chick",
    "wild animal": "hippopotamus beaver sloth orangutan wolf fox raccoon lion leopard moose bison boar llama bear"
    " koala panda otter badger mouse rat chipmunk two_hump_camel water_buffalo",
    "bird": "dove turkey dodo",
    "sea animal": "lobster shrimp oyster blowfish coral",
    "reptile": "t_rex sauropod",
    "insect": "beetle cockroach fly",
    "flower": "lotus blossom bouquet",
    "plant": "seedling four_leaf_clover evergreen_tree deciduous_tree christmas_tree maple_leaf",
    "vehicle": "tram ambulance minibus trolleybus articulated_lorry pickup_truck railway_car monorail auto_rickshaw",
    "bike": "motor_scooter",
    "boat": "ferry",
    "building": "stadium school hotel bank synagogue hindu_temple shinto_shrine",
    "ball": "baseball american_football rugby_football",
    "toy": "nesting_dolls water_pistol pinata joystick",
    "instrument": "flute banjo maracas long_drum stethoscope compass",
    "clothing": "shorts bikini sari briefs lab_coat safety_vest",
    "hat": "billed_cap military_helmet rescue_worker_s_helmet",
    "shoe": "hiking_boot man_s_shoe flat_shoe high_heeled_shoe woman_s_sandal ballet_shoes",
    "bag": "purse shopping_bags",
    "tool": "pick ladder",
    "device": "telephone desktop_computer video_camera movie_camera film_projector pager keyboard computer_mouse",
    "stationery": "fountain_pen round_pushpin triangular_ruler notebook spiral_notepad clipboard file_folder",
}
# Core nouns that have no broader word.
OTHER_CORE = (
    "key bell umbrella anchor wrapped_gift door volcano trophy spider snail light_bulb teapot bed chair candle coin"
)
# Dropped: not a single plain thing, not drawn as named, named differently across languages, or a second drawing.
DROPPED = """
    globe_showing_americas globe_with_meridians
    monkey_face dog_face cat_face tiger_face horse_face cow_face pig_face pig_nose mouse_face rabbit_face
    paw_prints hatching_chick front_facing_baby_chick bird dragon_face spouting_whale fish bug microbe white_flower
    rosette wilted_flower sheaf_of_rice herb fallen_leaf leaf_fluttering_in_wind leafy_green cut_of_meat
    stuffed_flatbread cooking shallow_pan_of_food bento_box steaming_bowl sake tropical_drink clinking_beer_mugs
    clinking_glasses pouring_liquid mate world_map map_of_japan mountain mount_fuji camping desert national_park
    building_construction wood houses derelict_house house_with_garden office_building japanese_post_office
    post_office love_hotel convenience_store department_store japanese_castle wedding tokyo_tower kaaba foggy
    night_with_stars cityscape sunrise_over_mountains sunrise cityscape_at_dusk sunset bridge_at_night hot_springs
    barber_pole high_speed_train bullet_train train metro light_rail station mountain_railway tram_car oncoming_bus
    oncoming_police_car oncoming_taxi oncoming_automobile sport_utility_vehicle manual_wheelchair
    motorized_wheelchair bus_stop motorway railway_track fuel_pump police_car_light horizontal_traffic_light
    stop_sign construction passenger_ship motor_boat small_airplane airplane_departure airplane_arrival seat
    suspension_railway mountain_cableway aerial_tramway hourglass_done hourglass_not_done timer_clock new_moon
    waxing_crescent_moon first_quarter_moon waxing_gibbous_moon full_moon waning_gibbous_moon last_quarter_moon
    waning_crescent_moon crescent_moon new_moon_face thermometer sun full_moon_face sun_with_face star glowing_star
    shooting_star milky_way cloud sun_behind_cloud cloud_with_rain cloud_with_snow cloud_with_lightning tornado fog
    wind_face cyclone rainbow closed_umbrella umbrella_on_ground high_voltage snowflake snowman
    snowman_without_snow comet droplet water_wave sparkler sparkles party_popper confetti_ball tanabata_tree
    pine_decoration japanese_dolls carp_streamer wind_chime moon_viewing_ceremony red_envelope reminder_ribbon
    admission_tickets military_medal sports_medal 1st_place_medal 2nd_place_medal 3rd_place_medal softball
    cricket_game field_hockey ice_hockey lacrosse martial_arts_uniform goal_net flag_in_hole running_shirt bullseye
    pool_8_ball video_game spade_suit heart_suit diamond_suit club_suit chess_pawn joker mahjong_red_dragon
    flower_playing_cards performing_arts framed_picture one_piece_swimsuit woman_s_clothes clutch_bag hair_pick
    muted_speaker speaker_low_volume speaker_medium_volume speaker_high_volume postal_horn bell_with_slash
    musical_score musical_note musical_notes level_slider control_knobs musical_keyboard fax_machine low_battery
    electric_plug computer_disk optical_disk dvd film_frames camera_with_flash magnifying_glass_tilted_left
    magnifying_glass_tilted_right diya_lamp notebook_with_decorative_cover closed_book open_book green_book
    blue_book orange_book ledger page_with_curl page_facing_up rolled_up_newspaper bookmark_tabs label yen_banknote
    pound_banknote money_with_wings e_mail incoming_envelope envelope_with_arrow outbox_tray inbox_tray black_nib
    pen memo open_file_folder card_index_dividers tear_off_calendar spiral_calendar card_index chart_increasing
    chart_decreasing bar_chart linked_paperclips card_file_box locked unlocked locked_with_pen locked_with_key
    clamp link alembic petri_dish dna drop_of_blood x_ray lotion_bottle roll_of_paper bubbles cigarette coffin
    headstone funeral_urn nazar_amulet hamsa placard identification_card
"""
PROPER_NAMES = {"statue_of_liberty", "jack_o_lantern", "christmas_tree", "t_rex"}
OBJECTS_IN_TRAVEL = {
    "wheel", "anchor", "ring_buoy", "parachute", "bellhop_bell", "luggage", "watch", "alarm_clock", "stopwatch",
    "mantelpiece_clock", "umbrella", "fire", "vertical_traffic_light", "oil_drum", "compass", "brick", "rock",
    "ringed_planet", "skateboard", "roller_skate",
}  # fmt: skip
CONJUNCTION = re.compile(r",|、|\b(and|und|et|y|e|и)\b|和|/|:|：")


def category(group: str, slug: str, seen: set[str]) -> str:
    """Name the category of an emoji, given the slugs up to it in CLDR order: a category starts at its first member."""
    if group == "Animals & Nature":
        return "plant" if "bouquet" in seen else "animal"
    if group == "Travel & Places" and slug not in OBJECTS_IN_TRAVEL:
        return "vehicle" if "locomotive" in seen else "place"
    return "food" if group == "Food & Drink" else "object"


def name(text: str, language: str, proper: bool) -> str:
    """Clean a CLDR name: straight apostrophes, no parentheses, lower case unless German or a proper name."""
    text = re.sub(r"\s*\([^)]*\)", "", text).replace("\u2019", "'").strip()
    return text if proper or language in ("de", "zh") else text.lower()


def names(emoji: str, annotations: dict[str, dict[str, Any]], proper: bool) -> dict[str, str] | None:
    """Look up the name of an emoji in every language, or None if one is missing or could not be joined in a list."""
    found = {}
    for language, entries in annotations.items():
        entry = entries.get(emoji) or entries.get(emoji.replace("\ufe0f", ""))
        if not entry or "tts" not in entry:
            return None
        found[language] = name(entry["tts"][0], language, proper)
        if CONJUNCTION.search(found[language]):
            return None
    return found if len(found["en"].split()) <= 3 else None


def select(groups: dict[str, Any], annotations: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Choose the nouns, core nouns first, so that no two share a name in any language."""
    broader = {slug: word for word, slugs in BROADER.items() for slug in slugs.split()}
    core = set(broader) | set(OTHER_CORE.split())
    broader |= {slug: word for word, slugs in BROADER_ELSEWHERE.items() for slug in slugs.split()}
    candidates: list[dict[str, Any]] = []
    dropped = set(DROPPED.split())
    seen: set[str] = set()
    for emoji, data in groups.items():
        if data["group"] not in ("Animals & Nature", "Food & Drink", "Travel & Places", "Activities", "Objects"):
            continue
        slug = data["slug"]
        seen.add(slug)
        if slug in dropped or "\u200d" in emoji:
            continue
        texts = names(emoji, annotations, slug in PROPER_NAMES)
        if texts is None or texts["en"] in BROADER:
            if slug in core:
                raise ValueError(f"the core noun {slug!r} has no usable name in every language: {texts}")
            continue
        candidates.append(
            {
                "emoji": emoji,
                "key": slug,
                "category": category(data["group"], slug, seen),
                "broader": broader.get(slug),
                "core": slug in core,
                "names": texts,
            }
        )
    if unknown := (core | set(broader)) - {noun["key"] for noun in candidates}:
        raise ValueError(f"no usable emoji for {sorted(unknown)}")
    chosen: list[dict[str, Any]] = []
    taken: set[tuple[str, str]] = set()
    for noun in sorted(candidates, key=lambda noun: not noun["core"]):
        keys = {(language, text.casefold()) for language, text in noun["names"].items()}
        if keys & taken:
            if noun["core"]:
                raise ValueError(f"the core noun {noun['key']!r} shares a name: {sorted(keys & taken)}")
            continue
        taken |= keys
        chosen.append(noun)
    return chosen


def sprite(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Draw an emoji as one RGBA sprite, cropped to what is drawn and centred in a square cell."""
    canvas = Image.new("RGBA", (300, 200))
    ImageDraw.Draw(canvas).text((50, 30), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None or box[2] - box[0] > 140:
        raise ValueError(f"the font does not draw {emoji!r} as one glyph")
    glyph = canvas.crop(box)
    scale = CELL / max(glyph.size)
    glyph = glyph.resize(
        (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale))), Image.Resampling.LANCZOS
    )
    cell = Image.new("RGBA", (CELL, CELL))
    cell.paste(glyph, ((CELL - glyph.width) // 2, (CELL - glyph.height) // 2))
    return cell


def notice(annotations: Path, groups: Path) -> str:
    """Return sources, versions and licences, with the licence texts of the two packages."""
    unicode_licence = (annotations.parent / "LICENSE").read_text(encoding="utf-8").strip()
    mit_licence = (groups.parent / "LICENSE").read_text(encoding="utf-8").strip()
    return f"""# Notice

`atlas.webp` and `nouns.json` were made by `modeling_florenz/data/emoji_scenes/build_sprites.py` from the following
sources.

## Sprites (`atlas.webp`)

Drawn with the font Noto Color Emoji, version 2.042 (Debian package fonts-noto-color-emoji 2.042-0+deb12u1), scaled
down and laid out in one image. The font is copyright Google Inc. and Arjen Nienhuis and licensed under the SIL Open
Font License, Version 1.1, whose text is in `OFL.txt`; the sprites are distributed under that licence too. Noto is a
trademark of Google Inc.

## Names (`nouns.json`)

From the Unicode Common Locale Data Repository, npm package cldr-annotations-modern 45.0.0, under the Unicode License
V3. Lower-cased, freed of parentheses and with straight apostrophes.

```
{unicode_licence}
```

## Groups and keys (`nouns.json`)

From the npm package unicode-emoji-json 0.9.0, under the MIT License. The choice of nouns, their categories and their
broader words are this project's own.

```
{mit_licence}
```
"""


def main() -> None:
    """Write the data folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--font", type=Path, required=True, help="Noto Color Emoji, with bitmaps")
    parser.add_argument("--annotations", type=Path, required=True, help="folder with one folder per language")
    parser.add_argument("--groups", type=Path, required=True, help="data-by-emoji.json")
    arguments = parser.parse_args()

    annotations = {}
    for language in LANGUAGES:
        text = (arguments.annotations / language / "annotations.json").read_text(encoding="utf-8")
        annotations[language] = json.loads(text)["annotations"]["annotations"]
    nouns = select(json.loads(arguments.groups.read_text(encoding="utf-8")), annotations)

    font = ImageFont.truetype(str(arguments.font), FONT_SIZE)
    atlas = Image.new("RGBA", (COLUMNS * CELL, -(-len(nouns) // COLUMNS) * CELL))
    for index, noun in enumerate(nouns):
        atlas.paste(sprite(noun["emoji"], font), (index % COLUMNS * CELL, index // COLUMNS * CELL))

    OUTPUT.mkdir(exist_ok=True)
    atlas.save(OUTPUT / "atlas.webp", quality=90, method=6)
    lines = ",\n".join(json.dumps(noun, ensure_ascii=False) for noun in nouns)
    (OUTPUT / "nouns.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    (OUTPUT / "NOTICE.md").write_text(notice(arguments.annotations, arguments.groups), encoding="utf-8")
    print(f"{len(nouns)} nouns, {sum(noun['core'] for noun in nouns)} of them core")


if __name__ == "__main__":
    main()
