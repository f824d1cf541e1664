"""The base of every form: CSRF, and messages in French where a field gives none of its own."""

from typing import Any

from flask_wtf import FlaskForm
from wtforms.meta import DefaultMeta


class Form(FlaskForm):  # type: ignore[misc]
    """A form of the house. Fields that it does not declare are ignored, whatever a request posts."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        locales = ("fr",)

        def get_translations(self, form: Any) -> Any:
            """WTForms' own translations: Flask-WTF's would ask Flask-Babel, which reads the browser's language."""
            return DefaultMeta.get_translations(self, form)
