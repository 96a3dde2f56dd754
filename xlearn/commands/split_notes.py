"""Texts for the notes on splits and copies (`xlearn.data.split_notes`)."""

SPLIT_NOTES = {
    "copies_together": "{} copies of other examples, each on their side of every split (duplicates=together)",
    "copies_drop": "{} copies of other examples left out (duplicates=drop)",
    "copies_keep": "{} copies of other examples, on whichever side the split puts them (duplicates=keep)",
    "contradictions": "{} input(s) with different labels",
    "owners": "{} owners (split_by), each on one side of every split",
    "no_split_by": "no split_by: examples of one person, session or document may be on both sides of a split",
    "left_out": "{} example(s) left out: a copy, or one of the same owner, is on a stricter side of the split",
    "moved": "{} example(s) on the side of the split where an earlier task of the run has them",
    "learned_before": "{} test example(s) left out: the initial weights have learned from them",
    "whole_groups": "no split has class {} on both sides: all its examples are copies or of one owner",
    "folds_mix_test": "{} examples of the official test split are in the folds, for training too",
}
