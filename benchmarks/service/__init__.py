"""The service under load, killed, and held against `mtrec.load`."""
