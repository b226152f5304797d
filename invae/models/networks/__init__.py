"""Encoders, decoders and the U-Net."""
