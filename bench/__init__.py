"""What the documentation claims, measured: one command a table."""
