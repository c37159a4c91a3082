"""All kinds of scene and all things by their names. A new file in `training/world/kinds` is a new kind."""

from promptflux.registry import entries
from training.world.kind import Kind
from training.world.things import OF_EVERY_KIND

KINDS = {
    kind.name: kind for kind in sorted(entries("training.world.kinds", Kind), key=lambda kind: kind.number)
}
LABELS = tuple(KINDS)

_OF_KINDS = {thing.name: thing for kind in KINDS.values() for thing in kind.all_things}
_OF_ALL = {thing.name: thing for thing in OF_EVERY_KIND}
# Those of some kinds in alphabetical order, then those that come with the hour, the weather and the mood.
THINGS = {name: _OF_KINDS[name] for name in sorted(_OF_KINDS.keys() - _OF_ALL.keys())} | _OF_ALL
