"""Results: what runs ended with, labelled, kept in files that last, and run again."""
