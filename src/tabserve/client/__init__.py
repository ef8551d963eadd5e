"""Clients of the V2 inference protocol, over REST and gRPC."""
