"""Templates whose constant parts are worked out once say exactly what Jinja's own would."""

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup, escape

from shop.templating import filled_rows, written


def shown(app: Flask, source: str, **facts: object) -> str:
    with app.test_request_context():
        return app.jinja_env.from_string(source).render(**facts)


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.dates(), st.builds(Markup, st.text())))
def test_a_value_is_written_as_the_library_escapes_it(value: object) -> None:
    assert written(value) == escape(value)


@pytest.mark.parametrize(
    ("source", "facts", "text"),
    [
        ("{{ _('Réserver') }}", {}, "Réserver"),
        ("{{ _('A & B') }}", {}, "A & B"),
        ("{{ _('100 %') }}", {}, "100 %"),
        ("{{ _('Pour %(who)s', who=who) }}", {"who": "<b>"}, "Pour &lt;b&gt;"),
        ("{{ _('Pour %(who)s', who=who) }}", {"who": Markup("<b>")}, "Pour <b>"),
        ("{{ name }}", {"name": "Anaïs & l'été"}, "Anaïs &amp; l&#39;été"),
        ("{{ url_for('catalog.commune', slug=slug) }}", {"slug": "le puy&é"}, "/communes/le%20puy&amp;%C3%A9"),
        (
            "{{ url_for('orders.confirm_cancel', repas=ids) }}",
            {"ids": [1, 2]},
            "/mes-reservations/annuler?repas=1&amp;repas=2",
        ),
        ("{{ url_for('cart.book', commune='a', service='b', periode=none) }}", {}, "/reserver/a/b"),
    ],
)
def test_words_and_addresses(app: Flask, source: str, facts: dict[str, object], text: str) -> None:
    assert shown(app, source, **facts).replace("\u00a0", " ") == text


def test_an_address_that_does_not_exist_is_an_error(app: Flask) -> None:
    with pytest.raises(Exception, match=r"no\.such"):
        shown(app, "{{ url_for('no.such') }}")


def test_an_imported_macro_escapes_and_takes_what_is_written_between(app: Flask) -> None:
    source = (
        "{% from 'components/badge.html' import badge %}{% from 'components/page.html' import alert %}"
        "{{ badge(word) }}{% call alert('note', title=word) %}{{ word }}<br>{% endcall %}"
    )
    page = shown(app, source, word="<b>")
    assert (page.count("&lt;b&gt;"), page.count("<b>"), page.count("<br>")) == (3, 0, 1)


def test_texts_come_where_marks_stand_and_are_escaped() -> None:
    rows = [("<b>", "\x02 & \x03 & \x02</b>", "l'été", "<b>"), ("", "<i></i>", "un", "deux")]
    assert filled_rows(rows, "\x02", "\x03") == Markup("<b>l&#39;été & &lt;b&gt; & l&#39;été</b><i></i>")
