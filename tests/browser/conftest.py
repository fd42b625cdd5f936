"""A real Chromium before a real backend, which shows a project that was made up."""

import pytest

from ml_backend.app import create_app
from ml_backend.jobs import Jobs
from ml_backend.settings import Settings
from ml_backend.store import Store

from .sample import PASSWORD, PROJECT_ID, USER, put_into
from .screenshots import sign_in
from .serving import chromium, served
from .watching import Watched


@pytest.fixture(scope="package")
def browser():
    """One for all tests; each visitor has a context of its own."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def settings(redis_url, tmp_path_factory):
    """The backend asks for a password, as ./quorum sets one."""
    return Settings(
        redis_url=redis_url,
        data_dir=tmp_path_factory.mktemp("page"),
        label_studio_url="http://label-studio.invalid:8080",
        basic_auth_user=USER,
        basic_auth_password=PASSWORD,
        webhook_secret="battery staple",
    )


@pytest.fixture(scope="package")
def sample(settings):
    """The project, as its page is to show it."""
    jobs = Jobs.connect(settings)
    jobs.redis.flushdb()
    return put_into(Store(settings.store_root, PROJECT_ID), jobs, settings)


@pytest.fixture(scope="package")
def app(settings, sample):
    """The backend."""
    return create_app(settings)


@pytest.fixture(scope="package")
def address(app):
    """The backend, served over HTTP."""
    with served(app) as found:
        yield found


@pytest.fixture
def read_anew(app):
    """Lets the backend forget the panels that it made a moment ago."""
    return lambda: app.extensions["quorum"]["shown"].forget(PROJECT_ID)


@pytest.fixture
def visit(browser, address):
    """Makes visitors: each has cookies of its own, and is watched until the test ends."""
    visitors = []

    def make(**options):
        watched = Watched(browser.new_context(base_url=address, **options), address)
        visitors.append(watched)
        return watched

    yield make
    for watched in visitors:
        watched.context.close()
    for watched in visitors:
        watched.check()


@pytest.fixture
def manager(visit, signed_in):
    """A project manager who has signed in, with a page of their own."""
    return visit(storage_state=signed_in).page


@pytest.fixture(scope="package")
def signed_in(browser, address):
    """Cookies of somebody who has signed in by the form."""
    context = browser.new_context(base_url=address)
    sign_in(context.new_page(), "/progress")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture(autouse=True)
def settled(sample, read_anew):
    """Each test finds the project at rest."""
    sample.settle()
    read_anew()
