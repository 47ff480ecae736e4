"""Builds of the agent and the workers, and what they are made from."""
