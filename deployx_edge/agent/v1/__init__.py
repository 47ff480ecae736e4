"""Generated from ``device_agent/proto`` by ``scripts/generate-protocol``."""
