"""The store on one PostgreSQL database."""
