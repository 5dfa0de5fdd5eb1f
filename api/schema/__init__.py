"""What the OpenAPI document and its page say."""
