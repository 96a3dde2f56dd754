"""Values that stay in memory between runs."""

from xlearn.runtime.memory import Kept, using


def test_the_values_that_were_asked_for_last_stay():
    made, kept = [], Kept(2)

    def ask(key):
        return kept(key, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abacab"] == [*"ABACAB"]
    # c drops b, which was asked for before a; then b is made again and drops c.
    assert made == [*"abcb"] and len(kept) == 2


def test_what_no_later_run_needs_is_forgotten():
    made, kept = [], Kept()

    def ask(*keys):
        for key in keys:
            kept(key, lambda key=key: made.append(key))

    with using(frozenset({"digits"}), later=frozenset({"sounds"})):
        ask("pixels", "both")
    with using(frozenset({"sounds"}), later=frozenset({"texts"})):
        ask("waves", "both")
    assert made == ["pixels", "both", "waves"]
    with using(frozenset({"texts"})):
        ask("words")
    assert len(kept) == 1
    with using(frozenset({"digits"})):
        ask("pixels")
    assert made == ["pixels", "both", "waves", "words", "pixels"]
