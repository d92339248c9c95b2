"""Video files to frames, and frames to views."""
