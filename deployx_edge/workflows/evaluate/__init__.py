"""How accurate a model is, on boards and here."""
