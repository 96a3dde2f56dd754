"""`xlearn search`: values of the configuration chosen by a rule of selection, never by the test split."""
