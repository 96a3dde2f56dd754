"""Up to how many classes a result keeps what grows with them. Imports nothing, because tables ask too."""

# The confusion matrix grows with the square of the classes. At 1,000 classes it was 22 MB for a run and its baseline.
CONFUSION_MATRIX = 100
PER_CLASS = 1000
