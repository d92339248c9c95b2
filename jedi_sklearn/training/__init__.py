"""Joint training of students and teachers, in torch."""
