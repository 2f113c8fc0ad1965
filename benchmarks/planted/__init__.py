"""Shortcuts planted into real photographs, and how often the verdict about them is right."""
