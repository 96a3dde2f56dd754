"""Texts for the notes on tables: how a file was read, and what its labels and cells lack."""

OF_TABLES = {
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
}
