"""Learning from a teacher's logits, features or relations.

`teaching` has what they share, `match` pairs modules of student and teacher.
"""
