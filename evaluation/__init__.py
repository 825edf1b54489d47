"""Predictions to official scores. Imports only `pose` of posestream and knows no network."""
