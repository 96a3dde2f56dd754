"""Contrastive alignment of paired modalities. Trains encoders and no head."""
