"""What readers see: tables, figures, executed notebooks, and the results in the README."""
