"""Images: reading, geometry, random views, backbones."""
