"""Knowledge distillation: learn from a teacher's logits, features or relations.

`teaching` has the common parts, `match` pairs modules of student and teacher.
"""
