"""Features that do not tell domains apart: the methods, the module that trains with one, and how the best point is picked."""
