"""State the version of Phidelity."""

VERSION = "0.1.0"
