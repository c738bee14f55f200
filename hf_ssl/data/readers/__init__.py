"""Files, tables, Hub data sets, frames and streams, each read into rows."""
