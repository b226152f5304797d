"""The interactive view of a result: the same module for the report, the live page and notebooks."""
