"""Alignment of modalities by contrasting pairs. They train encoders and no head."""
