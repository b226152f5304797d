"""Data with known answers: scenes whose truth is stored beside what a microscope would record."""
