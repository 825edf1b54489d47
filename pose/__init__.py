"""Shared vocabulary: skeletons, crop geometry, heatmaps, drawing. Imports nothing else of posestream."""
