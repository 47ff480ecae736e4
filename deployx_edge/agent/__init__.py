"""The host's side of ``deployx.agent.v1``: the only package that knows gRPC."""
