"""How a system is asked, timed and weighed, and how splits and results are kept."""
