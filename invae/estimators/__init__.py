"""Library interface: `InvariantVAE`, `Ensemble`, `EncoderDecoder`, `DualVAE`, `Clustering`, number of classes."""
