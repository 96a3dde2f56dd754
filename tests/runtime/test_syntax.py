"""What of a source file counts: what it computes, and nothing that it only says."""

import pytest

from xlearn.runtime.syntax import analysed


def code_of(text):
    """Of a module of the user's own."""
    return analysed(text.encode(), ours=False)["code"]


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("def f():\n    'said'\n    return 1", "def f():\n    return 1"),
        ("raise ValueError(f'no {x}')", "raise ValueError('none of', f'{y}')"),
        ("x = 1", "x=(1)  # one"),
        ("__all__ = ['f']", "__version__ = '2'"),
    ],
)
def test_two_texts_that_run_alike(text, other):
    assert code_of(text) == code_of(other)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        ("x = 'said'", "x = 'told'"),
        ("raise ValueError('no')", "raise TypeError('no')"),
        # In the user's own code a call is what it computes, whatever it is called.
        ("MeanSquaredError(reduction='sum')", "MeanSquaredError(reduction='mean')"),
        ("need(batch, 'image')", "need(batch, 'text')"),
        ("log.warn('no')", "log.warn('never')"),
        ("class A:\n    __call__ = first", "class A:\n    __call__ = second"),
        ("__rate = 1", "__rate = 2"),
        ("x = 1", "x = 1.0"),
        ("f(a, b)", "f(a, *b)"),
        ("def f(a, b): ...", "def f(a, /, b): ..."),
        ("x = f'{a!r}'", "x = f'{a!s}'"),
        ("x = b'1'", "x = '1'"),
        ("if a:\n    b\nc", "if a:\n    b\n    c"),
    ],
)
def test_two_texts_that_do_not(text, other):
    assert code_of(text) != code_of(other)


@pytest.mark.parametrize(
    ("text", "other", "alike"),
    [
        ("found.need(a == 'x', 'no')", "found.need(a == 'x', f'never {a}')", True),
        ("found.need(a == 'x', 'no')", "found.need(a == 'y', 'no')", False),
        ("Problem('no')", "Problem('never')", True),
        ("warnings.warn('no')", "warnings.warn('never')", True),
        ("found.add('no')", "found.add('never')", False),
    ],
)
def test_messages_of_xlearn_s_own(text, other, alike):
    first, second = (analysed(each.encode(), ours=True)["code"] for each in (text, other))
    assert (first == second) is alike
