"""What a person clicks: the checkout page, the portal, the hosted invoice page."""
