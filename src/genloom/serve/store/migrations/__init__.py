"""How the tables came to be, one file per version; Alembic runs them in order."""
