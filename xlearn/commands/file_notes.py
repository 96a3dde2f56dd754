"""Texts for the notes on people's folders, pictures and sounds (`xlearn.data.tasks.class_folders`)."""

FILE_NOTES = {
    "skipped": "not read: {}",
    "animated": "the first frame or page of {} file(s)",
    "cancelling_channels": "the louder channel of {} sound(s) whose channels cancel each other",
    "enlarged": "read smaller than the encoder wants, and enlarged: {}",
    "composed_names": "names of folders read in composed characters (NFC): {}",
    "merged_folders": "folders of one name but for the composition of characters, read as one: {}",
    "label_variants": "classes that differ in case or space only: {}",
    "class_like_split": "{} is read as a class, not as a split",
    "unlabelled_rows": "{} without a label",
    "classes_left_out": "no file of these classes can be read, left out (skip_bad): {}",
}
