"""The library interface: `InvariantVAE`, `Ensemble`, `EncoderDecoder`, `DualVAE`, the number of classes."""
