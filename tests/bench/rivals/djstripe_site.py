# pyright: basic, reportMissingImports=false
"""The smallest Django site with dj-stripe's webhook view.  Run as a program it makes the database."""

import os

import django
from django.conf import settings

ENDPOINT = "0c1b6d5e-6d5d-4b52-9d4c-2d1c8f3a9b10"

settings.configure(
    SECRET_KEY="of-the-bench",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="djstripe_urls",
    USE_TZ=True,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "djstripe"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["DATABASE"],
            "CONN_MAX_AGE": None,
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
            },
        }
    },
    STRIPE_TEST_SECRET_KEY=os.environ["STRIPE_SECRET_KEY"],
    STRIPE_LIVE_MODE=False,
    DJSTRIPE_FOREIGN_KEY_TO_FIELD="id",
)
django.setup()

import stripe  # noqa: E402

stripe.api_base = os.environ["STRIPE_API_BASE"]
stripe.api_key = os.environ["STRIPE_SECRET_KEY"]

if __name__ == "__main__":
    from django.core.management import call_command
    from django.db import connection
    from djstripe.models import Account, APIKey, WebhookEndpoint

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous = OFF")  # the migrations are not what is measured
    call_command("migrate", verbosity=0)
    account = Account.objects.create(id="acct_bench", livemode=False)
    APIKey.objects.create(
        secret=os.environ["STRIPE_SECRET_KEY"], type="secret", livemode=False, djstripe_owner_account=account
    )
    WebhookEndpoint.objects.create(
        id="we_bench",
        livemode=False,
        url="http://localhost/",
        secret=os.environ["STRIPE_WEBHOOK_SECRET"],
        enabled_events=["*"],
        status="enabled",
        api_version="2025-08-27.basil",
        djstripe_uuid=ENDPOINT,
        djstripe_owner_account=account,
    )
else:
    from django.core.wsgi import get_wsgi_application

    app = get_wsgi_application()
