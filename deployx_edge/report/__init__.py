"""Results for people: tables of Rich. Values come in, nothing is measured here."""
