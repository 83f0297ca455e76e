"""Engines that train and generate, and their interface."""
