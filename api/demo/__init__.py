"""`interlock sandbox`: the service and the stand-in Stripe in one process, and a page to try both."""
