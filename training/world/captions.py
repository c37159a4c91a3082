"""Captions of drawn scenes, in the phrasings and the order in which people write prompts.

What is out of the ordinary (night, fog, autumn, a mood) is nearly always said and the ordinary
(day, clear weather) seldom, so that a prompt that does not mention it gets the ordinary.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from promptflux.generation.context import words
from training.world.labels import KINDS, THINGS
from training.world.scene import Scene

PLURAL = ("woods", "mountains", "peaks", "alps", "dunes", "hills", "waves")
UNCOUNTED = ("downtown", "countryside", "snow", "seaside", "sahara", "cosmos")

MOODS = {
    "vibrant": "vibrant|vibrant|colorful|colourful|vivid|bright|lively",
    "magical": "magical|magical|enchanted|mystical|fairy tale|fantasy|magic|whimsical",
    "glowing": "glowing|glowing|luminous|radiant|bioluminescent|shining",
    "serene": "serene|serene|peaceful|calm|tranquil|quiet|relaxing",
    "futuristic": "futuristic|futuristic|sci-fi|cyberpunk|neon|science fiction|high-tech",
    "dark": "dark|gloomy|ominous|spooky|haunted|eerie|moody",
    "dreamy": "dreamy|pastel|ethereal|surreal|soft",
    "monochrome": "black and white|monochrome|grayscale|noir",
    "vintage": "vintage|sepia|old|nostalgic|retro",
}
TIME_NOUNS = {
    "day": "day|afternoon|morning",
    "sunrise": "sunrise|sunrise|dawn|daybreak",
    "sunset": "sunset|sunset|dusk|golden hour|evening",
    "night": "night|night|midnight",
}
TIME_PHRASES = {
    "day": "by day|during the day|in daylight|in the daytime|at noon|at midday|in the afternoon",
    "sunrise": "at sunrise|at sunrise|at dawn|in the early morning|at daybreak|at first light",
    "sunset": "at sunset|at sunset|at dusk|in the evening|during sunset|during golden hour|at twilight",
    "night": "at night|at night|by night|during the night|at midnight|in the dark of night|under the moonlight",
}
SUNNY_DAY = "on a sunny day|on a bright day"
SKIES = {
    "day": "a bright sky|a blue sky|a clear sky|a bright blue sky|a sunny sky",
    "sunrise": "a morning sky|a pink and yellow sky|a sunrise sky|a golden sky",
    "sunset": "an orange sky|a red sky|a sunset sky|an evening sky|a fiery sky",
    "night": "a dark sky|a night sky|a dark blue sky",
}
WEATHER_PHRASES = {
    "clear": "in clear weather|in fine weather",
    "cloudy": "on a cloudy day|under a cloudy sky|under an overcast sky|in cloudy weather",
    "misty": "in the mist|in fog|in the fog|in thick fog|covered in mist|with mist|with fog",
    "rain": "in the rain|in heavy rain|on a rainy day|with rain falling|in rainy weather",
    "storm": "in a storm|during a thunderstorm|with lightning|in a thunderstorm|in stormy weather",
    "snowfall": "in the falling snow|with snow falling|in a snowfall|in a blizzard|with snowflakes",
}
WEATHER_WORDS = {
    "clear": "clear|sunny",
    "cloudy": "cloudy|overcast",
    "misty": "misty|foggy|hazy",
    "rain": "rainy",
    "storm": "stormy",
    "snowfall": "snowing",
}
SEASON_PHRASES = {
    "spring": "in spring|in the spring|in springtime",
    "summer": "in summer|in the summer",
    "autumn": "in autumn|in fall|in the fall|in october",
    "winter": "in winter|in the winter|covered in snow|in january",
}
SEASON_WORDS = {
    "spring": "spring",
    "summer": "summer|green|lush",
    "autumn": "autumn|fall|autumnal",
    "winter": "winter|snowy|wintry",
}
PLACES = {  # how a thing that is named first is joined to its scene: "a castle in the mountains", "birds over the sea"
    "sky": "over|over|over|above|above|high above|in the sky over|behind",
    "water": "on|on|floating on|drifting on|sailing on|by|in|in front of|near",
    "ground": "in|in|in|on|by|near|beside|next to|in front of|in the middle of|standing in|standing by|behind|among|of|at",
}
JOINED = {  # how a thing that is named after its scene is joined to it
    "sky": "with|with|with|with|and|featuring|under|below",
    "water": "with|with|with|with|and|featuring|behind|near",
    "ground": "with|with|with|with|and|featuring|near|beside|by|behind|in front of|next to",
    "many": "full of|full of|covered with|covered in|surrounded by|among|between",
}
WEATHER_THINGS = {
    "misty": "fog|mist|thick fog|morning mist",
    "rain": "rain|heavy rain|rain falling",
    "storm": "lightning|a thunderstorm|a storm|lightning striking|thunder and lightning",
    "snowfall": "snow falling|snowflakes falling|a blizzard|a snowstorm",
}
OPENINGS = (
    "a painting of|a photo of|a picture of|an illustration of|an image of|a drawing of|a digital painting of|artwork of|a view of|"
    "a landscape of|a beautiful picture of|show me|draw|generate an image of"
)
CLOSINGS = "highly detailed|4k|digital art|landscape|beautiful|concept art|8k|wallpaper|masterpiece|scenery|trending on artstation|high quality"
PRAISE = "beautiful|stunning|lovely|majestic|breathtaking|wide|wild|scenic|amazing|vast|endless|small|large|nice|cozy"
FILLERS = (
    "across through along near around beneath beyond towards between very some where while gently slowly softly "
    "dancing stretching standing rising floating hiding reflecting surrounded filled seen scene photo"
).split()
SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo yu za sh tr bl ng ck er ing zebra cheese dragon robot".split()
WHERE = {phrase: thing.where for thing in THINGS.values() for phrase in thing.phrases.split("|")}
MEANINGFUL = sorted(
    {
        word
        for options in (
            *(nouns for kind in KINDS.values() for nouns in (kind.nouns, *kind.nouns_with.values())),
            *(thing.phrases for thing in THINGS.values()),
            *(said for table in (MOODS, TIME_NOUNS, WEATHER_WORDS, SEASON_WORDS) for said in table.values()),
        )
        for word in words(options)
        if len(word) > 2
    }
)


def known_words(captions: Sequence[str]) -> list[str]:
    """The words that more than one in 4,000 of `captions` use, sorted, in lower case; made-up words not among them."""
    counts = Counter(word for text in captions for word in set(words(text)))
    return sorted(word for word, n in counts.items() if n > len(captions) / 4000 and word not in SYLLABLES)


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One caption of `scene`, drawn by `rng`; it says only what is true of the scene, not all of it."""

    def chance(probability: float) -> bool:
        return rng.random() < probability

    def one_of(options: str) -> str:
        options = options.split("|")
        return options[rng.integers(len(options))]

    kind = KINDS[scene.kind]
    noun = one_of(kind.nouns)
    for thing in scene.things:
        if thing in kind.nouns_with and chance(0.25):
            noun = one_of(kind.nouns_with[thing])
    if kind.nouns_of_trees and not scene.tree_color and chance(0.1):
        noun = one_of(kind.nouns_of_trees)
    adjectives = [one_of(MOODS[mood]) for mood in scene.moods if chance(0.92)]
    if kind.adjectives and "glowing" not in scene.moods and chance(0.25):
        adjectives.append(one_of(kind.adjectives))
    things = _things(scene, rng)
    if chance(0.12):
        things.append(one_of(kind.parts))
    phrases = []

    if "glowing" in scene.moods and "glowing" in adjectives and chance(0.5):
        adjectives.remove("glowing")  # said of the thing that glows
        things.insert(0, f"{one_of('glowing|luminous|glowing|shining')} {kind.glowing}")
    if "vibrant" in scene.moods and kind.green and chance(0.35):
        things.insert(
            0, one_of("colorful trees|colourful trees|vibrant colors|bright colors|trees of many colors")
        )
    if scene.tree_color and kind.nouns_of_trees and chance(0.92):
        if chance(0.3):
            adjectives.append(scene.tree_color)
        else:
            things.insert(0, f"{scene.tree_color} {one_of('trees|trees|leaves|foliage')}")
    if scene.season == "autumn" and chance(0.08):
        things.append(one_of("autumn leaves|fallen leaves|autumn trees|autumn colors"))

    say_time = chance(0.25 if scene.time == "day" else 0.92) and not kind.time
    say_weather = chance(0.06 if scene.weather == "clear" else 0.85)
    say_season = scene.season and chance(0.5 if scene.season == "summer" else 0.88)
    if scene.sky_color and chance(0.9):
        things.append(f"a {scene.sky_color} sky")
    elif scene.weather in ("clear", "cloudy") and not kind.time and chance(0.18):
        if scene.weather == "cloudy":
            things.append(one_of("a cloudy sky|an overcast sky"))
        else:
            things.append(one_of(SKIES[scene.time]))
            say_time = say_time and scene.time != "day"

    style = rng.random()
    if style < 0.12:  # a list of tags
        tags = [noun, *adjectives, *things]
        tags += [one_of(TIME_NOUNS[scene.time])] if say_time else []
        tags += [one_of(WEATHER_WORDS[scene.weather])] if say_weather else []
        tags += [one_of(SEASON_WORDS[scene.season])] if say_season else []
        tags = [tag.removeprefix("a ").removeprefix("an ").removeprefix("the ") for tag in tags]
        order = rng.permutation(len(tags)) if chance(0.5) else range(len(tags))
        return _untidy(", ".join(tags[i] for i in order), rng)

    if say_weather and chance(0.4):
        adjectives.insert(0, one_of(WEATHER_WORDS[scene.weather]))
        say_weather = False
    if say_season and chance(0.35):
        adjectives.append(one_of(SEASON_WORDS[scene.season]))
        say_season = False
    if chance(0.15):
        adjectives.insert(0, one_of(PRAISE))

    if say_time and style < 0.34:  # "a serene sunset over a futuristic city"
        split = rng.integers(len(adjectives) + 1)
        time = one_of(TIME_NOUNS[scene.time])
        text = (
            f"{_article(time, adjectives[:split], rng)} {one_of('over|over|over|in|above|at')} "
            + _article(noun, adjectives[split:], rng)
        )
    elif say_time and chance(0.12):  # "night forest"
        text = _article(f"{one_of(TIME_NOUNS[scene.time])} {noun}", adjectives, rng)
    elif say_time and chance(0.12) and scene.time in ("sunrise", "sunset"):
        verb = {"sunrise": "the sun rises over", "sunset": "the sun sets over|the sun setting behind"}[
            scene.time
        ]
        text = f"{one_of(verb)} " + _article(noun, adjectives, rng)
    else:
        text = _article(noun, adjectives, rng)
        if say_weather and scene.weather in WEATHER_THINGS and chance(0.2):  # "fog over a city"
            text = f"{one_of(WEATHER_THINGS[scene.weather])} {one_of('over|over|above|in|at')} {text}"
            say_weather = False
        elif things and chance(0.3):  # "a castle in the mountains"
            thing = things.pop(0)
            text = f"{thing} {one_of(PLACES[_place(thing)])} {text}"
        times = TIME_PHRASES[scene.time]
        if scene.time == "day" and scene.weather == "clear":
            times = f"{times}|{SUNNY_DAY}"
        phrases += [one_of(times)] if say_time else []
    phrases += [one_of(WEATHER_PHRASES[scene.weather])] if say_weather else []
    phrases += [one_of(SEASON_PHRASES[scene.season])] if say_season else []
    if things:
        joined = (
            things[0]
            if len(things) == 1
            else f"{', '.join(things[:-1])} {one_of('and|and|and also')} {things[-1]}"
        )
        place = _place(things[0])
        if place == "ground" and not joined.startswith(("a ", "an ", "the ")) and chance(0.3):
            place = "many"
        phrases.append(f"{one_of(JOINED[place])} {joined}")
    order = rng.permutation(len(phrases)) if chance(0.4) else range(len(phrases))
    text = " ".join([text, *(phrases[i] for i in order)])
    if phrases and style > 0.96:
        i = rng.integers(len(phrases))  # "at night, a forest ..."
        text = f"{phrases[i]}, {text.replace(' ' + phrases[i], '', 1)}"
    if chance(0.12):
        text = f"{one_of(OPENINGS)} {text}"
    if chance(0.12):
        text = f"{text}, {one_of(CLOSINGS)}"
        text = f"{text}, {one_of(CLOSINGS)}" if chance(0.4) else text
    return _untidy(text, rng)


