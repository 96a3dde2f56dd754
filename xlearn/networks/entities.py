"""Tables of entities (users, items): networks share their rows by id, never by position."""

from collections.abc import Mapping

from torch import Tensor, nn


class Entities(nn.Module):
    """A module with tables that have a row for each entity. `ids`: the entities, in the order of the rows; `tables`: the names
    of its parameters that have these rows.
    """

    ids: tuple[str, ...]
    tables: tuple[str, ...]


def entity_rows(network: nn.Module) -> dict[str, tuple[str, ...]]:
    """The ids of the rows of each table of entities, by the name of the parameter in the network."""
    return {
        f"{path}.{table}": module.ids
        for path, module in network.named_modules()
        if isinstance(module, Entities)
        for table in module.tables
    }


def same_rows(source: Mapping[str, tuple[str, ...]], target: Mapping[str, tuple[str, ...]]) -> dict[str, list[tuple[int, int]]]:
    """By table of both, the pairs (row of the source, row of the target) of the same entity."""
    found = {}
    for name in source.keys() & target.keys():
        place = {entity: row for row, entity in enumerate(source[name])}
        found[name] = [(place[entity], row) for row, entity in enumerate(target[name]) if entity in place]
    return found


def with_rows(own: Tensor, given: Tensor, pairs: list[tuple[int, int]]) -> Tensor:
    """`own` with the rows of `given` of the same entities."""
    made = own.clone()
    for row, place in pairs:
        made[place] = given[row]
    return made
