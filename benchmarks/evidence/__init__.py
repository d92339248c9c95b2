"""Experts, students and teachers against baselines on images: Tables 2 and 3 anew.

Run as ``python -m benchmarks.evidence``.
"""
