"""Atoms in images and movies: detection, fit, tracking, vacancies."""