def _things(scene: Scene, rng: np.random.Generator) -> list[str]:
    """At most three of the scene's things as phrases."""
    said = [
        thing
        for thing in scene.things
        if rng.random() < 0.7 and not (thing == "stars" and KINDS[scene.kind].starry)
    ]
    said = [said[i] for i in rng.permutation(len(said))[: rng.integers(1, 4)]]
    phrases = []
    for thing in said:
        options = THINGS[thing].phrases.split("|")
        phrase = options[rng.integers(len(options))]
        phrase = phrase.format(flower=scene.flower_color, tree=scene.tree_color)
        phrases.append(" ".join(phrase.split()))
    return phrases


def _place(phrase: str) -> str:
    """Where a thing is, by its phrase: one of PLACES."""
    return "sky" if {"sky", "stars"} & set(words(phrase)) else WHERE.get(phrase, "ground")


def _article(noun: str, adjectives: list[str], rng: np.random.Generator) -> str:
    """ "a misty forest", "an old city", "snowy mountains", sometimes without or with another article."""
    words = " ".join([*adjectives, noun])
    if noun.split()[-1] in PLURAL or noun in UNCOUNTED or noun == "trees" or rng.random() < 0.12:
        return words
    if rng.random() < 0.1:
        return f"the {words}"
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _untidy(text: str, rng: np.random.Generator) -> str:
    """Now and then words that say nothing or that nobody knows, so that such words do no harm, or a full stop."""
    written = text.split()
    for form in rng.integers(10, size=2):
        if form == 0:
            empty = "".join(SYLLABLES[i] for i in rng.integers(len(SYLLABLES), size=rng.integers(1, 4)))
        elif form == 1:  # "across" begins like "cacti" to the tokenizer and ends like "moss"
            first, last = (MEANINGFUL[i] for i in rng.integers(len(MEANINGFUL), size=2))
            empty = first[: rng.integers(1, len(first))] + last[rng.integers(1, len(last)) :]
        elif form == 2:
            empty = FILLERS[rng.integers(len(FILLERS))]
        else:
            continue
        if len(empty) > 3 and empty not in MEANINGFUL:
            written.insert(rng.integers(len(written) + 1), empty)
    if rng.random() < 0.1:
        written[-1] += "."
    return " ".join(written)
