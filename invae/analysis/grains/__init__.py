"""Polycrystals by nano-beam diffraction: regions, lattices, phases, orientation, strain and grains."""
