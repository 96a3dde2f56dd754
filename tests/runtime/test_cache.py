"""Values that were asked for last, by key."""

from xlearn.runtime.cache import recent


def test_the_values_that_were_asked_for_last_stay():
    made, kept = [], {}

    def ask(key):
        return recent(kept, key, lambda: made.append(key) or key.upper(), 2)

    assert [ask(key) for key in "abacab"] == [*"ABACAB"]
    # c drops b, which was asked for before a; then b is made again and drops c.
    assert made == [*"abcb"] and [*kept] == ["a", "b"]
