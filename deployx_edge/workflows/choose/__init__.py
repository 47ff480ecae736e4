"""Which runtime, at which precision: candidates of one model, measured side by side."""
