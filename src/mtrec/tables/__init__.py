"""The data contract: four tables, how they are split, and checks that no feature leaks."""
