"""Encoders: one modality to tokens. Built as `encoder(spec)`; `width` is the size of a token."""
