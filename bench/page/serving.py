"""The backend as it is, and beside it the same without its short memory of panels."""

from __future__ import annotations

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from ml_backend import app
from ml_backend.progress.panels import Shown

ANEW = "/anew"


def both() -> DispatcherMiddleware:
    """The product's application, and below /anew one that makes each panel for each request."""
    usual, forgetful = app.create_app(), app.create_app()
    forgetful.extensions["quorum"]["shown"] = Shown(now_s=0.0, others_s=0.0)
    return DispatcherMiddleware(usual, {ANEW: forgetful})
