"""The pages of what was measured, made only from its tables: an answer, a picture, and then all the numbers."""
