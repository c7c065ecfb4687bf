"""The pages of what was measured, made from its tables alone: an answer, a picture, and then all the numbers."""
