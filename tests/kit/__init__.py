"""Builders, fakes, strategies and worlds that tests share; no tests."""
