"""Encoding and decoding of requests and responses, without input and output."""
