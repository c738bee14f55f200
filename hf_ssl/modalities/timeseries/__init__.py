"""Time series: reading, regular grids, windows, backbones."""
