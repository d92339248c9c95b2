"""The joint network of students and teachers."""
