"""Texts for the notes on data in a result. Imports nothing heavy."""

from typing import Any

# Notes of a task that the summary does not print: they are for programs, or part of the text of another note.
UNTOLD = (
    "name",
    "data",
    "lacking",
    "fingerprint",
    "examples",
    "split",
    "from_rate",
    "to_rate",
    "from_rates",
    "longest",
    "unlabelled_rows",
)
# Texts for the notes of xlearn's own tasks and modalities. Any other note is printed as its name and value.
TOLD = {
    "bad_images": "{} unreadable image(s) left out (skip_bad)",
    "bad_sounds": "{} unreadable sound(s) left out (skip_bad)",
    "bad_rows": "{} unreadable row(s) left out (skip_bad)",
    "truncated": "{} truncated",
    "resampled": "{} resampled",
    "cut": "{} cut",
    "with_labels": "{} example(s) with a label",
    "without_labels": "{} example(s) without a label, read as unlabelled",
    "missing_values": "{} missing value(s)",
    "constant_columns": "{} column(s) constant in training, read as 0",
    "duplicates_removed": "{} duplicate(s) left out",
    "contradictions_removed": "{} with contradicting labels left out",
    "form_depends_on_source": "the form of {} depends on the source, for the baseline too",
    "neutral_left_out": "{} neutral example(s) left out",
    # Of files.
    "skipped": "not read: {}",
    "animated": "the first frame or page of {} file(s)",
    "cancelling_channels": "the louder channel of {} sound(s) whose channels cancel each other",
    "enlarged": "read smaller than the encoder wants, and enlarged: {}",
    "composed_names": "names of folders read in composed characters (NFC): {}",
    "merged_folders": "folders of one name but for the composition of characters, read as one: {}",
    "class_like_split": "{} is read as a class, not as a split",
    "classes_left_out": "no file of these classes can be read, left out (skip_bad): {}",
    # Of tables.
    "unread": "{} without a token left out (skip_bad)",
    "unlabelled_rows": "{} row(s) without a label",
    "missing_labels": "read as a missing label: {}",
    "label_variants": "labels that may be one: {} (normalise_labels=true)",
    "labels_normalised": "{} label(s) in another spelling",
    "labels_composed": "{} label(s) of decomposed letters",
    "encoding": "read as {}",
    "separator": "separated by {}",
    "decimal": "decimal {}",
    "not_numeric": "not numeric, and not read: {}",
    # Of splits and copies (`xlearn.data.split_notes`).
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
    "near_copies": "{} pairs of pictures on two sides of the split look alike: `xlearn check --leaks` lists them",
    "near_copies_of_test": "{} pairs of its pictures and test pictures look alike: `xlearn check --leaks` lists them",
    "folds_mix_test": "{} examples of the official test split are in the folds, for training too",
}


def note_texts(notes: dict[str, Any]) -> list[str]:
    """A text for each note that is not empty; the notes of a modality begin with its name."""
    found = []
    for name, content in notes.items():
        if name in UNTOLD or content is False or not content:
            continue
        if isinstance(content, dict):
            if inner := note_texts(content):
                found.append(TOLD.get(name, f"{name.replace('_', ' ')}: {{}}").replace("{}", ", ".join(inner)))
            continue
        shown = f"{content:,}" if isinstance(content, int) and content is not True else content
        shown = ", ".join(map(str, shown)) if isinstance(shown, list) else shown
        told = TOLD.get(name, f"{name.replace('_', ' ')} {{}}").replace("{}", str(shown))
        if name == "truncated" and "longest" in notes:
            told += f" to {notes['longest']} tokens"
        if name == "resampled":
            rates = notes.get("from_rates") or [notes["from_rate"]] if {"from_rates", "from_rate"} & notes.keys() else []
            told += f" from {', '.join(map(str, rates))} Hz" if rates else ""
            told += f" to {notes['to_rate']} Hz" if "to_rate" in notes else ""
        found.append(TOLD.get(name, name.replace("_", " ")) if content is True else told)
    return found
