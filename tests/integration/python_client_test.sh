#!/usr/bin/env bash
# Debian's Python, whose packages python3-grpcio and python3-protobuf are.
exec /usr/bin/python3 -B tests/integration/python_client_test.py
