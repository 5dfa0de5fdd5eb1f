# pyright: basic, reportMissingImports=false
"""The one route of the Django site."""

from django.urls import path
from djstripe.views import ProcessWebhookView

urlpatterns = [path("webhooks/<uuid:uuid>", ProcessWebhookView.as_view())]
